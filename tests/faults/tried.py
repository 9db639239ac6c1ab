"""A program run as a user runs it, and what it must say of a mistake: one line, exit code 2, nothing finished."""

import importlib
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from repository import REPO

from coherence import console


@dataclass
class Shop:
    """A folder where a tiny study's first artifacts lie; programs are run in it."""

    folder: Path
    patch: pytest.MonkeyPatch
    capture: pytest.CaptureFixture[str]

    def run(self, command: str, code: int = 0) -> str:
        """`python scripts/COMMAND` (without its .py) in this process, as on a terminal; what it printed."""
        script, *arguments = shlex.split(command)
        self.patch.chdir(self.folder)
        self.patch.setattr(sys, "argv", [f"scripts/{script}.py", *arguments])
        self.patch.setattr(console, "logs_to_file", lambda: False)
        with pytest.raises(SystemExit) as stop:
            console.run_cli(importlib.import_module(f"scripts.{script}").main)
        printed = "".join(self.capture.readouterr())
        assert stop.value.code == code, printed
        return printed

    def refuses(self, command: str, said: str) -> None:
        """The program ends with one line that holds every part of `said` (parted by ...), and finishes nothing."""
        before = finished(self.folder)
        check_line(self.run(command, code=2), said)
        assert finished(self.folder) == before

    def write(self, name: str, text: str | bytes) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path


def finished(folder: Path) -> dict[str, bytes]:
    """What would pass for a result: manifests and resolved studies."""
    found = [path for name in ("*manifest.json", "study.json") for path in folder.rglob(name) if path.is_file()]
    return {str(path): path.read_bytes() for path in found}


def check_line(printed: str, said: str) -> None:
    """Exactly one error line, which holds the parts of `said`; no traceback."""
    lines = [line for line in printed.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, printed
    assert "Traceback" not in printed
    for part in said.split("..."):
        assert part.strip() in lines[0], lines[0]


def in_a_process(command: str, folder: Path) -> str:
    """What `python scripts/COMMAND` prints in a process of its own; it must exit with 2."""
    script, *arguments = shlex.split(command)
    line = [sys.executable, str(REPO / f"scripts/{script}.py"), *arguments]
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stdout + done.stderr
    return done.stdout + done.stderr
