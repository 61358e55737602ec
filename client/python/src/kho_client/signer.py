"""Who signs: a key from a PEM file, or anything else with the same three members, as a token or an HSM."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, Union

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from .block import Algorithm
from .errors import ConfigError
from .keyfile import load_private_key
from .signature import RSA_BITS, pss

_Key = Union[ed25519.Ed25519PrivateKey, ec.EllipticCurvePrivateKey, rsa.RSAPrivateKey]


class Signer(Protocol):
    """What signs records."""

    @property
    def algorithm(self) -> Algorithm:
        """How."""

    @property
    def certificates(self) -> tuple[bytes, ...]:
        """DER, the signer's first, then towards the root, without the root."""

    def sign(self, message: bytes) -> bytes:
        """The signature over `message`."""


class PemSigner:
    """A private key from PEM (PKCS#8, PKCS#1, SEC 1), and its certificates."""

    def __init__(self, certificates: bytes, key: bytes, algorithm: Algorithm | None = None) -> None:
        """`algorithm` chooses between PKCS#1 (the default) and PSS for an RSA key, and is checked against the key otherwise."""
        try:
            chain = x509.load_pem_x509_certificates(certificates)
        except ValueError as error:
            raise ConfigError("tls-file-invalid", f"expected PEM certificates: {error}") from error
        self._key = _private(key)
        own = _usual(self._key)
        if algorithm is Algorithm.RSA_PSS_SHA256 and own is Algorithm.RSA_PKCS1_SHA256:
            own = algorithm
        if algorithm not in (None, own):
            message = f"expected a key for {algorithm}, found one for {own}"
            raise ConfigError("algorithm-unsupported", message, expected=algorithm, found=own)
        if chain[0].public_key() != self._key.public_key():
            raise ConfigError("tls-file-invalid", "the private key does not belong to the certificate")
        self._algorithm = own
        self._certificates = tuple(one.public_bytes(serialization.Encoding.DER) for one in chain)

    @classmethod
    def from_files(cls, certificates: Path | str, key: Path | str, algorithm: Algorithm | None = None) -> PemSigner:
        """The same from files."""
        try:
            texts = Path(certificates).read_bytes(), Path(key).read_bytes()
        except OSError as error:
            raise ConfigError("tls-file-invalid", f"{error.filename}: {error.strerror}") from error
        return cls(*texts, algorithm)

    @property
    def algorithm(self) -> Algorithm:
        """How it signs."""
        return self._algorithm

    @property
    def certificates(self) -> tuple[bytes, ...]:
        """DER, as in the file."""
        return self._certificates

    def sign(self, message: bytes) -> bytes:
        """The signature over `message`."""
        if isinstance(self._key, ed25519.Ed25519PrivateKey):
            return self._key.sign(message)
        if isinstance(self._key, ec.EllipticCurvePrivateKey):
            return self._key.sign(message, ec.ECDSA(hashes.SHA256()))
        how = pss() if self._algorithm is Algorithm.RSA_PSS_SHA256 else padding.PKCS1v15()
        return self._key.sign(message, how, hashes.SHA256())


def _private(pem: bytes) -> _Key:
    try:
        key = load_private_key(pem)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigError("tls-file-invalid", f"expected a PEM private key (PKCS#8, PKCS#1 or SEC 1): {error}") from error
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key
    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1):
        return key
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size in RSA_BITS:
        return key
    raise ConfigError("certificate-key-weak", "expected an Ed25519, ECDSA P-256 or RSA key of at least 2048 bits, found another")


def _usual(key: _Key) -> Algorithm:
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return Algorithm.ED25519
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return Algorithm.ECDSA_P256_SHA256
    return Algorithm.RSA_PKCS1_SHA256
