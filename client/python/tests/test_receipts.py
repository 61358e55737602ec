"""Whatever is changed in a receipt or a record is refused, and refused in words: no other exception. R-C1, I4, I5."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kho_client import Receipt, SignedRecord, TrustRoots, VerifierKey, verify, verify_record
from kho_client.checkpoint import Checkpoint
from kho_client.draft import Signed
from kho_client.errors import ConfigError, FormatError, KhoError, ReceiptError
from kho_client.folder import one_tree, verify_folder
from logs import ACCEPTED_MS, KEYS, Log, authority, pem_signer, report, signer_of

ROOT = authority("Root")
MIDDLE = authority("Issuing", ROOT)
TRUST = TrustRoots([ROOT.certificate])


def sign(algorithm: str = "ed25519", **more: object) -> Signed:
    return report(**more).sign(pem_signer(signer_of(MIDDLE, key=KEYS[algorithm]()), MIDDLE), now_ms=ACCEPTED_MS)


SIGNED = sign()
LOG = Log()
RECEIPT = LOG.take(SIGNED, behind=5)
TEXT, RECORD = RECEIPT.to_tlog_proof(), SIGNED.record.to_file()


def whole(text: bytes = TEXT, record: bytes = RECORD, key: VerifierKey = LOG.verifier) -> KhoError | None:
    """All that `kho verify` does; None: accepted."""
    try:
        return verify(SignedRecord.from_file(record), Receipt.from_tlog_proof(text), key, TRUST).failed
    except KhoError as error:
        return error


def test_what_is_right_is_accepted() -> None:
    assert whole() is None
    checks = verify(SIGNED.record, RECEIPT, LOG.verifier)
    assert [check.verdict for check in checks if check.name == "signer"] == ["skipped"] and checks.failed is None
    assert RECEIPT.verify_record(LOG.verifier, SIGNED.record).size == 7


@pytest.mark.parametrize("change", [0x01, 0x20, 0x80, 0xFF])
def test_every_byte_of_a_receipt_counts(change: int) -> None:
    for place in range(len(TEXT)):
        flipped = TEXT[:place] + bytes([TEXT[place] ^ change]) + TEXT[place + 1 :]
        error = whole(flipped)
        assert error is not None, (place, TEXT[place : place + 20])
        assert error.code == "receipt-invalid" or isinstance(error, FormatError)


def test_every_byte_of_a_record_counts() -> None:
    for place in range(len(RECORD)):
        assert whole(record=RECORD[:place] + bytes([RECORD[place] ^ 1]) + RECORD[place + 1 :]) is not None, place


def test_cut_files_are_refused() -> None:
    assert all(whole(TEXT[:length]) is not None for length in range(len(TEXT)))
    assert all(whole(record=RECORD[:length]) is not None for length in range(len(RECORD)))


def test_others_keys_and_records_are_refused() -> None:
    other, mine = Log(b"other"), sign("ecdsa-p256-sha256")
    assert whole(key=other.verifier) is not None
    assert whole(record=mine.record.to_file()) is not None
    # another log's proof of the same record
    assert whole(Log(b"third").take(SIGNED).to_tlog_proof()) is not None
    error = whole(record=SignedRecord(SIGNED.record.header, SIGNED.record.signature_block, b"x", SIGNED.record.certificates).to_file())
    assert error is not None and error.code == "payload-length-mismatch"


def test_forged_proofs_are_refused() -> None:
    note = RECEIPT.checkpoint
    for sequence in [*range(9), 1 << 63, (1 << 64) - 1]:
        forged = Receipt(RECEIPT.leaf, sequence, RECEIPT.inclusion, note)
        assert (whole(forged.to_tlog_proof()) is None) == (sequence == RECEIPT.sequence)
    for inclusion in [(), RECEIPT.inclusion[1:], RECEIPT.inclusion[:-1], (*RECEIPT.inclusion, bytes(32)), (bytes(32),) * 65]:
        assert whole(Receipt(RECEIPT.leaf, RECEIPT.sequence, inclusion, note).to_tlog_proof()) is not None
    # a log of one's own under the same name, with a signature line of the right name and key id
    fake = Log(b"fake")
    own = fake.take(SIGNED).checkpoint.decode().replace(fake.verifier.key_id.hex(), LOG.verifier.key_id.hex())
    assert whole(Receipt(RECEIPT.leaf, 1, (), own.encode()).to_tlog_proof()) is not None


def test_the_genesis_leaf_is_no_record() -> None:
    from kho_client.leaf import Leaf
    from logs import naive_inclusion

    genesis = Receipt(Leaf.decode(LOG.leaves[0]), 0, tuple(naive_inclusion(LOG.leaves, 0)), RECEIPT.checkpoint)
    genesis.verify(LOG.verifier)
    with pytest.raises(ReceiptError, match="genesis"):
        genesis.verify_record(LOG.verifier, SIGNED.record)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (lambda c: f"{c.origin}\n{c.size}\n", "fewer"),
        (lambda c: c.body().replace("/1/", "/01/"), "origin"),
        (lambda c: c.body().replace("/1/", "/0/"), "origin"),
        (lambda c: c.body().replace("\n7\n", "\n07\n"), "size"),
        (lambda c: c.body().replace("\n7\n", "\n+7\n"), "size"),
        (lambda c: c.body().replace("\n7\n", "\n٧\n"), "size"),
        (lambda c: c.body().replace("\n7\n", "\n18446744073709551616\n"), "size"),
        (lambda c: c.body().replace("=\n", "\n"), "root"),
        (lambda c: c.body().replace("ab" * 8, "AB" * 8), "origin"),
        (lambda c: c.body().replace("ab" * 8, "cd" * 8), "origin"),
    ],
)
def test_checkpoints_that_are_signed_and_wrong(body: object, why: str) -> None:
    checkpoint = LOG.verifier.open(RECEIPT.checkpoint)
    with pytest.raises(ReceiptError, match=why):
        LOG.verifier.open(LOG.sign(body(checkpoint)))  # type: ignore[operator]
    assert LOG.verifier.open(LOG.sign(checkpoint.body() + "extension\n")) == checkpoint


def test_base64_has_one_form() -> None:
    """The last character of a hash has two bits that no byte has: another text of the same hash is another receipt."""
    lines = TEXT.split(b"\n")
    line = lines[3]
    assert line.endswith(b"=")
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    lines[3] = line[:-2] + bytes([alphabet[alphabet.index(line[-2]) + 1]]) + b"="
    assert whole(b"\n".join(lines)) is not None


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=400))
def test_garbage_is_refused_in_words(garbage: bytes) -> None:
    assert whole(garbage) is not None
    assert whole(record=garbage) is not None
    for read in (Receipt.from_tlog_proof, LOG.verifier.open, lambda data: TrustRoots.from_pem(data), SignedRecord.from_file):
        try:
            read(garbage)
        except KhoError:
            pass


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=200))
def test_keys_are_read_or_refused_in_words(text: str) -> None:
    for given_ in (text, f"{LOG.verifier}{text}", f"{LOG.origin}+{text}"):
        try:
            assert str(VerifierKey.parse(given_)) == given_
        except ConfigError as error:
            assert error.code == "receipt-invalid"


def write(folder: Path, signed: Signed, receipt: Receipt) -> None:
    signed.write(folder)
    (folder / f"{signed.record_id}.tlog-proof").write_bytes(receipt.to_tlog_proof())


def test_a_folder(tmp_path: Path) -> None:
    log = Log()
    signed = [sign(algorithm, series=f"số {n}") for n, algorithm in enumerate(KEYS)]
    receipts = [log.take(one, behind=n) for n, one in enumerate(signed)]
    for one, receipt in zip(signed, receipts):
        write(tmp_path, one, receipt)
    verdicts = list(verify_folder(tmp_path, log.verifier, TRUST))
    assert [verdict.error for verdict in verdicts] == [None] * 4
    one_tree(receipts, log.verifier)
    # a record without its receipt proves nothing, and one bad receipt does not hide the others
    (tmp_path / f"{signed[0].record_id}.tlog-proof").unlink()
    (tmp_path / f"{signed[1].record_id}.tlog-proof").write_bytes(receipts[2].to_tlog_proof())
    failed = [verdict for verdict in verify_folder(tmp_path, log.verifier, TRUST) if verdict.error]
    assert sorted(verdict.path.name for verdict in failed) == sorted(str(one.record_id) for one in signed[:2])


def test_two_trees_of_one_log_are_found_out() -> None:
    one, other = Log(), Log()
    receipts = [one.take(sign(series="một")), other.take(sign(series="hai"))]
    for receipt in receipts:
        receipt.verify(LOG.verifier)
    with pytest.raises(FormatError) as caught:
        one_tree(receipts, LOG.verifier)
    assert caught.value.code == "log-forked"


def test_a_chain_is_judged_when_the_log_took_the_record() -> None:
    with pytest.raises(FormatError) as caught:
        verify_record(SIGNED.record, TRUST, 4_102_444_800_000)
    assert caught.value.code == "certificate-expired"
    assert isinstance(LOG.verifier.open(RECEIPT.checkpoint), Checkpoint)
