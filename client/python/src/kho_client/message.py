"""Records of one `SubmitMany`: their certificates once, as far as a node keeps them. The bounds of `proto/src/batch.rs`."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from ._wire import record_pb2, store_pb2
from .block import SignatureBlock
from .errors import FormatError
from .record import SignedRecord

RECORDS_MAX = 256
BYTES_MAX = 4480 << 10
CERTIFICATES_MAX = 128
CERTIFICATES_BYTES_MAX = 256 << 10
ELEMENT_BYTES = 8
"""What a record or a certificate costs in a message besides its own bytes."""


def to_wire(record: SignedRecord, with_certificates: bool = True) -> record_pb2.SignedRecord:
    """As it travels."""
    return record_pb2.SignedRecord(
        header=record.header,
        signature_block=record.signature_block,
        payload=record.payload,
        certificates=record.certificates if with_certificates else (),
    )


class Message:
    """A message that fills."""

    def __init__(self) -> None:
        self._records: list[bytes] = []
        self._certificates: dict[bytes, bytes] = {}
        self._bytes = 0

    def add(self, record: SignedRecord) -> bool:
        """False: there is no room for it. The first one always has."""
        new = self._new(record)
        short = self._names(record, {**self._certificates, **new})
        sent = (replace(record, certificates=()) if short else record).to_file()
        size = len(sent) + sum(map(len, new.values())) + (1 + len(record.certificates)) * ELEMENT_BYTES
        if self._records and (len(self._records) >= RECORDS_MAX or self._bytes + size > BYTES_MAX):
            return False
        self._certificates.update(new)
        self._records.append(sent)
        self._bytes += size
        return True

    def request(self) -> store_pb2.SubmitManyRequest:
        """What is sent."""
        return store_pb2.SubmitManyRequest(records=self._records, certificates=self._certificates.values())

    def _new(self, record: SignedRecord) -> dict[bytes, bytes]:
        new: dict[bytes, bytes] = {}
        kept = sum(map(len, self._certificates.values()))
        for der in record.certificates:
            digest = hashlib.sha256(der).digest()
            count, size = len(self._certificates) + len(new), kept + sum(map(len, new.values())) + len(der)
            if digest not in self._certificates and count < CERTIFICATES_MAX and size <= CERTIFICATES_BYTES_MAX:
                new[digest] = der
        return new

    @staticmethod
    def _names(record: SignedRecord, known: dict[bytes, bytes]) -> bool:
        """Whether the record's block names exactly its certificates, and all of them are known at the other end."""
        try:
            digests = SignatureBlock.decode(record.signature_block).certificate_digests
        except FormatError:
            return False
        return bool(record.certificates) and [known.get(digest) for digest in digests] == list(record.certificates)
