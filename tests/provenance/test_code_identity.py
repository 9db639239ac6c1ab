"""The import closure, and which edits change the identity of code."""

import ast
import os
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coherence.provenance.artifact import ROOT
from coherence.provenance.code import NEUTRAL, _imports, closure, code_parts, third_party

Tree = Callable[..., Path]


def names(root: Path, script: str = "scripts/x.py") -> list[str]:
    return [path.relative_to(root.resolve()).as_posix() for path in closure(root / script, root)]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"scripts/x.py": "import os, sys, numpy"}, []),
        ({"scripts/x.py": "def f():\n    import lib.a", "src/lib/a.py": ""}, ["src/lib/a.py"]),
        ({"scripts/x.py": "import helper", "scripts/helper.py": ""}, ["scripts/helper.py"]),
        (
            {
                "scripts/x.py": "from lib.a import f",
                "src/lib/__init__.py": "",
                "src/lib/a.py": "from lib.b import g",
                "src/lib/b.py": "",
                "src/lib/c.py": "",
            },
            ["src/lib/__init__.py", "src/lib/a.py", "src/lib/b.py"],
        ),
        (
            {
                "scripts/x.py": "import lib.sub.a",
                "src/lib/__init__.py": "",
                "src/lib/sub/__init__.py": "",
                "src/lib/sub/a.py": "from . import b\nfrom ..c import f",
                "src/lib/sub/b.py": "",
                "src/lib/c.py": "",
            },
            [
                "src/lib/__init__.py",
                "src/lib/c.py",
                "src/lib/sub/__init__.py",
                "src/lib/sub/a.py",
                "src/lib/sub/b.py",
            ],
        ),
        ({"scripts/x.py": "from space.inner import a", "src/space/inner/a.py": ""}, ["src/space/inner/a.py"]),
        (
            {
                "scripts/x.py": "from lib import a, VALUE",
                "src/lib/__init__.py": "VALUE = 1",
                "src/lib/a.py": "",
            },
            ["src/lib/__init__.py", "src/lib/a.py"],
        ),
        (
            {
                "scripts/x.py": "from lib.a import *",
                "src/lib/a.py": "import lib.x",
                "src/lib/x.py": "import lib.a",
            },
            ["src/lib/a.py", "src/lib/x.py"],
        ),
        (
            {
                "scripts/x.py": "import typing\nif typing.TYPE_CHECKING: import lib.a\nelse: import lib.b",
                "src/lib/a.py": "",
                "src/lib/b.py": "",
            },
            ["src/lib/b.py"],
        ),
    ],
    ids=[
        "none",
        "in a function",
        "beside the script",
        "two down",
        "relative",
        "namespace",
        "attribute",
        "cycle",
        "type checking",
    ],
)
def test_closure(tree: Tree, files: dict[str, str], expected: list[str]) -> None:
    assert names(tree(files)) == sorted(["scripts/x.py", *expected])


def test_closure_follows_an_edit(tree: Tree) -> None:
    root = tree({"scripts/x.py": "import lib.a", "src/lib/a.py": "", "src/lib/b.py": ""})
    assert "src/lib/b.py" not in names(root)
    tree({"src/lib/a.py": "import lib.b"})
    assert "src/lib/b.py" in names(root)


def test_closure_follows_a_file_that_appears(tree: Tree) -> None:
    root = tree({"scripts/x.py": "import lib.a"})
    assert names(root) == ["scripts/x.py"]
    tree({"src/lib/a.py": ""})
    assert names(root) == ["scripts/x.py", "src/lib/a.py"]
    tree({"src/lib/__init__.py": ""})
    assert names(root) == ["scripts/x.py", "src/lib/__init__.py", "src/lib/a.py"]


def test_errors_name_the_file(tree: Tree) -> None:
    root = tree({"scripts/x.py": "import lib.a", "src/lib/a.py": "x = (\n"})
    with pytest.raises(ValueError, match=r"src/lib/a\.py, line 1"):
        closure(root / "scripts/x.py", root)
    with pytest.raises(ValueError, match=r"scripts/y\.py does not exist"):
        closure(root / "scripts/y.py", root)


def test_third_party(tree: Tree) -> None:
    root = tree(
        {
            "scripts/x.py": "import os, lib.a, helper\nfrom PIL.Image import open",
            "scripts/helper.py": "from coherence.console import progress",
            "src/lib/a.py": "def f():\n    import yaml.loader\n    from . import b",
            "src/lib/b.py": "from __future__ import annotations",
            "src/coherence/console.py": "import tyro",
        }
    )
    assert third_party(root / "scripts/x.py", root) == {"yaml", "PIL"}


# ------------------------------------------------------------------------------- the edit table

BEFORE = '''
"""Module."""
from coherence.console import progress
from lib.b import helper

RATE = 0.1
"""The rate."""


class Thing:
    """A class."""

    size: int = 3


def step(x, rows):
    """A function."""
    progress("step")
    y = x + RATE  # add
    name = f"{rows['a']:.2f}"
    return helper(y)
'''
EDITS = {
    "comment": ("# add", "# add the rate"),
    "comment line": ("RATE = 0.1", "# a rate\nRATE = 0.1"),
    "module docstring": ('"""Module."""', '"""A module."""'),
    "attribute docstring": ('"""The rate."""', '"""How fast."""'),
    "class docstring": ('    """A class."""\n', ""),
    "function docstring": ('"""A function."""', '"""Step."""'),
    "new attribute docstring": ("size: int = 3", 'size: int = 3\n    """How many."""'),
    "white space": ("x + RATE", "x  +  RATE"),
    "quotes in an f-string": ("f\"{rows['a']:.2f}\"", "f'{rows[\"a\"]:.2f}'"),
    "brackets": ("x + RATE", "(x + RATE)"),
    "quotes": ('progress("step")', "progress('step')"),
    "message": ('progress("step")', 'progress(f"step {x:.3f} of {len(rows)}")'),
    "no message": ('    progress("step")\n', ""),
    "no message, no import": ('    progress("step")\n', "", "from coherence.console import progress\n", ""),
    "message by another name": ("import progress", "import progress as say", 'progress("', 'say("'),
    "message by module": (
        "from coherence.console import progress",
        "from coherence import console",
        "progress(",
        "console.progress(",
    ),
    "message by full name": (
        "from coherence.console import progress",
        "import coherence.console",
        "progress(",
        "coherence.console.progress(",
    ),
    "second message": ("    y = x", '    progress("now")\n    y = x'),
    "run_cli imported": ("import progress", "import progress, run_cli"),
}
CHANGES = {
    "constant": ("0.1", "0.2"),
    "type of a constant": ("RATE = 0.1", "RATE = '0.1'"),
    "key in an f-string": ("rows['a']", "rows['b']"),
    "format in an f-string": (":.2f", ":.3f"),
    "conversion in an f-string": (":.2f", "!r:.2f"),
    "no f": ('f"{rows', '"{rows'),
    "operator": ("x + RATE", "x - RATE"),
    "default": ("size: int = 3", "size: int = 4"),
    "call in a message": ('progress("step")', 'progress(f"step {next(rows)}")'),
    "walrus in a message": ('progress("step")', 'progress(f"step {(x := 3)}")'),
    "walrus in a pure call": ('progress("step")', "progress(len((x := rows)))"),
    "result of a message": ('progress("step")', 'x = progress("step")'),
    "another progress": ("from coherence.console import progress", "from lib.b import progress"),
    "run_cli": ("import progress", "import progress, run_cli", 'progress("step")', "run_cli(step)"),
    "progress as a parameter": ("step(x, rows)", "step(x, rows, progress)"),
    "string in an expression": ("return helper(y)", 'return helper(y) or "text"'),
    "import": ("from lib.b import helper", "from lib.b import helper2 as helper"),
}


NESTED = """def f(a, *b: int, c=1):
    x = f"{a['k']!r:>{c}} {'; ' if b else ''}{{}} {f'{c}/d'} \\n" "e"
    return [y := 10, *b, lambda z=1: (yield), {**a}, a[1:2, ...], -1e3, 'q"', "q'"]
"""
GOLDEN = "18a3507b0da212ad9e88f84e91c9f9d770a736f96cb85e06125969cc4f4bb44a"


def parts_after(tree: Tree, *edit: str) -> dict[str, str]:
    text = BEFORE
    for old, new in zip(edit[::2], edit[1::2], strict=True):
        assert old in text
        text = text.replace(old, new)
    root = tree(
        {
            "scripts/x.py": text,
            "src/lib/b.py": "def helper(x):\n    return x\n",
            "src/coherence/console.py": "import tyro",
            "src/coherence/__init__.py": "",
        }
    )
    return {path: part for path, part in code_parts(root / "scripts/x.py", root).items() if "coherence" not in path}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_edits_that_keep_the_identity(tree: Tree, edit: tuple[str, ...]) -> None:
    assert parts_after(tree) == parts_after(tree, *edit)


@pytest.mark.parametrize("edit", CHANGES.values(), ids=CHANGES)
def test_edits_that_change_it(tree: Tree, edit: tuple[str, ...]) -> None:
    assert parts_after(tree) != parts_after(tree, *edit)


def test_a_message_cannot_hide_what_run_cli_runs(tree: Tree) -> None:
    root = tree(
        {
            "scripts/x.py": "from coherence.console import run_cli as run\nrun(f)",
            "scripts/y.py": "from coherence.console import run_cli as run\nrun(g)",
        }
    )
    one, other = (code_parts(root / f"scripts/{name}.py", root) for name in "xy")
    assert {*one.values()} != {*other.values()}


def test_a_function_of_messages_only_is_an_empty_one(tree: Tree) -> None:
    root = tree(
        {
            "scripts/x.py": 'from coherence.console import progress\ndef f():\n """A."""\n progress("a")',
            "scripts/y.py": "def f():\n    pass",
        }
    )
    assert {*code_parts(root / "scripts/x.py", root).values()} == {*code_parts(root / "scripts/y.py", root).values()}


def test_hash_is_the_same_for_other_pythons(tree: Tree) -> None:
    """Golden value, the same under Python 3.11, 3.12 and 3.13; each writes nested quotes in its own way."""
    root = tree({"scripts/x.py": NESTED})
    assert code_parts(root / "scripts/x.py", root)["scripts/x.py"] == GOLDEN


def test_touch_and_unrelated_module(tree: Tree) -> None:
    root = tree({"scripts/x.py": "import lib.a", "src/lib/a.py": "A = 1", "src/lib/other.py": "B = 1"})
    before = code_parts(root / "scripts/x.py", root)
    os.utime(root / "src/lib/a.py", (1, 1))
    tree({"src/lib/other.py": "B = 2"})
    assert code_parts(root / "scripts/x.py", root) == before
    tree({"src/lib/a.py": "A = 2"})
    after = code_parts(root / "scripts/x.py", root)
    assert {path for path in after if after[path] != before[path]} == {"src/lib/a.py"}


def test_neutral_modules_are_followed_but_not_hashed(tree: Tree) -> None:
    root = tree(
        {
            "scripts/x.py": "import coherence.provenance.artifact",
            "src/coherence/provenance/artifact.py": "import coherence.console",
            "src/coherence/console.py": "import coherence.numbers",
            "src/coherence/numbers.py": "N = 1",
        }
    )
    assert len(closure(root / "scripts/x.py", root)) == 4
    assert code_parts(root / "scripts/x.py", root).keys() == {"scripts/x.py", "src/coherence/numbers.py"}


def test_hashed_files(tree: Tree) -> None:
    root = tree(
        {
            "scripts/x.py": "import lib.a",
            "src/lib/a.py": 'HASHED_FILES = ("style/a.mplstyle",)',
            "src/lib/style/a.mplstyle": "font.size: 8",
        }
    )
    before = code_parts(root / "scripts/x.py", root)
    tree({"src/lib/style/a.mplstyle": "font.size: 9"})
    after = code_parts(root / "scripts/x.py", root)
    assert {path for path in after if after[path] != before[path]} == {"src/lib/style/a.mplstyle"}


def test_a_module_that_names_itself_is_hashed_with_its_docstrings(tree: Tree) -> None:
    root = tree({"scripts/x.py": 'HASHED_FILES: tuple[str, ...] = ("x.py",)\ndef tool():\n    """Search."""'})
    before = code_parts(root / "scripts/x.py", root)
    tree({"scripts/x.py": 'HASHED_FILES: tuple[str, ...] = ("x.py",)\ndef tool():\n    """Find."""'})
    assert code_parts(root / "scripts/x.py", root) != before


@pytest.mark.parametrize("value", ['("gone.txt",)', '("../../../outside",)', "tuple(FILES)", '"a.txt"', "(NAME,)"])
def test_wrong_hashed_files(tree: Tree, value: str) -> None:
    root = tree({"scripts/x.py": f"HASHED_FILES = {value}"})
    with pytest.raises(ValueError, match=r"x\.py: HASHED_FILES"):
        code_parts(root / "scripts/x.py", root)


STATEMENTS = st.sampled_from(["x = 1", "x += 2", "y = f(x)", "del x", "for x in y:\n    z = x", "if x:\n    pass"])
SILENT = st.sampled_from(["# note", '"""Doc."""', "", 'progress("hello")', 'progress(f"at {x} of {len(y)}")'])


@given(st.lists(st.tuples(STATEMENTS, SILENT), min_size=1, max_size=6))
def test_only_the_statements_count(tmp_path_factory: pytest.TempPathFactory, body: list[tuple[str, str]]) -> None:
    root = tmp_path_factory.mktemp("tree")
    header = "from coherence.console import progress\n"
    for name, lines in {
        "plain": [code for code, _ in body],
        "noisy": [line for pair in body for line in pair],
    }.items():
        (root / f"{name}.py").write_text(header + "def g(y):\n" + textwrap.indent("\n".join(lines), "    "))
    plain, noisy = (code_parts(root / f"{name}.py", root) for name in ("plain", "noisy"))
    assert [*plain.values()] == [*noisy.values()]


def test_plumbing_is_free_of_mathematics() -> None:
    """Neutral modules must not be able to change a result: standard library, tyro, Pillow and each other only."""
    modules = [(path.relative_to(ROOT).as_posix(), path) for path in (ROOT / "src").rglob("*.py")]
    plumbing = [path for name, path in modules if name.startswith(NEUTRAL)]
    assert len(plumbing) > 5
    for path in plumbing:
        names = {entry.module for entry in _imports(ast.parse(path.read_text()))}
        foreign = {name for name in names if name.split(".")[0] not in {*sys.stdlib_module_names, "tyro", "PIL"}}
        assert all(name.startswith(("coherence.provenance.", "coherence.console")) for name in foreign), path
