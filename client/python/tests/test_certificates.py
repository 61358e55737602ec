"""Chains of certificates: a table of what is wrong with one, and the code that it ends with. R-C1."""

from __future__ import annotations

import datetime
import itertools
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID as Eku

from kho_client import TrustRoots, verify_record
from kho_client.certificate import parse
from kho_client.errors import FormatError
from logs import ACCEPTED_MS, END, START, Issued, Log, authority, issue, pem, pem_signer, report, signer_of, unit_name, usage

ROOT, OTHER = authority("Root"), authority("Other")
MIDDLE = authority("Issuing", ROOT)
PAST, FUTURE = (START, datetime.datetime(2025, 1, 1)), (datetime.datetime(2030, 1, 1), END)
SIGNS = (usage("digital_signature"), True)
# a trusted root's own time is not looked at
OLD = authority("Old", valid=PAST)
TRUST = TrustRoots([ROOT.certificate, OLD.certificate])
STRICTER = {"names are constrained"}
"""Refused here, because it is not checked; the store judges it."""


def eku(*oids: Any) -> tuple[x509.ExtendedKeyUsage, bool]:
    return x509.ExtendedKeyUsage(oids), False


def other_critical() -> tuple[x509.UnrecognizedExtension, bool]:
    return x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), True


def names() -> tuple[x509.NameConstraints, bool]:
    return x509.NameConstraints([x509.DNSName("example.vn")], None), True


P384 = ec.generate_private_key(ec.SECP384R1())
P521 = ec.generate_private_key(ec.SECP521R1())
RSA = rsa.generate_private_key(65537, 2048)
WEAK = rsa.generate_private_key(65537, 1024)


def chains() -> dict[str, tuple[str, list[Issued]]]:
    """What is said of a chain, the code that it ends with ("": accepted), and the chain."""

    def under(issuer: Issued, **given: Any) -> list[Issued]:
        return [signer_of(issuer, **given)]

    def through(middle: Issued, **given: Any) -> list[Issued]:
        return [signer_of(middle, **given), middle]

    chains: dict[str, tuple[str, list[Issued]]] = {
        "of the root": ("", under(ROOT)),
        "of a root whose time is over": ("", under(OLD)),
        "of an issuer": ("", through(MIDDLE)),
        "issuers out of order": ("", [signer_of(MIDDLE), OTHER, MIDDLE]),
        "with the root": ("", [signer_of(MIDDLE), MIDDLE, ROOT]),
        "content commitment alone": ("", under(ROOT, more=[(usage("content_commitment"), True)])),
        "no key usage": ("", under(ROOT, more=[])),
        "for clients": ("", under(ROOT, more=[SIGNS, eku(Eku.CLIENT_AUTH, Eku.SERVER_AUTH)])),
        "for documents": ("", under(ROOT, more=[SIGNS, eku(x509.ObjectIdentifier("1.3.6.1.5.5.7.3.36"))])),
        "for anything": ("", under(ROOT, more=[SIGNS, eku(Eku.ANY_EXTENDED_KEY_USAGE)])),
        "not critical and not known": ("", under(ROOT, more=[SIGNS, (other_critical()[0], False)])),
        "no authority, and says so": ("", under(ROOT, more=[SIGNS, (x509.BasicConstraints(False, None), True)])),
        "issuer with p-384": ("", through(authority("P384", ROOT, key=P384))),
        "issuer with p-521": ("", through(authority("P521", ROOT, key=P521), algorithm=hashes.SHA512())),
        "issuer with p-521 and sha-256": ("certificate-untrusted", through(authority("P521", ROOT, key=P521))),
        "issuer with rsa": ("", through(authority("RSA", ROOT, key=RSA))),
        "issuer with pss": ("", through(authority("RSA", ROOT, key=RSA), rsa_padding=padding.PSS(padding.MGF1(hashes.SHA256()), 32))),
        "issuer with pss and another salt": (
            "certificate-untrusted",
            through(authority("RSA", ROOT, key=RSA), rsa_padding=padding.PSS(padding.MGF1(hashes.SHA256()), 20)),
        ),
        "issuer with rsa of 1024 bits": ("certificate-untrusted", through(authority("Weak", ROOT, key=WEAK))),
        "path length is enough": ("", through(authority("Short", ROOT, path=0))),
        "another root": ("certificate-untrusted", under(OTHER)),
        "issuer missing": ("certificate-untrusted", under(MIDDLE)),
        "another key of the issuer's name": ("certificate-untrusted", [signer_of(authority("Issuing", ROOT)), MIDDLE]),
        "past": ("certificate-expired", under(ROOT, valid=PAST)),
        "issuer past": ("certificate-expired", through(authority("Past", ROOT, valid=PAST))),
        "to come": ("certificate-not-yet-valid", under(ROOT, valid=FUTURE)),
        "key usage for encryption": ("certificate-wrong-usage", under(ROOT, more=[(usage("key_encipherment"), True)])),
        "for servers": ("certificate-wrong-usage", under(ROOT, more=[SIGNS, eku(Eku.SERVER_AUTH)])),
        "issuer for servers": ("certificate-wrong-usage", through(authority("Web", ROOT, more=[eku(Eku.SERVER_AUTH)]))),
        "issuer is none": ("certificate-wrong-usage", through(signer_of(ROOT))),
        "issuer may not issue": (
            "certificate-wrong-usage",
            through(issue("Mute", ROOT, extensions=[(x509.BasicConstraints(True, None), True), (usage("crl_sign"), True)])),
        ),
        "an authority": ("certificate-wrong-usage", [authority("A", ROOT, more=[unit_name()])]),
        "path too long": (
            "certificate-untrusted",
            (lambda short: (lambda below: [signer_of(below), below, short])(authority("Below", short)))(authority("Short", ROOT, path=0)),
        ),
        "critical and not known": ("certificate-malformed", under(ROOT, more=[SIGNS, other_critical()])),
        "issuer's critical and not known": ("certificate-malformed", through(authority("Odd", ROOT, more=[other_critical()]))),
        "names are constrained": ("certificate-untrusted", through(authority("Names", ROOT, more=[names()]))),
        "p-384": ("certificate-key-weak", under(ROOT, key=P384)),
        "rsa of 1024 bits": ("certificate-key-weak", under(ROOT, key=WEAK)),
        "no unit": ("certificate-unit-missing", [issue("x", ROOT, extensions=[SIGNS])]),
        "two units": ("certificate-unit-missing", under(ROOT, uris=("urn:kho:unit:BYT", "urn:kho:unit:T01"))),
        "one unit twice": ("certificate-unit-missing", under(ROOT, uris=("urn:kho:unit:BYT", "urn:kho:unit:BYT"))),
        "all units": ("certificate-unit-missing", under(ROOT, uris=("urn:kho:units:all",))),
        "a unit and all": ("certificate-unit-missing", under(ROOT, uris=("urn:kho:unit:BYT", "urn:kho:units:all"))),
        "other names beside": ("", under(ROOT, uris=("urn:kho:unit:BYT", "https://example.vn", "urn:kho:role:submitter"))),
        "a unit that is none": ("certificate-malformed", under(ROOT, uris=("urn:kho:unit:B YT",))),
        "a role that is none": ("certificate-malformed", under(ROOT, uris=("urn:kho:unit:BYT", "urn:kho:role:Reader"))),
        "a node that is none": ("certificate-malformed", under(ROOT, uris=("urn:kho:unit:BYT", "urn:kho:node:1:2"))),
        "another unit": ("signer-unit-mismatch", under(ROOT, uris=("urn:kho:unit:T01",))),
    }
    return chains


CHAINS = chains()


@pytest.mark.parametrize("said", CHAINS)
def test_a_chain(said: str) -> None:
    code, chain = CHAINS[said]
    if chain[0].key is P384 or chain[0].key is WEAK:
        # no signer of this package signs with it; it is refused before the signature is looked at
        with pytest.raises(FormatError) as caught:
            TRUST.verify_chain([one.der for one in chain], ACCEPTED_MS)
        assert caught.value.code == code
        return
    record = report().sign(pem_signer(*chain)).record
    if code:
        with pytest.raises(FormatError) as caught:
            verify_record(record, TRUST, ACCEPTED_MS)
        assert caught.value.code == code, caught.value
    else:
        assert verify_record(record, TRUST, ACCEPTED_MS).signer.unit == "BYT"


def test_kho_says_the_same_of_each_chain(kho: Path, tmp_path: Path) -> None:
    """What only an authority could make, and no change of bytes comes to: `kho verify` with the same root."""
    (tmp_path / "root.pem").write_bytes(pem(ROOT.certificate) + pem(OLD.certificate))
    said, differ = 0, []
    for n, (name_, (code, chain)) in enumerate(CHAINS.items()):
        if chain[0].key in (P384, WEAK) or name_ in STRICTER:
            continue
        log, signed = Log(), report().sign(pem_signer(*chain))
        record, receipt = tmp_path / f"{n}.record", tmp_path / f"{n}.tlog-proof"
        record.write_bytes(signed.record.to_file())
        receipt.write_bytes(log.take(signed).to_tlog_proof())
        command = [str(kho), "verify", "--key", str(log.verifier), "--trust", str(tmp_path / "root.pem"), str(receipt), str(record)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        said += 1
        if (done.returncode == 0) != (code == ""):
            differ.append(f"{name_}: expected {code or 'accepted'}, found {done.returncode}: {done.stderr.strip()}")
    assert not differ and said > 40, "\n".join(differ)


def test_to_the_end_of_its_last_second() -> None:
    chain = [signer_of(ROOT).der]
    end = int(END.replace(tzinfo=datetime.timezone.utc).timestamp() * 1000)
    assert TRUST.verify_chain(chain, end + 999).not_after_ms == end + 999
    with pytest.raises(FormatError):
        TRUST.verify_chain(chain, end + 1000)


def test_a_changed_certificate_is_refused_in_words() -> None:
    der = signer_of(ROOT).der
    # 0x0f makes a bit string of a text
    for place, change in itertools.product(range(len(der)), (0x01, 0x0F, 0x80)):
        with pytest.raises(FormatError) as caught:
            TRUST.verify_chain([der[:place] + bytes([der[place] ^ change]) + der[place + 1 :]], ACCEPTED_MS)
        assert caught.value.code.startswith("certificate-"), caught.value
    with pytest.raises(FormatError):
        parse(0, der + b"\0")
    with pytest.raises(FormatError):
        parse(0, bytes((16 << 10) + 1))
