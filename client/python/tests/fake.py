"""A node of the tests' own, which takes records, refuses, hangs, hangs up and forges as it is told."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from typing import Any

import grpc

from kho_client import protobuf
from kho_client._wire import read_pb2, record_pb2, store_pb2
from kho_client.attempt import DETAIL_TYPE_URL, DETAILS_KEY
from kho_client.draft import Signed
from kho_client.header import Header
from kho_client.receipt import Receipt
from kho_client.record import SignedRecord
from logs import Log

Say = Callable[[Any, grpc.ServicerContext], Any]


def to_pb(receipt: Receipt) -> record_pb2.Receipt:
    return record_pb2.Receipt(
        leaf=receipt.leaf.encode(),
        sequence=receipt.sequence,
        inclusion=receipt.inclusion,
        checkpoint=receipt.checkpoint,
        state=record_pb2.ACCEPTED,
    )


def of_pb(wire: record_pb2.SignedRecord) -> SignedRecord:
    return SignedRecord(wire.header, wire.signature_block, wire.payload, tuple(wire.certificates))


def refuse(code: str, status: grpc.StatusCode = grpc.StatusCode.FAILED_PRECONDITION, **detail: Any) -> Say:
    """A refusal as nodes send it."""

    def say(_: Any, context: grpc.ServicerContext) -> Any:
        inner = store_pb2.ErrorDetail(code=code, **detail).SerializeToString()
        any_ = protobuf.blob(1, DETAIL_TYPE_URL.encode()) + protobuf.blob(2, inner)
        whole = protobuf.number(1, status.value[0]) + protobuf.blob(2, b"why") + protobuf.element(3, any_)
        context.set_trailing_metadata(((DETAILS_KEY, whole),))
        context.abort(status, "why")

    return say


def bare(status: grpc.StatusCode) -> Say:
    """A status without a detail: from a proxy."""
    return lambda _, context: context.abort(status, "from a proxy")


def hang(_: Any, context: grpc.ServicerContext) -> Any:
    while context.is_active():
        time.sleep(0.01)


class Cluster:
    """What all nodes have: the log, and the records in it."""

    def __init__(self) -> None:
        self.log = Log()
        self.lock = threading.Lock()
        self.records: dict[bytes, tuple[SignedRecord, Receipt]] = {}
        self.certificates: set[bytes] = set()

    def take(self, record: SignedRecord) -> tuple[Receipt, bool]:
        with self.lock:
            header = Header.decode(record.header)
            known = self.records.get(header.record_id.bytes)
            if known is not None:
                return known[1], True
            receipt = self.log.take(Signed(record, header, doubtful=False))
            self.records[header.record_id.bytes] = record, receipt
            return receipt, False


class FakeNode:
    """A node: says what is in `says`, a word each call, and then what a node would. Watches have words of their own."""

    def __init__(self, cluster: Cluster, id_: int, leader: int = 1, port: int = 0) -> None:
        self.cluster, self.id, self.leader = cluster, id_, leader
        self.says: list[Say] = []
        self.watches: list[Say] = []
        self.asked: list[Any] = []
        self._server = grpc.server(futures.ThreadPoolExecutor(8), options=[("grpc.so_reuseport", 0)])
        service = store_pb2.DESCRIPTOR.services_by_name["Store"]
        own = {"Submit": self._submit, "SubmitMany": self._submit_many, "Get": self._get, "List": self._list}
        handlers: dict[str, Any] = {}
        for name, answer in own.items():
            about = service.methods_by_name[name]
            request = getattr(store_pb2, about.input_type.name, None) or getattr(read_pb2, about.input_type.name)
            handlers[name] = grpc.unary_unary_rpc_method_handler(
                self._or_say(answer), request.FromString, lambda message: message.SerializeToString()
            )
        handlers["Watch"] = grpc.unary_stream_rpc_method_handler(
            self._watch, read_pb2.WatchRequest.FromString, lambda message: message.SerializeToString()
        )
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("kho.v1.Store", handlers),))
        self.port = self._server.add_insecure_port(f"127.0.0.1:{port}")
        self.address = f"127.0.0.1:{self.port}"
        self._server.start()

    def kill(self) -> None:
        self._server.stop(0).wait()

    def _or_say(self, answer: Say) -> Say:
        def say(request: Any, context: grpc.ServicerContext) -> Any:
            self.asked.append(request)
            one = self.says.pop(0) if self.says else answer
            return one(request, context)

        return say

    def _submit(self, request: Any, context: grpc.ServicerContext) -> Any:
        record = of_pb(request.record)
        if not record.certificates and record.signature_block not in self.cluster.certificates:
            return refuse("certificate-missing")(request, context)
        receipt, duplicate = self.cluster.take(record)
        names = {"node_id": self.id, "epoch": 1, "leader_id": self.leader}
        return store_pb2.SubmitResponse(receipt=to_pb(receipt), duplicate=duplicate, **names)

    def taken_and_lost(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Takes the record, and says nothing."""
        self.cluster.take(of_pb(request.record))
        context.abort(grpc.StatusCode.UNAVAILABLE, "connection lost")

    def _submit_many(self, request: Any, _: grpc.ServicerContext) -> Any:
        results = []
        for data in request.records:
            receipt, duplicate = self.cluster.take(SignedRecord.from_file(data))
            results.append(store_pb2.SubmitResult(taken=store_pb2.Taken(receipt=to_pb(receipt), duplicate=duplicate)))
        return store_pb2.SubmitManyResponse(results=results, node_id=self.id, epoch=1, leader_id=self.leader)

    def _get(self, request: Any, context: grpc.ServicerContext) -> Any:
        found = self.cluster.records.get(request.record_id)
        if found is None:
            return refuse("record-unknown", grpc.StatusCode.NOT_FOUND)(request, context)
        record, receipt = found
        wire = record_pb2.SignedRecord(
            header=record.header, signature_block=record.signature_block, payload=record.payload, certificates=record.certificates
        )
        return store_pb2.GetResponse(record=wire, receipt=to_pb(receipt), size=len(self.cluster.log.leaves), node_id=self.id, epoch=1)

    def entry(self, place: int) -> read_pb2.RecordEntry:
        record, receipt = list(self.cluster.records.values())[place]
        header = Header.decode(record.header)
        return read_pb2.RecordEntry(
            sequence=receipt.sequence,
            record_id=header.record_id.bytes,
            accepted_at=header.submitted_at,
            unit=header.unit,
            regime=header.regime,
            period=header.period,
            submitted_at=header.submitted_at,
            state=read_pb2.LATEST,
        )

    def _list(self, request: Any, _: grpc.ServicerContext) -> Any:
        """Pages of two, and an empty one between them."""
        at = int(request.page_token or b"0")
        entries = [] if at % 2 else [self.entry(place) for place in range(at, min(at + 2, len(self.cluster.records)))]
        later = at + (3 if at % 2 == 0 else -1)
        token = str(later).encode() if at % 2 or at + 2 < len(self.cluster.records) else b""
        return read_pb2.ListResponse(entries=entries, next_page_token=token, size=1, node_id=self.id, epoch=1)

    def progress(self, next_: int) -> Any:
        return read_pb2.WatchResponse(progress=read_pb2.WatchProgress(node_id=self.id, epoch=1), next=next_)

    def _watch(self, request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        self.asked.append(request)
        if self.watches:
            yield from self.watches.pop(0)(request, context)
            return
        start = getattr(request, "from") if request.HasField("from") else len(self.cluster.records) + 1
        yield self.progress(start)
        while context.is_active():
            if start <= len(self.cluster.records):
                yield read_pb2.WatchResponse(record=self.entry(start - 1), next=start + 1)
                start += 1
            time.sleep(0.01)
