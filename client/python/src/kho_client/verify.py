"""Everything about a record and its receipt that can be checked without anybody's help: what `kho verify` checks, in its order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .block import SignatureBlock
from .certificate import TrustRoots
from .checkpoint import VerifierKey
from .errors import FormatError
from .header import Header
from .moment import moment_text
from .receipt import Receipt
from .record import SignedRecord, check_certificates, verify_record, verify_signature

OK, FAILED, SKIPPED = "ok", "FAILED", "skipped"


@dataclass(frozen=True)
class Check:
    """One check: its name, how it went, and what it showed or what is wrong."""

    name: str
    verdict: str
    text: str
    error: FormatError | None = None


class Checks(list[Check]):
    """In order; those that build on a failed one are left out."""

    @property
    def failed(self) -> FormatError | None:
        """The first failure; None: the record is the log's and, with trusted roots given, the unit's."""
        return next((check.error for check in self if check.error is not None), None)

    def run(self, name: str, what: Callable[[], str]) -> bool:
        """Adds a check: `what` says what it showed, or raises."""
        try:
            self.append(Check(name, OK, what()))
            return True
        except FormatError as error:
            self.append(Check(name, FAILED, f"{error.message} [{error.code}]", error))
            return False


def verify(record: SignedRecord, receipt: Receipt, key: VerifierKey, trust: TrustRoots | None = None) -> Checks:
    """Runs all checks. Without `trust` it is left open whose key signed."""
    checks = Checks()
    _sender(checks, record, receipt, trust)
    _log(checks, record, receipt, key)
    return checks


def _sender(checks: Checks, record: SignedRecord, receipt: Receipt, trust: TrustRoots | None) -> None:
    def header() -> str:
        one = Header.decode(record.header)
        return f"{one.record_id} of {one.unit}, regime {one.regime}, period {one.period}"

    def payload() -> str:
        one = Header.decode(record.header)
        one.check_payload(record.payload)
        return f"{one.payload_length} bytes, SHA-256 with salt {one.payload_digest.hex()}"

    def certificates() -> str:
        check_certificates(SignatureBlock.decode(record.signature_block), record.certificates)
        return f"{len(record.certificates)} as the signature block names them"

    def signature() -> str:
        verify_signature(record, SignatureBlock.decode(record.signature_block))
        return "by the certificate's key, over the exact header bytes"

    def signer(trust: TrustRoots) -> str:
        at_ms = receipt.leaf.accepted_at_ms
        one = verify_record(record, trust, at_ms).signer
        return f"{one.unit} ({one.subject}), trusted at {moment_text(at_ms)}"

    if checks.run("header", header):
        checks.run("payload", payload)
    if not checks.run("signature block", lambda: str(SignatureBlock.decode(record.signature_block).algorithm)):
        return
    checks.run("certificates", certificates)
    checks.run("signature", signature)
    if trust is None:
        checks.append(Check("signer", SKIPPED, "give trusted roots to check the certificate and its unit"))
    else:
        checks.run("signer", lambda: signer(trust))


def _log(checks: Checks, record: SignedRecord, receipt: Receipt, key: VerifierKey) -> None:
    def checkpoint() -> str:
        one = key.open(receipt.checkpoint)
        return f"signed by {key}: {one.size} leaves, root {one.root.hex()}"

    def inclusion() -> str:
        receipt.verify(key)
        return f"sequence {receipt.sequence}, accepted {moment_text(receipt.leaf.accepted_at_ms)}"

    def of_the_record() -> str:
        receipt.verify_record(key, record)
        return "record id, header and signature block are the leaf's"

    checks.run("checkpoint", checkpoint)
    checks.run("inclusion", inclusion)
    checks.run("receipt of the record", of_the_record)
