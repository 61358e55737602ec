"""Who signed: a chain of certificates to a trusted root at a time, and the unit in the signer's. `docs/formats/signature.md`.

Path building is written here: `cryptography`'s own verifier is for servers and clients of the web, and knows no Ed25519.
Not looked at: lists of revoked certificates (the store judged them when it took the record in). What is not understood is
refused: unknown critical extensions, name constraints.
"""

from __future__ import annotations

import datetime
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from . import signature
from .block import CHAIN_LENGTH_MAX
from .errors import FormatError, excerpt
from .issuing import issued_by
from .moment import moment_text

CERTIFICATE_LENGTH_MAX = 16 << 10
ROOTS_MAX = 256

PURPOSES = frozenset(
    {
        ExtendedKeyUsageOID.CLIENT_AUTH,
        ExtendedKeyUsageOID.EMAIL_PROTECTION,
        x509.ObjectIdentifier("1.3.6.1.5.5.7.3.36"),  # documentSigning, RFC 9336
        ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
    }
)
"""Of these one must be there where a certificate of the path restricts its purposes."""

UNDERSTOOD = frozenset(
    {
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
    }
)
"""Extensions that may be critical."""

_Kind = TypeVar("_Kind", bound=x509.ExtensionType)
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
_UNIT, _UNITS = "urn:kho:unit:", "urn:kho:units:"
_KNOWN = (_UNIT, _UNITS, "urn:kho:role:", "urn:kho:node:")
_KHO = re.compile(
    r"urn:kho:(unit:[A-Za-z0-9][A-Za-z0-9._-]{0,31}|units:all|role:[a-z-]{1,32}"
    r"|node:[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}:[1-9][0-9]{0,19})",
    re.ASCII,
)


@dataclass(frozen=True)
class Signer:
    """Whose signature a chain proves."""

    unit: str
    subject: str
    key: PublicKeyTypes
    not_before_ms: int
    """From when the whole chain is valid."""
    not_after_ms: int
    """Until when, inclusive."""


class TrustRoots:
    """Authorities that are trusted to name signers."""

    def __init__(self, roots: Sequence[x509.Certificate]) -> None:
        if not 1 <= len(roots) <= ROOTS_MAX:
            raise FormatError("certificate-malformed", f"trusted roots: expected 1 to {ROOTS_MAX}, found {len(roots)}")
        self._roots = tuple(roots)

    @classmethod
    def from_pem(cls, pem: bytes) -> TrustRoots:
        """From PEM certificates; other PEM sections are skipped."""
        try:
            return cls(x509.load_pem_x509_certificates(pem))
        except ValueError as error:
            raise FormatError("certificate-malformed", f"trusted roots: expected pem certificates: {error}") from error

    @classmethod
    def from_der(cls, roots: Sequence[bytes]) -> TrustRoots:
        """From DER certificates."""
        return cls([_load(position, der) for position, der in enumerate(roots)])

    def verify_chain(self, chain: Sequence[bytes], at_ms: int) -> Signer:
        """Verifies a chain of DER certificates, the signer's first, at a time: path, validity, usage, key, unit."""
        if not 1 <= len(chain) <= CHAIN_LENGTH_MAX:
            raise _error("certificate-missing", f"1 to {CHAIN_LENGTH_MAX} certificates", len(chain))
        certificates = [parse(position, der) for position, der in enumerate(chain)]
        first = certificates[0]
        if _is_authority(first):
            raise _error("certificate-wrong-usage", "a signer's certificate", "a certificate authority's")
        path = _Search(self._roots, certificates, at_ms).path()
        usage = _key_usage(first)
        if usage is not None and not (usage.digital_signature or usage.content_commitment):
            raise _error("certificate-wrong-usage", "key usage digitalSignature or nonRepudiation, if present", "neither")
        key = signature.public_key(first)
        return Signer(
            unit=_only_unit(first),
            subject=first.subject.rfc4514_string(),
            key=key,
            not_before_ms=max(_ms(one.not_valid_before_utc) for one in path),
            # notAfter holds to the end of its second
            not_after_ms=min(_ms(one.not_valid_after_utc) + 999 for one in path),
        )


def parse(position: int, der: bytes) -> x509.Certificate:
    """A certificate from DER; `position` 0 is the signer's."""
    if len(der) > CERTIFICATE_LENGTH_MAX:
        raise _malformed(position, f"at most {CERTIFICATE_LENGTH_MAX} bytes, found {len(der)}")
    certificate = _load(position, der)
    if certificate.version is not x509.Version.v3:
        raise _malformed(position, f"version 3, found {certificate.version.name}")
    if der[-len(certificate.signature) - 1] != 0:
        # the library reads over it, and it would be another text of the same signature
        raise _malformed(position, "a signature of whole bytes")
    for oid in (extension.oid for extension in certificate.extensions if extension.critical):
        if oid not in UNDERSTOOD and oid != ExtensionOID.NAME_CONSTRAINTS:
            raise _malformed(position, f"no critical extension that is not understood, found {oid.dotted_string}")
    return certificate


def _load(position: int, der: bytes) -> x509.Certificate:
    try:
        with warnings.catch_warnings():
            # that a later version of the library will refuse it: then this one's word changes, too
            warnings.simplefilter("ignore")
            certificate = x509.load_der_x509_certificate(der)
            # these are parsed only when they are asked for
            _ = certificate.extensions, certificate.not_valid_after_utc, certificate.subject, certificate.issuer
            _ = certificate.version, certificate.public_key_algorithm_oid
    # names of a wrong type are a TypeError of the library
    except (ValueError, TypeError, x509.InvalidVersion, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise _malformed(position, str(error)) from error
    return certificate


class _Search:
    """A path from the signer's certificate over the ones sent to a root (RFC 5280, 6.1). The root's own validity and
    usage are whoever trusts it's to judge."""

    def __init__(self, roots: Sequence[x509.Certificate], chain: Sequence[x509.Certificate], at_ms: int) -> None:
        self._roots = roots
        self._chain = chain
        self._at_ms = at_ms
        self._reason: FormatError | None = None

    def path(self) -> list[x509.Certificate]:
        """The signer's certificate and its issuers, without the root."""
        found = self._from([self._chain[0]])
        if found is None:
            untrusted = _error("certificate-untrusted", "a path to a trusted root", "none")
            raise self._reason or untrusted
        return found

    def _from(self, path: list[x509.Certificate]) -> list[x509.Certificate] | None:
        last = path[-1]
        try:
            self._check(last, below=len(path) - 1)
        except FormatError as error:
            self._reason = self._reason or error
            return None
        for root in self._roots:
            if issued_by(last, root) and not _constrains_names(root):
                return path
        for issuer in self._chain[1:]:
            if issuer not in path and issued_by(last, issuer):
                found = self._from([*path, issuer])
                if found is not None:
                    return found
        return None

    def _check(self, one: x509.Certificate, below: int) -> None:
        """One certificate of a path; `below`: how many stand between it and nothing, the signer's being the first."""
        if self._at_ms < _ms(one.not_valid_before_utc):
            begins = f"one that begins at {moment_text(_ms(one.not_valid_before_utc))}"
            raise _error("certificate-not-yet-valid", f"validity at {moment_text(self._at_ms)}", begins)
        if self._at_ms > _ms(one.not_valid_after_utc) + 999:
            ended = f"one that ended at {moment_text(_ms(one.not_valid_after_utc))}"
            raise _error("certificate-expired", f"validity at {moment_text(self._at_ms)}", ended)
        purposes = _extension(one, x509.ExtendedKeyUsage)
        if purposes is not None and not PURPOSES & set(purposes):
            found = ", ".join(oid.dotted_string for oid in purposes)
            expected = "extended key usage clientAuth, emailProtection, documentSigning or any, if present"
            raise _error("certificate-wrong-usage", expected, found)
        if below == 0:
            return
        constraints = _extension(one, x509.BasicConstraints)
        if constraints is None or not constraints.ca:
            raise _error("certificate-wrong-usage", "certificate authorities as issuers", "an issuer that is none")
        if constraints.path_length is not None and constraints.path_length < below - 1:
            raise _error("certificate-untrusted", f"at most {constraints.path_length} issuers below", below - 1)
        usage = _key_usage(one)
        if usage is not None and not usage.key_cert_sign:
            raise _error("certificate-wrong-usage", "key usage keyCertSign of every issuer, if present", "none")
        if _constrains_names(one):
            raise _error("certificate-untrusted", "no name constraints, which are not checked here", "some")


def _extension(certificate: x509.Certificate, kind: type[_Kind]) -> _Kind | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _key_usage(certificate: x509.Certificate) -> x509.KeyUsage | None:
    return _extension(certificate, x509.KeyUsage)


def _is_authority(certificate: x509.Certificate) -> bool:
    constraints = _extension(certificate, x509.BasicConstraints)
    return constraints is not None and constraints.ca


def _constrains_names(certificate: x509.Certificate) -> bool:
    return _extension(certificate, x509.NameConstraints) is not None


def _only_unit(certificate: x509.Certificate) -> str:
    names = _extension(certificate, x509.SubjectAlternativeName)
    uris = names.get_values_for_type(x509.UniformResourceIdentifier) if names is not None else []
    for uri in uris:
        if uri.startswith(_KNOWN) and _KHO.fullmatch(uri) is None:
            # a typing error must not turn into a missing right that nobody can explain
            raise _malformed(0, f"a san uri of kho's grammar, found {excerpt(uri)}")
    units = [uri[len(_UNIT) :] for uri in uris if uri.startswith(_UNIT)]
    if len(units) != 1 or f"{_UNITS}all" in uris:
        found = f"{_UNITS}all" if f"{_UNITS}all" in uris else len(units)
        raise _error("certificate-unit-missing", "exactly one san uri urn:kho:unit:CODE", found)
    return str(units[0])


def _ms(time: datetime.datetime) -> int:
    return (time - _EPOCH) // datetime.timedelta(milliseconds=1)


def _malformed(position: int, reason: str) -> FormatError:
    message = f"certificate {position}: expected a der x.509 certificate, version 3: {reason}"
    return FormatError("certificate-malformed", message, expected="a der x.509 certificate, version 3", found=reason)


def _error(code: str, expected: object, found: object) -> FormatError:
    return FormatError(code, f"certificate chain: expected {expected}, found {found}", expected=expected, found=found)


