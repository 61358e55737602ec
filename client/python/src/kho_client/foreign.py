"""Nodes whose answers were not Kho's. One address that leads to a proxy, or one node that does not know a call yet, says nothing of
the others: they are asked, and only when all answer like that nothing else can come of it."""

from __future__ import annotations

from .attempt import Failed, Proof


class ForeignAnswers:
    """Of one call: addresses whose last answer was foreign, and what they said."""

    def __init__(self) -> None:
        self._said: dict[str, str] = {}

    def ends(self, address: str, failed: Failed, nodes: int) -> bool:
        """The attempt at `address` failed; true: nothing better can come of another one, at any of so many nodes."""
        if failed.proof is Proof.FOREIGN:
            self._said[address] = failed.text
            return len(self._said) >= nodes
        self._said.pop(address, None)
        return not failed.retry

    def beside(self, last: Failed) -> str:
        """What is said of a call that ended otherwise: the last failure, and who is no Kho node."""
        foreign = [f"the answer of {address} is not Kho's: {text}" for address, text in sorted(self._said.items())]
        return "; ".join(foreign if last.proof is Proof.FOREIGN else [last.text, *foreign])
