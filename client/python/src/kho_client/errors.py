"""Everything that this package raises. Each error has a stable code of ``docs/errors/README.md`` in `code`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .codes import RETRY

if TYPE_CHECKING:
    from .receipt import Rejected

EXCERPT_LENGTH_MAX = 64
"""Characters of a quoted text in a message, at most: a message must not carry 64 KiB of someone's header."""


def excerpt(text: str) -> str:
    """`text` in quotes for a message: control characters escaped, cut."""
    if len(text) <= EXCERPT_LENGTH_MAX:
        return ascii(text) if not text.isprintable() else f'"{text}"'
    return f"{excerpt(text[:EXCERPT_LENGTH_MAX])}... ({len(text.encode('utf-8', 'replace'))} bytes)"


class KhoError(Exception):
    """Base of all. `code` is stable; `expected` and `found` may be empty; `message` is for people."""

    def __init__(self, code: str, message: str, *, expected: object = "", found: object = "") -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.expected = str(expected)
        self.found = str(found)

    @property
    def retry(self) -> bool:
        """Whether the same request may succeed later."""
        return RETRY.get(self.code, False)


class FormatError(KhoError):
    """Bytes are not what they should be, or do not verify: the code says which rule is broken. Nothing was sent."""


class ReceiptError(FormatError):
    """A receipt or checkpoint does not verify: `receipt-invalid`. Keep it: it is evidence."""

    def __init__(self, message: str, *, expected: object = "", found: object = "") -> None:
        super().__init__("receipt-invalid", message, expected=expected, found=found)


class LogError(FormatError):
    """Checkpoints or leaves of the log contradict each other: `log-forked`, `log-shrank`, `log-tiles-invalid`..."""


class ConfigError(KhoError):
    """A file of the configuration, an address, a certificate or a key is of no use. Nothing was sent."""


@dataclass(frozen=True)
class FieldError:
    """A field of a payload that breaks its rule, as a node says it."""

    path: str
    expected: str
    found: str
    message_vi: str
    message_en: str


class CallError(KhoError):
    """A call to the cluster ended without what was asked for. `record_id` is None where the call is of no one record."""

    record_id: str | None = None

    def of(self, record_id: str | None) -> CallError:
        """The same, of this record."""
        self.record_id = record_id
        return self


class Refused(CallError):
    """A node refused it. Of a submission: no attempt of this or an earlier call can have been taken."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        expected: str = "",
        found: str = "",
        retry_after_ms: int = 0,
        evidence_leaf: bytes = b"",
        log_size: int = 0,
        fields: Sequence[FieldError] = (),
        fields_total: int = 0,
    ) -> None:
        super().__init__(code, message, expected=expected, found=found)
        self.retry_after_ms = retry_after_ms
        self.evidence_leaf = evidence_leaf
        self.log_size = log_size
        self.fields = tuple(fields)
        self.fields_total = max(fields_total, len(self.fields))


class OutcomeUnknown(CallError):
    """The record may or may not have been taken. Submit the *same* signed record again, now or after a restart."""

    def __init__(self, message: str, attempts: int) -> None:
        super().__init__("outcome-unknown", message)
        self.attempts = attempts


class Unreachable(CallError):
    """No node was reached. Of a submission: the record is certainly not in."""

    def __init__(self, message: str) -> None:
        super().__init__("no-leader", message)


class Foreign(CallError):
    """What answered is no Kho node, or one of another protocol version."""

    def __init__(self, message: str, *, expected: object = "", found: object = "") -> None:
        super().__init__("request-malformed", message, expected=expected, found=found)


class ReceiptRejected(CallError):
    """A node says that it has the record, and its receipt proves nothing: neither that the record is in nor that it is
    not. Keep `rejected`, then do as for `OutcomeUnknown`."""

    def __init__(self, cause: FormatError, address: str, rejected: Rejected) -> None:
        super().__init__(
            "receipt-invalid",
            f"receipt from {address} does not verify: {cause.message}",
            expected=cause.expected,
            found=cause.found,
        )
        self.rejected = rejected
