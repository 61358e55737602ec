"""A real cluster of three processes, over TLS: the Python client verifies what the demo left behind, and the Rust client what Python
submits; nodes are killed in between. R-A2, R-B1, R-C1, I1, I2, I4, I5."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from kho_client import Algorithm, Client, Draft, PemSigner, Receipt, Signed, Tls, Watch, client_of, list_records
from kho_client.__main__ import main
from kho_client.config import ClientFile
from kho_client.errors import KhoError, Refused
from kho_client.reads import Filter, count_records, history

REPORTS = 120
PROMISE = 3.0
"""Seconds that an acknowledgement may take: R-B1."""


@dataclass
class Cluster:
    """What the demo left running."""

    kho: Path
    directory: Path
    pids: dict[int, int]

    @property
    def config(self) -> Path:
        return self.directory / "client.toml"

    @property
    def file(self) -> ClientFile:
        return ClientFile.load(self.config)

    @property
    def key(self) -> str:
        return str(self.file.verifier_key)

    @property
    def trust(self) -> Path:
        return self.directory / "ca" / "signers-ca.pem"

    def signers(self) -> dict[str, tuple[Path, Path]]:
        """A unit's files for each algorithm that the cluster's signers have."""
        found: dict[str, tuple[Path, Path]] = {}
        for key in sorted(self.directory.glob("signers/*.key.pem")):
            files = key.with_name(key.name.replace(".key", "")), key
            if files[0].stem not in ("DRILL", "TRUNG-UONG"):
                found.setdefault(str(PemSigner.from_files(*files).algorithm), files)
        return found

    def run(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run([str(self.kho), *map(str, arguments)], capture_output=True, text=True, timeout=60)

    def must(self, *arguments: object) -> str:
        done = self.run(*arguments)
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)
        return done.stdout

    def kill(self, node: int, how: int = signal.SIGKILL) -> None:
        os.kill(self.pids.pop(node), how)


@pytest.fixture(scope="module")
def cluster(kho: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """`kho demo`, whose leader is killed half-way, left running."""
    directory = tmp_path_factory.mktemp("demo") / "cluster"
    command = [str(kho), "demo", "--reports", str(REPORTS), "--dir", str(directory), "--keep"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=180)
        pids = re.search(r"^\s+kill ([0-9 ]+)$", done.stdout, re.MULTILINE)
        assert done.returncode == 0 and pids, (done.stdout, done.stderr)
        yield Cluster(kho, directory, dict(enumerate(map(int, pids.group(1).split()), 1)))
    finally:
        # whatever became of the demo: its nodes are those whose command line names its directory
        subprocess.run(["pkill", "-KILL", "-f", f"serve --config {directory}"], check=False)


@pytest.fixture(scope="module")
def client(cluster: Cluster) -> Iterator[Client]:
    with client_of(cluster.config) as client:
        yield client


def draft(unit: str, series: str, **more: object) -> Draft:
    figures = {"so_ca_mac": 12, "ghi_chú": "đã kiểm tra"}
    return Draft.of_figures(unit, "PYTHON", "2020-W24", figures, series=series, receivers=["VPCP"], **more)


def unit_of(signer: PemSigner) -> str:
    from kho_client.certificate import _only_unit, parse

    return _only_unit(parse(0, signer.certificates[0]))


def test_the_demos_receipts_verify_offline(cluster: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Must-show: fetched once, then verified by this implementation, without any node."""
    assert main(["fetch", "--config", str(cluster.config), "--out", str(tmp_path)]) == 0
    receipts = sorted(tmp_path.glob("*.tlog-proof"))
    assert len(receipts) >= REPORTS and len(receipts) == len(list(tmp_path.glob("*.record")))
    offline = ["verify", "--key", cluster.key, "--trust", str(cluster.trust), str(tmp_path)]
    capsys.readouterr()
    assert main(offline) == 0
    said = capsys.readouterr()
    assert said.out.count("ok  ") == len(receipts) and f"{len(receipts)} verified, 0 failed" in said.err
    print(f"the demo's {len(receipts)} receipts verified offline")

    # and the whole log they are of, which anybody may read
    url = re.search(r'^log = "(.*)"$', (cluster.directory / "node2.toml").read_text(), re.MULTILINE)
    assert url
    audit = ["audit", "--key", cluster.key, "--url", f"https://{url.group(1)}", "--log-trust", str(cluster.directory / "ca/log-ca.pem")]
    note = tmp_path / "last.checkpoint"
    assert main([*audit, "--receipts", str(tmp_path), "--save", str(note)]) == 0
    assert main([*audit, "--from", str(note)]) == 0
    assert f"{len(receipts)} receipts are of this tree" in capsys.readouterr().out

    # one that is changed does not
    text = receipts[0].read_bytes()
    receipts[0].write_bytes(text.replace(b"\nindex ", b"\nindex 1"))
    assert main(offline) == 1
    assert f"{len(receipts) - 1} verified, 1 failed" in capsys.readouterr().err


@pytest.mark.parametrize("algorithm", Algorithm, ids=str)
def test_kho_verifies_what_python_submits(cluster: Cluster, client: Client, algorithm: Algorithm, tmp_path: Path) -> None:
    """Must-show, for each kind of signature."""
    files = cluster.signers()["rsa-pkcs1-sha256" if algorithm is Algorithm.RSA_PSS_SHA256 else str(algorithm)]
    signer = PemSigner.from_files(*files, algorithm)
    unit = unit_of(signer)
    signed = draft(unit, f"ký bằng {algorithm}").sign(signer)
    record = signed.write(tmp_path)
    receipt = client.submit(signed).write(tmp_path)
    said = cluster.must("verify", "--key", cluster.key, "--trust", cluster.trust, receipt, record)
    assert said.count("ok  ") == 9 and f"{unit} (" in said and str(algorithm) in said
    # the Rust client reads it back, bytes for bytes
    out = tmp_path / "rust"
    cluster.must("get", signed.record_id, "--config", cluster.config, "--out", out)
    assert (out / record.name).read_bytes() == record.read_bytes()
    assert (out / receipt.name).read_bytes() == receipt.read_bytes()
    # it is one record, whoever sends it again
    again = cluster.run("submit", "--config", cluster.config, record, "--out", out)
    assert again.returncode == 0 and "it was there already" in again.stderr
    # and refuses what is changed, as this one does
    data = bytearray(receipt.read_bytes())
    data[40] ^= 1
    receipt.write_bytes(data)
    assert cluster.run("verify", "--key", cluster.key, receipt, record).returncode == 1


def test_python_verifies_what_kho_submits(cluster: Cluster, client: Client, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    report.write_text('{"unit":"BYT","regime":"RUST","period":"2020-06","series":"từ kho","figures":{"b":[1,0.5],"a":"đ"}}', encoding="utf-8")
    said = cluster.must("submit", "--config", cluster.config, report, "--out", tmp_path)
    record, receipt = (tmp_path / Path(line).name for line in said.split())
    arguments = ["verify", "--key", cluster.key, "--trust", str(cluster.trust), str(receipt), str(record)]
    assert main(arguments) == 0
    assert Signed.load(record).record.payload == '{"a":"đ","b":[1,0.5]}'.encode()
    done = client.submit(Signed.load(record))
    assert done.duplicate and done.receipt == Receipt.from_tlog_proof(receipt.read_bytes())
    # the command line of this client on the same document: another record, so refused; its series has a head
    assert main(["submit", "--config", str(cluster.config), "--out", str(tmp_path / "again"), str(report)]) == 1


def test_many_records_in_one_call(cluster: Cluster, client: Client) -> None:
    signer = PemSigner.from_files(*cluster.signers()["ed25519"])
    records = [draft(unit_of(signer), f"lô {n}").sign(signer) for n in range(40)]
    answers = client.submit_many(records)
    assert [getattr(answer, "record_id", answer) for answer in answers] == [one.record_id for one in records]
    assert client.checkpoints_verified < len(records)
    wanted = Filter(unit=unit_of(signer), regime="PYTHON")
    told = [entry.record_id for entry in list_records(client, wanted, page_size=7)]
    assert told[: len(records)] == [one.record_id for one in reversed(records)]
    assert count_records(client, wanted) == len(told)


def test_a_correction_and_its_history(cluster: Cluster, client: Client) -> None:
    signer = PemSigner.from_files(*cluster.signers()["ed25519"])
    first = draft(unit_of(signer), "sửa").sign(signer)
    client.submit(first)
    with pytest.raises(Refused) as caught:
        client.submit(draft(unit_of(signer), "sửa").sign(signer))
    assert caught.value.code == "series-has-head"
    second = draft(unit_of(signer), "sửa", supersedes=first.record_id).sign(signer)
    client.submit(second)
    revisions = list(history(client, first.record_id))
    assert [(entry.record_id, entry.revision, entry.superseded) for entry in revisions] == [
        (first.record_id, 1, True),
        (second.record_id, 2, False),
    ]


def test_refusals_have_their_codes(cluster: Cluster, client: Client) -> None:
    signer = PemSigner.from_files(*cluster.signers()["ed25519"])
    with pytest.raises(Refused) as caught:
        client.submit(draft("VPCP" if unit_of(signer) != "VPCP" else "BYT", "khác").sign(signer))
    error = caught.value
    assert (error.code, error.found) == ("signer-unit-mismatch", unit_of(signer)) and error.expected and not error.retry
    # a connection that names nobody in particular, but may only submit and read for one unit
    own = cluster.directory / "identities" / "unit-DRILL.pem"
    tls = Tls.from_files(own, own.with_suffix(".key.pem"), cluster.directory / "ca" / "client-ca.pem")
    with Client(cluster.file.nodes, tls, cluster.file.verifier_key) as other, pytest.raises(Refused) as caught:
        other.submit(draft(unit_of(signer), "khác").sign(signer))
    assert caught.value.code == "unit-not-permitted"


def test_a_stranger_gets_nowhere(cluster: Cluster, client: Client) -> None:
    from logs import authority, pem, signer_of

    root = authority("Stranger")
    own = signer_of(root)
    signer = PemSigner.from_files(*cluster.signers()["ed25519"])
    trust = (cluster.directory / "ca" / "client-ca.pem").read_bytes()
    stranger = Tls(pem(own.certificate), pem(own.key), trust)
    certificate, key, _ = cluster.file.tls
    misled = Tls(certificate.read_bytes(), key.read_bytes(), pem(root.certificate))
    for tls in (stranger, misled):
        with Client(cluster.file.nodes, tls, cluster.file.verifier_key) as other, pytest.raises(KhoError) as caught:
            other.submit(draft(unit_of(signer), "lạ").sign(signer))
        # in TLS 1.3 a client is connected before its certificate is looked at: what is not known is not called a failure
        assert caught.value.code in ("no-leader", "outcome-unknown"), caught.value
    assert count_records(client, Filter(series="lạ", unit=unit_of(signer), regime="PYTHON")) == 0


def test_nodes_die_and_nothing_is_lost(cluster: Cluster, client: Client, tmp_path: Path) -> None:
    """The leader gets SIGKILL between two records, and is not started again: the last of these tests."""
    signer = PemSigner.from_files(*cluster.signers()["ecdsa-p256-sha256"])
    unit = unit_of(signer)
    size = client.submit(draft(unit, "trước").sign(signer)).checkpoint.size
    watch = Watch(client, Filter(unit=unit, regime="PYTHON"), start=size)
    leader = client.submit(draft(unit, "ai").sign(signer)).leader
    acknowledged, slowest = [], 0.0
    for n in range(30):
        if n == 10:
            cluster.kill(leader)
        signed, start = draft(unit, f"đổ {n}").sign(signer), time.monotonic()
        signed.write(tmp_path)
        done = client.submit(signed)
        slowest = max(slowest, time.monotonic() - start)
        done.write(tmp_path)
        acknowledged.append(done)
    assert slowest < PROMISE, f"an acknowledgement took {slowest:.2f} s"
    assert acknowledged[-1].leader not in (0, leader)
    told: list[uuid.UUID] = []
    while len(told) < len(acknowledged):
        entry = next(watch)
        if entry.series.startswith("đổ"):
            told.append(entry.record_id)
    watch.close()
    assert told == [done.record_id for done in acknowledged], "the watch went on, without a gap and without anything twice"
    for done in acknowledged:
        assert client.get(done.record_id).receipt == done.receipt
        stem = tmp_path / str(done.record_id)
        cluster.must("verify", "--key", cluster.key, "--trust", cluster.trust, f"{stem}.tlog-proof", f"{stem}.record")
    print(f"leader {leader} killed; {len(acknowledged)} acknowledged, the slowest in {slowest * 1000:.0f} ms, all read back")
    # a majority is gone: reads and writes end within their time, in words
    cluster.kill(next(iter(cluster.pids)))
    start = time.monotonic()
    with pytest.raises(KhoError) as caught:
        client.submit(draft(unit, "không ai").sign(signer))
    assert caught.value.code in ("no-leader", "outcome-unknown") and time.monotonic() - start < PROMISE + 0.5
