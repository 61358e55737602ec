"""What a call ends with, whatever the nodes do: the rules of `docs/client.md`. R-B1, R-D1, I1, I2."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest

from fake import bare, hang, of_pb, refuse, to_pb
from kho_client import (
    Acknowledged,
    Client,
    Foreign,
    OutcomeUnknown,
    Receipt,
    ReceiptRejected,
    Refused,
    Signed,
    Unreachable,
    list_records,
)
from kho_client._wire import store_pb2
from kho_client.header import Header
from kho_client.record import SignedRecord
from kho_client.timing import ATTEMPT, DEADLINE, Timing
from logs import Log, authority, pem_signer, report, signer_of
from scene import QUICK, Scene, sign


def test_a_record_is_taken_once_however_often_it_is_sent(scene: Scene) -> None:
    signed = sign()
    first, again = scene.client.submit(signed), scene.client.submit(signed)
    assert (first.duplicate, again.duplicate) == (False, True) and first.receipt == again.receipt
    assert len(scene.cluster.records) == 1 and first.attempts == 1


def test_the_same_bytes_go_to_the_next_node_when_one_is_lost(scene: Scene) -> None:
    signed = sign()
    scene.nodes[0].says = [scene.nodes[0].taken_and_lost]
    done = scene.client.submit(signed)
    assert done.duplicate and done.attempts == 2 and len(scene.cluster.records) == 1
    assert scene.nodes[0].asked[0] == scene.nodes[1].asked[0]


def test_a_dead_node_costs_no_doubt(scene: Scene) -> None:
    scene.nodes[0].kill()
    signed = sign()
    assert scene.client.submit(signed).node == 2
    for node in scene.nodes[1:]:
        node.kill()
    with pytest.raises(Unreachable) as caught:
        scene.connect().submit(sign())
    assert caught.value.code == "no-leader"


def test_a_time_out_is_no_failure(scene: Scene) -> None:
    scene.all_say(*[hang] * 9)
    signed, start = sign(), time.monotonic()
    with pytest.raises(OutcomeUnknown) as caught:
        scene.client.submit(signed)
    assert time.monotonic() - start < QUICK.deadline + 0.3
    assert caught.value.record_id == str(signed.record_id) and signed.doubtful
    scene.all_say()
    assert scene.client.submit(signed).record_id == signed.record_id


def test_a_refusal_is_told_at_once_with_what_was_expected(scene: Scene) -> None:
    scene.all_say(refuse("unit-not-permitted", expected="BYT", found="T01", fields_total=3))
    with pytest.raises(Refused) as caught:
        scene.client.submit(sign())
    error = caught.value
    assert (error.code, error.expected, error.found, error.retry, error.fields_total) == ("unit-not-permitted", "BYT", "T01", False, 3)
    assert scene.asked == 1


def test_doubt_stays_where_a_refusal_does_not_settle_it(scene: Scene) -> None:
    for words, error in [
        ([hang, refuse("unit-not-permitted")], OutcomeUnknown),
        ([hang, refuse("signature-invalid")], Refused),
        ([bare(grpc.StatusCode.UNAVAILABLE), refuse("series-has-head")], Refused),
        ([refuse("storage-failed", grpc.StatusCode.INTERNAL), refuse("unit-not-permitted")], OutcomeUnknown),
        ([refuse("overloaded", unknown=True), refuse("unit-not-permitted")], OutcomeUnknown),
        ([refuse("not-leader"), refuse("unit-not-permitted")], Refused),
    ]:
        with pytest.raises(error):
            client = scene.connect()
            scene.nodes[0].says, others = words[:1], [words[1]] * 9
            scene.nodes[1].says, scene.nodes[2].says = list(others), list(others)
            scene.nodes[0].says += others
            client.submit(sign())
        scene.all_say()


def test_doubt_outlives_a_call_and_a_restart(scene: Scene, tmp_path: Path) -> None:
    signed = sign()
    scene.all_say(*[refuse("unit-not-permitted")] * 99)
    loaded = Signed.load(signed.write(tmp_path))
    assert (tmp_path / f"{signed.record_id}.record").stat().st_mode & 0o777 == 0o600
    with pytest.raises(OutcomeUnknown):
        scene.client.submit(loaded)
    with pytest.raises(Refused):
        scene.client.submit(signed)
    assert not signed.doubtful


def test_hints_when_to_try_again_are_respected(scene: Scene) -> None:
    scene.nodes[0].says = [refuse("overloaded", grpc.StatusCode.RESOURCE_EXHAUSTED, retry_after_ms=300)]
    start = time.monotonic()
    scene.client.submit(sign())
    assert 0.3 <= time.monotonic() - start < 1.0
    scene.all_say(*[refuse("overloaded", grpc.StatusCode.RESOURCE_EXHAUSTED, retry_after_ms=60_000)] * 9)
    with pytest.raises(Refused) as caught:
        scene.client.submit(sign())
    assert caught.value.retry_after_ms == 60_000


def test_what_is_no_kho_node_is_said(scene: Scene) -> None:
    scene.all_say(*[bare(grpc.StatusCode.UNIMPLEMENTED)] * 9)
    with pytest.raises(Foreign):
        scene.client.submit(sign())
    # a code of a later version, of which nothing is known
    scene.all_say(*[refuse("moon-too-low")] * 9)
    with pytest.raises(Foreign):
        scene.client.submit(sign())
    scene.all_say(*[refuse("moon-too-low", unknown=True)] * 9)
    with pytest.raises(OutcomeUnknown):
        scene.client.submit(sign())


def test_one_foreign_address_is_not_the_cluster(scene: Scene) -> None:
    scene.nodes[0].says = [bare(grpc.StatusCode.UNIMPLEMENTED)] * 99
    signed = sign()
    done = scene.client.submit(signed)
    assert (done.node, done.attempts) == (2, 2)
    assert scene.connect().get(signed.record_id).record == signed.record
    assert all(isinstance(one, Acknowledged) for one in scene.connect().submit_many([sign(series=str(n)) for n in range(3)]))
    # who is absent beside it may be well tomorrow
    for node in scene.nodes[1:]:
        node.kill()
    client, late = scene.connect(), sign(series="late")
    calls: list[Callable[[], object]] = [lambda: client.submit(late), lambda: client.get(late.record_id)]
    for call in calls:
        with pytest.raises(Unreachable) as caught:
            call()
        assert f"the answer of {scene.nodes[0].address} is not Kho's" in caught.value.message


@pytest.mark.parametrize(("deadline", "attempt"), [(0.2, 0.2), (0.6, 0.25), (1.0, 1 / 3), (DEADLINE, ATTEMPT), (60.0, 20.0)])
def test_an_attempt_has_a_third_of_the_deadline(deadline: float, attempt: float) -> None:
    timing = Timing.of_deadline(deadline)
    assert timing.deadline == deadline
    assert timing.attempt == pytest.approx(attempt)


def test_a_node_that_hangs_leaves_a_short_deadline_to_the_others(scene: Scene) -> None:
    scene.nodes[0].says = [hang] * 9
    assert scene.connect(Timing.of_deadline(1.0)).submit(sign()).node in (2, 3)


def test_a_receipt_that_proves_nothing_is_rejected_and_kept(scene: Scene) -> None:
    other, signed = Log(b"another"), sign()
    forged = other.take(signed)
    scene.nodes[0].says = [lambda *_: store_pb2.SubmitResponse(receipt=to_pb(forged), node_id=1)]
    with pytest.raises(ReceiptRejected) as caught:
        scene.client.submit(signed)
    assert caught.value.code == "receipt-invalid"
    assert caught.value.rejected.to_file() == forged.to_tlog_proof()
    assert signed.doubtful
    scene.all_say(lambda *_: store_pb2.SubmitResponse(node_id=1))
    with pytest.raises(ReceiptRejected) as none:
        scene.connect().submit(sign())
    assert none.value.rejected.to_file() is None
    # the right leaf under the log's own signature, at another place
    mine = sign(series="chỗ khác")
    real, _ = scene.cluster.take(mine.record)
    moved = Receipt(real.leaf, real.sequence, (bytes(32), *real.inclusion[1:]), real.checkpoint)
    scene.all_say(lambda *_: store_pb2.SubmitResponse(receipt=to_pb(moved), node_id=1))
    with pytest.raises(ReceiptRejected):
        scene.connect().submit(mine)
    # a receipt of another record of the same log
    receipt, _ = scene.cluster.take(sign().record)
    scene.all_say(lambda *_: store_pb2.SubmitResponse(receipt=to_pb(receipt), node_id=1))
    with pytest.raises(ReceiptRejected):
        scene.connect().submit(sign())


def restored_elsewhere(scene: Scene) -> None:
    """Node 1 has another log's key: it takes every record, and its receipts prove nothing. It says that it leads."""
    node, other = scene.nodes[0], Log(b"another")

    def forged(record: SignedRecord) -> object:
        return to_pb(other.take(Signed(record, Header.decode(record.header), doubtful=False)))

    def one(request: store_pb2.SubmitRequest, _: object) -> object:
        return store_pb2.SubmitResponse(receipt=forged(of_pb(request.record)), node_id=1, leader_id=1)  # type: ignore[arg-type]

    def many(request: store_pb2.SubmitManyRequest, _: object) -> object:
        taken = [store_pb2.Taken(receipt=forged(SignedRecord.from_file(data))) for data in request.records]  # type: ignore[arg-type]
        return store_pb2.SubmitManyResponse(results=[store_pb2.SubmitResult(taken=one) for one in taken], node_id=1, leader_id=1)

    def get(request: store_pb2.GetRequest, context: grpc.ServicerContext) -> object:
        answer = node._get(request, context)
        answer.receipt.CopyFrom(forged(scene.cluster.records[request.record_id][0]))
        return answer

    words = {"SubmitRequest": one, "SubmitManyRequest": many, "GetRequest": get}

    def lie(request: object, context: grpc.ServicerContext) -> object:
        return words[type(request).__name__](request, context)  # type: ignore[operator]

    node.says = [lie] * 99


WAYS: dict[str, Callable[[Client, Signed], object]] = {
    "submit": lambda client, signed: client.submit(signed),
    "submit_many": lambda client, signed: client.submit_many([signed])[0],
    "get": lambda client, signed: client.get(signed.record_id),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_node_whose_receipts_prove_nothing_is_asked_last(scene: Scene, way: str) -> None:
    """Its hints are worth as much as its receipts; and the longer it goes on, the longer it rests."""
    records = [sign(series=str(n)) for n in range(4)]
    for record in records:
        scene.cluster.take(record.record)

    def node(record: Signed) -> int:
        """Who answered; 0: the one that lies."""
        try:
            done = WAYS[way](scene.client, record)
        except ReceiptRejected as error:
            done = error
        return 0 if isinstance(done, ReceiptRejected) else done.node  # type: ignore[attr-defined]

    restored_elsewhere(scene)
    assert node(records[0]) == 0
    assert node(records[0]) == 2, "the same again goes to another"
    # the others say that it leads: it is asked first when it has rested, and then rests longer
    for hint in ("one", "two"):
        scene.client.submit_many([sign(series=hint)])
    time.sleep(0.3)
    assert node(records[1]) == 0
    time.sleep(0.3)
    assert node(records[2]) != 0


def test_a_duplicate_may_be_under_another_signature(scene: Scene) -> None:
    from cryptography.hazmat.primitives.asymmetric import ec

    from kho_client.block import SignatureBlock
    from kho_client.header import signed_bytes

    signer = pem_signer(signer_of(authority("Root"), key=ec.generate_private_key(ec.SECP256R1())))
    signed = report().sign(signer)
    scene.client.submit(signed)
    block = SignatureBlock.decode(signed.record.signature_block)
    again = SignatureBlock(block.algorithm, signer.sign(signed_bytes(signed.record.header)), block.certificate_digests).encode()
    assert again != signed.record.signature_block
    record = SignedRecord(signed.record.header, again, signed.record.payload, signed.record.certificates)
    assert scene.client.submit(Signed.from_record(record)).duplicate


def test_certificates_are_sent_again_when_a_node_lacks_them(scene: Scene) -> None:
    scene.client.submit(sign())
    signed = sign(series="hai")
    assert scene.client.submit(signed).attempts == 2
    sent = [len(request.record.certificates) for node in scene.nodes for request in node.asked]
    assert sorted(sent) == [0, 1, 1]


def test_many_records_have_an_answer_each_in_their_order(scene: Scene) -> None:
    records = [sign(series=str(n)) for n in range(300)]
    answers = scene.client.submit_many(records)
    assert [answer.record_id for answer in answers] == [one.record_id for one in records]
    assert all(isinstance(answer, Acknowledged) for answer in answers)
    requests = [request for node in scene.nodes for request in node.asked]
    assert [len(request.records) for request in requests] == [256, 44]
    assert [len(request.certificates) for request in requests] == [1, 1]


def test_of_many_only_those_without_an_answer_are_sent_again(scene: Scene) -> None:
    records = [sign(series=str(n)) for n in range(4)]
    node = scene.nodes[0]

    def some(request: object, context: object) -> object:
        whole = node._submit_many(request, context)  # type: ignore[arg-type]
        detail = store_pb2.ErrorDetail
        whole.results[1].CopyFrom(
            store_pb2.SubmitResult(refused=store_pb2.NotTaken(message="no", detail=detail(code="signature-invalid")))
        )
        whole.results[2].CopyFrom(
            store_pb2.SubmitResult(unknown=store_pb2.NotTaken(message="?", detail=detail(code="outcome-unknown")))
        )
        return whole

    node.says = [some]
    answers = scene.client.submit_many(records)
    assert [type(answer) for answer in answers] == [Acknowledged, Refused, Acknowledged, Acknowledged]
    assert [len(request.records) for one in scene.nodes for request in one.asked] == [4, 1]
    assert isinstance(answers[2], Acknowledged) and answers[2].duplicate


def test_a_record_is_read_back_and_verified(scene: Scene, tmp_path: Path) -> None:
    signed = sign()
    done = scene.client.submit(signed)
    fetched = scene.client.get(str(signed.record_id))
    assert (fetched.record, fetched.receipt) == (signed.record, done.receipt)
    record, receipt = fetched.write(tmp_path)
    assert Signed.load(record).record == signed.record and receipt.read_bytes() == done.receipt.to_tlog_proof()
    assert scene.client.checkpoints_verified == 1
    unknown = sign()
    with pytest.raises(Refused) as caught:
        scene.client.get(unknown.record_id)
    assert (caught.value.code, caught.value.record_id) == ("record-unknown", str(unknown.record_id))


def test_a_list_goes_on_over_empty_pages(scene: Scene) -> None:
    records = [sign(series=str(n)) for n in range(5)]
    scene.client.submit_many(records)
    assert [entry.record_id for entry in list_records(scene.client)] == [one.record_id for one in records]
