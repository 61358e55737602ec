"""Both implementations on the same changed bytes: they take the same and refuse the same. `kho-fuzz` runs the Rust one, on thousands of
files at once, under the keys and roots of the vectors. I4, I5."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import VECTORS, vectors
from kho_client import Receipt, Report, SignedRecord, TrustRoots, VerifierKey, verify_record
from kho_client.block import SignatureBlock
from kho_client.errors import KhoError
from kho_client.header import Header
from kho_client.merkle import leaf_hash, root_of, verify_consistency, verify_inclusion
from kho_client.tiles import entries
from logs import naive_consistency, naive_inclusion

SEED = int(os.environ.get("KHO_SEED", "29"))
INPUTS = int(os.environ.get("KHO_INPUTS", "1000"))
"""Changed inputs of each kind."""
AT_MS = 1_591_925_400_000
"""When `kho-fuzz` judges certificates: `fuzz/src/targets/certificate.rs`."""
hexed = bytes.fromhex


def mutate(draw: random.Random, seeds: list[bytes]) -> bytes:
    """A seed, changed a little: bits, bytes, cuts, repetitions, pieces of others, and words that mean something."""
    data = bytearray(draw.choice(seeds))
    for _ in range(draw.choice([1, 1, 1, 2, 3])):
        at = draw.randrange(len(data) + 1)
        how = draw.randrange(8)
        if how == 0 and data:
            data[at % len(data)] ^= 1 << draw.randrange(8)
        elif how == 1 and data:
            data[at % len(data)] = draw.randrange(256)
        elif how == 2:
            del data[at : at + draw.randrange(1, 9)]
        elif how == 3:
            data[at:at] = bytes(draw.randrange(256) for _ in range(draw.randrange(1, 5)))
        elif how == 4:
            data[at:at] = data[at : at + draw.randrange(1, 60)]
        elif how == 5:
            other = draw.choice(seeds)
            start = draw.randrange(len(other) + 1)
            data[at : at + draw.randrange(40)] = other[start : start + draw.randrange(1, 60)]
        elif how == 6:
            data[at:at] = draw.choice([b"\n", b"\n\n", b"0", b"+", b" ", b"=", b"\0", b"\xff" * 9 + b"\x01", "é".encode(), b"\r", b"\xe2\x80\x94 ", b'"', b",", b"e5"])
        elif data:
            data[at % len(data) :] = b""
    return bytes(data)


def taken(read: Callable[[bytes], Any]) -> Callable[[bytes], bool]:
    """Whether it is accepted; nothing but the errors of this package may come out."""

    def run(data: bytes) -> bool:
        try:
            read(data)
            return True
        except KhoError:
            return False

    return run


def given(name: str, *fields: str) -> Iterator[Any]:
    for case in vectors(name)["cases"]:
        value = case["input"]
        for field in fields:
            value = value.get(field) if isinstance(value, dict) else None
        if value is not None:
            yield value


def log_keys() -> list[VerifierKey]:
    texts = {*given("receipt", "verifier_key"), *given("checkpoint", "verifier_key")}
    texts |= {case["output"]["verifier_key"] for case in vectors("checkpoint")["cases"] if "verifier_key" in case["output"]}
    return [VerifierKey.parse(text) for text in sorted(texts)]


KEYS = log_keys()
ROOTS = TrustRoots.from_der([hexed(der) for der in sorted({der for roots in given("signature", "roots") for der in roots})])
TREE = [bytes([n]) for n in range(67)]
TREE_ROOTS = [root_of(map(leaf_hash, TREE[:size])) for size in range(68)]


def receipt(data: bytes) -> bool:
    return any(taken(lambda text: Receipt.from_tlog_proof(text).verify(key))(data) for key in KEYS)


def proof(data: bytes) -> bool:
    """`fuzz/src/targets/proof.rs`: size, index or older size, kind, hashes."""
    if len(data) < 3:
        return False
    size, at, kind = data[0] % 68, data[1], data[2]
    hashes = [data[start : start + 32] for start in range(3, len(data) - 31, 32)]
    if kind == 0 and at < size:
        return taken(lambda _: verify_inclusion(leaf_hash(TREE[at]), at, size, hashes, TREE_ROOTS[size]))(data)
    if kind == 1 and at <= size:
        return taken(lambda _: verify_consistency(at, size, TREE_ROOTS[at], TREE_ROOTS[size], hashes))(data)
    return False


def proofs() -> Iterable[bytes]:
    for size in range(1, 68, 3):
        for at in range(0, size, 5):
            yield bytes([size, at, 0]) + b"".join(naive_inclusion(TREE[:size], at))
            if at:
                yield bytes([size, at, 1]) + b"".join(naive_consistency(at, TREE[:size]))


def record_file(data: bytes) -> None:
    verify_record(SignedRecord.from_file(data), ROOTS, AT_MS)


def files_of_records() -> Iterator[bytes]:
    for record in given("signature", "record"):
        header, block, payload = (hexed(record[name]) for name in ("header", "signature_block", "payload"))
        yield SignedRecord(header, block, payload, tuple(map(hexed, record["certificates"]))).to_file()


def headers() -> Iterator[bytes]:
    for case in vectors("header")["cases"]:
        yield hexed(case["output"].get("encoded") or case["input"]["encoded"])


def notes() -> Iterator[bytes]:
    for case in vectors("checkpoint")["cases"]:
        yield (case["input"].get("note") or case["output"]["note"]).encode()


def documents() -> Iterator[str]:
    yield from given("report")
    whole = '{"unit":"A","regime":"B","period":"2020",%s}'
    for depth in (125, 126, 127, 128):
        yield whole % f'"figures":{"[" * depth}{"]" * depth}'
        yield whole % ('"figures":' + '{"a":' * depth + "1" + "}" * depth)
    numbers = "18446744073709551615 -9223372036854775808 -9223372036854775809 000 -0 1e400 9007199254740992.0 NaN Infinity 1. 1E5 5e-324 1e-400"
    texts = [r'"\ud800"', r'"\ud83d\ude00"', r'"\u0000"', '"\t"', "1" * 22, "0." + "1" * 400, r'{"a":1,"\u0061":2}', "null"]
    yield from (whole % f'"figures":{figures}' for figures in [*numbers.split(), *texts])
    for name in ("id", "series", "supersedes", "receivers", "media_type", "text"):
        yield whole % f'"figures":1,"{name}":null'
    id_ = "01729d23-8b00-7000-8000-0123456789ab"
    for text in (id_, id_.upper(), f"{{{id_}}}", f"urn:uuid:{id_}", id_.replace("-", ""), id_.replace("-7", "7"), id_[:-1]):
        yield whole % f'"text":"x","id":"{text}"'
    usual = whole % '"text":"x"'
    yield from (f"\ufeff{usual}", f" \n{usual}\t\r ", f"\u00a0{usual}", f"\f{usual}", '["A","B","2020"]')


TARGETS: dict[str, tuple[Callable[[bytes], bool], Callable[[], Iterable[bytes]]]] = {
    "header": (taken(Header.decode), headers),
    "signature-block": (taken(SignatureBlock.decode), lambda: (hexed(one) for one in given("signature", "record", "signature_block"))),
    "record-file": (taken(record_file), files_of_records),
    "certificate": (
        taken(lambda data: ROOTS.verify_chain([data], AT_MS)),
        lambda: (hexed(der) for chain in given("signature", "record", "certificates") for der in chain),
    ),
    "receipt-text": (receipt, lambda: (text.encode() for text in given("receipt", "tlog_proof"))),
    "checkpoint": (lambda data: any(taken(key.open)(data) for key in KEYS), notes),
    "proof": (proof, proofs),
    "bundle": (
        lambda data: bool(data) and taken(lambda bundle: entries(bundle, data[0] + 1))(data[1:]),
        lambda: (bytes([width]) + hexed(one) for one in given("tlog", "bundle") for width in (0, 1, 2)),
    ),
    "document": (taken(Report.from_json), lambda: (one.encode() for one in documents())),
}


@pytest.fixture(scope="module")
def kho_fuzz(kho: Path) -> Path:
    path = kho.with_name("kho-fuzz")
    if not path.is_file():
        if os.environ.get("KHO_REQUIRE_ALL"):
            pytest.fail(f"expected {path}, which make build makes")
        pytest.skip(f"no {path}")
    return path


@pytest.mark.parametrize("target", TARGETS)
def test_both_take_the_same(kho_fuzz: Path, target: str, tmp_path: Path) -> None:
    own, seeds = TARGETS[target]
    corpus = VECTORS.parents[2] / "fuzz" / "corpus" / target
    known = list(seeds()) + [file.read_bytes() for file in sorted(corpus.glob("*")) if file.stat().st_size < 1 << 16]
    draw = random.Random(f"{SEED} {target}")
    inputs = [*known, *(mutate(draw, known) for _ in range(INPUTS))]
    names = []
    for n, data in enumerate(inputs):
        names.append(f"{n}")
        (tmp_path / names[-1]).write_bytes(data)
    theirs: list[bool] = []
    for start in range(0, len(names), 500):
        done = subprocess.run(
            [str(kho_fuzz), target, *names[start : start + 500]], cwd=tmp_path, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr
        theirs += [line.endswith(": taken") for line in done.stdout.splitlines()]
    # many small files: not for pytest to keep
    shutil.rmtree(tmp_path)
    assert len(theirs) == len(inputs)
    differ = [(n, rust, inputs[n]) for n, rust in enumerate(theirs) if own(inputs[n]) != rust]
    print(f"{target}: {len(inputs)} inputs, {sum(theirs)} taken by both, {len(differ)} differ")
    assert not differ, "\n".join(f"input {n}: Rust {'takes' if rust else 'refuses'} it: {data.hex()}" for n, rust, data in differ[:5])
    assert any(theirs) and not all(theirs)
