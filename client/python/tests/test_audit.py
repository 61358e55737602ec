"""The public log recomputed, and the command line's exit codes. R-C1, R-C6, I4, I5."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from fake import Cluster, FakeNode, hang, refuse, to_pb
from kho_client import tiles
from kho_client.__main__ import main, tell
from kho_client._wire import store_pb2
from kho_client.audit import Fetch, audit, https
from kho_client.errors import FormatError, LogError
from kho_client.leaf import RECORD, Leaf
from kho_client.receipt import Receipt
from logs import ACCEPTED_MS, Log, authority, pem, pem_signer, report, sha256, signer_of

ROOT = authority("Root")
OWN = signer_of(ROOT)
SIGNER = pem_signer(OWN)


def leaf(n: int, at_ms: int = ACCEPTED_MS) -> bytes:
    return Leaf(RECORD, uuid.UUID(int=n), at_ms, bytes(16), *[sha256(b"%d" % n)] * 5).encode()


def grow(log: Log, leaves: int) -> Log:
    log.leaves += [leaf(n, ACCEPTED_MS + n) for n in range(len(log.leaves), len(log.leaves) + leaves)]
    return log


def serve(log: Log, leaves: list[bytes] | None = None, note: bytes | None = None) -> Fetch:
    """A server of this log, or one that serves other leaves under its checkpoint."""
    content = log.leaves if leaves is None else leaves
    signed = note or log.note()

    def fetch(path: str) -> bytes:
        if path == "checkpoint":
            return signed
        for index in range(-(-len(content) // 256)):
            part = content[index * 256 : index * 256 + 256]
            if path == tiles.path("entries", index, len(part)):
                return b"".join(len(one).to_bytes(2, "big") + one for one in part)
        raise LogError("log-unusable", path)

    return fetch


@pytest.mark.parametrize("size", [0, 1, 255, 256, 600])
def test_a_log_that_only_grew(size: int) -> None:
    log = Log()
    receipt = log.take(report().sign(SIGNER, now_ms=ACCEPTED_MS))
    grow(log, 3)
    older = log.verifier.open(log.note())
    grow(log, size)
    done = audit(serve(log), log.verifier, older=[older], receipts=[receipt])
    assert (done.checkpoint.size, done.records, done.receipts) == (size + 5, size + 4, 1)


def test_what_a_log_may_not_do() -> None:
    log = grow(Log(), 300)
    older = log.verifier.open(log.note())
    other = grow(Log(), 299)
    other.leaves[7] = leaf(7, ACCEPTED_MS + 7_000)
    grow(other, 5)
    backwards = grow(Log(), 9)
    backwards.leaves[5] = leaf(5, ACCEPTED_MS - 5)
    late = grow(Log(), 1)
    late.leaves[0] = leaf(0)
    changed = [*log.leaves[:9], leaf(99), *log.leaves[10:]]
    receipt = Log().take(report().sign(SIGNER, now_ms=ACCEPTED_MS))
    for code, fetch, more in [
        ("log-forked", serve(other), {"older": [older]}),
        ("log-forked", serve(log), {"receipts": [receipt]}),
        ("log-forked", serve(log), {"receipts": [Receipt(Leaf.decode(leaf(99)), 9, (), log.note())]}),
        ("log-shrank", serve(grow(Log(), 20)), {"older": [older]}),
        ("log-leaf-invalid", serve(backwards), {}),
        ("log-leaf-invalid", serve(late), {}),
        # whoever serves it is to blame, and the log is not accused
        ("log-tiles-invalid", serve(log, changed), {}),
        ("log-tiles-invalid", serve(log, changed), {"older": [older]}),
        ("log-tiles-invalid", serve(log, [*log.leaves[:256], *log.leaves[257:], b""]), {}),
        ("receipt-invalid", serve(log, note=Log(b"other").note()), {}),
    ]:
        with pytest.raises(FormatError) as caught:
            audit(fetch, log.verifier, patience=0, **more)  # type: ignore[arg-type]
        assert caught.value.code == code, caught.value


def test_a_server_that_lags_a_moment_accuses_nobody() -> None:
    log = grow(Log(), 10)
    behind = log.note()
    grow(log, 10)
    newest = log.verifier.open(log.note())
    notes, content = [log.note(), behind, behind], serve(log)

    def fetch(path: str) -> bytes:
        return notes.pop() if path == "checkpoint" else content(path)

    assert audit(fetch, log.verifier, older=[newest]).checkpoint.size == newest.size
    assert not notes


def test_a_log_that_does_not_answer(tmp_path: Path) -> None:
    with pytest.raises(LogError) as caught:
        https("https://127.0.0.1:1", None)("checkpoint")
    assert caught.value.code == "log-unusable"
    assert tell(caught.value) == 4, "as kho log ends where nobody answers"


def config(folder: Path, node: str) -> Path:
    for name, data in {
        "own.pem": pem(OWN.certificate),
        "own.key.pem": pem(OWN.key),
        "root.pem": pem(ROOT.certificate),
        "client.toml": f"""nodes = ["{node}"]
verifier_key = "{Log().verifier}"
signers_trust = "root.pem"
deadline_ms = 400
later_versions_field = true
[tls]
certificate = "own.pem"
key = "own.key.pem"
trust = "root.pem"
[signer]
certificate = "own.pem"
key = "own.key.pem"
""".encode(),
        "report.json": b'{"unit":"BYT","regime":"YT-01","period":"2020-W24","figures":{"a":1}}',
    }.items():
        (folder / name).write_bytes(data)
    return folder / "client.toml"


def test_exit_codes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """As `docs/cli.md` has them."""
    import grpc

    cluster = Cluster()
    node = FakeNode(cluster, 1)
    # the fake node has no TLS
    monkeypatch.setattr(grpc, "secure_channel", lambda address, _, options: grpc.insecure_channel(address, options))
    file, document, out = config(tmp_path, node.address), tmp_path / "report.json", tmp_path / "out"
    submit = ["submit", "--config", str(file), "--out", str(out)]

    def records() -> list[Path]:
        return sorted(out.glob("*.record"), key=lambda path: path.stat().st_mtime_ns)

    assert main([*submit, str(document)]) == 0
    record = records()[-1]
    receipt = record.with_suffix(".tlog-proof")
    verify = ["verify", "--key", str(cluster.log.verifier), "--trust", str(tmp_path / "root.pem")]
    assert main([*verify, str(receipt), str(record)]) == 0
    (tmp_path / "log.vkey").write_text(f"{cluster.log.verifier}\n")
    assert main(["verify", "--key", str(tmp_path / "log.vkey"), "--quiet", str(out)]) == 0
    assert main(["get", "--config", str(file), record.stem]) == 0
    assert capsys.readouterr().out.endswith('{"a":1}')
    assert main([*verify, str(record), str(receipt)]) == 1
    assert main([*verify, str(receipt)]) == 2
    assert main([*verify, str(tmp_path / "nothing"), str(record)]) == 1
    assert main(["verify", "--key", "x" * 9999, str(receipt), str(record)]) == 1
    assert main([*verify, str(tmp_path)]) == 1, "a folder without a receipt proves nothing"

    node.says = [refuse("signature-invalid")]
    assert main([*submit, str(document)]) == 1
    node.says = [hang] * 9
    assert main([*submit, str(document)]) == 3
    # it was written down, and may be sent again
    node.says = []
    assert main([*submit, str(records()[-1])]) == 0
    forged = Log(b"other").take(report().sign(SIGNER))
    node.says = [lambda *_: store_pb2.SubmitResponse(receipt=to_pb(forged), node_id=1)]
    assert main([*submit, str(document)]) == 3
    assert (out / f"{records()[-1].stem}.tlog-proof.rejected").read_bytes() == forged.to_tlog_proof()
    node.kill()
    assert main([*submit, str(document)]) == 4
    # from a file it may have been sent before
    assert main([*submit, str(record)]) == 3
    assert main(["get", "--config", str(file), record.stem]) == 4
    with pytest.raises(SystemExit) as usage:
        main(["verify"])
    assert usage.value.code == 2
