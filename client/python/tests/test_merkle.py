"""Proofs against trees made by their definition, and against everything that is no proof. R-C1."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kho_client import merkle, tiles
from kho_client.errors import FormatError, ReceiptError
from logs import naive_consistency, naive_inclusion, naive_root

LEAVES = [b"leaf %d" % n for n in range(70)]
HASHES = [merkle.leaf_hash(leaf) for leaf in LEAVES]
ROOTS = [naive_root(LEAVES[:size]) for size in range(len(LEAVES) + 1)]


def accepts(check: object, *arguments: object) -> bool:
    try:
        check(*arguments)  # type: ignore[operator]
        return True
    except FormatError:
        return False


def test_roots_grow_as_they_are_defined() -> None:
    frontier = merkle.Frontier()
    for size, root in enumerate(ROOTS):
        assert (frontier.size, frontier.root(), merkle.root_of(HASHES[:size])) == (size, root, root)
        if size < len(HASHES):
            frontier.add(HASHES[size])


def test_every_right_proof_is_accepted_and_for_no_other_place() -> None:
    for size in range(1, 34):
        for index in range(size):
            proof = naive_inclusion(LEAVES[:size], index)
            for claimed in range(size + 1):
                right = accepts(merkle.verify_inclusion, HASHES[index], claimed, size, proof, ROOTS[size])
                assert right == (claimed == index), (index, claimed, size)
        for old in range(size + 1):
            proof = naive_consistency(old, LEAVES[:size]) if old else []
            merkle.verify_consistency(old, size, ROOTS[old], ROOTS[size], proof)
            for claimed in range(1, size):
                right = accepts(merkle.verify_consistency, claimed, size, ROOTS[old], ROOTS[size], proof)
                assert right == (claimed == old), (old, claimed, size)


def test_a_right_proof_is_of_its_roots_alone() -> None:
    other = bytes(32)
    for size in range(1, 34):
        for old in range(size + 1):
            proof = naive_consistency(old, LEAVES[:size]) if old else []
            assert not accepts(merkle.verify_consistency, old, size, other, ROOTS[size], proof), (old, size)
            # the empty tree is a prefix of every tree
            assert old == 0 or not accepts(merkle.verify_consistency, old, size, ROOTS[old], other, proof), (old, size)
            if old < size:
                proof = naive_inclusion(LEAVES[:size], old)
                assert not accepts(merkle.verify_inclusion, HASHES[old], old, size, proof, other), (old, size)
                assert not accepts(merkle.verify_inclusion, other, old, size, proof, ROOTS[size]), (old, size)


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_a_changed_proof_is_refused(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 70))
    index = data.draw(st.integers(0, size - 1))
    consistency = data.draw(st.booleans())
    proof = naive_consistency(index, LEAVES[:size]) if consistency and index else naive_inclusion(LEAVES[:size], index)
    consistency = consistency and index > 0
    changed = list(proof)
    how = data.draw(st.sampled_from(["flip", "cut", "more", "swap", "other"]))
    place = data.draw(st.integers(0, max(len(changed) - 1, 0)))
    if how == "flip" and changed:
        bit = data.draw(st.integers(0, 255))
        changed[place] = (int.from_bytes(changed[place], "big") ^ 1 << bit).to_bytes(32, "big")
    elif how == "cut" and changed:
        del changed[place]
    elif how == "swap" and len(changed) > 1:
        changed[0], changed[place] = changed[place], changed[0]
    elif how == "other" and changed:
        changed[place] = data.draw(st.sampled_from(HASHES + ROOTS))
    else:
        changed.insert(place, data.draw(st.binary(min_size=32, max_size=32)))
    if consistency:
        right = accepts(merkle.verify_consistency, index, size, ROOTS[index], ROOTS[size], changed)
    else:
        right = accepts(merkle.verify_inclusion, HASHES[index], index, size, changed, ROOTS[size])
    assert right == (changed == proof)


@settings(max_examples=400, deadline=None)
@given(st.integers(-1, 1 << 65), st.integers(-1, 1 << 65), st.lists(st.binary(min_size=31, max_size=33), max_size=70))
def test_numbers_of_any_size_are_refused_in_peace(index: int, size: int, proof: list[bytes]) -> None:
    assert not accepts(merkle.verify_inclusion, bytes(32), index, size, proof, bytes(32))
    if (index, proof) != (size, []):
        assert not accepts(merkle.verify_consistency, index, size, bytes(32), bytes(32), proof)


def test_the_last_of_all_leaves_can_be_proven() -> None:
    """2^64 - 1 leaves, all to the left of the last one in 63 perfect subtrees whose hashes nobody needs to compute."""
    size = (1 << 64) - 1
    proof = [bytes([n]) * 32 for n in range(63)]
    root = HASHES[0]
    for left in proof:
        root = merkle.node_hash(left, root)
    merkle.verify_inclusion(HASHES[0], size - 1, size, proof, root)
    with pytest.raises(ReceiptError):
        merkle.verify_inclusion(HASHES[0], size - 1, size, proof[1:], root)


@given(st.lists(st.binary(max_size=300), max_size=20), st.binary(max_size=40))
def test_bundles(leaves: list[bytes], behind: bytes) -> None:
    bundle = b"".join(len(leaf).to_bytes(2, "big") + leaf for leaf in leaves)
    assert tiles.entries(bundle) == leaves
    try:
        found = tiles.entries(bundle + behind)
        assert found[: len(leaves)] == leaves
    except FormatError as error:
        assert error.code == "log-tiles-invalid"
