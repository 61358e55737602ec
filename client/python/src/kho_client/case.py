"""What the attempts with one record came to, so far: whether it may be in, and what its sender is told at the end."""

from __future__ import annotations

from .attempt import Failed, Proof
from .draft import Signed
from .errors import CallError, OutcomeUnknown, Refused, Unreachable
from .foreign import ForeignAnswers


class Case:
    """One record's attempts, at any of so many nodes."""

    def __init__(self, signed: Signed, nodes: int) -> None:
        self._signed = signed
        self._record_id = str(signed.record_id)
        self._doubt = "an earlier call may have sent it" if signed.doubtful else None
        self._last = Failed(Proof.UNREACHED, "no attempt was made")
        # says more than the absence of the nodes that were asked after it
        self._refused: Refused | None = None
        self._foreign = ForeignAnswers()
        self._nodes = nodes
        self._before = signed.doubtful
        self.attempts = 0

    def attempt(self) -> None:
        """One more begins: whatever ends it now, the record may have been taken."""
        self.attempts += 1
        self._before = self._signed.doubtful
        self._signed.doubtful = True

    def not_taken(self) -> None:
        """The attempt is proven not to have been taken."""
        self._signed.doubtful = self._before

    def failed(self, address: str, failed: Failed) -> CallError | None:
        """The attempt failed. An error: nothing else can come of it."""
        if failed.leaves_doubt:
            self._doubt = f"{address}: {failed.text}"
        else:
            self.not_taken()
        if self._foreign.ends(address, failed, self._nodes) and (self._doubt is None or failed.settles):
            return self._of(failed, address)
        if failed.proof is Proof.REFUSED:
            self._refused = failed.refusal
        self._last = failed
        return None

    def over(self, addresses: str) -> CallError:
        """Time is up."""
        last = self._last
        if self._refused is not None:
            last = Failed(Proof.REFUSED, str(self._refused), self._refused)
        if self._doubt is not None:
            # the last answer settles nothing, and yet it is what the sender has to know
            text = self._doubt if last.leaves_doubt else f"{self._doubt}; another attempt: {last.text}"
            what = f"outcome unknown for record {self._record_id} after {self.attempts} attempts: {text}"
            return OutcomeUnknown(what, self.attempts).of(self._record_id)
        if last.proof in (Proof.UNREACHED, Proof.FOREIGN):
            # one that is no Kho node is not what all of them are
            what = f"no node reached for record {self._record_id} (tried {addresses}): {self._foreign.beside(last)}"
            return Unreachable(what).of(self._record_id)
        return self._of(last, addresses)

    def _of(self, failed: Failed, address: str) -> CallError:
        if failed.leaves_doubt:
            return OutcomeUnknown(failed.text, self.attempts).of(self._record_id)
        return failed.error(address).of(self._record_id)
