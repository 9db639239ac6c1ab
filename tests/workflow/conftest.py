"""One tiny study is run for real; edits are made in copies of that copy."""

import shutil
from pathlib import Path

import pytest
from workflow.working_copy import Clone, copy_repository


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A clone in which the tiny study has been run from start to end."""
    clone = copy_repository(tmp_path_factory.mktemp("built") / "clone")
    done = clone.snakemake("all")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return clone


@pytest.fixture
def clone(built: Clone, tmp_path: Path) -> Clone:
    """A fresh copy of the built clone, with its records and times."""
    shutil.copytree(built.root, tmp_path / "clone", symlinks=True)
    return Clone(tmp_path / "clone")
