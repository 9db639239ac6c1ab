"""The locked packages that a script stands on: names and public versions from requirements.lock."""

import importlib.metadata
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from coherence.provenance.code import third_party

LOCK = "requirements.lock"
DISTRIBUTION = {
    "yaml": "pyyaml",
    "PIL": "pillow",
    "sklearn": "scikit-learn",
    "triton": "torch",
    "markdown_it": "markdown-it-py",
}
"""Modules that bear another name than their distribution; triton comes with torch, where it comes at all."""
UNSEEN = {"pandas": frozenset({"pyarrow"})}
"""What a distribution loads without a requirement or an import that could be seen: pandas' parquet engine."""


@dataclass(frozen=True)
class Lock:
    """A lock file: public version by distribution, and what each distribution pulls in."""

    versions: Mapping[str, str]
    needs: Mapping[str, frozenset[str]]


def locked_packages(script: Path, root: Path) -> dict[str, str]:
    """{distribution: locked public version} of the script's third-party imports and all that they pull in.

    From root/requirements.lock (pip-compile format, `# via` lines); ValueError for an import it does not pin.
    """
    modules = third_party(script, root)
    if not modules:
        return {}
    lock = _read_lock(root / LOCK)
    todo, found = [_distribution(module, lock, script) for module in sorted(modules)], set[str]()
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo.extend(lock.needs.get(name, frozenset()) | (UNSEEN.get(name, frozenset()) & set(lock.versions)))
    return {name: lock.versions[name] for name in sorted(found)}


def check_installed(packages: Mapping[str, str]) -> None:
    """ValueError where an installed public version is not the locked one."""
    for name, locked in packages.items():
        try:
            installed = public(importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            installed = None
        if installed != locked:
            state = f"{name} {installed} is installed" if installed else f"{name} is not installed"
            raise ValueError(f"{state}, {LOCK} pins {locked}: run `pip install -r {LOCK}`")


def public(version: str) -> str:
    """The version without its local tag: the same release for another device is the same release."""
    return version.split("+")[0]


def normalised(name: str) -> str:
    """A distribution's name as the index has it, without extras."""
    return re.sub(r"[-_.]+", "-", name.split("[")[0].strip()).lower()


def _distribution(module: str, lock: Lock, script: Path) -> str:
    name = normalised(DISTRIBUTION.get(module, module))
    if name not in lock.versions:
        raise ValueError(
            f"{script} imports '{module}', which {LOCK} does not pin: add it to requirements.in and run "
            "`make lock` (or name its distribution in coherence/provenance/packages.py)"
        )
    return name


def _read_lock(path: Path) -> Lock:
    if not path.is_file():
        raise ValueError(f"{path} is missing: restore it, or run `make lock`")
    return parse_lock(path.read_text(encoding="utf-8"))


@lru_cache(maxsize=16)
def parse_lock(text: str) -> Lock:
    """Parse `name==version` lines, each followed by `# via a, b` or by `# via` with one name a line."""
    versions: dict[str, str] = {}
    needs: dict[str, set[str]] = {}
    current = ""
    for line in text.splitlines():
        pinned = re.match(r"([A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])?==([^\s;\\]+)", line)
        if pinned:
            current = normalised(pinned[1])
            versions[current] = public(pinned[2])
        elif current and re.match(r"\s+#", line):
            for parent in _parents(line):
                needs.setdefault(parent, set()).add(current)
    return Lock(versions, {name: frozenset(children) for name, children in needs.items()})


def _parents(comment: str) -> Iterable[str]:
    """The distributions that a `# via` line names; `-r requirements.in`, `name (pyproject.toml)` are none."""
    text = re.sub(r"^\s*#\s*(via\b)?", "", comment)
    names = (name.strip() for name in text.split(","))
    return [normalised(name) for name in names if name and not name.startswith("-") and " " not in name]
