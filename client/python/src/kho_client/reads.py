"""Lists, counts and histories. `docs/reads.md` says what they answer, for whom and in which order."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ._wire import read_pb2
from .client import Client
from .errors import FormatError, Foreign
from .ids import is_code, parse_record_id
from .leaf import Leaf
from .moment import is_period, moment_ms
from .nodes import Node

NEWEST, OLDEST, PERIOD, PERIOD_DESCENDING = range(4)
"""Orders of a list."""
ANY, LATEST, SUPERSEDED = range(3)
"""States of a record in its series."""


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


def entry_of(wire: read_pb2.RecordEntry, address: str) -> Entry:
    """As the node at `address` told it."""
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
            yield entry_of(entry, node.address)
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
