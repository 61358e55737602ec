"""Submitting and reading: the same bytes again and again, at one node after the other, until one gives a definite answer or
time is up. `docs/client.md` has the rules; they are the Rust client's."""

from __future__ import annotations

import hashlib
import threading
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Union

import grpc

from . import files
from ._wire import store_pb2
from .attempt import Failed, Proof, of_detail, of_error
from .case import Case
from .channel import Tls
from .checkpoint import Checkpoint, VerifierKey
from .draft import Signed
from .errors import CallError, Foreign, Unreachable
from .foreign import ForeignAnswers
from .ids import parse_record_id
from .message import Message, to_wire
from .nodes import Node, Nodes, Rounds
from .receipt import Receipt
from .receipts import Receipts
from .record import SignedRecord
from .timing import ATTEMPT_MANY_FACTOR, Timing

CHAINS_MAX = 1024
"""Chains of certificates that the store is known to have, at most; beyond it they go along each time."""


@dataclass(frozen=True)
class Acknowledged:
    """The store has the record on a majority, and here is the verified proof."""

    record_id: uuid.UUID
    receipt: Receipt
    checkpoint: Checkpoint
    duplicate: bool
    """It was there already: a retry, or somebody sent it before; the receipt is the first one."""
    node: int
    """The node that answered."""
    leader: int
    """Who led when it answered, as far as that node knew; 0: nobody."""
    epoch: int
    attempts: int

    def write(self, directory: Path | str) -> Path:
        """Writes `ID.tlog-proof`."""
        path = Path(directory) / f"{self.record_id}.tlog-proof"
        files.write(path, self.receipt.to_tlog_proof())
        return path


@dataclass(frozen=True)
class Fetched:
    """A record as its sender made it, and its verified receipt."""

    record: SignedRecord
    receipt: Receipt
    checkpoint: Checkpoint
    size: int
    """Size of the log that the answer reflects."""
    node: int
    epoch: int

    def write(self, directory: Path | str) -> tuple[Path, Path]:
        """Writes `ID.record`, private, and `ID.tlog-proof`."""
        stem = Path(directory) / str(self.receipt.leaf.record_id)
        record, receipt = stem.with_suffix(".record"), stem.with_suffix(".tlog-proof")
        files.write(record, self.record.to_file(), private=True)
        files.write(receipt, self.receipt.to_tlog_proof())
        return record, receipt


Answer = Union[Acknowledged, CallError]
"""What became of one record of many."""


class Client:
    """A client of one cluster; safe to use from several threads. Close it, or use it in `with`."""

    def __init__(self, nodes: Sequence[str], tls: Tls | None, verifier_key: VerifierKey, timing: Timing | None = None) -> None:
        """`nodes`: `host:port` of client listeners. `tls` is None in tests only."""
        self._nodes = Nodes(nodes, tls)
        self._receipts = Receipts(verifier_key)
        self._timing = timing or Timing()
        self._chains: set[bytes] = set()
        self._lock = threading.Lock()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends all connections."""
        self._nodes.close()

    @property
    def checkpoints_verified(self) -> int:
        """Signatures of checkpoints that were verified: each distinct one once."""
        return self._receipts.verified

    def submit(self, signed: Signed) -> Acknowledged:
        """Submits a signed record and returns its verified receipt.

        Raises `Refused`, `OutcomeUnknown` (submit the same `Signed` again), `Unreachable`, `Foreign` or `ReceiptRejected`.
        """
        case, rounds, chain = Case(signed, self._nodes.count), Rounds(self._nodes, self._timing), _chain(signed)
        for node, budget in rounds:
            # the store keeps the certificates that an earlier record brought, and says so if it does not
            short = chain in self._chains
            request = store_pb2.SubmitRequest(record=to_wire(signed.record, with_certificates=not short))
            case.attempt()
            response, failed = _ask(node, "Submit", request, budget)
            if failed is None:
                answer = self._acknowledged(signed, response, response, node, case.attempts)
                self._learn(node, response.node_id, response.leader_id, [answer])
                if isinstance(answer, CallError):
                    raise answer
                return answer
            if short and failed.refusal is not None and failed.refusal.code == "certificate-missing":
                case.not_taken()
                self._forget(chain)
                continue
            rounds.failed(node, failed)
            error = case.failed(node.address, failed)
            if error is not None:
                raise error
        raise case.over(self._nodes.addresses)

    def submit_many(self, records: Iterable[Signed]) -> list[Answer]:
        """Submits signed records and returns an answer for each, in their order: what `submit` returns, or would raise.

        The records of one message (256 of them, or 4.4 MiB) go to the log together and in their order, so one may supersede an
        earlier one. Each message has the deadline of a call.
        """
        signed = list(records)
        answers: dict[int, Answer] = {}
        start = 0
        while start < len(signed):
            message, end = Message(), start
            while end < len(signed) and message.add(signed[end].record):
                end += 1
            left = [(place, signed[place], Case(signed[place], self._nodes.count)) for place in range(start, end)]
            self._submit_message(left, answers)
            start = end
        return [answers[place] for place in range(len(signed))]

    def _submit_message(self, left: list[tuple[int, Signed, Case]], answers: dict[int, Answer]) -> None:
        rounds = Rounds(self._nodes, self._timing, ATTEMPT_MANY_FACTOR)
        for node, budget in rounds:
            # fewer than fitted before; but without those that were answered, other certificates have to be sent
            message = Message()
            fits = next((n for n, (_, signed, _) in enumerate(left) if not message.add(signed.record)), len(left))
            sent, later = left[:fits], left[fits:]
            for _, _, case in sent:
                case.attempt()
            response, failed = _ask(node, "SubmitMany", message.request(), budget)
            if failed is None and len(response.results) != len(sent):
                failed = Failed(Proof.UNKNOWN, f"expected {len(sent)} results, found {len(response.results)}")
            whys = [failed or _not_taken(response.results[n]) for n in range(len(sent))]
            taken: dict[int, Answer] = {}
            for n, (place, signed, case) in enumerate(sent):
                if whys[n] is None:
                    taken[place] = self._acknowledged(signed, response.results[n].taken, response, node, case.attempts)
            answers.update(taken)
            if failed is None:
                self._learn(node, response.node_id, response.leader_id, taken.values())
            left = []
            for (place, signed, case), why in zip(sent, whys):
                if why is None:
                    continue
                rounds.failed(node, why)
                error_ = case.failed(node.address, why)
                if error_ is None:
                    left.append((place, signed, case))
                else:
                    answers[place] = error_
            left += later
            if not left:
                return
        for place, _, case in left:
            answers[place] = case.over(self._nodes.addresses)

    def _learn(self, node: Node, node_id: int, leader_id: int, answers: Iterable[Answer]) -> None:
        """A node's hints are worth as much as its receipts; one whose receipt is no proof is asked last for a while."""
        rejected = next((answer for answer in answers if isinstance(answer, CallError)), None)
        if rejected is None:
            self._nodes.learn(node, node_id, leader_id)
        else:
            self._nodes.failed(node, Failed(Proof.UNKNOWN, rejected.message))

    def _acknowledged(self, signed: Signed, taken: Any, response: Any, node: Node, attempts: int) -> Answer:
        """What a node says is in, if its receipt verifies."""
        message = taken.receipt if taken.HasField("receipt") else None
        try:
            receipt, checkpoint = self._receipts.accept(message, signed.record, node.address, taken.duplicate)
        except CallError as error:
            return error.of(str(signed.record_id))
        with self._lock:
            if len(self._chains) < CHAINS_MAX and signed.record.certificates:
                self._chains.add(_chain(signed))
        return Acknowledged(
            record_id=signed.record_id,
            receipt=receipt,
            checkpoint=checkpoint,
            duplicate=taken.duplicate,
            node=response.node_id,
            leader=response.leader_id,
            epoch=response.epoch,
            attempts=attempts,
        )

    def _forget(self, chain: bytes) -> None:
        with self._lock:
            self._chains.discard(chain)

    def get(self, record_id: uuid.UUID | str) -> Fetched:
        """Reads a record; the answer reflects every write acknowledged before the call. Record and receipt are verified against
        each other and the log's key; the sender's signature is `verify`'s to check."""
        id_ = parse_record_id(record_id)
        try:
            response, node = self._ask_in_turn("Get", store_pb2.GetRequest(record_id=id_.bytes))
        except CallError as error:
            raise error.of(str(id_)) from error.__cause__
        try:
            wire = response.record if response.HasField("record") else None
            record = None
            if wire is not None:
                record = SignedRecord(wire.header, wire.signature_block, wire.payload, tuple(wire.certificates))
            message = response.receipt if response.HasField("receipt") else None
            receipt, checkpoint = self._receipts.accept(message, record, node.address)
            if receipt.leaf.record_id != id_:
                found = receipt.leaf.record_id
                what = f"answer of {node.address}: expected record {id_}, found {found}"
                raise Foreign(what, expected=id_, found=found)
        except CallError as error:
            self._learn(node, response.node_id, 0, [error])
            raise error.of(str(id_)) from error.__cause__
        assert record is not None
        self._learn(node, response.node_id, 0, [])
        return Fetched(record, receipt, checkpoint, response.size, response.node_id, response.epoch)

    def ask(self, method: str, request: Any) -> tuple[Any, Node]:
        """A question that changes nothing, of one node after the other until one answers, refuses for good, or time is over."""
        answer, node = self._ask_in_turn(method, request)
        self._nodes.well(node)
        return answer, node

    def open_stream(self, method: str, request: Any, within: float) -> tuple[Any, Node]:
        """The same where the answers have no end: from the first node that can be reached within so many seconds. It has said
        nothing yet: what its caller waits for, the caller bounds."""
        return self._ask_in_turn(method, request, replace(self._timing, deadline=within), stream=True)

    def _ask_in_turn(self, method: str, request: Any, timing: Timing | None = None, stream: bool = False) -> tuple[Any, Node]:
        """The same; whether the answer is a good one is the caller's to learn."""
        rounds, foreign = Rounds(self._nodes, timing or self._timing), ForeignAnswers()
        last, refused = Failed(Proof.UNREACHED, "no attempt was made"), None
        for node, budget in rounds:
            answer, failed = _ask(node, method, request, budget, stream)
            if failed is None:
                return answer, node
            rounds.failed(node, failed)
            refused, last = failed.refusal or refused, failed
            if foreign.ends(node.address, failed, self._nodes.count):
                break
        if refused is not None:
            raise refused
        raise Unreachable(f"no answer from {self._nodes.addresses}: {foreign.beside(last)}")

    @property
    def timing(self) -> Timing:
        """The waits of its calls."""
        return self._timing

    @property
    def nodes(self) -> int:
        """How many there are."""
        return self._nodes.count

    def told(self, node: Node) -> None:
        """A stream of this node goes on."""
        self._nodes.well(node)

    def broke(self, node: Node, failed: Failed) -> None:
        """A stream of this node ended."""
        self._nodes.failed(node, failed)


def _chain(signed: Signed) -> bytes:
    """Whose certificates a record carries: the store keeps them for each unit by itself."""
    return hashlib.sha256(b"\0".join([signed.header.unit.encode(), *signed.record.certificates])).digest()


def _ask(node: Node, method: str, request: Any, budget: float, stream: bool = False) -> tuple[Any, Failed | None]:
    """One attempt: the answer, or what it proves that there is none."""
    if not node.channel.connected(budget):
        return None, Failed(Proof.UNREACHED, f"no connection to {node.address} within {budget:.2f} s")
    try:
        return node.channel.call(method, request, None if stream else budget), None
    except grpc.RpcError as error:
        return None, of_error(error)


def _not_taken(result: store_pb2.SubmitResult) -> Failed | None:
    """A node's answer about one record of many; None: it is taken."""
    which = result.WhichOneof("result")
    if which == "taken":
        return None
    if which is None:
        return Failed(Proof.UNKNOWN, "the answer says nothing about the record")
    answer = result.unknown if which == "unknown" else result.refused
    return of_detail(answer.message, answer.detail, unknown=which == "unknown")


