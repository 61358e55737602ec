"""Files: written whole or not at all, private where they hold what a report says."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from .errors import ConfigError

READ_MAX = 64 << 20
"""Bytes that are read of any file, at most: each of ours has a smaller bound of its own."""


def read(path: Path) -> bytes:
    """A file's content, as far as any of ours can be; one byte more where it is longer."""
    try:
        with open(path, "rb") as file:
            return file.read(READ_MAX + 1)
    except OSError as error:
        raise ConfigError("config-invalid", f"{path}: {error.strerror or error}") from error


def write(path: Path, data: bytes, *, private: bool = False) -> None:
    """A reader sees the old file or the new one, never half of it; when this returns, a power cut does not take it back."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # a new file under a name that nobody can guess, and gone unless it becomes `path`
        handle, name = tempfile.mkstemp(prefix=".kho-", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                os.fchmod(file.fileno(), 0o600 if private else 0o644)
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, path)
        except BaseException:
            os.unlink(name)
            raise
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            # the name is the directory's content
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as error:
        raise ConfigError("config-invalid", f"{path}: {error.strerror or error}") from error
