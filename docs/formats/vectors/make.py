#!/usr/bin/env python3
"""Second implementation of the formats, from their pages: makes the vectors that do not exist yet.

Needs Python 3.11 and the package `cryptography`. A file that exists is never written again: its bytes are frozen.
"""

import base64
import datetime
import hashlib
import hmac
import json
import pathlib

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.x509.oid import ExtendedKeyUsageOID as Eku, NameOID

HERE = pathlib.Path(__file__).parent
HEADER_TYPE = b"application/vnd.kho.report-header.v1+protobuf"


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def write(name, about, cases):
    path = HERE / name
    if path.exists():
        print("frozen:", name)
        return
    path.write_text(json.dumps({"about": about, "cases": cases}, ensure_ascii=False, indent=1) + "\n")
    print("made:", name)


# protobuf, proto3: fields in ascending order, default values left out

def varint(n):
    out = b""
    while n > 0x7F:
        out += bytes([n & 0x7F | 0x80])
        n >>= 7
    return out + bytes([n])


def number(field, n):
    return varint(field << 3) + varint(n) if n else b""


def blob(field, data, always=False):
    data = data.encode() if isinstance(data, str) else data
    return varint(field << 3 | 2) + varint(len(data)) + data if data or always else b""


def encode_header(h):
    out = number(1, h.get("version", 1)) + blob(2, bytes.fromhex(h["record_id"])) + blob(3, h["unit"])
    out += blob(4, h["regime"]) + blob(5, h["period"]) + blob(6, h["series"]) + blob(7, bytes.fromhex(h["supersedes"]))
    out += b"".join(blob(8, unit, True) for unit in h["receivers"])
    out += blob(9, h["submitted_at"]) + blob(10, h["media_type"]) + number(11, h["payload_length"])
    out += blob(12, bytes.fromhex(h["salt"])) + blob(13, bytes.fromhex(h["payload_digest"]))
    for a in h["attachments"]:
        inner = blob(1, a["name"]) + blob(2, a["media_type"]) + number(3, a["length"]) + blob(4, bytes.fromhex(a["digest"]))
        out += blob(14, inner, True)
    return out


def signed_bytes(header):
    return b"DSSEv1 %d %s %d " % (len(HEADER_TYPE), HEADER_TYPE, len(header)) + header


PAYLOAD = '{"ghi_chu":"đã kiểm tra","so_ca_mac":12}'.encode()


def header_fields(payload=PAYLOAD, **changes):
    salt = b"0123456789abcdef"
    fields = {
        "record_id": "01729d238b00700080000123456789ab",
        "unit": "BYT",
        "regime": "YT-01",
        "period": "2020-W24",
        "series": "",
        "supersedes": "",
        "receivers": ["TTCP", "VPCP"],
        "submitted_at": "2020-06-12T08:30:00.250+07:00",
        "media_type": "application/json",
        "payload_length": len(payload),
        "salt": salt.hex(),
        "payload_digest": sha256(salt, payload).hex(),
        "attachments": [],
    }
    return fields | changes


def header_vectors():
    cases = []

    def good(name, payload=PAYLOAD, **changes):
        fields = header_fields(payload, **changes)
        encoded = encode_header(fields)
        output = {"encoded": encoded.hex(), "header_digest": sha256(encoded).hex(), "signed_bytes": signed_bytes(encoded).hex()}
        cases.append({"name": name, "input": {"fields": fields, "payload": payload.hex()}, "output": output})

    def bad(name, code, encoded):
        cases.append({"name": name, "input": {"encoded": encoded.hex()}, "output": {"code": code}})

    def bad_field(name, code, **changes):
        bad(name, code, encode_header(header_fields(**changes)))

    attachment = {"name": "biên bản.pdf", "media_type": "application/pdf", "length": 3, "digest": sha256(b"pdf").hex()}
    good("usual")
    good("every field", series="sốt xuất huyết", supersedes="01729d238aff70008000000000000001", attachments=[attachment])
    good("fewest fields", payload=b"", receivers=[])
    for period in ["2020-06-12", "2020-W53", "2020-06", "2020", "2020-01/2020-03", "2020-06-12T08:30:00+07:00"]:
        good("period " + period, period=period)
    good("media type with parameter", media_type="text/plain; charset=utf-8")

    usual = encode_header(header_fields())
    bad("no protobuf", "header-malformed", b"\xff\xff")
    bad("cut", "header-malformed", usual[:-1])
    bad("empty", "header-field-invalid", b"")
    bad("unknown field", "header-not-canonical", usual + b"\x7a\x00")
    bad("field twice", "header-not-canonical", usual + number(11, len(PAYLOAD)))
    bad("field out of order", "header-not-canonical", usual[2:] + usual[:2])
    bad("long number", "header-not-canonical", b"\x08\x81\x00" + usual[2:])
    bad("default value written", "header-not-canonical", usual + b"\x58\x00" + number(11, len(PAYLOAD)))
    bad_field("version 2", "header-field-invalid", version=2)
    bad_field("record id of version 4", "header-field-invalid", record_id="01729d238b0040008000000000000000")
    bad_field("record id of 15 bytes", "header-field-invalid", record_id="01729d238b00700080000000000000")
    bad_field("unit with a space", "header-field-invalid", unit="B YT")
    bad_field("unit of 33 characters", "header-field-invalid", unit="A" * 33)
    bad_field("regime empty", "header-field-invalid", regime="")
    for period in ["2020-13", "2019-W53", "2020-02-30", "2020-03/2020-03", "2020-06-12T08:30:00Z", "2020-6", ""]:
        bad_field("period " + (period or "empty"), "period-invalid", period=period)
    bad_field("series of 257 bytes", "header-field-invalid", series="a" * 257)
    bad_field("series with a line break", "header-field-invalid", series="a\nb")
    bad_field("supersedes itself", "header-field-invalid", supersedes="01729d238b00700080000123456789ab")
    bad_field("receivers not ascending", "header-field-invalid", receivers=["VPCP", "TTCP"])
    bad_field("receiver twice", "header-field-invalid", receivers=["TTCP", "TTCP"])
    bad_field("257 receivers", "header-field-invalid", receivers=["U%03d" % n for n in range(257)])
    bad_field("submitted-at in utc", "header-field-invalid", submitted_at="2020-06-12T01:30:00.250Z")
    bad_field("submitted-at without milliseconds", "header-field-invalid", submitted_at="2020-06-12T08:30:00+07:00")
    bad_field("media type without subtype", "header-field-invalid", media_type="json")
    bad_field("payload over 4 MiB", "payload-too-large", payload_length=(4 << 20) + 1)
    bad_field("salt of 15 bytes", "header-field-invalid", salt="00" * 15)
    bad_field("payload digest of 31 bytes", "header-field-invalid", payload_digest="00" * 31)
    bad_field("attachment with a path", "header-field-invalid", attachments=[attachment | {"name": "a/b"}])
    write("header.json", "fields in hex or text to encoding, digest and DSSE signed bytes; encodings that are refused", cases)


# signatures and certificates

START, END = datetime.datetime(2020, 1, 1), datetime.datetime(2021, 1, 1)
NOW_MS = 1_591_925_400_000  # 2020-06-12T08:30:00+07:00


def name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def der(certificate):
    return certificate.public_bytes(serialization.Encoding.DER)


def digest_of(key):
    return None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()


def authority(subject, issuer=None, issuer_key=None):
    key = ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateBuilder().subject_name(name(subject)).issuer_name(name(issuer or subject))
    builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(datetime.datetime(2015, 1, 1)).not_valid_after(datetime.datetime(2035, 1, 1))
    builder = builder.add_extension(x509.BasicConstraints(True, None), True)
    builder = builder.add_extension(usage(key_cert_sign=True, crl_sign=True), True)
    return key, builder.sign(issuer_key or key, hashes.SHA256())


def usage(**which):
    names = ["digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
             "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"]
    return x509.KeyUsage(**{n: which.get(n, False) for n in names})


def signer(key, issuer, issuer_key, uris=("urn:kho:unit:BYT",), key_usage=None, extended=None):
    builder = x509.CertificateBuilder().subject_name(name("Văn thư Bộ Y tế")).issuer_name(name(issuer))
    builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(START).not_valid_after(END)
    if uris:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(u) for u in uris]), False)
    builder = builder.add_extension(key_usage or usage(digital_signature=True), True)
    if extended:
        builder = builder.add_extension(x509.ExtendedKeyUsage(extended), False)
    return builder.sign(issuer_key, hashes.SHA256())


ED25519, ECDSA, PKCS1, PSS = 1, 2, 3, 4
ALGORITHMS = {ED25519: "ed25519", ECDSA: "ecdsa-p256-sha256", PKCS1: "rsa-pkcs1-sha256", PSS: "rsa-pss-sha256"}


def sign(algorithm, key, message):
    if algorithm == ED25519:
        return key.sign(message)
    if algorithm == ECDSA:
        return key.sign(message, ec.ECDSA(hashes.SHA256()))
    if algorithm == PKCS1:
        return key.sign(message, padding.PKCS1v15(), hashes.SHA256())
    return key.sign(message, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())


def encode_block(algorithm, signature, chain):
    return number(1, 1) + number(2, algorithm) + blob(3, signature) + b"".join(blob(4, sha256(c)) for c in chain)


def signature_vectors():
    root_key, root = authority("Root")
    middle_key, middle = authority("Issuing", "Root", root_key)
    other_key, other = authority("Other")
    header = encode_header(header_fields())
    message = signed_bytes(header)
    keys = {
        ED25519: ed25519.Ed25519PrivateKey.generate(),
        ECDSA: ec.generate_private_key(ec.SECP256R1()),
        PKCS1: rsa.generate_private_key(65537, 2048),
        PSS: rsa.generate_private_key(65537, 3072),
    }
    cases = []

    def case(title, output, block, chain, header=header, payload=PAYLOAD, at_ms=NOW_MS, roots=(root,)):
        record = {"header": header.hex(), "signature_block": block.hex(), "payload": payload.hex(),
                  "certificates": [c.hex() for c in chain]}
        given = {"at_ms": at_ms, "roots": [der(r).hex() for r in roots], "record": record}
        cases.append({"name": title, "input": given, "output": output})

    for algorithm, key in keys.items():
        chain = [der(signer(key, "Issuing", middle_key)), der(middle)]
        block = encode_block(algorithm, sign(algorithm, key, message), chain)
        output = {"unit": "BYT", "algorithm": ALGORITHMS[algorithm], "header_digest": sha256(header).hex(),
                  "signature_block_digest": sha256(block).hex(), "certificate_digest": sha256(chain[0]).hex(),
                  "not_before_ms": 1_577_836_800_000, "not_after_ms": 1_609_459_200_999}
        case(ALGORITHMS[algorithm], output, block, chain)

    key = keys[ED25519]

    def chain_of(**changes):
        return [der(signer(changes.pop("key", key), "Root", root_key, **changes))]

    def refused(title, code, chain=None, algorithm=ED25519, signer_key=key, change=None, **more):
        chain = chain or chain_of()
        block = encode_block(algorithm, sign(algorithm, signer_key, message), chain)
        case(title, {"code": code}, change(block, chain) if change else block, chain, **more)

    def another_signature(block, chain):
        return encode_block(ED25519, sign(ED25519, key, message + b"!"), chain)

    for good in [usage(content_commitment=True), usage(digital_signature=True, key_encipherment=True)]:
        chain = chain_of(key_usage=good)
        block = encode_block(ED25519, sign(ED25519, key, message), chain)
        output = cases[0]["output"] | {"signature_block_digest": sha256(block).hex(), "certificate_digest": sha256(chain[0]).hex()}
        case("other key usage", output, block, chain)
    refused("signature of other bytes", "signature-invalid", change=another_signature)
    refused("signature of the header without its envelope", "signature-invalid",
            change=lambda block, chain: encode_block(ED25519, key.sign(header), chain))
    refused("salt of 20 bytes", "signature-invalid", chain_of(key=keys[PSS]), change=lambda block, chain: encode_block(
        PSS, keys[PSS].sign(message, padding.PSS(padding.MGF1(hashes.SHA256()), 20), hashes.SHA256()), chain))
    refused("algorithm of another key", "algorithm-unsupported", chain_of(key=keys[ECDSA]))
    refused("unknown algorithm", "algorithm-unsupported",
            change=lambda block, chain: encode_block(9, b"x", chain))
    refused("block with an unknown field", "signature-block-malformed", change=lambda block, chain: block + b"\x7a\x00")
    refused("no certificate", "signature-block-malformed", change=lambda block, chain: encode_block(ED25519, b"x", []))
    refused("another certificate than named", "certificate-missing",
            change=lambda block, chain: encode_block(ED25519, b"x", [der(middle)]))
    refused("certificate cut", "certificate-malformed", [chain_of()[0][:-1]])
    refused("another root", "certificate-untrusted", roots=(other,))
    refused("issuer missing", "certificate-untrusted", [der(signer(key, "Issuing", middle_key))])
    refused("after its end", "certificate-expired", at_ms=1_609_459_201_000)
    refused("before its beginning", "certificate-not-yet-valid", at_ms=1_577_836_799_999)
    refused("key usage without signatures", "certificate-wrong-usage", chain_of(key_usage=usage(key_encipherment=True)))
    refused("extended key usage for servers", "certificate-wrong-usage", chain_of(extended=[Eku.SERVER_AUTH]))
    refused("an authority as signer", "certificate-wrong-usage", [der(middle)], ECDSA, middle_key)
    weak = rsa.generate_private_key(65537, 1024)
    refused("rsa of 1024 bits", "certificate-key-weak", chain_of(key=weak), PKCS1, weak)
    p384 = ec.generate_private_key(ec.SECP384R1())
    refused("p-384", "certificate-key-weak", chain_of(key=p384), ECDSA, p384)
    refused("no unit", "certificate-unit-missing", chain_of(uris=()))
    refused("two units", "certificate-unit-missing", chain_of(uris=("urn:kho:unit:BYT", "urn:kho:unit:BTC")))
    refused("every unit", "certificate-unit-missing", chain_of(uris=("urn:kho:unit:BYT", "urn:kho:units:all")))
    refused("another unit", "signer-unit-mismatch", chain_of(uris=("urn:kho:unit:BTC",)))
    refused("payload of another length", "payload-length-mismatch", payload=PAYLOAD[1:])
    refused("payload with another content", "payload-digest-mismatch", payload=b"!" * len(PAYLOAD))
    write("signature.json", "whole records, the roots and the time of verification, to the verdict", cases)


# sealed parts

def hkdf(key, info):
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=info).derive(key)


def sealed_vectors():
    cases = []
    cluster, key_id = bytes(range(16)), bytes(range(16, 32))
    record_id = bytes.fromhex("01729d238b0070008000000000000000")
    data_key, kek, token_key = sha256(b"data key"), sha256(b"key-encryption key"), sha256(b"token key")
    header, block = encode_header(header_fields()), encode_block(ED25519, bytes(64), [b"certificate"])
    parts = [
        ("head", 1, record_id, sha256(header), sha256(block), blob(1, header) + blob(2, block)),
        ("payload", 2, record_id, sha256(header), sha256(block), PAYLOAD),
        ("empty payload", 2, record_id, sha256(header), sha256(block), b""),
        ("certificate", 3, bytes(16), sha256(b"certificate"), bytes(32), b"certificate"),
    ]
    for title, part, record, header_digest, block_digest, plaintext in parts:
        nonce = sha256(title.encode())[:12]
        info = b"kho sealed v1" + record + bytes([part])
        aad = b"\x01" + cluster + key_id + record + bytes([part]) + header_digest + block_digest
        sealed = bytes([1, part]) + nonce + AESGCM(hkdf(data_key, info)).encrypt(nonce, plaintext, aad)
        given = {"cluster_id": cluster.hex(), "key_id": key_id.hex(), "record_id": record.hex(), "part": part,
                 "header_digest": header_digest.hex(), "signature_block_digest": block_digest.hex(),
                 "data_key": data_key.hex(), "nonce": nonce.hex(), "plaintext": plaintext.hex()}
        cases.append({"name": title, "input": given, "output": {"sealed": sealed.hex()}})

    nonce, unit_token, generation = sha256(b"wrap")[:12], bytes(range(32, 48)), 3
    aad = b"\x01" + cluster + key_id + unit_token + generation.to_bytes(4, "big")
    wrapped = b"\x01" + nonce + AESGCM(hkdf(kek, b"kho wrapped key v1" + key_id)).encrypt(nonce, data_key, aad)
    given = {"cluster_id": cluster.hex(), "key_id": key_id.hex(), "unit_token": unit_token.hex(), "generation": generation,
             "key_encryption_key": kek.hex(), "nonce": nonce.hex(), "data_key": data_key.hex()}
    output = {"wrapped": wrapped.hex(), "fingerprint": hkdf(kek, b"kho key fingerprint v1").hex()}
    cases.append({"name": "wrapped key", "input": given, "output": output})

    def token(kind, *names):
        parts = b"".join(len(n.encode()).to_bytes(4, "big") + n.encode() for n in names)
        return hmac.digest(token_key, b"kho token v1" + bytes([kind]) + parts, "sha256")[:16].hex()

    given = {"token_key": token_key.hex(), "unit": "BYT", "regime": "YT-01", "period": "2020-W24", "series": "sốt xuất huyết"}
    output = {"unit": token(1, "BYT"), "regime": token(2, "YT-01"), "receiver": token(3, "BYT"),
              "series": token(4, "BYT", "YT-01", "2020-W24", "sốt xuất huyết")}
    cases.append({"name": "tokens", "input": given, "output": output})
    write("sealed.json", "keys, context, nonce and plaintext to sealed parts; wrapped keys; tokens", cases)


def object_vectors():
    cases = []
    cluster, key_id, data_key = bytes(range(16)), bytes(range(16, 32)), sha256(b"data key")
    contents = [("one chunk", b"an attachment"), ("empty", b""), ("two chunks", bytes(n % 251 for n in range(262145)))]
    for title, content in contents:
        length = len(content).to_bytes(8, "big")
        object_id = hmac.digest(hkdf(data_key, b"kho object id v1"), sha256(content) + length, "sha256")
        digests = b""
        for index in range(max(1, -(-len(content) // 262144))):
            nonce = sha256(title.encode(), bytes([index]))[:12]
            aad = b"\x01\x04" + cluster + key_id + object_id + length + index.to_bytes(4, "big")
            key = hkdf(data_key, b"kho sealed chunk v1" + object_id)
            chunk = content[index * 262144:(index + 1) * 262144]
            sealed = b"\x01\x04" + nonce + AESGCM(key).encrypt(nonce, chunk, aad)
            digests += sha256(sealed)
        given = {"cluster_id": cluster.hex(), "key_id": key_id.hex(), "data_key": data_key.hex(), "length": len(content),
                 "content_digest": sha256(content).hex(), "last_nonce": nonce.hex(), "last_chunk": chunk.hex()}
        output = {"object_id": object_id.hex(), "last_sealed": sealed.hex(), "chunk_digests": digests.hex(),
                  "sealed_digest": sha256(digests).hex()}
        cases.append({"name": title, "input": given, "output": output})
    write("object.json", "content of an attachment to its object's id, sealed chunks and sealed digest", cases)


# checkpoint and receipt

def b64(data):
    return base64.b64encode(data).decode()


class Log:
    def __init__(self, seed, cluster_id, epoch, record):
        self.seed, self.cluster_id, self.epoch, self.record = seed, cluster_id, epoch, record
        u = cluster_id.hex()
        uuid = "-".join([u[:8], u[8:12], u[12:16], u[16:20], u[20:]])
        self.origin = "%s/%d/%s" % (uuid, epoch, sha256(record).hex()[:16])
        self.key = ed25519.Ed25519PrivateKey.from_private_bytes(seed)
        public = self.key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        self.key_id = sha256(self.origin.encode(), b"\n\x01", public)[:4]
        self.vkey = "%s+%s+%s" % (self.origin, self.key_id.hex(), b64(b"\x01" + public))

    def note(self, size, root):
        text = "%s\n%d\n%s\n" % (self.origin, size, b64(root))
        return text + "\n\u2014 %s %s\n" % (self.origin, b64(self.key_id + self.key.sign(text.encode())))


LOG = Log(sha256(b"log key"), bytes(range(16)), 1, b"genesis record")


def checkpoint_vectors():
    cases = []
    for title, log, size, root in [
        ("usual", LOG, 20852163, sha256(b"root")),
        ("empty tree", LOG, 0, sha256()),
        ("largest size", Log(sha256(b"other"), bytes(range(16, 32)), 12, b"promotion"), 2**64 - 1, bytes(32)),
    ]:
        given = {"seed": log.seed.hex(), "cluster_id": log.cluster_id.hex(), "epoch": log.epoch, "epoch_record": log.record.hex(),
                 "size": str(size), "root": root.hex()}
        cases.append({"name": title, "input": given, "output": {"verifier_key": log.vkey, "note": log.note(size, root)}})
    note = LOG.note(7, sha256(b"root"))
    text, signature = note.split("\n\n")
    other = Log(sha256(b"other"), LOG.cluster_id, LOG.epoch, LOG.record)
    opened = {"size": "7", "root": sha256(b"root").hex()}
    witness = "\u2014 witness.example " + b64(b"1234" + bytes(64)) + "\n"
    extended = text + "\nextension\n"
    extended += "\n\u2014 %s %s\n" % (LOG.origin, b64(LOG.key_id + LOG.key.sign(extended.encode())))
    for title, note, verdict in [
        ("with a witness", note + witness, opened),
        ("witness first", text + "\n\n" + witness + signature, opened),
        ("with an extension line", extended, opened),
        ("another key", other.note(7, sha256(b"root")), {"code": "receipt-invalid"}),
        ("changed size", note.replace("\n7\n", "\n8\n"), {"code": "receipt-invalid"}),
        ("no signature", text + "\n\n", {"code": "receipt-invalid"}),
        ("size with a leading zero", LOG.note(7, sha256(b"root")).replace("\n7\n", "\n07\n"), {"code": "receipt-invalid"}),
        ("carriage returns", note.replace("\n", "\r\n"), {"code": "receipt-invalid"}),
        ("no line break at its end", note[:-1], {"code": "receipt-invalid"}),
    ]:
        cases.append({"name": title, "input": {"verifier_key": LOG.vkey, "note": note}, "output": verdict})
    write("checkpoint.json", "seed and tree head to verifier key and note; notes to size and root", cases)


def leaf_hash(leaf):
    return sha256(b"\x00", leaf)


def node(left, right):
    return sha256(b"\x01", left, right)


def root_and_proof(hashes_, index):
    """RFC 6962, 2.1 and 2.1.1."""
    if len(hashes_) == 1:
        return hashes_[0], []
    split = 1
    while split * 2 < len(hashes_):
        split *= 2
    left, right = hashes_[:split], hashes_[split:]
    if index < split:
        root, proof = root_and_proof(left, index)
        other = root_and_proof(right, 0)[0]
        return node(root, other), proof + [other]
    root, proof = root_and_proof(right, index - split)
    other = root_and_proof(left, 0)[0]
    return node(other, root), proof + [other]


def receipt_vectors():
    header = encode_header(header_fields())
    key = ed25519.Ed25519PrivateKey.from_private_bytes(sha256(b"signer"))
    root_key, _ = authority("Root")
    chain = [der(signer(key, "Root", root_key))]
    block = encode_block(ED25519, key.sign(signed_bytes(header)), chain)
    record = {"header": header.hex(), "signature_block": block.hex(), "payload": PAYLOAD.hex(),
              "certificates": [c.hex() for c in chain]}
    file = blob(1, header) + blob(2, block) + blob(3, PAYLOAD) + b"".join(blob(4, c) for c in chain)
    leaf = b"\x01\x01" + bytes.fromhex(header_fields()["record_id"]) + (1_591_925_401_000).to_bytes(8, "big")
    leaf += bytes(range(16, 32)) + sha256(header) + sha256(block) + sha256(b"sealed head") + sha256(b"sealed payload") + sha256()
    cases = []

    def case(title, leaf, index, proof, note, output, record=record, vkey=LOG.vkey, text=None):
        text = text or "c2sp.org/tlog-proof@v1\nextra %s\nindex %d\n%s\n%s" % (
            b64(leaf), index, "".join(b64(h) + "\n" for h in proof), note)
        cases.append({"name": title, "input": {"verifier_key": vkey, "record": record, "tlog_proof": text}, "output": output})

    for size, index in [(1, 0), (2, 1), (3, 2), (7, 3), (8, 7), (300, 259)]:
        hashes_ = [leaf_hash(leaf) if n == index else leaf_hash(b"leaf %d" % n) for n in range(size)]
        root, proof = root_and_proof(hashes_, index)
        note = LOG.note(size, root)
        output = {"record_id": header_fields()["record_id"], "accepted_at_ms": 1_591_925_401_000, "sequence": index,
                  "size": size, "root": root.hex(), "record_file": file.hex()}
        case("leaf %d of %d" % (index, size), leaf, index, proof, note, output)

    invalid = {"code": "receipt-invalid"}
    case("another index", leaf, 258, proof, note, invalid)
    case("index beyond the size", leaf, 300, proof, note, invalid)
    case("proof cut", leaf, 259, proof[:-1], note, invalid)
    case("proof with a hash more", leaf, 259, proof + [bytes(32)], note, invalid)
    changed = leaf[:18] + bytes(8) + leaf[26:]
    case("changed accepted-at", changed, 259, proof, note, invalid)
    case("another log's key", leaf, 259, proof, note, invalid, vkey=Log(bytes(32), LOG.cluster_id, 1, LOG.record).vkey)
    other = encode_header(header_fields(series="khác"))
    case("another record", leaf, 259, proof, note, invalid, record=record | {"header": other.hex()})
    case("another payload", leaf, 259, proof, note, {"code": "payload-digest-mismatch"},
         record=record | {"payload": (b"!" * len(PAYLOAD)).hex()})
    good = cases[-1]["input"]["tlog_proof"]
    case("another first line", leaf, 259, proof, note, invalid, text=good.replace("@v1", "@v2"))
    case("no leaf", leaf, 259, proof, note, invalid, text="\n".join(l for l in good.split("\n") if not l.startswith("extra")))
    case("index with a leading zero", leaf, 259, proof, note, invalid, text=good.replace("index 2", "index 02"))
    write("receipt.json", "receipt as tlog-proof, verifier key and record to the verdict; the record as a file", cases)


# the log as it is published: C2SP tlog-tiles

def tree_root(hashes_):
    return root_and_proof(hashes_, 0)[0] if hashes_ else sha256()


def subproof(old, hashes_, complete):
    """RFC 6962, 2.1.2."""
    if old == len(hashes_):
        return [] if complete else [tree_root(hashes_)]
    split = 1
    while split * 2 < len(hashes_):
        split *= 2
    if old <= split:
        return subproof(old, hashes_[:split], complete) + [tree_root(hashes_[split:])]
    return subproof(old - split, hashes_[split:], False) + [tree_root(hashes_[:split])]


def tile_hashes(leaves, level, index):
    """MTH(D[(n * 256 + i) * 256**l : (n * 256 + i + 1) * 256**l]), as far as the leaves go."""
    span = 256 ** level
    out = []
    for i in range(256):
        part = leaves[(index * 256 + i) * span:(index * 256 + i + 1) * span]
        if len(part) < span:
            break
        out.append(tree_root(part))
    return out


def tlog_vectors():
    cases = []
    leaves = [leaf_hash(b"leaf %d" % n) for n in range(70_000)]
    for old, new in [(1, 2), (2, 3), (6, 7), (7, 8), (3, 300), (255, 256), (255, 257), (256, 257), (256, 512), (257, 511),
                     (300, 65_535), (65_535, 65_536), (65_536, 65_537), (257, 70_000), (69_999, 70_000), (0, 5), (5, 5)]:
        proof = subproof(old, leaves[:new], True) if old else []
        output = {"old_root": tree_root(leaves[:old]).hex(), "new_root": tree_root(leaves[:new]).hex(),
                  "proof": [h.hex() for h in proof]}
        cases.append({"name": "consistency of %d and %d" % (old, new), "input": {"old": old, "new": new}, "output": output})
    for level, index, size in [(0, 0, 1), (0, 0, 255), (0, 0, 256), (1, 0, 256), (0, 1, 257), (1, 0, 70_000), (1, 1, 70_000),
                               (2, 0, 70_000), (0, 272, 70_000), (0, 273, 70_000)]:
        hashes_ = tile_hashes(leaves[:size], level, index)
        path = "tile/%d/%03d" % (level, index) + ("" if len(hashes_) == 256 else ".p/%d" % len(hashes_))
        cases.append({"name": "%s of %d" % (path, size), "input": {"size": size, "level": level, "index": index},
                      "output": {"path": path, "width": len(hashes_), "sha256": sha256(b"".join(hashes_)).hex()}})
    for entries in [[b"leaf 0"], [b"leaf 0", b"", b"leaf 2"], [bytes(300)]]:
        text = b"".join(len(e).to_bytes(2, "big") + e for e in entries)
        cases.append({"name": "bundle of %d" % len(entries), "input": {"bundle": text.hex()},
                      "output": {"entries": [e.hex() for e in entries]}})
    cases.append({"name": "bundle cut", "input": {"bundle": "0006" + b"leaf".hex()}, "output": {"code": "log-tiles-invalid"}})
    for path, output in [("tile/0/x001/x234/067.p/8", {"level": 0, "index": "1234067", "width": 8}),
                         ("tile/entries/x001/000", {"level": "entries", "index": "1000", "width": 256}),
                         ("tile/63/999", {"level": 63, "index": "999", "width": 256}),
                         ("tile/64/000", {"code": "log-path-malformed"}), ("tile/00/000", {"code": "log-path-malformed"}),
                         ("tile/0/1000", {"code": "log-path-malformed"}), ("tile/0/x000/001", {"code": "log-path-malformed"}),
                         ("tile/0/000.p/256", {"code": "log-path-malformed"}), ("tile/0/000.p/0", {"code": "log-path-malformed"}),
                         ("tile/0/x001", {"code": "log-path-malformed"}), ("tiles/0/000", {"code": "log-path-unknown"})]:
        cases.append({"name": path, "input": {"path": path}, "output": output})
    write("tlog.json", "leaf n is the text 'leaf n'; sizes to roots and proofs; places to tiles; bundles; paths", cases)


def report_vectors():
    base = '{"unit":"BYT","regime":"YT-01","period":"2020-W24",%s}'
    cases = []

    def good(title, document, payload, media_type):
        output = {"payload": payload, "media_type": media_type}
        cases.append({"name": title, "input": document, "output": output})

    def bad(title, document, code="report-invalid"):
        cases.append({"name": title, "input": document, "output": {"code": code}})

    good("figures", base % '"figures":{ "b" : [1, -2, true, null], "a" : {"đ":"Đã \\u0111\\u00e3"} }',
         '{"a":{"đ":"Đã đã"},"b":[1,-2,true,null]}', "application/json")
    good("numbers", base % '"figures":[18446744073709551615, -9223372036854775808, 0.10, 1e-7, 1.5e3, -0.0, 2.0]',
         "[18446744073709551615,-9223372036854775808,0.1,1e-7,1500.0,0,2.0]", "application/json")
    good("small and large fractions", base % '"figures":[0.00001, 0.000001, 1.25e-7, 9007199254740991.0, 123456789012345.6, -0.1]',
         "[0.00001,1e-6,1.25e-7,9007199254740991.0,123456789012345.6,-0.1]", "application/json")
    good("escapes", base % '"figures":"\\u0041\\/\\u001f\\"\\\\\\t\\n\\b\\f\\r\\u007f"',
         '"A/\\u001f\\"\\\\\\t\\n\\b\\f\\r\u007f"', "application/json")
    good("names in order of their bytes", base % '"figures":{"\\uff5e":1,"\\ud83d\\ude00":2,"Z":3,"a":4,"":5}',
         '{"":5,"Z":3,"a":4,"\uff5e":1,"\U0001f600":2}', "application/json")
    good("text", base % '"text":"Báo cáo tuần 24\\n"', "Báo cáo tuần 24\n", "text/plain; charset=utf-8")
    good("media type given", base % '"text":"a;b","media_type":"text/csv"', "a;b", "text/csv")
    bad("unknown field", base % '"text":"x","note":"y"')
    bad("field twice", base % '"text":"x","text":"y"')
    bad("both contents", base % '"text":"x","figures":1')
    bad("no content", '{"unit":"BYT","regime":"YT-01","period":"2020-W24"}')
    bad("null figures", base % '"figures":null')
    bad("name twice", base % '"figures":{"a":1,"a":1}')
    bad("number beyond 64 bits", base % '"figures":18446744073709551616')
    bad("unit missing", '{"regime":"YT-01","period":"2020-W24","text":"x"}')
    bad("unit with a space", '{"unit":"B YT","regime":"YT-01","period":"2020-W24","text":"x"}')
    bad("id of version 4", base % '"text":"x","id":"01729d23-8b00-4000-8000-000000000000"')
    bad("period", '{"unit":"BYT","regime":"YT-01","period":"2020-W54","text":"x"}', "period-invalid")
    bad("no json", "unit: BYT")
    write("report.json", "documents to payload and media type, or to the refusal", cases)


header_vectors()
signature_vectors()
sealed_vectors()
object_vectors()
checkpoint_vectors()
receipt_vectors()
tlog_vectors()
report_vectors()
