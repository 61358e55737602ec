"""RFC 6962 trees with SHA-256: hashing, and checking proofs as RFC 9162 (2.1.3.2, 2.1.4.2) does. `docs/formats/tree.md`.

Written from the RFCs: a second implementation, which checks the first.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from .errors import ReceiptError

EMPTY_ROOT = hashlib.sha256(b"").digest()
SIZE_MAX = (1 << 64) - 1


def leaf_hash(leaf: bytes) -> bytes:
    """SHA-256(0x00 ‖ leaf)."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 ‖ left ‖ right)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Frontier:
    """A tree that grows at its right end: perfect subtrees from the largest to the smallest, nothing else is kept."""

    def __init__(self) -> None:
        self.size = 0
        self._subtrees: list[bytes] = []

    def add(self, hash_: bytes) -> None:
        """One more leaf, by its hash."""
        carry = self.size
        while carry & 1:
            hash_ = node_hash(self._subtrees.pop(), hash_)
            carry >>= 1
        self._subtrees.append(hash_)
        self.size += 1

    def root(self) -> bytes:
        """The root over all leaves so far."""
        if not self._subtrees:
            return EMPTY_ROOT
        root = self._subtrees[-1]
        for left in reversed(self._subtrees[:-1]):
            root = node_hash(left, root)
        return root


def root_of(hashes: Iterable[bytes]) -> bytes:
    """The root over leaves, given by their hashes."""
    frontier = Frontier()
    for hash_ in hashes:
        frontier.add(hash_)
    return frontier.root()


def verify_inclusion(hash_: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Checks that the leaf of this hash stands at `index` of the tree of `size` leaves with `root`."""
    _numbers(index, size, proof)
    if index >= size:
        raise ReceiptError(f"expected a leaf below {size}, found {index}", expected=f"below {size}", found=index)
    node, last, found = index, size - 1, hash_
    for sibling in proof:
        if last == 0:
            raise _length("fewer", len(proof))
        if node & 1 or node == last:
            found = node_hash(sibling, found)
            # a right edge that is no perfect subtree goes up without a sibling
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            found = node_hash(found, sibling)
        node, last = node >> 1, last >> 1
    if last != 0:
        raise _length("more", len(proof))
    _same(root, found)


def verify_consistency(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Checks that the tree of `old` leaves with `old_root` is a prefix of the tree of `new` leaves with `new_root`."""
    _numbers(old, new, proof)
    if old > new:
        raise ReceiptError(f"expected an older size of at most {new}, found {old}", expected=f"at most {new}", found=old)
    if old == new or old == 0:
        if proof:
            raise _length("no", len(proof))
        _same(new_root if old == new else EMPTY_ROOT, old_root)
        return
    hashes = list(proof)
    if old & (old - 1) == 0:
        # a perfect older tree is its own first node and is left out of the proof
        hashes.insert(0, old_root)
    if not hashes:
        raise _length("more", 0)
    node, last = old - 1, new - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    old_found = new_found = hashes[0]
    for sibling in hashes[1:]:
        if last == 0:
            raise _length("fewer", len(proof))
        if node & 1 or node == last:
            old_found, new_found = node_hash(sibling, old_found), node_hash(sibling, new_found)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            new_found = node_hash(new_found, sibling)
        node, last = node >> 1, last >> 1
    if last != 0:
        raise _length("more", len(proof))
    _same(old_root, old_found)
    _same(new_root, new_found)


def _numbers(index: int, size: int, proof: Sequence[bytes]) -> None:
    if not 0 <= index <= SIZE_MAX or not 0 <= size <= SIZE_MAX:
        raise ReceiptError(f"expected numbers of 64 bits, found {index} and {size}")
    for hash_ in proof:
        if len(hash_) != 32:
            raise ReceiptError(f"expected hashes of 32 bytes, found {len(hash_)}", expected=32, found=len(hash_))


def _length(wanted: str, found: int) -> ReceiptError:
    return ReceiptError(f"expected {wanted} hashes in the proof, found {found}", expected=f"{wanted} hashes", found=found)


def _same(expected: bytes, found: bytes) -> None:
    if expected != found:
        message = f"expected root {expected.hex()}, found {found.hex()}"
        raise ReceiptError(message, expected=expected.hex(), found=found.hex())
