"""How long to wait for what; the same values as the Rust client's (`docs/client.md`), in seconds."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

DEADLINE = 3.0
"""Of a call, retries and pauses included: the promise of R-B1."""
ATTEMPT = 1.0
"""Short enough that two more nodes can be asked within the deadline."""
ATTEMPT_SHORT = 0.25
"""A call with less time than a third of it leaves for this asks fewer nodes: one that is well and busy needs some time, too."""
ATTEMPT_MIN = 0.08
"""With less time left no attempt is begun: it would prove nothing but doubt."""
ATTEMPT_MANY_FACTOR = 2
"""An attempt with many records may take so many times as long."""
BACKOFF_MIN = 0.02
BACKOFF_MAX = 0.2
"""Pauses between rounds over the nodes, doubling: an election takes some 300 ms."""
REST_MIN = 0.25
REST_MAX = 8.0
"""A node that failed is asked last for this long, doubling."""
SILENCE_MAX = 15.0
"""A watch whose node says nothing for so long is given up; one says at least every 5 s that it is there."""
OUTAGE_PAUSE_MIN = 0.25
OUTAGE_PAUSE_MAX = 10.0
"""Pauses of a watch that finds no node to go on at, doubling: after an outage not all listeners come at once, and none comes late."""
KEEPALIVE_MS = 2000
"""Pings find dead connections: after this silence, and for so long."""
RECONNECT_MS = 100
"""First pause of a connection that failed; it is in no way of the next call, which goes to another node."""
MESSAGE_BYTES_MAX = 6 << 20
"""The largest record, its certificates, its receipt."""


@dataclass(frozen=True)
class Timing:
    """The waits of a client."""

    deadline: float = DEADLINE
    attempt: float = ATTEMPT

    @classmethod
    def of_deadline(cls, deadline: float) -> Timing:
        """A third of it is an attempt's, so that one node that hangs leaves time for two others."""
        return cls(deadline, min(max(deadline / 3, ATTEMPT_SHORT), deadline))


def pauses() -> Iterator[float]:
    """Between rounds, without end: the deadline ends them."""
    return _doubling(BACKOFF_MIN, BACKOFF_MAX)


def outage_pauses() -> Iterator[float]:
    """Of a watch, without end: its listener's patience ends them."""
    return (min(pause, OUTAGE_PAUSE_MAX) for pause in _doubling(OUTAGE_PAUSE_MIN, OUTAGE_PAUSE_MAX))


def _doubling(pause: float, most: float) -> Iterator[float]:
    """Pauses that double, with jitter."""
    while True:
        yield pause + random.uniform(0, pause)
        pause = min(2 * pause, most)
