"""Write environment.yml with the versions of requirements.lock, for people who use conda."""

import re
from pathlib import Path

from coherence.console import run_cli

HEAD = """\
# Written from requirements.lock by `make lock`; a test holds the two together.
#   conda env create -f environment.yml && conda activate coherence && pip install --no-deps -e .
name: coherence
channels: [conda-forge]
dependencies:
  - python=3.11
  - pip
  - pip:
"""


def environment_text(lock: str) -> str:
    """environment.yml with every pin of the lock."""
    pins = re.findall(r"^[A-Za-z0-9_.-]+==\S+", lock, flags=re.MULTILINE)
    return HEAD + "".join(f"      - {pin}\n" for pin in pins)


def main(lock: Path = Path("requirements.lock"), out: Path = Path("environment.yml")) -> None:
    """Write the conda environment.

    Args:
        lock: the pinned versions.
        out: where to.
    """
    out.write_text(environment_text(lock.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    run_cli(main)
