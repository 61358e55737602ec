"""Checkpoints: the log's size and root, signed. A C2SP tlog-checkpoint in a C2SP signed note; `docs/formats/checkpoint.md`."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from .errors import ConfigError, ReceiptError, excerpt
from .text import b64decode, b64encode, decimal, hash32

NOTE_LENGTH_MAX = 128 << 10
SIGNATURES_MAX = 64
ED25519_TYPE = b"\x01"

_ORIGIN = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/([1-9][0-9]{0,19})/[0-9a-f]{16}", re.ASCII
)
# Unicode's White_Space, and what separates the parts of a verifier key
_NOT_IN_NAMES = frozenset(
    map(chr, [9, 10, 11, 12, 13, 32, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000])
) | {"+"}


def is_origin(text: str) -> bool:
    """`<cluster uuid>/<epoch>/<16 hex digits>`: the name of a log."""
    match = _ORIGIN.fullmatch(text)
    return match is not None and decimal(match.group(1)) is not None


@dataclass(frozen=True)
class Checkpoint:
    """The log at a size."""

    origin: str
    size: int
    root: bytes

    def body(self) -> str:
        """The text that is signed."""
        return f"{self.origin}\n{self.size}\n{b64encode(self.root)}\n"

    @classmethod
    def from_body(cls, text: str) -> Checkpoint:
        """Reads the text of a note. Further lines are extensions: signed, and without meaning here."""
        lines = text[:-1].split("\n") if text.endswith("\n") else text.split("\n")
        if len(lines) < 3 or "" in lines:
            raise ReceiptError("checkpoint: expected lines with an origin, a size and a root hash, found fewer or empty ones")
        if not is_origin(lines[0]):
            message = f"checkpoint: expected an origin CLUSTER-UUID/EPOCH/16-HEX-DIGITS, found {excerpt(lines[0])}"
            raise ReceiptError(message)
        size, root = decimal(lines[1]), hash32(lines[2])
        if size is None:
            raise ReceiptError(
                f"checkpoint: expected a size in decimal without leading zeros, found {excerpt(lines[1])}"
            )
        if root is None:
            raise ReceiptError(f"checkpoint: expected a root hash of 32 bytes in base64, found {excerpt(lines[2])}")
        return cls(lines[0], size, root)


def key_id(name: str, public_key: bytes) -> bytes:
    """First four bytes of SHA-256(name ‖ 0x0A ‖ 0x01 ‖ public key)."""
    return hashlib.sha256(name.encode() + b"\n" + ED25519_TYPE + public_key).digest()[:4]


def _signatures(note: bytes) -> tuple[str, list[tuple[str, bytes, bytes]]]:
    """Text of a note, and its signatures: name, key id, signature."""

    def wrong(expected: str) -> ReceiptError:
        return ReceiptError(f"checkpoint: expected a signed note with {expected}", expected=expected)

    if len(note) > NOTE_LENGTH_MAX:
        raise ReceiptError(f"checkpoint: expected at most {NOTE_LENGTH_MAX} bytes, found {len(note)}")
    try:
        whole = note.decode("utf-8")
    except UnicodeDecodeError as error:
        raise wrong("utf-8 text") from error
    if any(character < " " and character != "\n" for character in whole):
        raise wrong("no control characters")
    end = whole.rfind("\n\n")
    if end < 0:
        raise wrong("an empty line before its signatures")
    text, rest = whole[: end + 1], whole[end + 2 :]
    if not rest.endswith("\n"):
        raise wrong("signature lines, each ending in a newline")
    lines = rest[:-1].split("\n")
    if len(lines) > SIGNATURES_MAX:
        raise wrong(f"at most {SIGNATURES_MAX} signatures")
    found = []
    for line in lines:
        name, space, encoded = line[2:].partition(" ")
        blob = b64decode(encoded)
        good = line.startswith("\u2014 ") and space and name and not _NOT_IN_NAMES & set(name)
        if not good or blob is None or len(blob) < 5:
            raise wrong("signature lines of dash, name, base64")
        found.append((name, blob[:4], blob[4:]))
    return text, found


@dataclass(frozen=True)
class VerifierKey:
    """What verifies a log's checkpoints: `<origin>+<key id in hex>+<base64(0x01 ‖ public key)>`. Get it once, over a way that
    you trust; `kho keys public` prints it."""

    origin: str
    public_key: bytes
    _key: Ed25519PublicKey = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        try:
            key = Ed25519PublicKey.from_public_bytes(self.public_key)
        except ValueError as error:
            raise ConfigError("receipt-invalid", f"expected an ed25519 public key: {error}") from error
        object.__setattr__(self, "_key", key)

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """From its text."""
        wrong = ConfigError(
            "receipt-invalid", f"expected a verifier key ORIGIN+KEY-ID+BASE64 of type ed25519, found {excerpt(text)}"
        )
        parts = text.split("+", 2)
        material = b64decode(parts[2]) if len(parts) == 3 else None
        if material is None or len(material) != 33 or material[:1] != ED25519_TYPE or not is_origin(parts[0]):
            raise wrong
        if key_id(parts[0], material[1:]).hex() != parts[1]:
            raise wrong
        return cls(parts[0], material[1:])

    @property
    def key_id(self) -> bytes:
        """Four bytes that name the key in notes."""
        return key_id(self.origin, self.public_key)

    def __str__(self) -> str:
        return f"{self.origin}+{self.key_id.hex()}+{b64encode(ED25519_TYPE + self.public_key)}"

    def open(self, note: bytes) -> Checkpoint:
        """The checkpoint in a note, once the log's signature on it is verified. Signatures of other keys are passed over;
        each with this key's name and id must verify."""
        text, signatures = _signatures(note)
        who = f"{self.origin} with key {self.key_id.hex()}"
        own = [signature for name, id_, signature in signatures if (name, id_) == (self.origin, self.key_id)]
        if not own:
            raise ReceiptError(f"checkpoint: expected a signature of {who}, found none")
        for signature in own:
            try:
                self._key.verify(signature, text.encode())
            except InvalidSignature as error:
                message = f"checkpoint: expected a valid signature of {who}, found one that does not verify"
                raise ReceiptError(message) from error
        checkpoint = Checkpoint.from_body(text)
        if checkpoint.origin != self.origin:
            message = f"checkpoint: expected origin {self.origin}, found {checkpoint.origin}"
            raise ReceiptError(message, expected=self.origin, found=checkpoint.origin)
        return checkpoint
