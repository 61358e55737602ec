"""Whether one certificate signed another: names as bytes, and the signatures that `docs/formats/signature.md` takes."""

from __future__ import annotations

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.x509.oid import PublicKeyAlgorithmOID, SignatureAlgorithmOID as Oid

from .signature import RSA_BITS

_HASHES: dict[x509.ObjectIdentifier, hashes.HashAlgorithm] = {
    Oid.ECDSA_WITH_SHA256: hashes.SHA256(),
    Oid.ECDSA_WITH_SHA384: hashes.SHA384(),
    Oid.ECDSA_WITH_SHA512: hashes.SHA512(),
    Oid.RSA_WITH_SHA256: hashes.SHA256(),
    Oid.RSA_WITH_SHA384: hashes.SHA384(),
    Oid.RSA_WITH_SHA512: hashes.SHA512(),
}
_CURVES = {
    Oid.ECDSA_WITH_SHA256: (ec.SECP256R1, ec.SECP384R1),
    Oid.ECDSA_WITH_SHA384: (ec.SECP256R1, ec.SECP384R1),
    Oid.ECDSA_WITH_SHA512: (ec.SECP521R1,),
}
_PKCS1 = (Oid.RSA_WITH_SHA256, Oid.RSA_WITH_SHA384, Oid.RSA_WITH_SHA512)
_STRONG = (hashes.SHA256, hashes.SHA384, hashes.SHA512)


def issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether `issuer`'s name and key are those that made `certificate`. What the issuer may do is looked at elsewhere."""
    if certificate.issuer.public_bytes() != issuer.subject.public_bytes():
        return False
    try:
        _verify(certificate, issuer)
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
        return False
    return True


def _verify(certificate: x509.Certificate, issuer: x509.Certificate) -> None:
    key, oid = issuer.public_key(), certificate.signature_algorithm_oid
    signature, message = certificate.signature, certificate.tbs_certificate_bytes
    if isinstance(key, ed25519.Ed25519PublicKey) and oid == Oid.ED25519:
        key.verify(signature, message)
    elif isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, _CURVES.get(oid, ())):
        key.verify(signature, message, ec.ECDSA(_HASHES[oid]))
    elif isinstance(key, rsa.RSAPublicKey) and _plain_rsa(issuer, key) and oid in _PKCS1:
        key.verify(signature, message, padding.PKCS1v15(), _HASHES[oid])
    elif isinstance(key, rsa.RSAPublicKey) and _plain_rsa(issuer, key) and oid == Oid.RSASSA_PSS:
        how, hash_ = certificate.signature_algorithm_parameters, certificate.signature_hash_algorithm
        if not isinstance(how, padding.PSS) or not isinstance(hash_, _STRONG):
            raise InvalidSignature
        # salt as long as the hash, and the same hash in MGF1
        key.verify(signature, message, padding.PSS(padding.MGF1(hash_), hash_.digest_size), hash_)
    else:
        raise InvalidSignature


def _plain_rsa(issuer: x509.Certificate, key: rsa.RSAPublicKey) -> bool:
    return issuer.public_key_algorithm_oid == PublicKeyAlgorithmOID.RSAES_PKCS1_v1_5 and key.key_size in RSA_BITS
