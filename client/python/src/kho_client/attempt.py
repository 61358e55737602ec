"""What one failed attempt proves. Everything else follows from it: whether to try again, and whether the record may have been
taken. The same rules as the Rust client's, in `docs/client.md`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from . import protobuf
from ._wire import store_pb2
from .codes import ADMITTED, RESTS_NODE, RETRY, SETTLED
from .errors import FieldError, Foreign, Refused

DETAIL_TYPE_URL = "type.googleapis.com/kho.v1.ErrorDetail"
DETAILS_KEY = "grpc-status-details-bin"
_ANY = {1: protobuf.BYTES, 2: protobuf.BYTES}


class Proof(Enum):
    """In the order of what it proves."""

    UNREACHED = "never reached a node: certainly not done"
    REFUSED = "a node refused it: certainly not done by this attempt"
    FOREIGN = "from something that is no Kho node, or does not know the call: not done"
    ADMITTED = "a node's word that it does not know, or a fault of it: a write may have been done, a read was not"
    UNKNOWN = "no answer: it may have been done"


@dataclass(frozen=True)
class Failed:
    """A failed attempt."""

    proof: Proof
    text: str
    refusal: Refused | None = None

    @property
    def retry(self) -> bool:
        """Whether another attempt may do better."""
        return self.refusal.retry if self.refusal is not None else self.proof in (Proof.UNREACHED, Proof.UNKNOWN)

    @property
    def leaves_doubt(self) -> bool:
        """Whether it may have been done all the same."""
        return self.proof in (Proof.ADMITTED, Proof.UNKNOWN)

    @property
    def settles(self) -> bool:
        """Whether it also holds for an earlier attempt whose fate is not known."""
        return self.proof is Proof.REFUSED and self.refusal is not None and self.refusal.code in SETTLED

    @property
    def rests_node(self) -> bool:
        """Whether the node itself is the trouble, so that others should be asked first for a while."""
        return self.proof is not Proof.REFUSED or self.refusal is None or self.refusal.code in RESTS_NODE

    @property
    def retry_after(self) -> float:
        """Seconds that the node asks to be left alone."""
        return self.refusal.retry_after_ms / 1000 if self.refusal is not None else 0.0

    def error(self, address: str) -> Refused | Foreign:
        """As what it is raised where nothing else can come of it."""
        return self.refusal or Foreign(f"the answer of {address} is not Kho's: {self.text}", found=self.text)


def of_detail(message: str, detail: store_pb2.ErrorDetail, unknown: bool) -> Failed:
    """A node's answer about one record: the refusal, or with `unknown` that it does not know."""
    unknown = unknown or detail.unknown
    text = f"{detail.code}: {message}"
    if detail.code not in RETRY:
        # of a later version
        return Failed(Proof.UNKNOWN if unknown or detail.retry else Proof.FOREIGN, text)
    refusal = Refused(
        detail.code,
        message,
        expected=detail.expected,
        found=detail.found,
        retry_after_ms=detail.retry_after_ms,
        evidence_leaf=detail.evidence_leaf,
        log_size=detail.log_size,
        fields=[FieldError(one.path, one.expected, one.found, one.message_vi, one.message_en) for one in detail.fields],
        fields_total=detail.fields_total,
    )
    admitted = unknown or detail.code in ADMITTED
    return Failed(Proof.ADMITTED if admitted else Proof.REFUSED, text, refusal)


_NOT_DONE = frozenset(
    {
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.FAILED_PRECONDITION,
    }
)


def of_error(error: grpc.RpcError) -> Failed:
    """Reads a gRPC status of a call that was made on a connection: without a detail it may have been done."""
    message = error.details() or ""
    found = detail(error)
    if found is not None and (found.code in RETRY or found.unknown):
        return of_detail(message, found, unknown=False)
    code = error.code()
    return Failed(Proof.FOREIGN if code in _NOT_DONE else Proof.UNKNOWN, f"{code.name}: {message}")


def detail(error: grpc.RpcError) -> store_pb2.ErrorDetail | None:
    """The detail in a status, if it has one that decodes."""
    metadata: Any = error.trailing_metadata() or ()
    for key, value in metadata:
        if key == DETAILS_KEY and isinstance(value, bytes):
            try:
                return _detail(value)
            except (protobuf.Malformed, DecodeError):
                return None
    return None


def _detail(status: bytes) -> store_pb2.ErrorDetail | None:
    """From google.rpc.Status: its third field, any number of google.protobuf.Any."""
    for _, one in protobuf.fields(status, {3: protobuf.BYTES}):
        assert isinstance(one, bytes)
        any_ = dict(protobuf.fields(one, _ANY))
        if any_.get(1) == DETAIL_TYPE_URL.encode():
            content = any_.get(2, b"")
            assert isinstance(content, bytes)
            return store_pb2.ErrorDetail.FromString(content)
    return None
