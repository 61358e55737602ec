"""Logs, trees and authorities of the tests' own. Trees are naive here, by their definition in RFC 6962, 2.1."""

from __future__ import annotations

import datetime
import hashlib
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

from kho_client.checkpoint import ED25519_TYPE, Checkpoint, VerifierKey, key_id
from kho_client.draft import Draft, Signed
from kho_client.leaf import GENESIS, RECORD, Leaf
from kho_client.receipt import Receipt
from kho_client.signer import PemSigner
from kho_client.text import b64encode

ACCEPTED_MS = 1_795_658_569_962


def sha256(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def split(size: int) -> int:
    """The largest power of two below it."""
    return 1 << (size - 1).bit_length() - 1


def naive_root(leaves: list[bytes]) -> bytes:
    if not leaves:
        return sha256()
    if len(leaves) == 1:
        return sha256(b"\0", leaves[0])
    middle = split(len(leaves))
    return sha256(b"\1", naive_root(leaves[:middle]), naive_root(leaves[middle:]))


def naive_inclusion(leaves: list[bytes], index: int) -> list[bytes]:
    if len(leaves) == 1:
        return []
    middle = split(len(leaves))
    if index < middle:
        return [*naive_inclusion(leaves[:middle], index), naive_root(leaves[middle:])]
    return [*naive_inclusion(leaves[middle:], index - middle), naive_root(leaves[:middle])]


def naive_consistency(old: int, leaves: list[bytes], whole: bool = True) -> list[bytes]:
    if old == len(leaves):
        return [] if whole else [naive_root(leaves)]
    middle = split(len(leaves))
    if old <= middle:
        return [*naive_consistency(old, leaves[:middle], whole), naive_root(leaves[middle:])]
    return [*naive_consistency(old - middle, leaves[middle:], False), naive_root(leaves[:middle])]


@dataclass
class Log:
    """A log with a key of its own."""

    seed: bytes = b"log"
    leaves: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.key = ed25519.Ed25519PrivateKey.from_private_bytes(sha256(self.seed))
        self.origin = f"{uuid.UUID(bytes=bytes(range(16)))}/1/{'ab' * 8}"
        self.verifier = VerifierKey(self.origin, self.key.public_key().public_bytes_raw())
        genesis = Leaf(GENESIS, uuid.UUID(bytes=bytes(range(16))), ACCEPTED_MS - 1, bytes(16), sha256(b"genesis"), *[bytes(32)] * 4)
        self.leaves.append(genesis.encode())

    def note(self, leaves: list[bytes] | None = None) -> bytes:
        """A signed checkpoint of these leaves, or of all."""
        leaves = self.leaves if leaves is None else leaves
        return self.sign(Checkpoint(self.origin, len(leaves), naive_root(leaves)).body())

    def sign(self, body: str) -> bytes:
        public = self.key.public_key().public_bytes_raw()
        blob = key_id(self.origin, public) + self.key.sign(body.encode())
        return f"{body}\n\u2014 {self.origin} {b64encode(blob)}\n".encode()

    def take(self, signed: Signed, behind: int = 0) -> Receipt:
        """Takes a record, then others, and hands out its receipt."""
        record = signed.record
        digests = record.header_digest, record.signature_block_digest, sha256(b"head"), sha256(b"payload"), sha256()
        leaf = Leaf(RECORD, signed.record_id, ACCEPTED_MS, bytes(range(16)), *digests)
        sequence = len(self.leaves)
        self.leaves += [leaf.encode()] + [b"%d behind" % n for n in range(behind)]
        return Receipt(leaf, sequence, tuple(naive_inclusion(self.leaves, sequence)), self.note())


START, END = datetime.datetime(2020, 1, 1), datetime.datetime(2035, 1, 1)


def name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def pem(one: Any) -> bytes:
    if isinstance(one, x509.Certificate):
        return one.public_bytes(serialization.Encoding.PEM)
    plain = serialization.NoEncryption()
    data: bytes = one.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    return data


def usage(*wanted: str) -> x509.KeyUsage:
    names = "digital_signature content_commitment key_encipherment data_encipherment key_agreement key_cert_sign crl_sign encipher_only decipher_only"
    return x509.KeyUsage(**{one: one in wanted for one in names.split()})


def hash_of(key: Any) -> Any:
    return None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()


@dataclass
class Issued:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: Any

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)


def issue(
    subject: str, issuer: Issued | None = None, *, key: Any = None, extensions: Any = (), valid: Any = (START, END), **sign: Any
) -> Issued:
    """A certificate with exactly these extensions, each with whether it is critical."""
    key = key or ed25519.Ed25519PrivateKey.generate()
    by = issuer or Issued(None, key)  # type: ignore[arg-type]
    builder = x509.CertificateBuilder().subject_name(name(subject)).serial_number(x509.random_serial_number())
    builder = builder.issuer_name(issuer.certificate.subject if issuer else name(subject))
    builder = builder.public_key(key.public_key()).not_valid_before(valid[0]).not_valid_after(valid[1])
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    algorithm = sign.pop("algorithm", hash_of(by.key))
    return Issued(builder.sign(by.key, algorithm, **sign), key)


def authority(subject: str, issuer: Issued | None = None, *, path: int | None = None, more: Any = (), **given: Any) -> Issued:
    extensions = [(x509.BasicConstraints(True, path), True), (usage("key_cert_sign"), True), *more]
    return issue(subject, issuer, extensions=extensions, **given)


def unit_name(*uris: str) -> tuple[x509.SubjectAlternativeName, bool]:
    return x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri) for uri in uris or ("urn:kho:unit:BYT",)]), False


def signer_of(issuer: Issued, *, uris: tuple[str, ...] = (), more: Any = ((usage("digital_signature"), True),), **given: Any) -> Issued:
    return issue("Văn thư", issuer, extensions=[unit_name(*uris), *more], **given)


KEYS: dict[str, Callable[[], Any]] = {
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "ecdsa-p256-sha256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "rsa-pkcs1-sha256": lambda: rsa.generate_private_key(65537, 2048),
    "rsa-pss-sha256": lambda: rsa.generate_private_key(65537, 2048),
}


def pem_signer(leaf: Issued, *above: Issued, algorithm: Any = None) -> PemSigner:
    return PemSigner(b"".join(pem(one.certificate) for one in (leaf, *above)), pem(leaf.key), algorithm)


def report(**more: Any) -> Draft:
    return Draft.of_figures("BYT", "YT-01", "2020-W24", {"so_ca_mac": 12, "ghi_chú": "đã kiểm tra"}, **more)
