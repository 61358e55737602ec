"""The nodes a client knows, which to ask next, and one call's way over them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence

from .attempt import Failed
from .channel import Channel, Tls
from .errors import ConfigError
from .timing import ATTEMPT_MIN, REST_MAX, REST_MIN, Timing, pauses


class Node:
    """A node. One that failed rests: it is asked last, for a while."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.address = channel.address
        self.id = 0
        """As its last answer said; 0: not known."""
        self._strikes = 0
        self._until = 0.0

    def rests(self, now: float) -> bool:
        """Whether others should be asked first."""
        return now < self._until

    def well(self) -> None:
        """It answered."""
        self._strikes, self._until = 0, 0.0

    def unwell(self, now: float) -> None:
        """It failed. What fails while it rests is the same failure."""
        if not self.rests(now):
            self._until = now + min(REST_MIN * 2 ** min(self._strikes, 16), REST_MAX)
            self._strikes += 1


class Nodes:
    """All of them. The one that leads comes first, as far as the last answers said: that saves a hop."""

    def __init__(self, addresses: Sequence[str], tls: Tls | None) -> None:
        if not addresses:
            raise ConfigError("config-invalid", "nodes: expected at least one address, found none")
        self._nodes = [Node(Channel(address, tls)) for address in addresses]
        self._leader = 0
        self._turn = 0
        self._lock = threading.Lock()

    def learn(self, node: Node, node_id: int, leader_id: int) -> None:
        """Learns from an answer who a node is and who leads."""
        with self._lock:
            node.well()
            node.id = node_id
            self._leader = leader_id or self._leader

    def well(self, node: Node) -> None:
        """A node answered."""
        with self._lock:
            node.well()

    def failed(self, node: Node, failed: Failed) -> None:
        """An attempt at a node failed: who doesn't know the leader starts elsewhere next time."""
        with self._lock:
            if failed.rests_node:
                node.unwell(time.monotonic())
            self._turn += 1

    def round(self) -> list[Node]:
        """Each node once: preferred first, resting last."""
        now = time.monotonic()
        with self._lock:
            count = len(self._nodes)
            turned = [self._nodes[(self._turn + place) % count] for place in range(count)]
            # only its own answer says which node has the leader's id: until one has it, those not heard of may be it
            wanted = self._leader if any(node.id == self._leader for node in turned) else 0
            return sorted(turned, key=lambda node: (node.rests(now), self._leader != 0 and node.id != wanted))

    @property
    def count(self) -> int:
        """Of different ones."""
        return len({node.address for node in self._nodes})

    @property
    def addresses(self) -> str:
        """For messages."""
        return ", ".join(node.address for node in self._nodes)

    def close(self) -> None:
        """Ends all connections."""
        for node in self._nodes:
            node.channel.close()


class Rounds:
    """One call's way over the nodes: each once per round, a pause between rounds, an end at the deadline."""

    def __init__(self, nodes: Nodes, timing: Timing, attempt_factor: int = 1) -> None:
        self._nodes = nodes
        self._end = time.monotonic() + timing.deadline
        self._attempt = min(timing.attempt * attempt_factor, timing.deadline)
        self._pause = 0.0

    def __iter__(self) -> Iterator[tuple[Node, float]]:
        """The node to ask, and the seconds that it has."""
        waits = pauses()
        first = True
        while True:
            if not first:
                self._pause = max(self._pause, next(waits))
            first = False
            for node in self._nodes.round():
                budget = self._end - time.monotonic() - self._pause
                if budget < ATTEMPT_MIN:
                    return
                if self._pause:
                    time.sleep(self._pause)
                    self._pause = 0.0
                yield node, min(budget, self._attempt)

    def failed(self, node: Node, failed: Failed) -> None:
        """Respects a node's wish to be left alone: the others are likely in the same state."""
        self._nodes.failed(node, failed)
        self._pause = max(self._pause, failed.retry_after)
