"""Leaf v1: what the log's tree is built over, 202 bytes of fixed layout. `docs/formats/leaf.md`."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from . import merkle
from .errors import ReceiptError

VERSION = 1
LENGTH = 202
RECORD, GENESIS = 1, 2


@dataclass(frozen=True)
class Leaf:
    """What stands in the log for a record."""

    kind: int
    record_id: uuid.UUID
    accepted_at_ms: int
    key_id: bytes
    header_digest: bytes
    signature_block_digest: bytes
    sealed_head_digest: bytes
    sealed_payload_digest: bytes
    attachments_digest: bytes

    def encode(self) -> bytes:
        """The fixed layout."""
        return b"".join(
            [
                bytes([VERSION, self.kind]),
                self.record_id.bytes,
                self.accepted_at_ms.to_bytes(8, "big"),
                self.key_id,
                self.header_digest,
                self.signature_block_digest,
                self.sealed_head_digest,
                self.sealed_payload_digest,
                self.attachments_digest,
            ]
        )

    @classmethod
    def decode(cls, data: bytes) -> Leaf:
        """Reads the fixed layout."""
        if len(data) != LENGTH:
            raise ReceiptError(f"leaf: expected {LENGTH} bytes, found {len(data)}", expected=LENGTH, found=len(data))
        if data[0] != VERSION:
            raise ReceiptError(f"leaf: expected version {VERSION}, found {data[0]}", expected=VERSION, found=data[0])
        if data[1] not in (RECORD, GENESIS):
            message = f"leaf: expected kind 1 (record) or 2 (genesis), found {data[1]}"
            raise ReceiptError(message, expected="1 or 2", found=data[1])
        digests = [data[at : at + 32] for at in range(42, LENGTH, 32)]
        accepted_at_ms = int.from_bytes(data[18:26], "big")
        return cls(data[1], uuid.UUID(bytes=data[2:18]), accepted_at_ms, data[26:42], *digests)

    def hash(self) -> bytes:
        """RFC 6962 hash of the encoded leaf."""
        return merkle.leaf_hash(self.encode())
