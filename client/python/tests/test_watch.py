"""Watches: over the loss of a node, and of all of them; what ends them, and what does not. `docs/reads.md`. R-A2."""

from __future__ import annotations

import threading
import time
from itertools import islice
from typing import Any

import grpc
import pytest

from fake import FakeNode, refuse
from kho_client import KhoError, Refused, Unreachable, Watch, outage, timing
from scene import QUICK, Scene, sign


def test_a_watch_goes_on_at_another_node(scene: Scene) -> None:
    records = [sign(series=str(n)) for n in range(6)]
    scene.client.submit_many(records[:3])
    watch = Watch(scene.client, start=1)
    told = [next(watch).record_id for _ in range(3)]
    scene.client.submit_many(records[3:])
    next((node for node in scene.nodes if any(hasattr(request, "filter") for request in node.asked))).kill()
    told += [next(watch).record_id for _ in range(3)]
    watch.close()
    assert told == [one.record_id for one in records] and watch.position == 7


def listening(scene: Scene, **more: Any) -> Watch:
    """A watch that has told one record and is at the log's end."""
    scene.cluster.take(sign(series="first").record)
    watch = Watch(scene.client, start=1, **more)
    assert next(watch).sequence == 1
    return watch


def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses that tests can wait for."""
    monkeypatch.setattr(timing, "OUTAGE_PAUSE_MIN", 0.01)
    monkeypatch.setattr(timing, "OUTAGE_PAUSE_MAX", 0.02)
    monkeypatch.setattr(outage, "BREAK_PAUSE", 0.01)


def test_a_watch_outlives_the_loss_of_all_nodes(scene: Scene) -> None:
    told: list[KhoError] = []
    watch = listening(scene, on_outage=told.append)
    scene.kill_all()
    signed = sign(series="meanwhile")

    def mend() -> None:
        scene.start_all()
        scene.cluster.take(signed.record)

    back = threading.Timer(5.0, mend)
    back.start()
    start = time.monotonic()
    try:
        entry = next(watch)
    finally:
        back.join()
    assert (entry.sequence, entry.record_id, watch.position) == (2, signed.record_id, 3)
    assert time.monotonic() - start > 3 * QUICK.deadline, "longer than any call"
    assert [error.code for error in told] == ["no-leader"], "said once"
    watch.close()


def test_patience_may_be_bounded_and_the_position_stays(scene: Scene) -> None:
    watch = listening(scene, patience=2.0)
    scene.kill_all()
    start = time.monotonic()
    with pytest.raises(Unreachable):
        next(watch)
    assert 2.0 <= time.monotonic() - start < 2.0 + 2 * QUICK.deadline
    assert watch.position == 2
    scene.start_all()
    signed = sign(series="after")
    scene.cluster.take(signed.record)
    assert next(watch).record_id == signed.record_id
    watch.close()


def test_refusals_that_pass_end_no_watch(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch)
    watch = listening(scene)
    for node in scene.nodes:
        node.watches = [refuse("overloaded", grpc.StatusCode.RESOURCE_EXHAUSTED)] * 8
    # the one that it listens to, and no other, is lost
    heard = [node for node in scene.nodes if node.asked]
    heard[0].kill()
    signed = sign(series="later")
    scene.cluster.take(signed.record)
    assert next(watch).record_id == signed.record_id
    watch.close()


def test_a_refusal_for_good_ends_a_watch(scene: Scene) -> None:
    watch = listening(scene)
    for node in scene.nodes:
        node.watches = [refuse("role-not-permitted", grpc.StatusCode.PERMISSION_DENIED)]
    next(node for node in scene.nodes if node.asked).kill()
    with pytest.raises(Refused) as caught:
        next(watch)
    assert (caught.value.code, watch.position) == ("role-not-permitted", 2)


def test_a_watch_that_did_not_begin_is_an_error_at_once(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.kill_all()
    start = time.monotonic()
    with pytest.raises(Unreachable):
        Watch(scene.client, start=1)
    assert time.monotonic() - start < QUICK.deadline + 0.5
    quick(monkeypatch)
    scene.start_all()
    for node in scene.nodes:
        node.watches = [refuse("overloaded", grpc.StatusCode.RESOURCE_EXHAUSTED)] * 99
    with pytest.raises(Refused) as caught:
        Watch(scene.client, start=1)
    assert caught.value.code == "overloaded"


@pytest.mark.parametrize("lives", [True, False])
def test_what_tells_that_it_is_there_ends_an_outage(scene: Scene, monkeypatch: pytest.MonkeyPatch, lives: bool) -> None:
    """On a quiet log a watch loses one node after the other for weeks; one that each node ends as it begins is lost for good."""
    quick(monkeypatch)
    watch = listening(scene, patience=1.0)

    def word(node: FakeNode) -> Any:
        def say(request: Any, context: grpc.ServicerContext) -> Any:
            for _ in range(2 if lives else 1):
                yield node.progress(getattr(request, "from"))
                time.sleep(0.06)
            context.abort(grpc.StatusCode.UNAVAILABLE, "lost")

        return say

    for node in scene.nodes:
        node.watches = [word(node)] * (8 if lives else 999)
    next(node for node in scene.nodes if node.asked).kill()
    signed = sign(series="later")
    scene.cluster.take(signed.record)
    if lives:
        start = time.monotonic()
        assert next(watch).record_id == signed.record_id
        assert time.monotonic() - start > 1.0, "longer than the patience"
    else:
        with pytest.raises(Unreachable):
            next(watch)
    watch.close()


def test_pauses_of_an_outage_grow_to_their_bound() -> None:
    pauses = list(islice(timing.outage_pauses(), 12))
    assert pauses == sorted(pauses) and 0.25 <= pauses[0] <= 0.5 and pauses[2] >= 1.0
    assert pauses[-1] == 10.0


def silent(_: Any, context: grpc.ServicerContext) -> Any:
    """A node that hangs."""
    while context.is_active():
        time.sleep(0.01)
    yield from ()


def test_a_node_that_hangs_costs_a_beginning_one_attempt(scene: Scene) -> None:
    scene.nodes[0].watches = [silent] * 9
    start = time.monotonic()
    Watch(scene.client, start=1).close()
    assert time.monotonic() - start < QUICK.deadline
    assert scene.nodes[0].asked, "it was asked first"
    for node in scene.nodes:
        node.watches = [silent] * 9
    start = time.monotonic()
    with pytest.raises(Unreachable):
        Watch(scene.client, start=1)
    assert time.monotonic() - start < QUICK.deadline + 0.5


def damaged(node: FakeNode) -> Any:
    """It begins, and cannot read the next record."""

    def say(request: Any, context: grpc.ServicerContext) -> Any:
        yield node.progress(getattr(request, "from"))
        refuse("record-damaged", grpc.StatusCode.INTERNAL)(request, context)

    return say


def test_a_fault_that_every_node_has_is_raised(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch)
    scene.cluster.take(sign(series="first").record)
    for node in scene.nodes:
        node.watches = [damaged(node)] * 99
    watch = Watch(scene.client, start=1, patience=10.0)
    start = time.monotonic()
    with pytest.raises(Refused) as caught:
        next(watch)
    assert (caught.value.code, watch.position) == ("record-damaged", 1)
    assert time.monotonic() - start < 10.0, "it is not waited for"
    asked = [len(node.asked) for node in scene.nodes]
    assert sum(asked) >= outage.FAULTS_MAX and min(asked) >= 1, asked


def test_a_fault_of_some_nodes_is_not_what_another_stores(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch)
    signed = sign(series="first")
    scene.cluster.take(signed.record)
    away = scene.nodes[2]
    away.kill()
    for node in scene.nodes[:2]:
        node.watches = [damaged(node)] * 9999

    def mend() -> None:
        scene.nodes[2] = FakeNode(scene.cluster, away.id, port=away.port)

    watch = Watch(scene.client, start=1, patience=30.0)
    back = threading.Timer(1.0, mend)
    back.start()
    try:
        assert next(watch).record_id == signed.record_id
    finally:
        back.join()
    assert sum(len(node.asked) for node in scene.nodes[:2]) > outage.FAULTS_MAX
    watch.close()


def test_a_fault_ends_a_watch_when_it_is_what_each_node_said_last() -> None:
    damaged, gone = Refused("record-damaged", "it does not open"), Unreachable("gone")
    faults = outage.Faults()
    for _ in range(2 * outage.FAULTS_MAX):
        faults.failed("a:1", damaged)
        faults.failed("b:1", gone)
        assert not faults.end(2)
    faults.failed("b:1", damaged)
    assert faults.end(2)
    faults.failed("b:1", Refused("no-leader", "an election"))
    faults.failed("b:1", damaged)
    assert not faults.end(2), "another answer begins anew"


def test_what_was_raised_is_not_waited_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch)
    waits = outage.Outage(0.05, None)
    waits.goes_on(Unreachable("nobody"))
    with pytest.raises(Refused):
        waits.goes_on(Refused("role-not-permitted", "no"))
    time.sleep(0.1)
    waits.goes_on(Unreachable("nobody"))


def test_a_wish_to_be_left_alone_is_respected_for_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    wish = Refused("overloaded", "later", retry_after_ms=3_600_000)
    outage.Outage(None, None).goes_on(wish)
    outage.Beginning(60.0).broke(wish)
    assert slept == [outage.WISH_MAX] * 2
