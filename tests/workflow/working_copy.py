"""A working copy of the repository with a tiny study, in which Snakemake is run as a user runs it."""

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from repository import REPO

PARTS = (
    *("Snakefile", "slurm", "workflow", "scripts", "src", "config"),
    *("requirements.lock", "environment.yml", "README.md"),
)
TINY = """\
base: default.yaml
seeds: [0]
model: {hidden_size: 24, layers: 1, heads: 2, intermediate_size: 32, pretraining: {rows: 60, steps: 3, warmup_steps: 1}}
data: {panels: 4, widgets: 4, heldout_per_line: 1}
sft: {learning_rate: 1.0e-2, batch_size: 8, max_steps: 25}
grpo:
  steps: 2
  prompts_per_step: 2
  num_generations: 4
  require_crystallized: false
  start: {prompts: 4, min_accuracy: 0.0, max_accuracy: 1.0, max_zero_variance: 1.0}
  arms: {task+carl: null}
evaluate: {samples: 1}
"""


class Clone:
    """A working copy in which Snakemake is run as a user runs it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def snakemake(
        self, *arguments: str, config: str = "config/tiny.yaml", data_root: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "CARL_DATA_ROOT")}
        if data_root:
            environment["CARL_DATA_ROOT"] = str(Path(data_root).resolve())
        command = [sys.executable, "-m", "snakemake", "--configfile", config, "--cores", "2", *arguments]
        return subprocess.run(command, cwd=self.root, env=environment, capture_output=True, text=True, check=False)

    def python(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {"PYTHONPATH": str(self.root / "src")}
        command = [sys.executable, *arguments]
        return subprocess.run(command, cwd=self.root, env=environment, capture_output=True, text=True, check=False)

    def planned(self, *targets: str, config: str = "config/tiny.yaml") -> Counter[str]:
        """Jobs per rule that a dry run announces; `all` is left out."""
        done = self.snakemake("-n", *targets, config=config)
        assert done.returncode == 0, done.stdout + done.stderr
        return planned_jobs(done.stdout + done.stderr)

    def edit(self, path: str, change: Callable[[str], str]) -> None:
        file = self.root / path
        before = file.read_text(encoding="utf-8")
        after = change(before)
        assert after != before, f"the edit of {path} changed nothing"
        file.write_text(after, encoding="utf-8")


def planned_jobs(text: str) -> Counter[str]:
    """The job table of a dry run."""
    if "Nothing to be done" in text:
        return Counter()
    table = text.split("Job stats:")[-1].split("total")[0]
    jobs = Counter({name: int(n) for name, n in re.findall(r"^(\w+) +(\d+)$", table, flags=re.MULTILINE)})
    del jobs["all"]
    return jobs


def copy_repository(target: Path) -> Clone:
    target.mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        source = REPO / part
        ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
        if source.is_dir():
            shutil.copytree(source, target / part, ignore=ignore)
        else:
            shutil.copy2(source, target / part)
    (target / "config/tiny.yaml").write_text(TINY, encoding="utf-8")
    return Clone(target)
