"""`verify` and `audit`: no node, no rights."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from . import audit as audits
from . import files, folder
from .certificate import TrustRoots
from .checkpoint import VerifierKey
from .errors import KhoError
from .moment import moment_text
from .receipt import Receipt
from .record import SignedRecord
from .verify import verify as run_checks


def _key(text: str) -> VerifierKey:
    """The key, or what a file of that name holds."""
    path = Path(text)
    try:
        held = files.read(path).decode("utf-8", "replace") if path.is_file() else text
    except OSError:
        # longer than a name may be
        held = text
    return VerifierKey.parse(held.strip())


def _trust(path: Path | None) -> TrustRoots | None:
    return TrustRoots.from_pem(files.read(path)) if path is not None else None


def verify(given: argparse.Namespace) -> int:
    """A receipt and its record, or folders of them."""
    key, trust = _key(given.key), _trust(given.trust)
    if all(path.is_dir() for path in given.files):
        return max([_folder(path, key, trust, given.quiet)[0] for path in given.files])
    if len(given.files) != 2:
        print("expected RECEIPT and RECORD, or folders: see --help", file=sys.stderr)
        return 2
    receipt = Receipt.from_tlog_proof(files.read(given.files[0]))
    record = SignedRecord.from_file(files.read(given.files[1]))
    checks = run_checks(record, receipt, key, trust)
    for check in checks:
        print(f"{check.verdict:<7} {check.name:<22} {check.text}")
    if checks.failed is not None:
        raise checks.failed
    return 0


def _folder(path: Path, key: VerifierKey, trust: TrustRoots | None, quiet: bool) -> tuple[int, list[Receipt]]:
    receipts, failed = [], 0
    for verdict in folder.verify_folder(path, key, trust):
        if verdict.receipt is None:
            failed += 1
            print(f"FAILED  {verdict.path.name}  {verdict.text}")
            continue
        receipts.append(verdict.receipt)
        if not quiet:
            print(f"ok      {verdict.path.name}  sequence {verdict.receipt.sequence}, {verdict.text}")
    try:
        folder.one_tree(receipts, key)
    except KhoError as error:
        failed += 1
        print(f"FAILED  {path}  {error.message} [{error.code}]")
    signers = "" if trust else "; give --trust to check whose signatures they are"
    print(f"{len(receipts)} verified, {failed} failed{signers}", file=sys.stderr)
    if not receipts and not failed:
        # nothing was proven
        print(f"error: {path} holds no receipt (ID.tlog-proof)", file=sys.stderr)
    return (0 if receipts and not failed else 1), receipts


def audit(given: argparse.Namespace) -> int:
    """The public log."""
    key, trust = _key(given.key), _trust(given.trust)
    receipts: list[Receipt] = []
    if given.receipts is not None:
        code, receipts = _folder(given.receipts, key, trust, quiet=True)
        if code != 0:
            return code
    older = [key.open(files.read(path)) for path in given.older]
    done = audits.audit(audits.https(given.url, given.log_trust), key, older=older, receipts=receipts)
    if given.save is not None:
        files.write(given.save, done.note)
    print(
        f"ok: {done.checkpoint.size} leaves, {done.records} records, lead to the signed root {done.checkpoint.root.hex()}; "
        f"the last was accepted {moment_text(done.last_accepted_at_ms)}; {len(older)} older checkpoints and "
        f"{done.receipts} receipts are of this tree"
    )
    return 0
