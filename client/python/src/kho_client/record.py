"""A record as its sender made it: its file `ID.record`, and everything about it that can be verified without state."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from . import protobuf, signature
from .block import CHAIN_LENGTH_MAX, SIGNATURE_BLOCK_LENGTH_MAX, SignatureBlock
from .certificate import CERTIFICATE_LENGTH_MAX, Signer, TrustRoots, parse
from .errors import FormatError
from .header import HEADER_LENGTH_MAX, PAYLOAD_LENGTH_MAX, Header, signed_bytes

RECORD_LENGTH_MAX = (
    PAYLOAD_LENGTH_MAX + HEADER_LENGTH_MAX + SIGNATURE_BLOCK_LENGTH_MAX + CHAIN_LENGTH_MAX * CERTIFICATE_LENGTH_MAX + 64
)
_KINDS = dict.fromkeys((1, 2, 3, 4), protobuf.BYTES)


@dataclass(frozen=True)
class SignedRecord:
    """Bytes as they were signed and sent. Nothing is verified by having one."""

    header: bytes
    signature_block: bytes
    payload: bytes
    certificates: tuple[bytes, ...]

    @classmethod
    def from_file(cls, data: bytes) -> SignedRecord:
        """Decodes the file `ID.record`. Nothing is verified."""
        if len(data) > RECORD_LENGTH_MAX:
            message = f"record: expected at most {RECORD_LENGTH_MAX} bytes, found {len(data)}"
            raise FormatError("request-malformed", message, expected=f"at most {RECORD_LENGTH_MAX} bytes", found=len(data))
        parts = {1: b"", 2: b"", 3: b""}
        certificates = []
        try:
            for field, value in protobuf.fields(data, _KINDS):
                assert isinstance(value, bytes)
                if field == 4:
                    certificates.append(value)
                else:
                    parts[field] = value
        except protobuf.Malformed as error:
            raise FormatError("request-malformed", f"record: expected protobuf kho.v1.SignedRecord: {error}") from error
        return cls(parts[1], parts[2], parts[3], tuple(certificates))

    def to_file(self) -> bytes:
        """Encodes the file `ID.record`."""
        certificates = [protobuf.element(4, der) for der in self.certificates]
        parts = [(1, self.header), (2, self.signature_block), (3, self.payload)]
        return b"".join([protobuf.blob(field, value) for field, value in parts] + certificates)

    @property
    def header_digest(self) -> bytes:
        """SHA-256 of the header: the record's identity."""
        return hashlib.sha256(self.header).digest()

    @property
    def signature_block_digest(self) -> bytes:
        """As it stands in the leaf."""
        return hashlib.sha256(self.signature_block).digest()


@dataclass(frozen=True)
class VerifiedRecord:
    """A record whose header, payload, chain, signature and unit were verified; comes from `verify_record`."""

    record: SignedRecord
    header: Header
    block: SignatureBlock
    signer: Signer


def check_certificates(block: SignatureBlock, certificates: Sequence[bytes]) -> None:
    """The certificates must be those that the block names, one to one and in order."""
    expected = list(block.certificate_digests)
    found = [hashlib.sha256(der).digest() for der in certificates]
    if found != expected:
        raise FormatError(
            "certificate-missing",
            f"certificates: expected the {len(expected)} that the signature block names, found {len(found)}, or others",
            expected=", ".join(digest.hex() for digest in expected),
            found=", ".join(digest.hex() for digest in found),
        )


def verify_signature(record: SignedRecord, block: SignatureBlock) -> None:
    """The signature is by the first certificate's key, over the exact header bytes. Says nothing about who that is."""
    if not record.certificates:
        raise FormatError("certificate-missing", "no certificate")
    key = signature.public_key(parse(0, record.certificates[0]))
    signature.verify(block.algorithm, key, signed_bytes(record.header), block.signature)


def verify_record(record: SignedRecord, roots: TrustRoots, at_ms: int) -> VerifiedRecord:
    """Verifies all that needs no state, in the order of `docs/formats/signature.md`."""
    header = Header.decode(record.header)
    header.check_payload(record.payload)
    block = SignatureBlock.decode(record.signature_block)
    check_certificates(block, record.certificates)
    signer = roots.verify_chain(record.certificates, at_ms)
    if signer.unit != header.unit:
        raise FormatError(
            "signer-unit-mismatch",
            f"signer: expected unit {header.unit} as the header says, found {signer.unit} in the certificate",
            expected=header.unit,
            found=signer.unit,
        )
    signature.verify(block.algorithm, signer.key, signed_bytes(record.header), block.signature)
    return VerifiedRecord(record, header, block, signer)
