"""The frozen bytes of `docs/formats/vectors`: this implementation comes to the same. R-C1."""

from __future__ import annotations

import hashlib
import uuid
from typing import Any

import pytest

from conftest import cases, vectors
from kho_client import merkle, tiles
from kho_client.block import SignatureBlock
from kho_client.certificate import TrustRoots
from kho_client.checkpoint import Checkpoint, VerifierKey
from kho_client.errors import FormatError
from kho_client.header import Attachment, Header, signed_bytes
from kho_client.leaf import Leaf
from kho_client.receipt import Receipt
from kho_client.record import SignedRecord, verify_record
from kho_client.report import Report

hexed = bytes.fromhex


def refused(code: str, what: Any, *arguments: Any) -> None:
    with pytest.raises(FormatError) as caught:
        what(*arguments)
    assert caught.value.code == code, caught.value


def header_of(fields: Any) -> Header:
    attachments = [Attachment(one["name"], one["media_type"], one["length"], hexed(one["digest"])) for one in fields["attachments"]]
    ids = {name: uuid.UUID(hex=fields[name]) if fields[name] else None for name in ("record_id", "supersedes")}
    bytes_ = {name: hexed(fields[name]) for name in ("salt", "payload_digest")}
    return Header(**{**fields, **ids, **bytes_, "receivers": tuple(fields["receivers"]), "attachments": tuple(attachments)})


@pytest.mark.parametrize(("given", "output"), cases("header"))
def test_headers(given: Any, output: Any) -> None:
    if "code" in output:
        refused(output["code"], Header.decode, hexed(given["encoded"]))
        return
    header, encoded = header_of(given["fields"]), hexed(output["encoded"])
    header.check()
    header.check_payload(hexed(given["payload"]))
    assert header.encode() == encoded
    assert Header.decode(encoded) == header
    assert hashlib.sha256(encoded).hexdigest() == output["header_digest"]
    assert signed_bytes(encoded) == hexed(output["signed_bytes"])


def record_of(given: Any) -> SignedRecord:
    certificates = tuple(map(hexed, given["certificates"]))
    return SignedRecord(hexed(given["header"]), hexed(given["signature_block"]), hexed(given["payload"]), certificates)


@pytest.mark.parametrize(("given", "output"), cases("signature"))
def test_signatures_and_certificates(given: Any, output: Any) -> None:
    record, roots = record_of(given["record"]), TrustRoots.from_der(list(map(hexed, given["roots"])))
    if "code" in output:
        refused(output["code"], verify_record, record, roots, given["at_ms"])
        return
    verified = verify_record(record, roots, given["at_ms"])
    assert verified.signer.unit == output["unit"]
    assert str(verified.block.algorithm) == output["algorithm"]
    assert verified.block.encode() == record.signature_block
    assert SignatureBlock.decode(record.signature_block) == verified.block
    assert record.header_digest.hex() == output["header_digest"]
    assert record.signature_block_digest.hex() == output["signature_block_digest"]
    assert hashlib.sha256(record.certificates[0]).hexdigest() == output["certificate_digest"]
    assert (verified.signer.not_before_ms, verified.signer.not_after_ms) == (output["not_before_ms"], output["not_after_ms"])


@pytest.mark.parametrize("kind", ["record", "genesis"])
def test_leaves(kind: str) -> None:
    case = vectors("leaf")[kind]
    leaf = Leaf.decode(hexed(case["leaf"]))
    digests = ["header", "signature_block", "sealed_head", "sealed_payload", "attachments"]
    assert (leaf.kind, str(leaf.record_id), leaf.accepted_at_ms) == (case["kind"], case["record_id"], case["accepted_at_ms"])
    assert leaf.key_id.hex() == case["key_id"].replace("-", "")
    assert [getattr(leaf, f"{name}_digest").hex() for name in digests] == [case[f"{name}_digest"] for name in digests]
    assert leaf.encode() == hexed(case["leaf"])
    assert leaf.hash().hex() == case["leaf_hash"]


def test_trees() -> None:
    tree = vectors("tree")
    hashes, roots = [merkle.leaf_hash(hexed(leaf)) for leaf in tree["leaves"]], list(map(hexed, tree["roots"]))
    assert [merkle.root_of(hashes[:size]) for size in range(len(hashes) + 1)] == roots
    for case in tree["inclusion"]:
        index, size, proof = case["index"], case["size"], list(map(hexed, case["proof"]))
        merkle.verify_inclusion(hashes[index], index, size, proof, roots[size])
    for case in tree["consistency"]:
        old, new, proof = case["old"], case["new"], list(map(hexed, case["proof"]))
        merkle.verify_consistency(old, new, roots[old], roots[new], proof)


@pytest.mark.parametrize(("given", "output"), cases("checkpoint"))
def test_checkpoints(given: Any, output: Any) -> None:
    if "note" in given:
        key = VerifierKey.parse(given["verifier_key"])
        if "code" in output:
            refused(output["code"], key.open, given["note"].encode())
        else:
            checkpoint = key.open(given["note"].encode())
            assert (str(checkpoint.size), checkpoint.root.hex()) == (output["size"], output["root"])
        return
    key = VerifierKey.parse(output["verifier_key"])
    assert str(key) == output["verifier_key"]
    digest = hashlib.sha256(hexed(given["epoch_record"])).hexdigest()[:16]
    expected = Checkpoint(f"{uuid.UUID(hex=given['cluster_id'])}/{given['epoch']}/{digest}", int(given["size"]), hexed(given["root"]))
    assert key.open(output["note"].encode()) == expected
    assert output["note"].startswith(expected.body())


@pytest.mark.parametrize(("given", "output"), cases("receipt"))
def test_receipts(given: Any, output: Any) -> None:
    key, record = VerifierKey.parse(given["verifier_key"]), record_of(given["record"])

    def verify() -> tuple[Receipt, Checkpoint]:
        receipt = Receipt.from_tlog_proof(given["tlog_proof"].encode())
        return receipt, receipt.verify_record(key, record)

    if "code" in output:
        refused(output["code"], verify)
        return
    receipt, checkpoint = verify()
    assert receipt.to_tlog_proof() == given["tlog_proof"].encode()
    assert receipt.leaf.record_id.hex == output["record_id"]
    found = (receipt.leaf.accepted_at_ms, receipt.sequence, checkpoint.size, checkpoint.root.hex())
    assert found == (output["accepted_at_ms"], output["sequence"], output["size"], output["root"])
    assert record.to_file() == hexed(output["record_file"])
    assert SignedRecord.from_file(hexed(output["record_file"])) == record


LEAVES = [merkle.leaf_hash(b"leaf %d" % n) for n in range(70_000)]


@pytest.mark.parametrize(("given", "output"), cases("tlog"))
def test_the_public_log(given: Any, output: Any) -> None:
    if "bundle" in given:
        if "code" in output:
            refused(output["code"], tiles.entries, hexed(given["bundle"]))
        else:
            assert tiles.entries(hexed(given["bundle"])) == list(map(hexed, output["entries"]))
    elif "old" in given:
        old_root, new_root = merkle.root_of(LEAVES[: given["old"]]), merkle.root_of(LEAVES[: given["new"]])
        assert (old_root.hex(), new_root.hex()) == (output["old_root"], output["new_root"])
        merkle.verify_consistency(given["old"], given["new"], old_root, new_root, list(map(hexed, output["proof"])))
    elif "level" in given:
        level, index, size = given["level"], given["index"], given["size"]
        hashes = tiles.tile(LEAVES[:size], level, index)
        assert tiles.path(level, index, len(hashes)) == output["path"]
        assert (len(hashes), hashlib.sha256(b"".join(hashes)).hexdigest()) == (output["width"], output["sha256"])
    elif "code" not in output:
        # a reader of the log makes paths and is never given any: those that are refused are a server's to refuse
        assert tiles.path(output["level"], int(output["index"]), output["width"]) == given["path"]


@pytest.mark.parametrize(("given", "output"), cases("report"))
def test_report_documents(given: str, output: Any) -> None:
    if "code" in output:
        refused(output["code"], Report.from_json, given.encode())
        return
    report = Report.from_json(given.encode())
    assert (report.payload.decode(), report.media_type) == (output["payload"], output["media_type"])
