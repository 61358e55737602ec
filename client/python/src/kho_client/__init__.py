"""Client of Kho: sign and submit reports, read them back, and verify records and receipts offline.

    from kho_client import Draft, connect

    client, signer = connect("client.toml")
    signed = Draft.of_figures("BYT", "YT-01", "2020-W24", {"so_ca_mac": 12}).sign(signer)
    signed.write("records")                       # a crash of your own costs nothing from here on
    client.submit(signed).write("records")        # the receipt, verified against the pinned key of the log

Everything below `kho_client` that checks is written from the pages in `docs/formats`: a second implementation. It needs
`cryptography` alone; gRPC is loaded when a client is first made.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from .block import Algorithm, SignatureBlock
from .certificate import Signer, TrustRoots
from .checkpoint import Checkpoint, VerifierKey
from .draft import Draft, Signed
from .errors import (
    CallError,
    ConfigError,
    FormatError,
    Foreign,
    KhoError,
    LogError,
    OutcomeUnknown,
    ReceiptError,
    ReceiptRejected,
    Refused,
    Unreachable,
)
from .header import Attachment, Header
from .leaf import Leaf
from .receipt import Receipt
from .record import SignedRecord, VerifiedRecord, verify_record
from .report import Report, canonical
from .signer import PemSigner
from .verify import Check, Checks, verify

if TYPE_CHECKING:
    from .channel import Tls
    from .client import Acknowledged, Client, Fetched
    from .reads import Entry, Filter, count_records, history, list_records
    from .watch import Watch

__version__ = "0.1.0"

_LATER = {
    **dict.fromkeys(("Acknowledged", "Client", "Fetched"), "client"),
    "Tls": "channel",
    **dict.fromkeys(("Entry", "Filter", "count_records", "history", "list_records"), "reads"),
    "Watch": "watch",
}

__all__ = [
    "Acknowledged",
    "Algorithm",
    "Attachment",
    "CallError",
    "Check",
    "Checkpoint",
    "Checks",
    "Client",
    "ConfigError",
    "Draft",
    "Entry",
    "Fetched",
    "Filter",
    "Foreign",
    "FormatError",
    "Header",
    "KhoError",
    "Leaf",
    "LogError",
    "OutcomeUnknown",
    "PemSigner",
    "Receipt",
    "ReceiptError",
    "ReceiptRejected",
    "Refused",
    "Report",
    "SignatureBlock",
    "Signed",
    "SignedRecord",
    "Signer",
    "Tls",
    "TrustRoots",
    "Unreachable",
    "VerifiedRecord",
    "VerifierKey",
    "Watch",
    "canonical",
    "client_of",
    "connect",
    "count_records",
    "history",
    "list_records",
    "verify",
    "verify_record",
]


def connect(path: Path | str) -> tuple[Client, PemSigner]:
    """Client and signer of a client file, as `kho` reads it."""
    from .config import ClientFile

    file = ClientFile.load(path)
    return client_of(path), file.signer()


def client_of(path: Path | str) -> Client:
    """A client of a client file, for whoever signs nothing."""
    from .channel import Tls
    from .client import Client
    from .config import ClientFile
    from .timing import Timing

    file = ClientFile.load(path)
    return Client(file.nodes, Tls.from_files(*file.tls), file.verifier_key, Timing.of_deadline(file.deadline))


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_LATER[name]}", __name__), name)
