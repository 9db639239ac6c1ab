"""Each study for GPUs can be planned: its files found, its jobs known, and started in as many processes as it says."""

import re
from pathlib import Path

import pytest
import yaml
from repository import REPO
from workflow.working_copy import Clone, copy_repository, planned_jobs

STUDIES = sorted((REPO / "config/gpu").glob("*.yaml"))


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    return copy_repository(tmp_path_factory.mktemp("gpu") / "clone")


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_a_study_for_gpus_can_be_planned(path: Path, clone: Clone, tmp_path: Path) -> None:
    values = yaml.safe_load(path.read_text())
    named = [part["file"] for part in values["data"].values() if isinstance(part, dict) and "file" in part]
    if values["model"]["kind"] == "local":
        named += [f"{values['model']['path']}/{name}" for name in ("config.json", "model.safetensors")]
    for name in named:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    config = path.relative_to(REPO).as_posix()
    done = clone.snakemake("-n", "-p", "all", config=config, data_root=str(tmp_path))
    said = done.stdout + done.stderr
    assert done.returncode == 0, said[-3000:]
    planned = planned_jobs(said)
    assert (planned["base"], planned["data"], planned["sft"], planned["grpo"]) == (1, 1, 3, 9)
    processes = values["compute"].get("processes", 1)
    many = f"python -m coherence.cluster.slots {processes} torchrun --standalone --nproc-per-node {processes}"
    launch = "python" if processes == 1 else many
    assert len(re.findall(rf"^ *(?:Shell command: )?{launch} scripts/train_\w+\.py", said, re.MULTILINE)) == 12
    assert said.count(" python scripts/check_start.py") == 3
