"""Record ids and codes."""

from __future__ import annotations

import re
import uuid

from .errors import FormatError, excerpt

_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}", re.ASCII)
_HYPHENATED = "[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
_UUID = re.compile(rf"{_HYPHENATED}|\{{{_HYPHENATED}\}}|urn:uuid:{_HYPHENATED}|[0-9A-Fa-f]{{32}}", re.ASCII)
CODE_RULE = "1 to 32 of A-Z a-z 0-9 . _ - starting with a letter or digit"

RecordId = uuid.UUID
"""UUIDv7 of a record, chosen by its sender; also the idempotency key."""


def is_code(text: str) -> bool:
    """Whether a text may be the code of a unit or a regime."""
    return _CODE.fullmatch(text) is not None


def is_v7(record_id: uuid.UUID) -> bool:
    """Whether version and variant say UUIDv7 (RFC 9562)."""
    return record_id.variant == uuid.RFC_4122 and record_id.version == 7


def new_record_id(unix_ms: int, random: bytes) -> uuid.UUID:
    """A UUIDv7 from Unix milliseconds and 10 random bytes."""
    raw = bytearray(unix_ms.to_bytes(6, "big") + random)
    raw[6] = raw[6] & 0x0F | 0x70
    raw[8] = raw[8] & 0x3F | 0x80
    return uuid.UUID(bytes=bytes(raw))


def uuid_of(text: str) -> uuid.UUID | None:
    """A UUID from one of its usual texts: with its four hyphens or without any, in braces, as a URN."""
    return uuid.UUID(text) if _UUID.fullmatch(text) else None


def parse_record_id(text: str | uuid.UUID) -> uuid.UUID:
    """A record id from its text."""
    record_id = uuid_of(str(text))
    if record_id is None or not is_v7(record_id):
        raise FormatError(
            "request-malformed", f"expected a record id, a UUIDv7, found {excerpt(str(text))}", expected="a UUIDv7"
        )
    return record_id
