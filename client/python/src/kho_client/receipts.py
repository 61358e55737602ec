"""Every receipt is checked before a caller sees it; each distinct checkpoint's signature once."""

from __future__ import annotations

import threading
from collections import OrderedDict

from . import receipt as receipts
from ._wire import record_pb2
from .checkpoint import Checkpoint, VerifierKey
from .errors import FormatError, ReceiptError, ReceiptRejected
from .receipt import Receipt, Rejected
from .record import SignedRecord

CHECKPOINTS_MAX = 32
"""Opened notes that are remembered, at most: all records of one entry of the log have the same."""


class Receipts:
    """The log's key, and the checkpoints that it was found to have signed."""

    def __init__(self, key: VerifierKey) -> None:
        self.key = key
        self.verified = 0
        """Signatures of checkpoints that were verified."""
        self._opened: OrderedDict[bytes, Checkpoint] = OrderedDict()
        self._lock = threading.Lock()

    def accept(
        self, message: record_pb2.Receipt | None, record: SignedRecord | None, address: str, duplicate: bool = False
    ) -> tuple[Receipt, Checkpoint]:
        """Reads and checks the receipt of a record. A `duplicate` may have been taken in under another valid signature of the
        same header: then the signature block is not compared."""
        receipt = None
        try:
            if message is None:
                raise ReceiptError("expected a receipt, found none")
            receipt = receipts.from_wire(
                message.leaf, message.sequence, list(message.inclusion), message.checkpoint, message.state
            )
            if record is None:
                raise ReceiptError("expected a record with the receipt, found none")
            receipt.verify_leaf(record, other_signature=duplicate)
            checkpoint = self._open(receipt.checkpoint)
            receipt.verify_place(checkpoint)
            return receipt, checkpoint
        except FormatError as error:
            raw = message.SerializeToString() if message is not None else None
            raise ReceiptRejected(error, address, Rejected(raw, receipt)) from error

    def _open(self, note: bytes) -> Checkpoint:
        with self._lock:
            known = self._opened.get(note)
        if known is not None:
            return known
        checkpoint = self.key.open(note)
        with self._lock:
            self.verified += 1
            self._opened[note] = checkpoint
            if len(self._opened) > CHECKPOINTS_MAX:
                self._opened.popitem(last=False)
        return checkpoint
