"""Report documents, as `kho submit` reads them, and figures in their canonical form. `docs/formats/report.md`."""

from __future__ import annotations

import json
import unicodedata
import uuid
from dataclasses import dataclass
from typing import Any

from .errors import FormatError, excerpt
from .ids import CODE_RULE, is_code, is_v7, uuid_of
from .moment import is_period

REPORT_LENGTH_MAX = 16 << 20
VALUES_MAX = 200_000
DEPTH_MAX = 126
"""Lists and objects in each other, at most: the document is one more."""
EXACT_INTEGER_LIMIT = 2.0**53
"""Doubles from here on are whole, and neighbours are more than 1 apart."""
FIGURES_MEDIA_TYPE = "application/json"
TEXT_MEDIA_TYPE = "text/plain; charset=utf-8"

_ESCAPES = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_ESCAPES |= {chr(n): f"\\u{n:04x}" for n in range(0x20) if chr(n) not in _ESCAPES}
_TEXTS = ("id", "unit", "regime", "period", "series", "supersedes", "media_type", "text")


def canonical(figures: object) -> bytes:
    """The payload of figures: whoever holds the same figures makes the same bytes. Lists, dicts with names as keys, texts,
    whole numbers of 64 bits, floats below 2^53, booleans, None."""
    return _write(figures, 0).encode()


def _write(value: object, depth: int) -> str:
    if depth >= DEPTH_MAX and isinstance(value, (list, tuple, dict)):
        raise _invalid(f"expected at most {DEPTH_MAX} lists and objects in each other")
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int):
        if not -(1 << 63) <= value < 1 << 64:
            raise _invalid("expected a number of 64 bits, or below 2^53 with a fraction: write it as a string")
        return str(value)
    if isinstance(value, float):
        return _double(value)
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, (list, tuple)):
        return f"[{','.join(_write(item, depth + 1) for item in value)}]"
    if isinstance(value, dict):
        for name in value:
            if not isinstance(name, str):
                raise _invalid(f"expected names that are texts, found {type(name).__name__}")
        # by their UTF-8 bytes, which is the order of code points
        members = (f"{_text(name)}:{_write(value[name], depth + 1)}" for name in sorted(value))
        return f"{{{','.join(members)}}}"
    raise _invalid(f"expected json, found {type(value).__name__}")


def _text(text: str) -> str:
    if any(0xD800 <= ord(character) < 0xE000 for character in text):
        raise _invalid("expected unicode text, found half of a surrogate pair")
    return '"' + "".join(_ESCAPES.get(character, character) for character in text) + '"'


def _double(value: float) -> str:
    """The shortest decimal that reads back as it: from 10^-5 on without an exponent."""
    if not abs(value) < EXACT_INTEGER_LIMIT:
        raise _invalid("expected a number of 64 bits, or below 2^53 with a fraction: write it as a string")
    if value == 0:
        return "0"
    sign = "-" if value < 0 else ""
    mantissa, _, exponent = f"{abs(value)!r}".partition("e")
    whole, _, fraction = mantissa.partition(".")
    fraction = "" if fraction == "0" else fraction
    if exponent:
        # repr writes so below 10^-4 only, here: numbers of 16 digits and more are refused above
        digits, power = whole + fraction, int(exponent)
        if power >= -5:
            return f"{sign}0.{'0' * (-power - 1)}{digits}"
        point = f".{digits[1:]}" if len(digits) > 1 else ""
        return f"{sign}{digits[0]}{point}e{power}"
    return f"{sign}{whole}.{fraction or '0'}"


@dataclass(frozen=True)
class Report:
    """A report, read from its document."""

    unit: str
    regime: str
    period: str
    payload: bytes
    media_type: str
    id: uuid.UUID | None = None
    series: str = ""
    supersedes: uuid.UUID | None = None
    receivers: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, document: bytes) -> Report:
        """Reads a document. Rules of the header that need more than one field are checked when it is signed."""
        if len(document) > REPORT_LENGTH_MAX:
            raise _invalid(f"expected at most {REPORT_LENGTH_MAX} bytes, found {len(document)}")
        if _values(document) > VALUES_MAX:
            raise _invalid(f"expected at most {VALUES_MAX} values, found more")
        fields = _load(document)
        for name in set(fields) - {*_TEXTS, "receivers", "figures"}:
            raise _invalid(f"expected fields of its schema, found {excerpt(name)}")
        for name in ("unit", "regime", "period"):
            if name not in fields:
                raise _invalid(f"expected field {name}, found none")
        for name in _TEXTS:
            if fields.get(name) is None and name in ("id", "supersedes", "media_type", "text"):
                fields.pop(name, None)
            elif not isinstance(fields.get(name, ""), str):
                raise _invalid(f"field {name}: expected text")
        receivers = fields.get("receivers", [])
        if not isinstance(receivers, list) or not all(isinstance(one, str) for one in receivers):
            raise _invalid("field receivers: expected a list of texts")
        for name, code in [("unit", fields["unit"]), ("regime", fields["regime"])] + [("receivers", one) for one in receivers]:
            if not is_code(code):
                raise _field(name, CODE_RULE, code)
        if not is_period(fields["period"]):
            found = excerpt(fields["period"])
            message = f"report field period: expected a period of the grammar, found {found}"
            raise FormatError("period-invalid", message, expected="a period of the grammar", found=found)
        if not unicodedata.is_normalized("NFC", fields.get("series", "")):
            # elsewhere the same text may begin another series
            raise _field("series", "text in NFC", fields["series"])
        payload, media_type = _content(fields)
        return cls(
            unit=fields["unit"],
            regime=fields["regime"],
            period=fields["period"],
            payload=payload,
            media_type=fields.get("media_type", media_type),
            id=_id("id", fields),
            series=fields.get("series", ""),
            supersedes=_id("supersedes", fields),
            receivers=tuple(receivers),
        )


def _load(document: bytes) -> dict[str, Any]:
    def once(members: list[tuple[str, Any]]) -> dict[str, Any]:
        out = dict(members)
        if len(out) != len(members):
            raise ValueError("expected each name once in an object")
        return out

    def constant(text: str) -> None:
        raise ValueError(f"expected json, found {text}")

    try:
        # whole numbers of any length are only texts to us; minus zero is zero
        fields = json.loads(document.decode("utf-8"), object_pairs_hook=once, parse_constant=constant, parse_int=_whole)
    except (ValueError, RecursionError) as error:
        raise _invalid(f"expected json: {error}") from error
    if not isinstance(fields, dict):
        raise _invalid("expected an object")
    return fields


def _whole(text: str) -> int:
    if len(text) > 20:
        raise ValueError("expected a number of 64 bits, or below 2^53 with a fraction: write it as a string")
    return int(text)


def _values(document: bytes) -> int:
    """At least as many values as the text has: each but the first stands behind a comma, or is the first of a list or an
    object. In memory a value costs a hundred times the bytes of its text."""
    values, parts = 1, document.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')
    for outside in parts[::2]:
        values += outside.count(b",") + outside.count(b"[") + outside.count(b"{")
    return values


def _content(fields: dict[str, Any]) -> tuple[bytes, str]:
    figures, text = fields.get("figures"), fields.get("text")
    if (figures is None) == (text is None):
        found = "none" if text is None else "both"
        raise _invalid(f"expected exactly one of figures and text, found {found}")
    if text is None:
        return canonical(figures), FIGURES_MEDIA_TYPE
    try:
        return text.encode(), TEXT_MEDIA_TYPE
    except UnicodeEncodeError as error:
        raise _invalid("field text: expected unicode text, found half of a surrogate pair") from error


def _id(name: str, fields: dict[str, Any]) -> uuid.UUID | None:
    text = fields.get(name)
    if text is None:
        return None
    record_id = uuid_of(text)
    if record_id is None or not is_v7(record_id):
        raise _field(name, "a UUIDv7", text)
    return record_id


def _field(name: str, expected: str, found: str) -> FormatError:
    message = f"report field {name}: expected {expected}, found {excerpt(found)}"
    return FormatError("report-invalid", message, expected=expected, found=excerpt(found))


def _invalid(message: str) -> FormatError:
    return FormatError("report-invalid", f"report: {message}")
