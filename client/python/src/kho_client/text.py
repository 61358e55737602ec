"""Numbers and bytes in texts that have one form each."""

from __future__ import annotations

import base64
import binascii
import re

_DECIMAL = re.compile(r"0|[1-9][0-9]{0,19}", re.ASCII)


def decimal(text: str) -> int | None:
    """A number of 64 bits in decimal without sign or leading zeros."""
    if _DECIMAL.fullmatch(text) is None:
        return None
    number = int(text)
    return number if number < 1 << 64 else None


def b64encode(data: bytes) -> str:
    """RFC 4648, section 4, with padding."""
    return base64.b64encode(data).decode("ascii")


def b64decode(text: str) -> bytes | None:
    """The bytes of a canonical text: padded, and no bit set behind the last byte."""
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, ValueError):
        return None
    return data if b64encode(data) == text else None


def hash32(text: str) -> bytes | None:
    """A hash of 32 bytes."""
    data = b64decode(text)
    return data if data is not None and len(data) == 32 else None
