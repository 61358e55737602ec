"""What tests share: the vectors of the formats, and a log of its own."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scene import Scene

REPOSITORY = Path(__file__).resolve().parents[3]
VECTORS = REPOSITORY / "docs" / "formats" / "vectors"


def vectors(name: str) -> Any:
    """A file of vectors as it stands in the repository."""
    return json.loads((VECTORS / f"{name}.json").read_text(encoding="utf-8"))


def cases(name: str) -> list[Any]:
    """Its cases, each with its name as the test's."""
    found = [pytest.param(case["input"], case["output"], id=case["name"]) for case in vectors(name)["cases"]]
    assert found, name
    return found


@pytest.fixture
def scene() -> Iterator[Scene]:
    scene = Scene()
    yield scene
    scene.close()


@pytest.fixture(scope="session")
def kho() -> Path:
    """The executable that users have; `make test-python` names it."""
    path = os.environ.get("KHO_BIN")
    if not path:
        if os.environ.get("KHO_REQUIRE_ALL"):
            pytest.fail("KHO_BIN does not name the kho executable")
        pytest.skip("KHO_BIN does not name the kho executable")
    return Path(path).resolve()
