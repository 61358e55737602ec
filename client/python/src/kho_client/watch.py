"""A watch that goes on: at another node when one is lost, and over an outage of all, from where it was. `docs/reads.md`."""

from __future__ import annotations

import math
import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import grpc

from ._wire import read_pb2
from .attempt import Failed, Proof, of_error
from .client import Client
from .errors import Foreign, Refused, Unreachable
from .nodes import Node
from .reads import Entry, Filter, entry_of
from .timing import SILENCE_MAX, outage_pauses

BREAKS_MAX = 16
"""A watch that broke so many times before its first word is reported: every node ends it."""
BREAK_PAUSE = 0.1
"""Seconds until a watch that broke is begun at another node."""


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
        on_outage: Callable[[Refused | Unreachable], None] | None = None,
    ) -> None:
        """`start`: the first sequence number to look at, from 1; None: whatever is accepted from now on.

        `patience`: seconds that an outage of all nodes may last before it is raised; None: any time. It holds for a watch that has
        begun: this ends with an error after a call's deadline. `on_outage` is called once an outage, with what was found.
        """
        self._client = client
        self._filter = (filter_ or Filter()).to_wire()
        self.position = start
        self._open: _Stream | None = None
        self._begun = False
        self._breaks = 0
        self._outage = _Outage(patience, on_outage)
        # the first word says where it begins: lost before that, "now" would be a later one
        self._next()
        self._begun = True

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
                    if not self._begun:
                        raise
                    self._outage.goes_on(error)
                    continue
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

    def _begin(self) -> _Stream:
        request = read_pb2.WatchRequest(filter=self._filter)
        if self.position is not None:
            setattr(request, "from", self.position)
        answers, node = self._client.ask("Watch", request, stream=True)
        return _Stream(answers, node)

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
        self.position = word.next
        return entry

    def _broken(self, failed: Failed) -> None:
        """Goes on at another node, or raises."""
        assert self._open is not None
        node = self._open.node
        self.close()
        self._client.broke(node, replace(failed, proof=Proof.UNKNOWN))
        error = failed.refusal or Unreachable(f"no answer from {node.address}: {failed.text}")
        if self._begun:
            self._outage.goes_on(error)
            return
        self._breaks += 1
        if self._breaks >= BREAKS_MAX or (isinstance(error, Refused) and not error.retry):
            raise error
        time.sleep(failed.retry_after or BREAK_PAUSE)


class _Outage:
    """No node tells anything: since when, and the pauses meanwhile. A single break is none yet; it may become one."""

    def __init__(self, patience: float | None, told: Callable[[Refused | Unreachable], None] | None) -> None:
        self._patience = math.inf if patience is None else patience
        self._told = told
        self.over()

    def over(self) -> None:
        """A node tells again."""
        self._since: float | None = None
        self._pauses: Iterator[float] | None = None

    def goes_on(self, error: Refused | Unreachable) -> None:
        """Pauses; or raises it, where no other node and no later time will do better, or patience is at its end."""
        if isinstance(error, Refused) and not error.retry:
            raise error
        now = time.monotonic()
        if self._since is None:
            # the others are asked at once
            self._since, pause = now, BREAK_PAUSE
        else:
            if now - self._since >= self._patience:
                self.over()
                raise error
            if self._pauses is None:
                self._pauses = outage_pauses()
                if self._told is not None:
                    self._told(error)
            pause = next(self._pauses)
        asked = error.retry_after_ms / 1000 if isinstance(error, Refused) else 0.0
        time.sleep(min(max(pause, asked), max(self._since + self._patience - now, 0.0)))


class _Stream:
    """A node's answers, each awaited for `SILENCE_MAX`."""

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
