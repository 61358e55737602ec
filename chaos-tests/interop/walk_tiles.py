#!/usr/bin/env python3
"""Walks Kho's public log with tlog-scales, a public client of C2SP tlog-tiles that knows nothing of Kho.

    walk_tiles.py VKEY https://HOST:PORT OLDER.checkpoint

REQUESTS_CA_BUNDLE names the authority of the log's server. Verifies both signatures, recomputes the root out of tiles and
out of all leaves, and checks consistency and the inclusion of leaves throughout. Prints one line, ends with 1 if anything is
not as it should be.
"""

import sys
from pathlib import Path

from tlog_scales import tiles
from tlog_scales.backend import make_backend
from tlog_scales.reader import TilesReader
from tlog_scales.signing import Vkey
from tlog_scales.tlog import Checkpoint
from tlog_scales.utils import sha256


def root_of(hashes):
    if not hashes:
        return sha256(b"")
    if len(hashes) == 1:
        return hashes[0]
    split = tiles.next_split(len(hashes))
    return sha256(b"\x01" + root_of(hashes[:split]) + root_of(hashes[split:]))


def walk(vkey, url, older):
    key = Vkey.from_string(vkey)
    old = Checkpoint.from_text(Path(older).read_text())
    reader = TilesReader(make_backend(url))
    new = reader.get_checkpoint()
    for checkpoint in (old, new):
        checkpoint.verify(key)
        if checkpoint.origin != key.name:
            raise ValueError(f"origin {checkpoint.origin} is not the key's name {key.name}")
    if reader.calculate_root_hash() != new.root_hash:
        raise ValueError("the tiles do not lead to the signed root")
    reader.get_consistency_proof(old.size, new.size).check(old.root_hash, new.root_hash)
    leaves = [reader.get_entry(index) for index in range(new.size)]
    hashes = [tiles.leaf_hash(leaf) for leaf in leaves]
    if root_of(hashes) != new.root_hash:
        raise ValueError("the leaves do not lead to the signed root")
    for index in {0, old.size - 1, old.size % new.size, new.size // 2, new.size - 1}:
        reader.get_inclusion_proof(index, new.size).check(hashes[index], new.root_hash)
    return f"{new.size} leaves extend {old.size}, tiles and leaves lead to {new.root_hash.hex()}"


def main(arguments):
    if len(arguments) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        print("verified:", walk(*arguments))
    except Exception as error:
        print(f"REJECTED: {type(error).__name__}: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
