#!/usr/bin/env python3
"""Submits a report to Kho over HTTP and verifies its receipt offline. Needs `cryptography`; no protobuf, no gRPC.

    submit.py --url https://HOST:PORT --trust CLIENT-CA.pem --cert CERT.pem --key KEY.pem
              --signer SIGNER.pem --signer-key SIGNER-KEY.pem --log-key VKEY report.json

CERT is this system's own certificate (the connection), SIGNER the unit's (the report); VKEY is what `kho keys public` prints.
The node prepares the header; what is signed here is only what this program has put together itself and found to be the same.
"""

import argparse
import base64
import datetime
import hashlib
import http.client
import json
import ssl
import sys
import urllib.parse
import uuid
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

HEADER_TYPE = b"application/vnd.kho.report-header.v1+protobuf"
ALGORITHMS = {"ed25519": 1, "ecdsa-p256-sha256": 2, "rsa-pkcs1-sha256": 3}


def b64(data):
    return base64.b64encode(data).decode()


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


# --- protobuf, as far as headers and signature blocks need it: docs/formats/header.md, signature.md


def varint(number):
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes(out + bytes([number]))


def field(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data if data else b""


def integer(number, value):
    return varint(number << 3) + varint(value) if value else b""


def encode_header(report, record_id, submitted_at, media_type, salt, payload):
    supersedes = report.get("supersedes")
    receivers = sorted({code.encode() for code in report.get("receivers", [])})
    return b"".join(
        [
            integer(1, 1),
            field(2, uuid.UUID(record_id).bytes),
            field(3, report["unit"].encode()),
            field(4, report["regime"].encode()),
            field(5, report["period"].encode()),
            field(6, report.get("series", "").encode()),
            field(7, uuid.UUID(supersedes).bytes if supersedes else b""),
            *(field(8, code) for code in receivers),
            field(9, submitted_at.encode()),
            field(10, media_type.encode()),
            integer(11, len(payload)),
            field(12, salt),
            field(13, sha256(salt, payload)),
        ]
    )


def encode_block(algorithm, signature, chain):
    digests = [field(4, sha256(der)) for der in chain]
    return b"".join([integer(1, 1), integer(2, ALGORITHMS[algorithm]), field(3, signature), *digests])


# --- the connection


class Kho:
    def __init__(self, url, trust, cert, key):
        context = ssl.create_default_context(cafile=trust)
        context.load_cert_chain(cert, key)
        place = urllib.parse.urlsplit(url)
        self.connection = http.client.HTTPSConnection(place.hostname, place.port, context=context, timeout=30)

    def ask(self, method, path, body=None):
        headers = {"Content-Type": "application/json"} if body is not None else {}
        self.connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        response = self.connection.getresponse()
        answer = json.load(response)
        if response.status >= 400:
            # docs/errors: `retry` says whether the same request may succeed later, `unknown` that it may have been done
            raise SystemExit(f"{answer['code']}: {answer['detail']} (expected {answer.get('expected')}, found {answer.get('found')})")
        return answer


# --- what is signed


def check(report, prepared):
    """The prepared header says what the report says, and nothing else; its exact bytes."""
    fields = prepared["fields"]
    payload, header = base64.b64decode(prepared["payload"]), base64.b64decode(prepared["header"])
    if "figures" in report and json.loads(payload) != report["figures"]:
        raise SystemExit("the payload does not have the report's figures")
    if "text" in report and payload != report["text"].encode():
        raise SystemExit("the payload is not the report's text")
    usual = "application/json" if "figures" in report else "text/plain; charset=utf-8"
    media_type = report.get("media_type", usual)
    if report.get("id", prepared["record_id"]) != prepared["record_id"]:
        raise SystemExit("the header has another id")
    submitted_at = datetime.datetime.fromisoformat(fields["submitted_at"])
    if abs(datetime.datetime.now(datetime.timezone.utc) - submitted_at) > datetime.timedelta(minutes=5):
        raise SystemExit(f"the header's time is not now: {fields['submitted_at']}")
    salt = base64.b64decode(fields["salt"])
    if len(salt) != 16:
        raise SystemExit("the header's salt is not of 16 bytes")
    own = encode_header(report, prepared["record_id"], fields["submitted_at"], media_type, salt, payload)
    if own != header:
        raise SystemExit("the header that the node prepared is not that of the report: nothing was signed")
    return header, payload


def sign(key, message):
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return "ed25519", key.sign(message)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return "ecdsa-p256-sha256", key.sign(message, ec.ECDSA(hashes.SHA256()))
    if isinstance(key, rsa.RSAPrivateKey):
        return "rsa-pkcs1-sha256", key.sign(message, padding.PKCS1v15(), hashes.SHA256())
    raise SystemExit("the signer's key is of a kind that is not accepted")


# --- the receipt, offline: docs/formats/receipt.md


def open_checkpoint(note, vkey):
    """Size and root, if the log's key has signed them (C2SP signed note)."""
    name, key_id, encoded = vkey.split("+", 2)
    public = base64.b64decode(encoded)
    text, _, signatures = note.partition("\n\n")
    text += "\n"
    for line in signatures.splitlines():
        _, who, blob = line.split(" ")
        blob = base64.b64decode(blob)
        if who == name and blob[:4].hex() == key_id:
            ed25519.Ed25519PublicKey.from_public_bytes(public[1:]).verify(blob[4:], text.encode())
            origin, size, root = text.splitlines()[:3]
            if origin != name:
                raise ValueError("the checkpoint is of another log")
            return int(size), base64.b64decode(root)
    raise ValueError("the log's key has not signed the checkpoint")


def root_of(leaf, index, size, proof):
    """RFC 9162, 2.1.3.2."""
    node, last, found = index, size - 1, sha256(b"\x00", leaf)
    if index >= size:
        raise ValueError("the leaf lies behind the checkpoint")
    for sibling in proof:
        if last == 0:
            raise ValueError("the inclusion proof is too long")
        if node & 1 or node == last:
            found = sha256(b"\x01", sibling, found)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            found = sha256(b"\x01", found, sibling)
        node, last = node >> 1, last >> 1
    if last:
        raise ValueError("the inclusion proof is too short")
    return found


def verify(receipt, vkey, header, block):
    size, root = open_checkpoint(receipt["checkpoint"], vkey)
    leaf = base64.b64decode(receipt["leaf"])
    proof = [base64.b64decode(one) for one in receipt["inclusion"]]
    if root_of(leaf, receipt["sequence"], size, proof) != root:
        raise ValueError("the inclusion proof does not lead to the signed root")
    if len(leaf) != 202 or leaf[:2] != b"\x01\x01":
        raise ValueError("the leaf is no record's")
    if leaf[42:74] != sha256(header) or leaf[74:106] != sha256(block):
        raise ValueError("the leaf is of another record")


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ["url", "trust", "cert", "key", "signer", "signer-key", "log-key"]:
        arguments.add_argument(f"--{name}", required=True)
    arguments.add_argument("report")
    given = arguments.parse_args()

    report = json.loads(Path(given.report).read_text(encoding="utf-8"))
    kho = Kho(given.url, given.trust, given.cert, given.key)
    prepared = kho.ask("POST", "/v1/headers", report)
    header, payload = check(report, prepared)
    message = b"DSSEv1 %d %s %d %s" % (len(HEADER_TYPE), HEADER_TYPE, len(header), header)

    key = serialization.load_pem_private_key(Path(given.signer_key).read_bytes(), None)
    certificates = x509.load_pem_x509_certificates(Path(given.signer).read_bytes())
    chain = [certificate.public_bytes(serialization.Encoding.DER) for certificate in certificates]
    algorithm, signature = sign(key, message)
    record = {
        "header": b64(header),
        "payload": b64(payload),
        "algorithm": algorithm,
        "signature": b64(signature),
        "certificates": [b64(der) for der in chain],
    }
    answer = kho.ask("POST", "/v1/records", record)
    block = encode_block(algorithm, signature, chain)
    verify(answer["receipt"], given.log_key, header, block)
    # the same bytes again are the same record: sending again is always safe
    again = kho.ask("POST", "/v1/records", record)
    if not again["duplicate"] or again["receipt"] != answer["receipt"]:
        raise SystemExit("the same record again has another receipt")
    print("accepted and verified:", answer["record_id"], "at", answer["receipt"]["accepted_at"])


if __name__ == "__main__":
    try:
        main()
    except Exception as error:  # noqa: BLE001
        print(f"REJECTED: {type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(1)
