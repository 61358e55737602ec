"""A report before and after it is signed."""

from __future__ import annotations

import hashlib
import secrets
import time
import unicodedata
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from . import files
from .block import SignatureBlock
from .errors import FormatError
from .header import SALT_LENGTH, Attachment, Header, payload_digest, signed_bytes
from .ids import new_record_id
from .moment import moment_text
from .record import SignedRecord
from .report import FIGURES_MEDIA_TYPE, Report, canonical
from .signer import Signer


@dataclass
class Draft:
    """What a sender says; the rest of the header is made when it is signed."""

    unit: str
    regime: str
    period: str
    payload: bytes
    media_type: str = FIGURES_MEDIA_TYPE
    series: str = ""
    receivers: Sequence[str] = ()
    """Order and repetition don't matter."""
    supersedes: uuid.UUID | None = None
    record_id: uuid.UUID | None = None
    """A fresh one if absent. Give one only where it was written down before."""
    attachments: Sequence[Attachment] = ()
    """Uploaded before the record is sent, which this client does not do (`kho submit --attach` does)."""

    @classmethod
    def of_figures(cls, unit: str, regime: str, period: str, figures: object, **more: object) -> Draft:
        """With figures in their canonical form as payload."""
        return cls(unit, regime, period, canonical(figures), **more)  # type: ignore[arg-type]

    @classmethod
    def of_report(cls, report: Report) -> Draft:
        """Of a report document."""
        return cls(
            unit=report.unit,
            regime=report.regime,
            period=report.period,
            payload=report.payload,
            media_type=report.media_type,
            series=report.series,
            receivers=report.receivers,
            supersedes=report.supersedes,
            record_id=report.id,
        )

    def sign(self, signer: Signer, *, now_ms: int | None = None) -> Signed:
        """Gives the report its id, its salt and its time, and has it signed: once. Whatever happens afterwards, the same
        bytes are sent. `series` and names of attachments are written in NFC, since they are compared as bytes."""
        now_ms = time.time_ns() // 1_000_000 if now_ms is None else now_ms
        salt = secrets.token_bytes(SALT_LENGTH)
        header = Header(
            record_id=self.record_id or new_record_id(now_ms, secrets.token_bytes(10)),
            unit=self.unit,
            regime=self.regime,
            period=self.period,
            series=unicodedata.normalize("NFC", self.series),
            supersedes=self.supersedes,
            receivers=tuple(sorted(set(self.receivers))),
            submitted_at=moment_text(now_ms),
            media_type=self.media_type,
            payload_length=len(self.payload),
            salt=salt,
            payload_digest=payload_digest(salt, self.payload),
            attachments=tuple(replace(one, name=unicodedata.normalize("NFC", one.name)) for one in self.attachments),
        )
        header.check()
        header.check_payload(self.payload)
        data = header.encode()
        chain = signer.certificates
        digests = tuple(hashlib.sha256(der).digest() for der in chain)
        block = SignatureBlock(signer.algorithm, signer.sign(signed_bytes(data)), digests).encode()
        # as whoever verifies it would read it: a chain that is too long shows here
        SignatureBlock.decode(block)
        return Signed(SignedRecord(data, block, self.payload, chain), header, doubtful=False)


class Signed:
    """A signed record, ready to be sent any number of times, always as the same bytes.

    `doubtful`: somebody may have taken it already. Doubt outlives a call; it belongs to this object. A record that comes from a
    file or a queue may have been sent by whoever wrote it down, and starts in doubt.
    """

    def __init__(self, record: SignedRecord, header: Header, *, doubtful: bool) -> None:
        self.record = record
        self.header = header
        self.doubtful = doubtful

    @classmethod
    def from_record(cls, record: SignedRecord) -> Signed:
        """A record from a file or a queue; only its header is looked at, the nodes check the rest."""
        return cls(record, Header.decode(record.header), doubtful=True)

    @classmethod
    def load(cls, path: Path | str) -> Signed:
        """From the file `ID.record`, which `kho submit` and `write` make."""
        return cls.from_record(SignedRecord.from_file(files.read(Path(path))))

    def write(self, directory: Path | str) -> Path:
        """Writes `ID.record`, which holds the report in clear: readable by its owner only. Do it before you submit, and a crash
        of your own costs nothing."""
        path = Path(directory) / f"{self.record_id}.record"
        files.write(path, self.record.to_file(), private=True)
        return path

    @property
    def record_id(self) -> uuid.UUID:
        """Its id."""
        return self.header.record_id

    def __repr__(self) -> str:
        return f"Signed({self.record_id}, doubtful={self.doubtful})"


def check_signed(draft: Draft, signed: Signed) -> None:
    """A record that was signed before is that of this report: else `record-id-conflict`, with the field that differs."""
    header, payload = signed.header, signed.record.payload
    pairs: list[tuple[str, object, object]] = [
        ("id", draft.record_id, header.record_id),
        ("unit", draft.unit, header.unit),
        ("regime", draft.regime, header.regime),
        ("period", draft.period, header.period),
        ("series", unicodedata.normalize("NFC", draft.series), header.series),
        ("supersedes", draft.supersedes, header.supersedes),
        ("receivers", tuple(sorted(set(draft.receivers))), header.receivers),
        ("media_type", draft.media_type, header.media_type),
        # the payload may be confidential: a message holds its digest
        ("payload", hashlib.sha256(draft.payload).hexdigest(), hashlib.sha256(payload).hexdigest()),
    ]
    for name, expected, found in pairs:
        if expected != found:
            message = f"{name}: expected {expected} as the document says, found {found}, signed before; give it a new id"
            raise FormatError("record-id-conflict", message, expected=expected, found=found)
