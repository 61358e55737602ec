"""No node tells a watch anything: how long it waits, and for what it does not."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from typing import Union

from .codes import ADMITTED
from .errors import Refused, Unreachable
from .timing import ATTEMPT_MIN, outage_pauses

BREAK_PAUSE = 0.1
"""Seconds until a watch that broke is begun at another node."""
WISH_MAX = 10.0
"""A node's wish to be left alone is respected for so many seconds at most: it may be wrong, and others wait with it."""
FAULTS_MAX = 9
"""So many times a fault (`record-damaged`, `storage-failed`) without anything new is raised, whatever the patience, once it is what
each node said last: three times of each node of three. It is in what they store, and waiting does not mend it."""

Why = Union[Refused, Unreachable]
"""Why nobody tells anything."""


def wish(error: Why) -> float:
    """Seconds that a node asks to be left alone."""
    return min(error.retry_after_ms / 1000, WISH_MAX) if isinstance(error, Refused) else 0.0


class Beginning:
    """A watch that nobody has told anything yet: it has the deadline of a call."""

    def __init__(self, deadline: float) -> None:
        self._end = time.monotonic() + deadline
        self._refused: Refused | None = None

    def left(self) -> float:
        """Seconds."""
        return max(self._end - time.monotonic(), 0.0)

    def why(self, error: Why) -> Why:
        """A refusal says more than the silence of who was asked after it."""
        return self._refused or error

    def broke(self, error: Why) -> None:
        """Pauses; or raises it, where no other node will do better or time is over."""
        if isinstance(error, Refused):
            self._refused = error
        pause = max(BREAK_PAUSE, wish(error))
        if (isinstance(error, Refused) and not error.retry) or self.left() < pause + ATTEMPT_MIN:
            raise self.why(error)
        time.sleep(pause)


class Faults:
    """Since anything new was told."""

    def __init__(self) -> None:
        self._count = 0
        self._nodes: set[str] = set()

    def failed(self, address: str, error: Why) -> None:
        """What a node said last."""
        if isinstance(error, Refused) and error.code in ADMITTED and error.code != "outcome-unknown":
            self._count += 1
            self._nodes.add(address)
            return
        if isinstance(error, Refused):
            self._count = 0
        self._nodes.discard(address)

    def end(self, nodes: int) -> bool:
        """Whether none of so many nodes will do better."""
        return self._count >= FAULTS_MAX and len(self._nodes) >= nodes


class Outage:
    """Since when, and the pauses meanwhile. A single break is none yet; it may become one."""

    def __init__(self, patience: float | None, told: Callable[[Why], None] | None) -> None:
        self._patience = math.inf if patience is None else patience
        self._told = told
        self.over()

    def over(self) -> None:
        """A node tells again; or it was said why none does, and what comes has a patience of its own."""
        self._since: float | None = None
        self._pauses: Iterator[float] | None = None
        self._faults = Faults()

    def broke(self, address: str, error: Why, nodes: int) -> None:
        """One of so many nodes ended it: goes on like the others."""
        self._faults.failed(address, error)
        if self._faults.end(nodes):
            self.over()
            raise error
        self.goes_on(error)

    def goes_on(self, error: Why) -> None:
        """Pauses; or raises it, where no other node and no later time will do better, or patience is at its end."""
        if isinstance(error, Refused) and not error.retry:
            self.over()
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
        time.sleep(min(max(pause, wish(error)), max(self._since + self._patience - now, 0.0)))
