"""The command line: `python -m kho_client`, or `kho-client`. The exit codes are those of `kho` (`docs/cli.md`).

Only `submit`, `get`, `fetch`, `list` and `watch` speak to nodes; `verify` and `audit` need no rights.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from . import __version__
from .errors import KhoError, OutcomeUnknown, ReceiptRejected, Refused, Unreachable

REFUSED, USAGE, UNKNOWN, UNREACHABLE = 1, 2, 3, 4

EXIT_CODES = """exit codes: 0 done; 1 refused, or a check failed; 2 wrong usage; 3 outcome unknown, or no good receipt: the record may
be in, submit the same ID.record again; 4 no node reached"""


def parser() -> argparse.ArgumentParser:
    """All commands and what they take."""
    top = argparse.ArgumentParser(prog="kho-client", description="Client of Kho, and verification offline.", epilog=EXIT_CODES)
    top.add_argument("--version", action="version", version=f"kho-client {__version__}")
    commands = top.add_subparsers(dest="command", required=True)

    def command(name: str, text: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=text, description=text, epilog=EXIT_CODES)

    def config(one: argparse.ArgumentParser) -> None:
        default = os.environ.get("KHO_CONFIG", "client.toml")
        one.add_argument("--config", type=Path, default=Path(default), help="the client file (else KHO_CONFIG, client.toml)")

    def key(one: argparse.ArgumentParser) -> None:
        one.add_argument("--key", required=True, metavar="VKEY", help="the log's verifier key, or a file that holds it")

    def filters(one: argparse.ArgumentParser) -> None:
        for name in ("unit", "receiver", "regime", "period", "series"):
            one.add_argument(f"--{name}")
        one.add_argument("--from", dest="period_from", metavar="PERIOD", help="periods that begin with this one or later...")
        one.add_argument("--to", dest="period_to", metavar="PERIOD", help="...and end with this one or earlier")

    verify = command("verify", "Checks a receipt and its record offline, or every one in a folder.")
    key(verify)
    verify.add_argument("--trust", type=Path, metavar="FILE", help="PEM of the authorities that name signers")
    verify.add_argument("--quiet", action="store_true", help="of a folder: only what failed, and the sum")
    verify.add_argument("files", nargs="+", type=Path, metavar="RECEIPT RECORD | FOLDER")

    audit = command("audit", "Reads the public log, recomputes its root, and holds it to older checkpoints and receipts.")
    key(audit)
    audit.add_argument("--url", required=True, help="https://HOST:PORT of a node's public log")
    audit.add_argument("--log-trust", metavar="FILE", help="PEM of the authority that names the log's servers")
    audit.add_argument("--trust", type=Path, metavar="FILE", help="PEM of the authorities that name signers")
    audit.add_argument("--from", dest="older", type=Path, action="append", default=[], metavar="FILE", help="an older checkpoint")
    audit.add_argument("--receipts", type=Path, metavar="FOLDER", help="verified first, then found in the log")
    audit.add_argument("--save", type=Path, metavar="FILE", help="writes the newest checkpoint there, if all is well")

    submit = command("submit", "Signs and submits reports (JSON), or signed records (ID.record) again.")
    config(submit)
    submit.add_argument("--out", type=Path, default=Path(), metavar="FOLDER", help="writes ID.record and ID.tlog-proof there")
    submit.add_argument("files", nargs="+", type=Path, metavar="FILE")

    get = command("get", "Reads a record back, checks it, and writes ID.record and ID.tlog-proof.")
    config(get)
    get.add_argument("--out", type=Path, metavar="FOLDER", help="else the payload is printed")
    get.add_argument("id")

    fetch = command("fetch", "Reads all records that a filter lets through into a folder, each checked.")
    config(fetch)
    fetch.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    filters(fetch)

    list_ = command("list", "Lists records, one JSON object a line, the last accepted first.")
    config(list_)
    filters(list_)
    list_.add_argument("--count", action="store_true", help="only says how many there are")

    watch = command("watch", "Tells every record as it is accepted, one JSON object a line; `next` is where to begin again.")
    config(watch)
    filters(watch)
    watch.add_argument("--start", type=int, metavar="SEQUENCE")
    watch.add_argument("--limit", type=int, metavar="N", help="ends after so many")
    return top


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; the exit code."""
    given = parser().parse_args(arguments)
    try:
        if given.command in ("verify", "audit"):
            from . import offline

            return offline.verify(given) if given.command == "verify" else offline.audit(given)
        from . import online

        return online.COMMANDS[given.command](given)
    except KhoError as error:
        return tell(error)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return REFUSED
    except KeyboardInterrupt:
        return 130


def tell(error: KhoError) -> int:
    """Says what went wrong; the exit code."""
    print(f"error [{error.code}]: {error.message}", file=sys.stderr)
    for what, value in (("expected", error.expected), ("found", error.found)):
        if value and value not in error.message:
            print(f"  {what} {value}", file=sys.stderr)
    if isinstance(error, Refused):
        for field in error.fields:
            print(f"  {field.path}: {field.message_vi} / {field.message_en}", file=sys.stderr)
    if isinstance(error, (OutcomeUnknown, ReceiptRejected)):
        return UNKNOWN
    if isinstance(error, Unreachable) or error.code == "log-unusable":
        return UNREACHABLE
    return REFUSED


if __name__ == "__main__":
    sys.exit(main())
