"""Fixtures: loose files, and a small clone with a study."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from clones import SOURCES, Clone, write_tree


@pytest.fixture
def tree(tmp_path: Path) -> Callable[..., Path]:
    """tree({name: text}) writes files below one temporary root and returns it."""

    def write(files: Mapping[str, str]) -> Path:
        write_tree(tmp_path, files)
        return tmp_path

    return write


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Clone:
    write_tree(tmp_path, SOURCES)
    monkeypatch.chdir(tmp_path)
    return Clone(tmp_path)
