"""The log as it is published, C2SP tlog-tiles: paths, bundles of leaves, tiles. `docs/formats/tree.md`."""

from __future__ import annotations

from collections.abc import Sequence

from . import merkle
from .errors import LogError

WIDTH = 256
"""Hashes of a full tile, leaves of a full bundle."""
ENTRIES = "entries"


def path(level: int | str, index: int, width: int = WIDTH) -> str:
    """Where a tile is, or with level `entries` a bundle: its first `width` hashes or leaves."""
    groups = [f"{index % 1000:03}"]
    while index >= 1000:
        index //= 1000
        groups.insert(0, f"x{index % 1000:03}")
    partial = "" if width == WIDTH else f".p/{width}"
    return f"tile/{level}/{'/'.join(groups)}{partial}"


def entries(bundle: bytes, width: int | None = None) -> list[bytes]:
    """The leaves of a bundle, each behind its length in two bytes; with `width` so many, of as many or more."""
    found: list[bytes] = []
    at = 0
    while at < len(bundle):
        length = int.from_bytes(bundle[at : at + 2], "big")
        at += 2 + length
        if at > len(bundle):
            raise LogError("log-tiles-invalid", f"bundle: expected {at} bytes, found {len(bundle)}", expected=at, found=len(bundle))
        found.append(bundle[at - length : at])
    if width is not None and len(found) < width:
        raise LogError("log-tiles-invalid", f"bundle: expected {width} leaves, found {len(found)}", expected=width, found=len(found))
    return found[:width]


def tile(hashes: Sequence[bytes], level: int, index: int) -> list[bytes]:
    """The hashes of a tile over leaves, given by their hashes: perfect subtrees of height 8·level."""
    span = WIDTH**level
    first = index * WIDTH * span
    starts = range(first, min(first + WIDTH * span, len(hashes) - span + 1), span)
    return [merkle.root_of(hashes[start : start + span]) for start in starts]
