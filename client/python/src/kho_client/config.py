"""`client.toml`, the client file that `kho` reads, too: how to reach a cluster, as whom, and what to believe. `docs/cli.md`.

Fields that this client has no use for are left alone: they are another program's.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import files
from .block import Algorithm
from .certificate import TrustRoots
from .checkpoint import VerifierKey
from .errors import ConfigError
from .signer import PemSigner

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DEADLINES_MS = range(200, 600_001)


@dataclass(frozen=True)
class ClientFile:
    """The file's content; paths are relative to it."""

    path: Path
    content: dict[str, Any]

    @classmethod
    def load(cls, path: Path | str) -> ClientFile:
        """Reads a file."""
        path = Path(path)
        try:
            return cls(path, tomllib.loads(files.read(path).decode("utf-8")))
        except ValueError as error:
            raise ConfigError("config-invalid", f"{path}: {error}") from error

    @property
    def nodes(self) -> list[str]:
        """Client listeners."""
        nodes = self._get("nodes", list)
        if not nodes or not all(isinstance(node, str) for node in nodes):
            raise self._wrong("nodes", "a list of host:port", nodes)
        return list(nodes)

    @property
    def verifier_key(self) -> VerifierKey:
        """The pinned key of the log."""
        return VerifierKey.parse(self._get("verifier_key", str))

    @property
    def deadline(self) -> float:
        """Of a call, in seconds."""
        if "deadline_ms" not in self.content:
            return 3.0
        found = self._get("deadline_ms", int)
        if found not in DEADLINES_MS:
            raise self._wrong("deadline_ms", "200 to 600000", found)
        return float(found) / 1000

    @property
    def trust(self) -> TrustRoots | None:
        """Authorities that name signers, if they are configured."""
        if "signers_trust" not in self.content:
            return None
        return TrustRoots.from_pem(files.read(self._path(self._get("signers_trust", str))))

    @property
    def tls(self) -> tuple[Path, Path, Path]:
        """Certificate, key and trusted authority of the connection."""
        certificate, key, trust = (self._path(self._get(f"tls.{name}", str)) for name in ("certificate", "key", "trust"))
        return certificate, key, trust

    def signer(self) -> PemSigner:
        """Who signs reports."""
        certificate, key = (self._path(self._get(f"signer.{name}", str)) for name in ("certificate", "key"))
        name = self.content["signer"].get("algorithm")
        return PemSigner.from_files(certificate, key, None if name is None else Algorithm.parse(str(name)))

    def _path(self, text: str) -> Path:
        return self.path.parent / text

    def _get(self, field: str, kind: type) -> Any:
        value: Any = self.content
        for part in field.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if not isinstance(value, kind) or isinstance(value, bool):
            raise self._wrong(field, f"a value of type {kind.__name__}", "none" if value is None else value)
        return value

    def _wrong(self, field: str, expected: str, found: object) -> ConfigError:
        message = f"{self.path}: {field}: expected {expected}, found {found!r}"
        return ConfigError("config-invalid", message, expected=expected, found=found)
