"""Verifying sender signatures with a certificate's key. `docs/formats/signature.md`."""

from __future__ import annotations

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.x509.oid import PublicKeyAlgorithmOID

from .block import Algorithm
from .errors import FormatError

RSA_BITS = range(2048, 8193)
PSS_SALT_LENGTH = 32

FITS = {
    Algorithm.ED25519: ed25519.Ed25519PublicKey,
    Algorithm.ECDSA_P256_SHA256: ec.EllipticCurvePublicKey,
    Algorithm.RSA_PKCS1_SHA256: rsa.RSAPublicKey,
    Algorithm.RSA_PSS_SHA256: rsa.RSAPublicKey,
}


def pss() -> padding.PSS:
    """MGF1 with SHA-256, salt of 32 bytes."""
    return padding.PSS(padding.MGF1(hashes.SHA256()), PSS_SALT_LENGTH)


def public_key(certificate: x509.Certificate) -> PublicKeyTypes:
    """A certificate's key, if it is of a kind and size that may sign records."""
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        known = (PublicKeyAlgorithmOID.ED25519, PublicKeyAlgorithmOID.EC_PUBLIC_KEY, PublicKeyAlgorithmOID.RSAES_PKCS1_v1_5)
        if certificate.public_key_algorithm_oid in known and not isinstance(error, UnsupportedAlgorithm):
            raise FormatError("certificate-malformed", f"expected a der subject public key info: {error}") from error
        raise _weak(certificate.public_key_algorithm_oid.dotted_string) from error
    if isinstance(key, ed25519.Ed25519PublicKey):
        return key
    if isinstance(key, ec.EllipticCurvePublicKey):
        if isinstance(key.curve, ec.SECP256R1):
            return key
        raise _weak(f"elliptic curve {key.curve.name}")
    # a key that is for PSS alone has an identifier of its own
    if isinstance(key, rsa.RSAPublicKey) and certificate.public_key_algorithm_oid == PublicKeyAlgorithmOID.RSAES_PKCS1_v1_5:
        if key.key_size in RSA_BITS:
            return key
        raise _weak(f"rsa of {key.key_size} bits")
    raise _weak(certificate.public_key_algorithm_oid.dotted_string)


def verify(algorithm: Algorithm, key: PublicKeyTypes, message: bytes, signature: bytes) -> None:
    """Verifies a signature; the algorithm must fit the key."""
    if not isinstance(key, FITS[algorithm]):
        kind = type(key).__name__.removesuffix("PublicKey")
        message_ = f"expected a signature algorithm that fits the key ({kind}), found {algorithm}"
        raise FormatError("algorithm-unsupported", message_, expected=f"an algorithm for {kind}", found=algorithm)
    try:
        if isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signature, message)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, message, ec.ECDSA(hashes.SHA256()))
        elif isinstance(key, rsa.RSAPublicKey):
            how = pss() if algorithm is Algorithm.RSA_PSS_SHA256 else padding.PKCS1v15()
            key.verify(signature, message, how, hashes.SHA256())
    except InvalidSignature as error:
        text = f"expected a valid {algorithm} signature of the header, found one that does not verify"
        raise FormatError("signature-invalid", text) from error


def _weak(found: str) -> FormatError:
    expected = "ed25519, p-256 or rsa of 2048 to 8192 bits"
    message = f"certificate key: expected {expected}, found {found}"
    return FormatError("certificate-key-weak", message, expected=expected, found=found)
