"""What README and docs point to exists, and docs/figures is what the study's artifacts said of it."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from report.number_lint import documents
from repository import REPO

from coherence.config.figures import NAMES
from coherence.provenance.artifact import read_manifest
from coherence.provenance.files import damage
from coherence.provenance.whence import origin

FIGURES = REPO / "docs/figures"
LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")
NAMED = re.compile(r"(?<![\w/.-])(?:(?:scripts|config|docs|workflow|src|benchmarks|slurm|tests)/[\w./-]*\w)")
ROW = re.compile(r"^\| (\w+) \| .* \| `([0-9a-f]{16})` \|$", re.MULTILINE)
"""Of the folder's index: a figure or table, and the beginning of its identity."""
YOURS = "config/mine.yaml"
"""README has the reader write it."""
each_document = pytest.mark.parametrize(
    "path", [*documents(), REPO / "docs/LOG.md", FIGURES / "README.md"], ids=lambda path: str(path.relative_to(REPO))
)


def dead_links(path: Path, text: str) -> list[str]:
    """Links and images of a document that lead to no file."""
    links = (link for link in LINK.findall(text) if not re.match(r"\w+:", link))
    return [link for link in links if not (path.parent / link).exists()]


def absent(text: str, root: Path = REPO) -> list[str]:
    """Files and folders of the repository that a text names and that are not there."""
    return [name for name in NAMED.findall(text) if name != YOURS and not _exists(name, root)]


def _exists(name: str, root: Path) -> bool:
    return (root / name).exists() or any(root.glob(f"{name}.*"))


@each_document
def test_every_link_and_image_exists(path: Path) -> None:
    assert dead_links(path, path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", [*documents(), FIGURES / "README.md"], ids=lambda path: str(path.relative_to(REPO)))
def test_every_program_and_config_file_that_is_named_exists(path: Path) -> None:
    assert absent(path.read_text(encoding="utf-8")) == []


def test_what_is_missing_is_found(tmp_path: Path) -> None:
    text = "![a](none.png), [b](README.md#part), [c](https://example.org), [d](docs/none.md 'title')"
    assert dead_links(REPO / "README.md", text) == ["none.png", "docs/none.md"]
    text = "`python scripts/none.py --out x`, config/none.yaml; python scripts/verify.py, `config/mine.yaml`"
    assert absent(text) == ["scripts/none.py", "config/none.yaml"]


# ------------------------------------------------------------------------------- docs/figures, as it was published


def published() -> Iterator[Path]:
    return (path for path in sorted(FIGURES.iterdir()) if path.name not in ("README.md", "manifest.json"))


def test_the_published_bytes_are_those_that_the_artifacts_list() -> None:
    files = read_manifest(FIGURES)["files"]
    assert damage(FIGURES, files) is None
    assert {path.name for path in published()} == {entry["name"] for entry in files}


def test_every_figure_and_table_of_a_study_is_published() -> None:
    told = [name for name, _ in ROW.findall((FIGURES / "README.md").read_text(encoding="utf-8"))]
    assert told == list(NAMES)
    assert {path.name.split(".")[0] for path in published()} == set(NAMES)


def test_every_published_image_tells_the_identity_that_the_index_has() -> None:
    index = dict(ROW.findall((FIGURES / "README.md").read_text(encoding="utf-8")))
    images = [path for path in published() if path.suffix == ".png"]
    told = {path.stem: origin(path) for path in images}
    assert told and {name: (one["figure"], one["identity"][:16]) for name, one in told.items()} == {
        name: (name, index[name]) for name in told
    }
