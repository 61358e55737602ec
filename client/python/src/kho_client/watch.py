"""A watch that goes on: at another node when one is lost, and over an outage of all, from where it was. `docs/reads.md`."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import grpc

from ._wire import read_pb2
from .attempt import Failed, Proof, of_error
from .client import Client
from .errors import Foreign, Refused, Unreachable
from .nodes import Node
from .outage import Beginning, Outage, Why
from .reads import Entry, Filter, entry_of
from .timing import SILENCE_MAX


class Watch:
    """Every record that the filter lets through, in order, for as long as it is listened to: iterate over it. It goes on by itself
    at another node when one is lost, and when all are, for as long as `patience` says: without a gap and without anything twice.

    `position` is what to keep over a restart: the next sequence number to come. An error leaves it where it was, and the watch may
    be iterated over again.
    """

    def __init__(
        self,
        client: Client,
        filter_: Filter | None = None,
        start: int | None = None,
        *,
        patience: float | None = None,
        on_outage: Callable[[Why], None] | None = None,
    ) -> None:
        """`start`: the first sequence number to look at, from 1; None: whatever is accepted from now on.

        `patience`: seconds that an outage of all nodes may last before it is raised; None: any time. It holds for a watch that has
        begun: a beginning ends with an error after a call's deadline. What every node stores wrong (`record-damaged`,
        `storage-failed`) is raised whatever the patience. `on_outage` is called once an outage, with what was found.
        """
        self._client = client
        self._filter = (filter_ or Filter()).to_wire()
        self.position = start
        self._open: _Stream | None = None
        self._outage = Outage(patience, on_outage)
        # the first word says where it begins: lost before that, "now" would be a later one
        self._begins: Beginning | None = Beginning(client.timing.deadline)
        self._next()
        self._begins = None

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
                try:
                    self._open = self._begin()
                except (Refused, Unreachable) as error:
                    if self._begins is not None:
                        raise self._begins.why(error) from None
                    self._outage.goes_on(error)
                    continue
            word = self._open.next(self._limit())
            if isinstance(word, Failed):
                self._broken(word)
                continue
            try:
                return self._take(word, self._open.node.address)
            except Foreign:
                # what was not understood must come again, not be passed over by what comes after it
                self.close()
                raise

    def _begin(self) -> _Stream:
        request = read_pb2.WatchRequest(filter=self._filter)
        if self.position is not None:
            setattr(request, "from", self.position)
        within = self._client.timing.deadline if self._begins is None else self._begins.left()
        answers, node = self._client.open_stream("Watch", request, within)
        return _Stream(answers, node)

    def _limit(self) -> float:
        """Seconds until the next word; a node has the first one at once, and as long as an attempt to say it."""
        assert self._open is not None
        if self._open.words > 0:
            return SILENCE_MAX
        attempt = self._client.timing.attempt
        return attempt if self._begins is None else min(attempt, self._begins.left())

    def _take(self, word: Any, address: str) -> Entry | None:
        position = self.position or 0
        if word.next < position:
            raise Foreign(f"answer of {address}: next: expected at least {position}, found {word.next}")
        which, entry = word.WhichOneof("event"), None
        if which == "record":
            if not position <= word.record.sequence < word.next:
                raise Foreign(f"answer of {address}: sequence: expected from {position} to {word.next}, found {word.record.sequence}")
            entry = entry_of(word.record, address)
        elif which is None:
            raise Foreign(f"answer of {address}: event: expected a record or progress, found none")
        assert self._open is not None
        self._open.words += 1
        # the first word comes from a node that is about to break, too
        if word.next > position or self._open.words > 1:
            self._outage.over()
        if self._open.words == 2:
            self._client.told(self._open.node)
        self.position = word.next
        return entry

    def _broken(self, failed: Failed) -> None:
        """Goes on at another node, or raises."""
        assert self._open is not None
        node = self._open.node
        self.close()
        self._client.broke(node, replace(failed, proof=Proof.UNKNOWN))
        error = failed.refusal or Unreachable(f"no answer from {node.address}: {failed.text}")
        if self._begins is None:
            self._outage.broke(node.address, error, self._client.nodes)
        else:
            self._begins.broke(error)


class _Stream:
    """A node's answers."""

    def __init__(self, answers: Any, node: Node) -> None:
        self.node = node
        self.words = 0
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

    def next(self, limit: float) -> Any:
        """A message, or a failure; within so many seconds."""
        try:
            return self._words.get(timeout=limit)
        except queue.Empty:
            return Failed(Proof.UNKNOWN, f"no answer within {limit:.2f} s")

    def close(self) -> None:
        """Ends it."""
        self._over.set()
        self._answers.cancel()
