"""The signed part of a record, every rule of version 1 checked. `docs/formats/header.md`."""

from __future__ import annotations

import hashlib
import unicodedata
import uuid
from dataclasses import dataclass

from . import protobuf
from .errors import FormatError, excerpt
from .ids import CODE_RULE, is_code, is_v7
from .media_type import is_media_type
from .moment import check_period, moment_ms

VERSION = 1
HEADER_LENGTH_MAX = 64 << 10
PAYLOAD_LENGTH_MAX = 4 << 20
RECEIVERS_MAX = 256
SERIES_LENGTH_MAX = 256
MEDIA_TYPE_LENGTH_MAX = 128
ATTACHMENTS_MAX = 64
ATTACHMENT_NAME_LENGTH_MAX = 255
ATTACHMENT_LENGTH_MAX = 1 << 40
SALT_LENGTH = 16

HEADER_TYPE = b"application/vnd.kho.report-header.v1+protobuf"


def signed_bytes(header: bytes) -> bytes:
    """What the sender signs: DSSE's pre-authentication encoding of the header's exact bytes."""
    return b"DSSEv1 %d %s %d %s" % (len(HEADER_TYPE), HEADER_TYPE, len(header), header)


def payload_digest(salt: bytes, payload: bytes) -> bytes:
    """SHA-256(salt ‖ payload)."""
    return hashlib.sha256(salt + payload).digest()


@dataclass(frozen=True)
class Attachment:
    """A file that belongs to a record and travels apart from it."""

    name: str
    media_type: str
    length: int
    digest: bytes


@dataclass(frozen=True)
class Header:
    """Fields as in the schema. One that comes from `decode` keeps every rule; of another, `check` says so."""

    record_id: uuid.UUID
    unit: str
    regime: str
    period: str
    series: str
    supersedes: uuid.UUID | None
    receivers: tuple[str, ...]
    submitted_at: str
    media_type: str
    payload_length: int
    salt: bytes
    payload_digest: bytes
    attachments: tuple[Attachment, ...] = ()

    @property
    def submitted_at_ms(self) -> int:
        """Unix milliseconds."""
        return moment_ms(self.submitted_at) or 0

    def encode(self) -> bytes:
        """The canonical encoding: what is signed, hashed, stored and given back."""
        wire = _Wire(
            version=VERSION,
            record_id=self.record_id.bytes,
            unit=self.unit,
            regime=self.regime,
            period=self.period,
            series=self.series,
            supersedes=self.supersedes.bytes if self.supersedes else b"",
            receivers=list(self.receivers),
            submitted_at=self.submitted_at,
            media_type=self.media_type,
            payload_length=self.payload_length,
            salt=self.salt,
            payload_digest=self.payload_digest,
            attachments=list(self.attachments),
        )
        return wire.encode()

    @classmethod
    def decode(cls, data: bytes) -> Header:
        """Reads a canonical header and checks every rule that needs neither payload nor clock."""
        if len(data) > HEADER_LENGTH_MAX:
            raise FormatError(
                "header-malformed",
                f"header: expected at most {HEADER_LENGTH_MAX} bytes, found {len(data)}",
                expected=f"at most {HEADER_LENGTH_MAX} bytes",
                found=len(data),
            )
        try:
            wire = _Wire.decode(data)
        except protobuf.Malformed as error:
            raise FormatError("header-malformed", f"header: expected protobuf kho.v1.Header: {error}") from error
        # before the comparison: a later version may add fields, and then its number says more than they do
        if wire.version != VERSION:
            raise _field("version", VERSION, wire.version)
        if wire.encode() != data:
            raise FormatError(
                "header-not-canonical",
                "header: expected the canonical encoding, found unknown, duplicate, default or unordered fields",
            )
        return wire.header()

    def check(self) -> None:
        """The rules of `decode`, on a header that was put together here."""
        try:
            data = self.encode()
        except UnicodeEncodeError as error:
            raise _field("series", "unicode text", ascii(error.object[error.start : error.end])) from error
        Header.decode(data)

    def check_payload(self, payload: bytes) -> None:
        """Checks length and digest of the payload."""
        found = len(payload)
        if found > PAYLOAD_LENGTH_MAX:
            raise _payload("payload-too-large", f"at most {PAYLOAD_LENGTH_MAX} bytes", f"{found} bytes")
        if found != self.payload_length:
            raise _payload("payload-length-mismatch", f"{self.payload_length} bytes", f"{found} bytes")
        digest = payload_digest(self.salt, payload)
        if digest != self.payload_digest:
            raise _payload("payload-digest-mismatch", f"digest {self.payload_digest.hex()}", digest.hex())

    def is_nfc(self) -> bool:
        """Whether its free texts are in Unicode's composed form. No rule of the format; senders of this package keep it."""
        texts = [self.series, *(attachment.name for attachment in self.attachments)]
        return all(unicodedata.is_normalized("NFC", text) for text in texts)


class _Wire:
    """The message as it decodes: loose types, no rule checked."""

    KINDS = {
        **dict.fromkeys((1, 11), protobuf.VARINT),
        **dict.fromkeys((2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 13, 14), protobuf.BYTES),
    }

    def __init__(
        self,
        *,
        version: int = 0,
        record_id: bytes = b"",
        unit: str = "",
        regime: str = "",
        period: str = "",
        series: str = "",
        supersedes: bytes = b"",
        receivers: list[str] | None = None,
        submitted_at: str = "",
        media_type: str = "",
        payload_length: int = 0,
        salt: bytes = b"",
        payload_digest: bytes = b"",
        attachments: list[Attachment] | None = None,
    ) -> None:
        self.version = version
        self.record_id = record_id
        self.unit = unit
        self.regime = regime
        self.period = period
        self.series = series
        self.supersedes = supersedes
        self.receivers = receivers or []
        self.submitted_at = submitted_at
        self.media_type = media_type
        self.payload_length = payload_length
        self.salt = salt
        self.payload_digest = payload_digest
        self.attachments = attachments or []

    @classmethod
    def decode(cls, data: bytes) -> _Wire:
        wire = cls()
        names = {3: "unit", 4: "regime", 5: "period", 6: "series", 9: "submitted_at", 10: "media_type"}
        for field, value in protobuf.fields(data, cls.KINDS):
            if isinstance(value, int):
                if field == 1:
                    wire.version = value & 0xFFFF_FFFF
                else:
                    wire.payload_length = value
            elif field in names:
                setattr(wire, names[field], protobuf.utf8(value))
            elif field == 8:
                wire.receivers.append(protobuf.utf8(value))
            elif field == 14:
                wire.attachments.append(_attachment(value))
            else:
                setattr(wire, {2: "record_id", 7: "supersedes", 12: "salt", 13: "payload_digest"}[field], value)
        return wire

    def encode(self) -> bytes:
        blob, number = protobuf.blob, protobuf.number
        parts = [
            number(1, self.version),
            blob(2, self.record_id),
            blob(3, self.unit.encode()),
            blob(4, self.regime.encode()),
            blob(5, self.period.encode()),
            blob(6, self.series.encode()),
            blob(7, self.supersedes),
            *(protobuf.element(8, receiver.encode()) for receiver in self.receivers),
            blob(9, self.submitted_at.encode()),
            blob(10, self.media_type.encode()),
            number(11, self.payload_length),
            blob(12, self.salt),
            blob(13, self.payload_digest),
        ]
        for one in self.attachments:
            inner = blob(1, one.name.encode()) + blob(2, one.media_type.encode())
            parts.append(protobuf.element(14, inner + number(3, one.length) + blob(4, one.digest)))
        return b"".join(parts)

    def header(self) -> Header:
        record_id = _record_id("record_id", self.record_id)
        _code("unit", self.unit)
        _code("regime", self.regime)
        check_period(self.period)
        _bounded("series", self.series, SERIES_LENGTH_MAX)
        _no_control("series", self.series)
        supersedes = _record_id("supersedes", self.supersedes) if self.supersedes else None
        if supersedes == record_id:
            raise _field("supersedes", "another record than itself", supersedes)
        _receivers(self.receivers)
        if moment_ms(self.submitted_at) is None:
            raise _field("submitted_at", "YYYY-MM-DDTHH:MM:SS.mmm+07:00", excerpt(self.submitted_at))
        _media_type("media_type", self.media_type)
        _exact("salt", self.salt, SALT_LENGTH)
        _exact("payload_digest", self.payload_digest, 32)
        _attachments(self.attachments)
        if self.payload_length > PAYLOAD_LENGTH_MAX:
            raise _payload("payload-too-large", f"at most {PAYLOAD_LENGTH_MAX} bytes", f"{self.payload_length} bytes")
        return Header(
            record_id=record_id,
            unit=self.unit,
            regime=self.regime,
            period=self.period,
            series=self.series,
            supersedes=supersedes,
            receivers=tuple(self.receivers),
            submitted_at=self.submitted_at,
            media_type=self.media_type,
            payload_length=self.payload_length,
            salt=self.salt,
            payload_digest=self.payload_digest,
            attachments=tuple(self.attachments),
        )


def _attachment(data: bytes) -> Attachment:
    name, media_type, length, digest = "", "", 0, b""
    kinds = {1: protobuf.BYTES, 2: protobuf.BYTES, 3: protobuf.VARINT, 4: protobuf.BYTES}
    for field, value in protobuf.fields(data, kinds):
        if isinstance(value, int):
            length = value
        elif field == 1:
            name = protobuf.utf8(value)
        elif field == 2:
            media_type = protobuf.utf8(value)
        else:
            digest = value
    return Attachment(name, media_type, length, digest)


def _field(field: str, expected: object, found: object) -> FormatError:
    message = f"header field {field}: expected {expected}, found {found}"
    return FormatError("header-field-invalid", message, expected=expected, found=found)


def _payload(code: str, expected: str, found: str) -> FormatError:
    return FormatError(code, f"payload: expected {expected}, found {found}", expected=expected, found=found)


def _exact(field: str, data: bytes, length: int) -> None:
    if len(data) != length:
        raise _field(field, f"{length} bytes", f"{len(data)} bytes")


def _record_id(field: str, data: bytes) -> uuid.UUID:
    _exact(field, data, 16)
    record_id = uuid.UUID(bytes=data)
    if not is_v7(record_id):
        raise _field(field, "a UUIDv7", record_id)
    return record_id


def _code(field: str, text: str) -> None:
    if not is_code(text):
        raise _field(field, CODE_RULE, excerpt(text))


def _bounded(field: str, text: str, length_max: int) -> None:
    length = len(text.encode())
    if length > length_max:
        raise _field(field, f"at most {length_max} bytes", f"{length} bytes")


def _no_control(field: str, text: str) -> None:
    for character in text:
        if unicodedata.category(character) == "Cc":
            raise _field(field, "no control characters", f"U+{ord(character):04X}")


def _receivers(receivers: list[str]) -> None:
    if len(receivers) > RECEIVERS_MAX:
        raise _field("receivers", f"at most {RECEIVERS_MAX}", len(receivers))
    for receiver in receivers:
        _code("receivers", receiver)
    for one, other in zip(receivers, receivers[1:]):
        if one >= other:
            raise _field("receivers", "ascending unique codes", f"{one} before {other}")


def _media_type(field: str, text: str) -> None:
    _bounded(field, text, MEDIA_TYPE_LENGTH_MAX)
    if not is_media_type(text):
        raise _field(field, "type/subtype with optional ; name=value parameters", excerpt(text))


def _attachments(attachments: list[Attachment]) -> None:
    if len(attachments) > ATTACHMENTS_MAX:
        raise _field("attachments", f"at most {ATTACHMENTS_MAX}", len(attachments))
    names: set[str] = set()
    for one in attachments:
        _bounded("attachments.name", one.name, ATTACHMENT_NAME_LENGTH_MAX)
        _no_control("attachments.name", one.name)
        if one.name in ("", ".", "..") or "/" in one.name or "\\" in one.name:
            raise _field("attachments.name", "a file name without a path", excerpt(one.name))
        if one.name in names:
            raise _field("attachments.name", "unique names", excerpt(one.name))
        names.add(one.name)
        if one.length > ATTACHMENT_LENGTH_MAX:
            raise _field("attachments.length", f"at most {ATTACHMENT_LENGTH_MAX} bytes", one.length)
        _media_type("attachments.media_type", one.media_type)
        _exact("attachments.digest", one.digest, 32)
