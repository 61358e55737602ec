"""Who signed a header and how, as it is stored and hashed into the leaf. `docs/formats/signature.md`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from . import protobuf
from .errors import FormatError

VERSION = 1
SIGNATURE_BLOCK_LENGTH_MAX = 2048
SIGNATURE_LENGTH_MAX = 1024
CHAIN_LENGTH_MAX = 6


class Algorithm(IntEnum):
    """How a header is signed."""

    ED25519 = 1
    ECDSA_P256_SHA256 = 2
    RSA_PKCS1_SHA256 = 3
    RSA_PSS_SHA256 = 4

    def __str__(self) -> str:
        return self.name.lower().replace("_", "-")

    @classmethod
    def parse(cls, text: str) -> Algorithm:
        """From its name in configurations and messages, `ecdsa-p256-sha256`."""
        for algorithm in cls:
            if str(algorithm) == text:
                return algorithm
        raise algorithm_unknown(text)


def algorithm_unknown(found: object) -> FormatError:
    """`algorithm-unsupported`."""
    names = ", ".join(map(str, Algorithm))
    return FormatError("algorithm-unsupported", f"expected an algorithm of {names}, found {found}", expected=names, found=found)


@dataclass(frozen=True)
class SignatureBlock:
    """A signature, how it was made, and SHA-256 of the certificates that lead to a trusted root, the signer's first."""

    algorithm: Algorithm
    signature: bytes
    certificate_digests: tuple[bytes, ...]

    def encode(self) -> bytes:
        """The canonical encoding."""
        return _encode(VERSION, self.algorithm, self.signature, list(self.certificate_digests))

    @classmethod
    def decode(cls, data: bytes) -> SignatureBlock:
        """Reads a canonical block and checks its fields; the signature itself is not verified."""
        if len(data) > SIGNATURE_BLOCK_LENGTH_MAX:
            raise _malformed(f"expected at most {SIGNATURE_BLOCK_LENGTH_MAX} bytes, found {len(data)}")
        try:
            version, algorithm, signature, digests = _decode(data)
        except protobuf.Malformed as error:
            raise _malformed(f"expected protobuf kho.v1.SignatureBlock: {error}") from error
        if version != VERSION:
            raise _field("version", VERSION, version)
        if _encode(version, algorithm, signature, digests) != data:
            raise _malformed("expected the canonical encoding, found unknown, duplicate, default or unordered fields")
        if algorithm not in {int(known) for known in Algorithm}:
            raise algorithm_unknown(algorithm)
        if not 1 <= len(signature) <= SIGNATURE_LENGTH_MAX:
            raise _field("signature", f"1 to {SIGNATURE_LENGTH_MAX} bytes", f"{len(signature)} bytes")
        if not 1 <= len(digests) <= CHAIN_LENGTH_MAX:
            raise _field("certificate_digests", f"1 to {CHAIN_LENGTH_MAX}", len(digests))
        for digest in digests:
            if len(digest) != 32:
                raise _field("certificate_digests", "32 bytes each", f"{len(digest)} bytes")
        if len(set(digests)) != len(digests):
            raise _field("certificate_digests", "unique digests", "one twice")
        return cls(Algorithm(algorithm), signature, tuple(digests))


def _decode(data: bytes) -> tuple[int, int, bytes, list[bytes]]:
    version, algorithm, signature, digests = 0, 0, b"", []
    kinds = {1: protobuf.VARINT, 2: protobuf.VARINT, 3: protobuf.BYTES, 4: protobuf.BYTES}
    for field, value in protobuf.fields(data, kinds):
        if isinstance(value, int):
            low = value & 0xFFFF_FFFF
            if field == 1:
                version = low
            else:
                # an enum is an int32
                algorithm = low - (1 << 32) if low >= 1 << 31 else low
        elif field == 3:
            signature = value
        else:
            digests.append(value)
    return version, algorithm, signature, digests


def _encode(version: int, algorithm: int, signature: bytes, digests: list[bytes]) -> bytes:
    # a negative number takes ten bytes
    parts = [protobuf.number(1, version), protobuf.number(2, algorithm % (1 << 64)), protobuf.blob(3, signature)]
    return b"".join(parts + [protobuf.element(4, digest) for digest in digests])


def _malformed(message: str) -> FormatError:
    return FormatError("signature-block-malformed", f"signature block: {message}")


def _field(field: str, expected: object, found: object) -> FormatError:
    message = f"signature block field {field}: expected {expected}, found {found}"
    return FormatError("signature-block-malformed", message, expected=expected, found=found)
