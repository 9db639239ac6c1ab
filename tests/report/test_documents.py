"""What README and docs point to exists, and docs/figures is what the study's artifacts said of it."""

import re
from pathlib import Path

import pytest
from report.number_lint import documents
from repository import REPO

from coherence.config.figures import names
from coherence.config.study import load_study
from coherence.provenance.artifact import read_manifest
from coherence.provenance.files import damage
from coherence.provenance.whence import origin

STUDIES = sorted(path.parent for path in (REPO / "docs/figures").glob("*/manifest.json"))
LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")
NAMED = re.compile(r"(?<![\w/.-])(?:(?:scripts|config|docs|workflow|src|benchmarks|slurm|tests)/[\w./-]*\w)")
ROW = re.compile(r"^\| (\w+) \| .* \| `([0-9a-f]{16})` \|$", re.MULTILINE)
"""Of the folder's index: a figure or table, and the beginning of its identity."""
YOURS = "config/mine.yaml"
"""README has the reader write it."""
MADE_HERE = ("default", "claims_study")
"""Studies that need nothing of other people, so that they can be made anew whenever a figure is new."""
INDEXES = [folder / "README.md" for folder in STUDIES]
each_document = pytest.mark.parametrize(
    "path", [*documents(), REPO / "docs/LOG.md", *INDEXES], ids=lambda path: str(path.relative_to(REPO))
)
each_study = pytest.mark.parametrize("folder", STUDIES, ids=lambda folder: folder.name)


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


@pytest.mark.parametrize("path", [*documents(), *INDEXES], ids=lambda path: str(path.relative_to(REPO)))
def test_every_program_and_config_file_that_is_named_exists(path: Path) -> None:
    assert absent(path.read_text(encoding="utf-8")) == []


def test_what_is_missing_is_found(tmp_path: Path) -> None:
    text = "![a](none.png), [b](README.md#part), [c](https://example.org), [d](docs/none.md 'title')"
    assert dead_links(REPO / "README.md", text) == ["none.png", "docs/none.md"]
    text = "`python scripts/none.py --out x`, config/none.yaml; python scripts/verify.py, `config/mine.yaml`"
    assert absent(text) == ["scripts/none.py", "config/none.yaml"]


# ------------------------------------------------------------------------------- docs/figures, as it was published


def published(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.iterdir()) if path.name not in ("README.md", "manifest.json")]


@each_study
def test_the_published_bytes_are_those_that_the_artifacts_list(folder: Path) -> None:
    files = read_manifest(folder)["files"]
    assert damage(folder, files) is None
    assert {path.name for path in published(folder)} == {entry["name"] for entry in files}


@each_study
def test_every_figure_and_table_of_a_study_is_published(folder: Path) -> None:
    told = [name for name, _ in ROW.findall((folder / "README.md").read_text(encoding="utf-8"))]
    expected = names(load_study(REPO / "config" / f"{folder.name}.yaml").resolved)
    if folder.name in MADE_HERE:
        assert told == expected
    else:  # what needs data of other people may have been published before a figure was thought of
        assert len(told) >= 9 and told == [name for name in expected if name in told]
    assert {path.name.split(".")[0] for path in published(folder)} == {*told, "report"}


@each_study
def test_every_published_image_tells_the_identity_that_the_index_has(folder: Path) -> None:
    index = dict(ROW.findall((folder / "README.md").read_text(encoding="utf-8")))
    images = [path for path in published(folder) if path.suffix == ".png"]
    told = {path.stem: origin(path) for path in images}
    assert told and {name: (one["figure"], one["identity"][:16]) for name, one in told.items()} == {
        name: (name, index[name]) for name in told
    }
