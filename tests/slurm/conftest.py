"""A clone of the repository on the test cluster. `make slurm-test` starts it; without it these tests are skipped."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from slurm.on_slurm import SLOW, SlurmClone
from workflow.working_copy import copy_repository


@pytest.fixture(scope="session")
def started(tmp_path_factory: pytest.TempPathFactory) -> SlurmClone:
    """A clone with the study `slow`, its base, data and one SFT run built without SLURM."""
    clone = copy_repository(tmp_path_factory.mktemp("started") / "clone")
    (clone.root / "config/slow.yaml").write_text(SLOW)
    done = clone.snakemake("results/slow/sft/seed0/manifest.json", config="config/slow.yaml")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return SlurmClone(clone.root)


@pytest.fixture
def clone(started: SlurmClone, tmp_path: Path) -> Iterator[SlurmClone]:
    """A copy in which that SFT run is not built; what it has begun is ended after the test."""
    shutil.copytree(started.root, tmp_path / "clone", symlinks=True)
    shutil.rmtree(tmp_path / "clone/results/slow/sft")
    clone = SlurmClone(tmp_path / "clone")
    yield clone
    clone.end()
