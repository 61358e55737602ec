"""Lists, counts, histories and watches. `docs/reads.md` says what they answer, for whom and in which order."""

from __future__ import annotations

import queue
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import grpc

from ._wire import read_pb2
from .attempt import Failed, Proof, of_error
from .client import Client
from .errors import FormatError, Foreign, Unreachable
from .ids import is_code, parse_record_id
from .leaf import Leaf
from .moment import is_period, moment_ms
from .nodes import Node
from .timing import SILENCE_MAX

NEWEST, OLDEST, PERIOD, PERIOD_DESCENDING = range(4)
"""Orders of a list."""
ANY, LATEST, SUPERSEDED = range(3)
"""States of a record in its series."""

BREAKS_MAX = 16
"""A watch that breaks without having told anything new, so many times in a row, is reported: every node ends it."""
BREAK_PAUSE = 0.1
"""Seconds between two of those."""


@dataclass(frozen=True)
class Filter:
    """Which records; every field that is given must hold. Empty: all that the client's certificate lets it see."""

    unit: str = ""
    receiver: str = ""
    regime: str = ""
    period: str = ""
    period_from: str = ""
    period_to: str = ""
    series: str | None = None
    """`""`: records without a subject."""
    state: int = ANY
    accepted_from: str = ""
    """Moments as `2020-06-12T08:30:00.000+07:00`: from this on, before the next."""
    accepted_before: str = ""
    submitted_from: str = ""
    submitted_before: str = ""

    def to_wire(self) -> read_pb2.Filter:
        """As it travels."""
        fields = {name: value for name, value in vars(self).items() if value is not None}
        return read_pb2.Filter(**fields)


@dataclass(frozen=True)
class Entry:
    """A record without its content: `Client.get` has that, and the receipt. An auditor gets sequence, id, time and leaf only."""

    sequence: int
    record_id: uuid.UUID
    accepted_at: str
    unit: str
    regime: str
    period: str
    series: str
    receivers: tuple[str, ...]
    submitted_at: str
    revision: int
    supersedes: uuid.UUID | None
    media_type: str
    payload_length: int
    superseded: bool
    leaf: Leaf | None


def _entry(wire: read_pb2.RecordEntry, address: str) -> Entry:
    def check(field: str, good: bool, found: object) -> None:
        if not good:
            raise Foreign(f"answer of {address}: {field}: expected a value of its grammar, found {found!r}", found=found)

    check("record_id", len(wire.record_id) == 16, wire.record_id)
    check("supersedes", len(wire.supersedes) in (0, 16), wire.supersedes)
    check("accepted_at", moment_ms(wire.accepted_at) is not None, wire.accepted_at)
    leaf = None
    if wire.leaf:
        try:
            leaf = Leaf.decode(wire.leaf)
        except FormatError as error:
            raise Foreign(f"answer of {address}: {error.message}") from error
    else:
        check("unit", is_code(wire.unit), wire.unit)
        check("regime", is_code(wire.regime), wire.regime)
        check("period", is_period(wire.period), wire.period)
        check("submitted_at", moment_ms(wire.submitted_at) is not None, wire.submitted_at)
        check("state", wire.state in (LATEST, SUPERSEDED), wire.state)
    return Entry(
        sequence=wire.sequence,
        record_id=uuid.UUID(bytes=wire.record_id),
        accepted_at=wire.accepted_at,
        unit=wire.unit,
        regime=wire.regime,
        period=wire.period,
        series=wire.series,
        receivers=tuple(wire.receivers),
        submitted_at=wire.submitted_at,
        revision=wire.revision,
        supersedes=uuid.UUID(bytes=wire.supersedes) if wire.supersedes else None,
        media_type=wire.media_type,
        payload_length=wire.payload_length,
        superseded=wire.state == SUPERSEDED,
        leaf=leaf,
    )


def list_records(
    client: Client, filter_: Filter | None = None, *, order: int = NEWEST, page_size: int = 0, stale: bool = False
) -> Iterator[Entry]:
    """Records, pages fetched as they are needed, from any node; all of it is of the moment of its first page."""
    wire = (filter_ or Filter()).to_wire()

    def page(token: bytes) -> tuple[Any, Node]:
        request = read_pb2.ListRequest(filter=wire, order=order, page_size=page_size, page_token=token, stale=stale)  # type: ignore[arg-type]
        return client.ask("List", request)

    return _pages(page, "entries")


def history(client: Client, record_id: uuid.UUID | str, *, order: int = OLDEST, stale: bool = False) -> Iterator[Entry]:
    """The revisions of a record's series."""
    id_ = parse_record_id(record_id).bytes

    def page(token: bytes) -> tuple[Any, Node]:
        request = read_pb2.HistoryRequest(record_id=id_, order=order, page_token=token, stale=stale)  # type: ignore[arg-type]
        return client.ask("History", request)

    return _pages(page, "revisions")


def _pages(page: Callable[[bytes], tuple[Any, Node]], entries: str) -> Iterator[Entry]:
    token = b""
    while True:
        answer, node = page(token)
        for entry in getattr(answer, entries):
            yield _entry(entry, node.address)
        token = answer.next_page_token
        # a page may be short, or empty, though more follows
        if not token:
            return


def count_records(client: Client, filter_: Filter | None = None, *, stale: bool = False) -> int:
    """How many records a list would have."""
    wire, token = (filter_ or Filter()).to_wire(), b""
    count = 0
    while True:
        answer, _ = client.ask("Count", read_pb2.CountRequest(filter=wire, page_token=token, stale=stale))
        count += int(answer.count)
        token = answer.next_page_token
        if not token:
            return count


class Watch:
    """Every record that the filter lets through, in order, for as long as it is listened to: iterate over it. It goes on by itself
    at another node when one is lost, without a gap and without anything twice.

    `position` is what to keep over a restart: the next sequence number to come. An error leaves it where it was.
    """

    def __init__(self, client: Client, filter_: Filter | None = None, start: int | None = None) -> None:
        """`start`: the first sequence number to look at, from 1; None: whatever is accepted from now on."""
        self._client = client
        self._filter = (filter_ or Filter()).to_wire()
        self.position = start
        self._open: _Stream | None = None
        self._breaks = 0
        # the first word says where it begins: lost before that, "now" would be a later one
        self._next()

    def __iter__(self) -> Watch:
        return self

    def __next__(self) -> Entry:
        while True:
            entry = self._next()
            if entry is not None:
                return entry

    def close(self) -> None:
        """Stops listening."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def _next(self) -> Entry | None:
        """The next record, or None for progress."""
        while True:
            if self._open is None:
                request = read_pb2.WatchRequest(filter=self._filter)
                if self.position is not None:
                    setattr(request, "from", self.position)
                answers, node = self._client.ask("Watch", request, stream=True)
                self._open = _Stream(answers, node)
            word = self._open.next()
            if isinstance(word, Failed):
                self._broken(word)
                continue
            try:
                return self._take(word, self._open.node.address)
            except Foreign:
                # what was not understood must come again, not be passed over by what comes after it
                self.close()
                raise

    def _take(self, word: Any, address: str) -> Entry | None:
        position = self.position or 0
        if word.next < position:
            raise Foreign(f"answer of {address}: next: expected at least {position}, found {word.next}")
        which, entry = word.WhichOneof("event"), None
        if which == "record":
            if not position <= word.record.sequence < word.next:
                raise Foreign(f"answer of {address}: sequence: expected from {position} to {word.next}, found {word.record.sequence}")
            entry = _entry(word.record, address)
        elif which is None:
            raise Foreign(f"answer of {address}: event: expected a record or progress, found none")
        if word.next > position:
            self._breaks = 0
        self.position = word.next
        return entry

    def _broken(self, failed: Failed) -> None:
        """Goes on at another node, or raises."""
        assert self._open is not None
        node = self._open.node
        self.close()
        self._breaks += 1
        if failed.refusal is not None and (not failed.retry or self._breaks >= BREAKS_MAX):
            raise failed.refusal
        if self._breaks >= BREAKS_MAX:
            self._breaks = 0
            raise Unreachable(f"no answer from {node.address}: {failed.text}")
        self._client.broke(node, replace(failed, proof=Proof.UNKNOWN))
        time.sleep(failed.retry_after or BREAK_PAUSE)


class _Stream:
    """A node's answers, each awaited for `SILENCE_MAX`."""

    def __init__(self, answers: Any, node: Node) -> None:
        self.node = node
        self._answers = answers
        # one in hand: what is not taken waits at the node
        self._words: queue.Queue[Any] = queue.Queue(maxsize=1)
        self._over = threading.Event()
        threading.Thread(target=self._read, name="kho-watch", daemon=True).start()

    def _read(self) -> None:
        try:
            for word in self._answers:
                if not self._put(word):
                    return
            self._put(Failed(Proof.UNKNOWN, "the watch ended without a word"))
        except grpc.RpcError as error:
            self._put(of_error(error))

    def _put(self, word: Any) -> bool:
        while not self._over.is_set():
            try:
                self._words.put(word, timeout=1.0)
                return True
            except queue.Full:
                continue
        return False

    def next(self) -> Any:
        """A message, or a failure."""
        try:
            return self._words.get(timeout=SILENCE_MAX)
        except queue.Empty:
            return Failed(Proof.UNKNOWN, f"no answer within {SILENCE_MAX:.0f} s")

    def close(self) -> None:
        """Ends it."""
        self._over.set()
        self._answers.cancel()
