"""Headers, blocks and documents: canonical forms, and what is refused. R-C1."""

from __future__ import annotations

import datetime
import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import REPOSITORY
from kho_client import Draft, codes
from kho_client._wire import record_pb2
from kho_client.block import SignatureBlock
from kho_client.errors import FormatError
from kho_client.header import Attachment, Header
from kho_client.ids import is_v7, new_record_id, parse_record_id
from kho_client.media_type import is_media_type
from kho_client.moment import LAST_MS, is_period, moment_ms, moment_text
from kho_client.report import Report, canonical
from logs import ACCEPTED_MS, KEYS, authority, pem_signer, report, signer_of

ROOT = authority("Root")
SIGNER = pem_signer(signer_of(ROOT))
CODE = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}", fullmatch=True)
TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=60)


@settings(max_examples=200, deadline=None)
@given(CODE, CODE, TEXT, st.lists(CODE, max_size=5), st.binary(max_size=300))
def test_headers_are_those_of_any_protobuf_library(unit: str, regime: str, series: str, receivers: list[str], payload: bytes) -> None:
    draft = Draft(unit, regime, "2020-W24", payload, series=series, receivers=receivers)
    signed = draft.sign(SIGNER)
    wire = record_pb2.Header.FromString(signed.record.header)
    assert wire.SerializeToString(deterministic=True) == signed.record.header
    assert record_pb2.SignatureBlock.FromString(signed.record.signature_block).SerializeToString() == signed.record.signature_block
    assert record_pb2.SignedRecord.FromString(signed.record.to_file()).SerializeToString() == signed.record.to_file()
    assert Header.decode(signed.record.header) == signed.header
    assert list(signed.header.receivers) == sorted(set(receivers)) and signed.header.is_nfc()
    signed.header.check_payload(payload)


@settings(max_examples=500, deadline=None)
@given(st.data())
def test_a_changed_header_is_canonical_or_refused(data: st.DataObject) -> None:
    header = report(series="sốt", receivers=["VPCP"]).sign(SIGNER, now_ms=ACCEPTED_MS).record.header
    place = data.draw(st.integers(0, len(header)))
    inserted = data.draw(st.binary(max_size=4))
    removed = data.draw(st.integers(0, 4))
    changed = header[:place] + inserted + header[place + removed :]
    for read in (Header.decode, SignatureBlock.decode):
        try:
            assert read(changed).encode() == changed
        except FormatError as error:
            assert error.code in codes.RETRY


@given(st.binary(max_size=200))
def test_garbage_is_refused_in_words(garbage: bytes) -> None:
    for read in (Header.decode, SignatureBlock.decode, Report.from_json):
        with pytest.raises(FormatError):
            read(garbage)


def test_texts_are_written_in_nfc() -> None:
    apart = Attachment("ba\u0309n.pdf", "application/pdf", 1, bytes(32))
    signed = report(series="so\u0302\u0301t", attachments=[apart]).sign(SIGNER)
    assert signed.header.series == "s\u1ed1t"
    assert signed.header.attachments[0].name == "b\u1ea3n.pdf"


def test_a_document_whose_series_is_not_nfc_is_refused() -> None:
    document = {"unit": "BYT", "regime": "YT-01", "period": "2020", "text": "x", "series": "so\u0302\u0301t"}
    with pytest.raises(FormatError, match="report field series: expected text in NFC") as caught:
        Report.from_json(json.dumps(document).encode())
    assert caught.value.code == "report-invalid"


@given(st.integers(0, LAST_MS))
def test_moments(ms: int) -> None:
    text = moment_text(ms)
    assert moment_ms(text) == ms
    local = datetime.datetime(1970, 1, 1, 7) + datetime.timedelta(milliseconds=ms)
    assert text == local.isoformat(timespec="milliseconds") + "+07:00"


@pytest.mark.parametrize(
    "text",
    [
        "1970-01-01T06:59:59.999+07:00",
        "2020-06-12T08:30:60.000+07:00",
        "2020-02-30T08:30:00.000+07:00",
        "2020-06-12T08:30:00.000+07:00\n",
        "2020-06-12T08:30:00.000Z",
        "２020-06-12T08:30:00.000+07:00",
    ],
)
def test_other_texts_are_no_moments(text: str) -> None:
    assert moment_ms(text) is None


def test_moments_at_their_ends() -> None:
    assert moment_ms("1970-01-01T07:00:00.000+07:00") == 0
    assert moment_text(LAST_MS + 1) == moment_text(LAST_MS) == "9999-12-31T23:59:59.999+07:00"


def test_periods() -> None:
    good = "2020-06-12 2020-02-29 2020-W01 2020-W53 2020-06 2020 1900 9999 2020-01/2020-03 2020-01/2021-12 2020-06-12T08:30:00+07:00"
    assert all(map(is_period, good.split()))
    bad = (
        "20 2020- 2020-6 2020-13 2020-00 0001 1899 +202 2020-06-31 2019-02-29 2020-06-00 2019-W53 2020-W00 2020-w24 2020-W+1"
        " 2020-03/2020-03 2020-03/2020-01 2020-01/2020 2020-01-2020-03 2020-06-12T08:30:00Z 2020-06-12T24:00:00+07:00"
        " 2020-06-12T08:30:60+07:00 2020-06-12T08:30:00.000+07:00 ２０２０ 202ạ-06 1899-12/1900-01 2020-00/2020-03"
    )
    assert not any(map(is_period, bad.split() + ["", " 2020", "2020\n", "2020-06-12 08:30:00+07:00"]))


def test_media_types() -> None:
    for good in ["a/b", "text/plain; charset=utf-8", "text/plain;charset=utf-8;a=b", 'a/b; c="d e;f"', "a+b/c.d", 'a/b;c=""']:
        assert is_media_type(good), good
    for bad in ["a", "a/", "/b", "a/b;", "a/b;  c=d", "a/b; c", 'a/b; c="d', 'a/b; c="d\\"e"', "a/b c", "a/b; c=d\n", "ă/b", 'a/b;c="ă"']:
        assert not is_media_type(bad), bad


@given(st.integers(0, (1 << 48) - 1), st.binary(min_size=10, max_size=10))
def test_record_ids(ms: int, random: bytes) -> None:
    record_id = new_record_id(ms, random)
    assert is_v7(record_id) and record_id.int >> 80 == ms


def test_each_signer_signs_what_it_verifies() -> None:
    from kho_client import Algorithm, TrustRoots, verify_record

    for name, make in KEYS.items():
        signer = pem_signer(signer_of(ROOT, key=make()), algorithm=Algorithm.parse(name))
        verified = verify_record(report().sign(signer).record, TrustRoots([ROOT.certificate]), ACCEPTED_MS)
        assert (str(verified.block.algorithm), verified.signer.unit) == (name, "BYT")


def test_a_draft_that_no_node_would_take_is_not_signed() -> None:
    drafts = {"period-invalid": report(), "header-field-invalid": report(), "payload-too-large": report()}
    drafts["period-invalid"].period = "2020-13"
    drafts["header-field-invalid"].unit = "B YT"
    drafts["payload-too-large"].payload = bytes((4 << 20) + 1)
    for code, draft in drafts.items():
        with pytest.raises(FormatError) as caught:
            draft.sign(SIGNER)
        assert caught.value.code == code
    with pytest.raises(FormatError):
        report(series="\ud800").sign(SIGNER)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1) | TEXT | st.floats(-(2.0**53) + 1, 2.0**53 - 1),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=300, deadline=None)
@given(JSON)
def test_canonical_figures_are_read_back_as_they_were(figures: Any) -> None:
    import json

    payload = canonical(figures)
    again = json.loads(payload)
    assert again == figures and canonical(again) == payload
    if figures is not None:
        document = b'{"unit":"A","regime":"B","period":"2020","figures":%s}' % payload
        assert Report.from_json(document).payload == payload


def test_what_would_not_be_exact_is_refused() -> None:
    for figures in [2.0**53, -(2.0**60), float("inf"), float("nan"), 1 << 64, -(1 << 63) - 1, {1: 2}, "\ud800", b"", {1, 2}]:
        with pytest.raises(FormatError) as caught:
            canonical(figures)
        assert caught.value.code == "report-invalid"
    for depth, good in [(126, True), (127, False), (100_000, False)]:
        document = b'{"unit":"A","regime":"B","period":"2020","figures":' + b"[" * depth + b"]" * depth + b"}"
        if good:
            assert Report.from_json(document).payload == b"[" * depth + b"]" * depth
        else:
            with pytest.raises(FormatError):
                Report.from_json(document)


def test_texts_of_ids() -> None:
    hyphenated = "01729d23-8b00-7000-8000-0123456789ab"
    for text in (hyphenated, hyphenated.upper(), f"{{{hyphenated}}}", f"urn:uuid:{hyphenated}", hyphenated.replace("-", "")):
        assert str(parse_record_id(text)) == hyphenated
    for text in ("", "01729d23-8b007000-8000-0123456789ab", f"{hyphenated}\n", f"{{{hyphenated}", hyphenated.replace("7", "4", 3)):
        with pytest.raises(FormatError):
            parse_record_id(text)


def test_the_codes_are_those_of_the_page() -> None:
    page = (REPOSITORY / "docs/errors/README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z0-9-]+)` \| ([A-Z_]+|\(at start\)) \| (yes|no) \|", page, re.MULTILINE)
    assert {code: retry == "yes" for code, _, retry in rows} == codes.RETRY
    doubtful = {code for code, status, _ in rows if status in ("DEADLINE_EXCEEDED", "INTERNAL")}
    assert doubtful == codes.ADMITTED
    assert codes.SETTLED | codes.RESTS_NODE <= set(codes.RETRY)
