"""Receipts: proof that a record stands in the log, checked without any server. `docs/formats/receipt.md`."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from . import leaf as leaves
from . import merkle
from .checkpoint import NOTE_LENGTH_MAX, Checkpoint, VerifierKey
from .errors import ReceiptError
from .header import Header
from .leaf import Leaf
from .record import SignedRecord
from .text import b64decode, b64encode, decimal, hash32

FIRST_LINE = "c2sp.org/tlog-proof@v1"
INCLUSION_LENGTH_MAX = 64
RECEIPT_TEXT_LENGTH_MAX = NOTE_LENGTH_MAX + INCLUSION_LENGTH_MAX * 45 + 1024


@dataclass(frozen=True)
class Receipt:
    """Nothing is verified until `verify` or `verify_record`."""

    leaf: Leaf
    sequence: int
    inclusion: tuple[bytes, ...]
    checkpoint: bytes
    """C2SP signed note, byte for byte."""
    mirrored: bool = False
    """Whether the node said that another site has it; the text form does not carry it."""

    @classmethod
    def from_tlog_proof(cls, text: bytes) -> Receipt:
        """Reads the file `ID.tlog-proof`."""
        if len(text) > RECEIPT_TEXT_LENGTH_MAX:
            raise ReceiptError(f"receipt: expected at most {RECEIPT_TEXT_LENGTH_MAX} bytes, found {len(text)}")
        try:
            whole = text.decode("utf-8")
        except UnicodeDecodeError as error:
            raise ReceiptError("receipt: expected utf-8 text") from error
        # no line before the checkpoint is empty, so the first empty one ends the proof
        proof, empty, note = whole.partition("\n\n")
        if not empty:
            raise ReceiptError("receipt: expected an empty line before the checkpoint")
        lines = proof.split("\n")
        if lines[0] != FIRST_LINE:
            raise _line(1, FIRST_LINE)
        leaf = b64decode(lines[1].removeprefix("extra ")) if len(lines) > 1 and lines[1].startswith("extra ") else None
        if leaf is None:
            raise _line(2, "extra and the leaf in base64")
        index = decimal(lines[2].removeprefix("index ")) if len(lines) > 2 and lines[2].startswith("index ") else None
        if index is None:
            raise _line(3, "index and a decimal number without leading zeros")
        inclusion = []
        for number, line in enumerate(lines[3:], 4):
            hash_ = hash32(line)
            if hash_ is None:
                raise _line(number, "a hash of 32 bytes in base64")
            inclusion.append(hash_)
        _check_length(len(inclusion))
        return cls(Leaf.decode(leaf), index, tuple(inclusion), note.encode())

    def to_tlog_proof(self) -> bytes:
        """The file `ID.tlog-proof`: a C2SP tlog-proof with the leaf in `extra`."""
        lines = [FIRST_LINE, f"extra {b64encode(self.leaf.encode())}", f"index {self.sequence}"]
        lines += map(b64encode, self.inclusion)
        return "".join(line + "\n" for line in lines).encode() + b"\n" + self.checkpoint

    def verify(self, key: VerifierKey) -> Checkpoint:
        """Verifies the checkpoint's signature and that the leaf stands at its place in the tree."""
        checkpoint = key.open(self.checkpoint)
        self.verify_place(checkpoint)
        return checkpoint

    def verify_place(self, checkpoint: Checkpoint) -> None:
        """Verifies that the leaf stands at its place in the tree of the receipt's own checkpoint, once that is opened."""
        merkle.verify_inclusion(self.leaf.hash(), self.sequence, checkpoint.size, self.inclusion, checkpoint.root)

    def verify_record(self, key: VerifierKey, record: SignedRecord) -> Checkpoint:
        """Verifies the receipt, and that it is this record's: id, header, signature block and payload. The sender's own
        signature is `record.verify_record`'s to check."""
        checkpoint = self.verify(key)
        self.verify_leaf(record)
        return checkpoint

    def verify_leaf(self, record: SignedRecord, other_signature: bool = False) -> None:
        """Verifies that the leaf is this record's. Says nothing about the tree. With `other_signature` the header may have
        been taken in under another valid signature: then neither the block nor the payload is compared."""
        if self.leaf.kind != leaves.RECORD:
            raise ReceiptError("receipt leaf: expected a record's, found the genesis leaf")
        pairs = [("header", self.leaf.header_digest, record.header)]
        if not other_signature:
            pairs.append(("signature block", self.leaf.signature_block_digest, record.signature_block))
        for what, expected, data in pairs:
            found = hashlib.sha256(data).digest()
            if found != expected:
                raise ReceiptError(
                    f"record {what}: expected digest {expected.hex()} as the receipt says, found {found.hex()}",
                    expected=expected.hex(),
                    found=found.hex(),
                )
        header = Header.decode(record.header)
        if header.record_id != self.leaf.record_id:
            raise ReceiptError(
                f"record id: expected {self.leaf.record_id} as the receipt says, found {header.record_id}",
                expected=self.leaf.record_id,
                found=header.record_id,
            )
        header.check_payload(record.payload)


@dataclass(frozen=True)
class Rejected:
    """A receipt that was rejected, as it came: a node that signs a wrong receipt has to answer for it."""

    message: bytes | None
    """`kho.v1.Receipt` as it travelled; None where the answer held none."""
    receipt: Receipt | None = None
    """If it parses."""

    def to_file(self) -> bytes | None:
        """The file `ID.tlog-proof.rejected`: a tlog-proof, or the message where it does not parse."""
        return self.receipt.to_tlog_proof() if self.receipt is not None else self.message


def _check_length(found: int) -> None:
    if found > INCLUSION_LENGTH_MAX:
        raise ReceiptError(f"receipt inclusion: expected at most {INCLUSION_LENGTH_MAX} hashes, found {found}")


def _line(number: int, expected: str) -> ReceiptError:
    message = f"receipt line {number}: expected {expected}"
    return ReceiptError(message, expected=expected, found=f"another line {number}")


def from_wire(leaf: bytes, sequence: int, inclusion: list[bytes], checkpoint: bytes, state: int) -> Receipt:
    """From the fields of `kho.v1.Receipt`."""
    if state not in (1, 2):
        raise ReceiptError(f"receipt state: expected accepted or mirrored, found {state}")
    if len(checkpoint) > NOTE_LENGTH_MAX:
        raise ReceiptError(f"receipt: expected at most {NOTE_LENGTH_MAX} bytes, found {len(checkpoint)}")
    try:
        checkpoint.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ReceiptError("checkpoint: expected a signed note with utf-8 text") from error
    _check_length(len(inclusion))
    for hash_ in inclusion:
        if len(hash_) != 32:
            raise ReceiptError(f"receipt inclusion: expected hashes of 32 bytes, found {len(hash_)}")
    return Receipt(Leaf.decode(leaf), sequence, tuple(inclusion), checkpoint, mirrored=state == 2)
