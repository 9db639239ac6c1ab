"""The house rules that a machine can check: who imports whom, what scripts are called, what is pinned."""

import ast
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
from repository import REPO

SRC = REPO / "src/coherence"
FLOORS = {
    "config": 0, "provenance": 0, "core": 0, "console": 0, "streams": 0, "cluster": 0,
    "tasks": 1, "models": 1,
    "training": 2, "evaluation": 2,
    "figures": 3, "front": 3, "planning": 3, "report": 4, "observing": 4,
}  # fmt: skip
"""Nothing imports upward. On the ground floor config, provenance and core may lean on console alone."""
MODULES = sorted(SRC.rglob("*.py"))


def imported(path: Path) -> set[str]:
    """Modules of this package that a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return {name for name in names if name.split(".")[0] == "coherence"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(SRC).as_posix())
def test_nothing_imports_upward(path: Path) -> None:
    room = path.relative_to(SRC).parts[0].removesuffix(".py")
    for name in imported(path):
        other = name.split(".")[1]
        assert FLOORS[other] <= FLOORS[room], f"{path} imports {name}"


def test_core_is_pure() -> None:
    for path in (SRC / "core").glob("*.py"):
        assert all(name.startswith("coherence.core") for name in imported(path)), path
        assert not re.search(r"\b(open|print)\(", path.read_text()), path


def test_config_and_provenance_do_without_torch() -> None:
    code = "import sys; import coherence.config.study, coherence.provenance.verify; print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": str(REPO / "src")}, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


def test_package_inits_are_empty() -> None:
    assert [path for path in MODULES if path.name == "__init__.py" and path.read_text().strip()] == []


def test_neutral_plumbing_holds_no_mathematics() -> None:
    for path in (SRC / "console.py", SRC / "cluster/slots.py", *(SRC / "provenance").glob("*.py")):
        text = path.read_text()
        assert not re.search(r"^\s*(import|from) (numpy|torch|random|statistics|pandas)\b", text, re.MULTILINE), path


def test_no_script_bears_the_name_of_a_package() -> None:
    for script in (REPO / "scripts").glob("*.py"):
        spec = importlib.util.find_spec(script.stem)
        assert spec is None or Path(str(spec.origin)).resolve() == script.resolve(), script


def test_environment_yml_has_the_versions_of_the_lock() -> None:
    from scripts.write_environment import environment_text

    lock = (REPO / "requirements.lock").read_text()
    assert (REPO / "environment.yml").read_text() == environment_text(lock), "run `make lock`"
    assert "torch==2.13.0\n" in lock and "+cpu" not in lock


def test_one_file_touches_trls_private_methods() -> None:
    private = re.compile(r"super\(\)\._(?!_)|trainer\._(?!_)|GRPOTrainer\._")
    assert [p.name for p in MODULES if private.search(p.read_text())] == ["trl_seam.py"]


def test_nobody_swallows_exceptions() -> None:
    for path in (*MODULES, *(REPO / "scripts").glob("*.py")):
        assert not re.search(r"except( Exception| BaseException)?:", path.read_text()), path


@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["mypy"],
        ["snakefmt", "--check", "Snakefile", "workflow/rules"],
        ["snakemake", "--lint"],
    ],
    ids=" ".join,
)
def test_the_house_is_clean(command: list[str]) -> None:
    program = Path(sys.executable).parent / command[0]
    done = subprocess.run([program, *command[1:]], cwd=REPO, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
