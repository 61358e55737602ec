"""Private keys from PEM, also those that OpenSSL does not read."""

from __future__ import annotations

import base64
import re

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

# OneAsymmetricKey (RFC 8410, 7) of version 2, with the public key behind the seed: what `kho certs` and other tools in Rust
# write. Between the two lengths the layout is fixed.
_ED25519_V2 = re.compile(
    rb"\x30[\x51\x53]\x02\x01\x01\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20(.{32})(?:\xa1\x23\x03\x21\x00|\x81\x21\x00)(.{32})",
    re.DOTALL,
)


def load_private_key(pem: bytes) -> PrivateKeyTypes:
    """PKCS#8, PKCS#1 or SEC 1, without a password."""
    try:
        return serialization.load_pem_private_key(pem, None)
    except ValueError:
        key = _ed25519_v2(pem)
        if key is None:
            raise
        return key


def _ed25519_v2(pem: bytes) -> ed25519.Ed25519PrivateKey | None:
    body = re.search(rb"-----BEGIN PRIVATE KEY-----(.*?)-----END PRIVATE KEY-----", pem, re.DOTALL)
    match = _ED25519_V2.fullmatch(base64.b64decode(body.group(1))) if body else None
    if match is None:
        return None
    key = ed25519.Ed25519PrivateKey.from_private_bytes(match.group(1))
    if key.public_key().public_bytes_raw() != match.group(2):
        raise ValueError("the public key behind the private one is another's")
    return key
