"""Protobuf (proto3) as far as the frozen formats need it, written from its specification: what is hashed and signed must not
depend on how a library likes to encode. `docs/formats/README.md` says what canonical means.

Reading follows the rules of any protobuf decoder: the last value of a field counts, unknown fields are passed over. Whoever
wants the canonical form encodes again and compares.
"""

from __future__ import annotations

from collections.abc import Iterator

VARINT, FIXED64, BYTES, GROUP, END_GROUP, FIXED32 = range(6)
GROUP_DEPTH_MAX = 100
"""Groups in groups that are passed over, at most; no message of ours has any."""


class Malformed(Exception):
    """No protobuf of the schema. Becomes an error with a code where the message is known."""


def _varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        if at >= len(data):
            raise Malformed("a number is cut off")
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            if number >= 1 << 64:
                raise Malformed("a number of more than 64 bits")
            return number, at
        shift += 7
        if shift >= 70:
            raise Malformed("a number of more than ten bytes")


def _tag(data: bytes, at: int) -> tuple[int, int, int]:
    key, at = _varint(data, at)
    field, kind = key >> 3, key & 7
    if key >= 1 << 32 or field == 0 or kind > FIXED32:
        raise Malformed(f"a tag that no field has: {key}")
    return field, kind, at


def _skip(data: bytes, at: int, kind: int, field: int, depth: int) -> int:
    if kind == VARINT:
        return _varint(data, at)[1]
    if kind == GROUP:
        if depth == 0:
            raise Malformed("too many groups in groups")
        while True:
            inner, inner_kind, at = _tag(data, at)
            if inner_kind == END_GROUP:
                if inner != field:
                    raise Malformed("a group ends that was not begun")
                return at
            at = _skip(data, at, inner_kind, inner, depth - 1)
    if kind == END_GROUP:
        raise Malformed("a group ends that was not begun")
    if kind == BYTES:
        length, at = _varint(data, at)
    else:
        length = 8 if kind == FIXED64 else 4
    if length > len(data) - at:
        raise Malformed("a field is cut off")
    return at + length


def fields(data: bytes, known: dict[int, int]) -> Iterator[tuple[int, int | bytes]]:
    """The fields whose numbers are `known`, with their wire types; the values of `BYTES` as bytes, else numbers."""
    at = 0
    while at < len(data):
        field, kind, at = _tag(data, at)
        wanted = known.get(field)
        if wanted is None:
            at = _skip(data, at, kind, field, GROUP_DEPTH_MAX)
            continue
        if kind != wanted:
            raise Malformed(f"field {field} has another wire type")
        number, at = _varint(data, at)
        if kind == VARINT:
            yield field, number
            continue
        if number > len(data) - at:
            raise Malformed(f"field {field} is cut off")
        yield field, data[at : at + number]
        at += number


def utf8(data: bytes) -> str:
    """Text of a string field."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Malformed("a text that is not UTF-8") from error


def varint(number: int) -> bytes:
    """A number in as few bytes as it needs."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def number(field: int, value: int) -> bytes:
    """A field with a number; nothing for zero."""
    return varint(field << 3 | VARINT) + varint(value) if value else b""


def element(field: int, value: bytes) -> bytes:
    """An element of a repeated field: there even if it is empty."""
    return varint(field << 3 | BYTES) + varint(len(value)) + value


def blob(field: int, value: bytes) -> bytes:
    """A field with bytes; nothing for none."""
    return element(field, value) if value else b""
