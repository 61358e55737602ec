"""The public log, recomputed: every leaf is read, and the root over all of them is the one that the log's key signed. The same for
each older checkpoint that somebody has: that is what consistency means, without a proof. `docs/monitor.md`."""

from __future__ import annotations

import http.client
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from . import merkle, tiles
from .checkpoint import NOTE_LENGTH_MAX, Checkpoint, VerifierKey
from .errors import LogError, ReceiptError
from .leaf import LENGTH, RECORD, Leaf
from .receipt import Receipt

FETCH_TIMEOUT = 10.0
"""Seconds that one answer of the log may take."""
PATIENCE = 10.0
"""Seconds that a tile may stay behind a checkpoint: behind a load balancer another node may answer."""
BLAME_MAX = 1
"""Breaches that are remembered while the log is read: the first says enough."""
ANSWER_MAX = max(NOTE_LENGTH_MAX, tiles.WIDTH * (LENGTH + 2)) + 1

Fetch = Callable[[str], bytes]
"""A path of the log to its content."""


def https(url: str, trust: str | None) -> Fetch:
    """Reads a log at `https://HOST:PORT`; `trust`: PEM of the authority that names its servers, else the system's."""
    context = ssl.create_default_context(cafile=trust)

    def fetch(path: str) -> bytes:
        end = time.monotonic() + PATIENCE
        while True:
            try:
                with urllib.request.urlopen(f"{url.rstrip('/')}/{path}", timeout=FETCH_TIMEOUT, context=context) as answer:
                    data: bytes = answer.read(ANSWER_MAX)
                    return data
            except urllib.error.HTTPError as error:
                # it says of itself that it may be asked again
                if error.headers.get("Retry-After") and time.monotonic() < end:
                    time.sleep(1.0)
                    continue
                raise _unusable(path, f"{error.code}") from error
            except (OSError, http.client.HTTPException, ValueError) as error:
                raise _unusable(path, str(error)) from error

    return fetch


def _unusable(path: str, why: str) -> LogError:
    return LogError("log-unusable", f"the log does not answer for {path}: {why}")


@dataclass(frozen=True)
class Audited:
    """What an audit showed."""

    checkpoint: Checkpoint
    note: bytes
    records: int
    receipts: int
    """Receipts whose leaf stands at its place, and whose checkpoint is of this tree."""
    last_accepted_at_ms: int


def audit(
    fetch: Fetch,
    key: VerifierKey,
    *,
    older: Iterable[Checkpoint] = (),
    receipts: Iterable[Receipt] = (),
    patience: float = PATIENCE,
) -> Audited:
    """Reads the whole log and recomputes it, and holds it to what was signed before. The receipts must have been verified, each
    by itself: here they are found to be of this tree.

    Raises `log-tiles-invalid`: what was read is not what was signed, and whoever served it is to blame; and only once that is
    excluded `log-forked`, `log-shrank` or `log-leaf-invalid`: the log is.
    """
    proven = list(receipts)
    before = [*older, *(key.open(one.checkpoint) for one in proven)]
    newest = max((one.size for one in before), default=0)
    end = time.monotonic() + patience
    while True:
        note = fetch("checkpoint")
        checkpoint = key.open(note)
        # another node may answer, which has not applied yet what was signed a moment ago
        if checkpoint.size >= newest or time.monotonic() >= end:
            break
        time.sleep(0.5)
    roots = signed_roots([checkpoint, *before])
    if newest > checkpoint.size:
        message = f"expected at least {newest} leaves, as an older checkpoint has, found {checkpoint.size}"
        raise LogError("log-shrank", message, expected=newest, found=checkpoint.size)
    places: dict[int, bytes] = {}
    blame: list[LogError] = []
    for one in proven:
        if places.setdefault(one.sequence, one.leaf.encode()) != one.leaf.encode():
            blame.append(LogError("log-forked", f"two receipts prove different leaves {one.sequence}"))
    frontier, last, records = merkle.Frontier(), 0, 0
    found = {0: frontier.root()}
    for data in _leaves(fetch, checkpoint.size):
        sequence = frontier.size
        if places.get(sequence, data) != data:
            blame.append(LogError("log-forked", f"leaf {sequence}: the log has another one than a receipt proves"))
        frontier.add(merkle.leaf_hash(data))
        if frontier.size in roots:
            found[frontier.size] = frontier.root()
        try:
            leaf = _leaf(sequence, data, last)
            last, records = leaf.accepted_at_ms, records + (leaf.kind == RECORD)
        except LogError as error:
            blame.append(error)
        del blame[BLAME_MAX:]
    _compare("log-tiles-invalid", checkpoint.size, roots, found)
    for size in roots:
        _compare("log-forked", size, roots, found)
    if blame:
        raise blame[0]
    return Audited(checkpoint, note, records, len(proven), last)


def signed_roots(checkpoints: Iterable[Checkpoint]) -> dict[int, bytes]:
    """The roots by size; `log-forked` where two of one size differ."""
    roots: dict[int, bytes] = {}
    for one in checkpoints:
        if roots.setdefault(one.size, one.root) != one.root:
            expected, found = roots[one.size].hex(), one.root.hex()
            message = f"two signed checkpoints of {one.size} leaves: {expected} and {found}"
            raise LogError("log-forked", message, expected=expected, found=found)
    return roots


def _compare(code: str, size: int, signed: dict[int, bytes], found: dict[int, bytes]) -> None:
    if signed[size] != found[size]:
        expected, other = signed[size].hex(), found[size].hex()
        message = f"{size} leaves: expected root {expected} as it was signed, found {other}"
        raise LogError(code, message, expected=expected, found=other)


def _leaves(fetch: Fetch, size: int) -> Iterable[bytes]:
    for index in range(-(-size // tiles.WIDTH)):
        width = min(tiles.WIDTH, size - index * tiles.WIDTH)
        yield from tiles.entries(fetch(tiles.path(tiles.ENTRIES, index, width)), width)


def _leaf(sequence: int, data: bytes, last: int) -> Leaf:
    try:
        leaf = Leaf.decode(data)
    except ReceiptError as error:
        raise LogError("log-leaf-invalid", f"leaf {sequence}: {error.message}") from error
    if (leaf.kind == RECORD) != (sequence > 0):
        raise LogError("log-leaf-invalid", f"leaf {sequence}: expected the genesis leaf first, and there alone")
    if leaf.accepted_at_ms < last:
        message = f"leaf {sequence}: expected a time of {last} or later, found {leaf.accepted_at_ms}"
        raise LogError("log-leaf-invalid", message, expected=last, found=leaf.accepted_at_ms)
    return leaf
