"""`submit`, `get`, `fetch`, `list` and `watch`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from . import client_of, files, reads
from .__main__ import UNKNOWN, tell
from .client import Answer, Client, Fetched
from .config import ClientFile
from .draft import Draft, Signed, check_signed
from .errors import CallError, ConfigError, KhoError, ReceiptRejected
from .moment import moment_text
from .report import Report
from .verify import verify
from .watch import Watch


def submit(given: argparse.Namespace) -> int:
    """Reports and records; all are signed, and written down, before the first is sent."""
    file = ClientFile.load(given.config)
    with client_of(given.config) as client:
        signed = [_load(path, given.out, file) for path in given.files]
        if len(signed) == 1:
            try:
                answers: list[Answer] = [client.submit(signed[0])]
            except CallError as error:
                answers = [error]
        else:
            answers = client.submit_many(signed)
    codes = [_receive(one, answer, given.out) for one, answer in zip(signed, answers)]
    # an unknown outcome asks most of who reads it
    return UNKNOWN if UNKNOWN in codes else max(codes)


def _load(path: Path, out: Path, file: ClientFile) -> Signed:
    if path.suffix == ".record":
        return Signed.load(path)
    draft = Draft.of_report(Report.from_json(files.read(path)))
    before = out / f"{draft.record_id}.record"
    if draft.record_id is not None and before.exists():
        # another signature time would make it another record under the same id
        signed = Signed.load(before)
        check_signed(draft, signed)
        print(f"signed before: sending {before} again", file=sys.stderr)
        return signed
    signed = draft.sign(file.signer())
    print(signed.write(out))
    return signed


def _receive(signed: Signed, answer: Answer, out: Path) -> int:
    if isinstance(answer, CallError):
        if isinstance(answer, ReceiptRejected):
            _keep(answer, out)
        return tell(answer)
    try:
        print(answer.write(out))
    except ConfigError as error:
        print(f"record {signed.record_id} is in, but its receipt could not be written", file=sys.stderr)
        tell(error)
        return UNKNOWN
    accepted = moment_text(answer.receipt.leaf.accepted_at_ms)
    was = " (it was there already)" if answer.duplicate else ""
    print(f"record {signed.record_id}: sequence {answer.receipt.sequence}, accepted {accepted}{was}", file=sys.stderr)
    return 0


def _keep(error: ReceiptRejected, out: Path) -> None:
    data = error.rejected.to_file()
    if data is not None:
        path = out / f"{error.record_id}.tlog-proof.rejected"
        files.write(path, data)
        print(f"kept as evidence: {path}", file=sys.stderr)


def _get(client: Client, file: ClientFile, record_id: Any, out: Path | None) -> Fetched:
    try:
        fetched = client.get(record_id)
    except ReceiptRejected as error:
        _keep(error, out or Path())
        raise
    # the signature, and with signers_trust the certificate, before anything is written
    checks = verify(fetched.record, fetched.receipt, file.verifier_key, file.trust)
    if checks.failed is not None:
        raise checks.failed
    return fetched


def get(given: argparse.Namespace) -> int:
    """One record."""
    file = ClientFile.load(given.config)
    with client_of(given.config) as client:
        fetched = _get(client, file, given.id, given.out)
    if given.out is None:
        sys.stdout.buffer.write(fetched.record.payload)
        sys.stdout.buffer.flush()
    else:
        print("\n".join(map(str, fetched.write(given.out))))
    return 0


def fetch(given: argparse.Namespace) -> int:
    """A list, and each record of it."""
    file, done, failed = ClientFile.load(given.config), 0, 0
    with client_of(given.config) as client:
        for entry in reads.list_records(client, _filter(given)):
            try:
                _get(client, file, entry.record_id, given.out).write(given.out)
                done += 1
            except KhoError as error:
                failed += 1
                print(f"{entry.record_id}:", end=" ", file=sys.stderr)
                tell(error)
    print(f"{done} records fetched and verified, {failed} failed", file=sys.stderr)
    return 1 if failed else 0


def list_(given: argparse.Namespace) -> int:
    """What there is."""
    with client_of(given.config) as client:
        if given.count:
            print(reads.count_records(client, _filter(given)))
        else:
            for entry in reads.list_records(client, _filter(given)):
                print(_json(entry))
    return 0


def _waits(error: KhoError) -> None:
    print(f"no node answers, and the watch waits: [{error.code}] {error.message}", file=sys.stderr)


def watch(given: argparse.Namespace) -> int:
    """What comes."""
    with client_of(given.config) as client:
        watching = Watch(client, _filter(given), given.start, on_outage=_waits)
        try:
            for told, entry in enumerate(watching, 1):
                print(_json(entry, next=watching.position), flush=True)
                if told == given.limit:
                    break
        finally:
            watching.close()
    return 0


COMMANDS = {"submit": submit, "get": get, "fetch": fetch, "list": list_, "watch": watch}


def _filter(given: argparse.Namespace) -> reads.Filter:
    names = ("unit", "receiver", "regime", "period", "period_from", "period_to")
    texts: dict[str, Any] = {name: getattr(given, name) or "" for name in names}
    return reads.Filter(**texts, series=given.series)


def _json(entry: reads.Entry, **more: object) -> str:
    fields = {**vars(entry), "leaf": entry.leaf and entry.leaf.encode().hex(), **more}
    return json.dumps({name: value for name, value in fields.items() if value is not None}, ensure_ascii=False, default=str)
