"""An auditor's folder: `ID.tlog-proof` beside `ID.record`, any number of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from . import files
from .audit import signed_roots
from .certificate import TrustRoots
from .checkpoint import VerifierKey
from .errors import FormatError, KhoError, LogError
from .receipt import Receipt
from .record import SignedRecord
from .verify import verify

RECEIPT, RECORD = ".tlog-proof", ".record"


@dataclass(frozen=True)
class Verdict:
    """What became of one receipt and its record."""

    path: Path
    text: str
    receipt: Receipt | None
    """If all of it verified."""
    error: KhoError | None = None


def verify_folder(folder: Path, key: VerifierKey, trust: TrustRoots | None) -> Iterator[Verdict]:
    """Verifies every receipt in a folder against the record beside it. A record without a receipt is a failure, too: it proves
    nothing. Names are sorted; folders below are not looked into."""
    try:
        names = sorted(folder.iterdir())
    except OSError as error:
        yield Verdict(folder, f"{folder}: {error.strerror}", None, FormatError("config-invalid", str(error)))
        return
    receipts = {path.with_suffix("") for path in names if path.suffix == RECEIPT}
    records = {path.with_suffix("") for path in names if path.suffix == RECORD}
    for stem in sorted(receipts | records):
        try:
            text, receipt = _one(stem, key, trust)
            yield Verdict(stem, text, receipt)
        except KhoError as error:
            yield Verdict(stem, f"{error.message} [{error.code}]", None, error)


def _one(stem: Path, key: VerifierKey, trust: TrustRoots | None) -> tuple[str, Receipt]:
    # the name holds dots of its own if somebody gave it some
    receipt = Receipt.from_tlog_proof(files.read(stem.with_name(stem.name + RECEIPT)))
    record = SignedRecord.from_file(files.read(stem.with_name(stem.name + RECORD)))
    checks = verify(record, receipt, key, trust)
    if checks.failed is not None:
        raise checks.failed
    return next(check.text for check in checks if check.name == "header"), receipt


def one_tree(receipts: list[Receipt], key: VerifierKey) -> None:
    """What receipts say of the log together: of one size there is one root, and at one place one leaf. That all their checkpoints
    are of one growing tree takes the log itself: `audit`."""
    signed_roots(key.open(receipt.checkpoint) for receipt in receipts)
    leaves: dict[int, bytes] = {}
    for receipt in receipts:
        if leaves.setdefault(receipt.sequence, receipt.leaf.encode()) != receipt.leaf.encode():
            raise LogError("log-forked", f"two receipts prove different leaves {receipt.sequence}")
