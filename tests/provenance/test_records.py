"""Our reader of Snakemake's records against Snakemake's own writer."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from snakemake.persistence.file import FilePersistence

from coherence.provenance.records import METADATA, record_path, unrecorded

PATHS = st.lists(st.text("abc+_-é 0/.", min_size=1, max_size=120), min_size=1, max_size=4).map("x/".join)


def snakemakes(root: Path, output: str) -> Path:
    persistence = FilePersistence.__new__(FilePersistence)
    persistence._max_len = None
    return Path(persistence._record_path(str(root / METADATA), output))


@given(PATHS.map(lambda text: Path(text).as_posix()))
def test_same_path_as_snakemake(tmp_path_factory: pytest.TempPathFactory, output: str) -> None:
    root = tmp_path_factory.getbasetemp()
    (root / METADATA).mkdir(parents=True, exist_ok=True)
    if not Path(output).is_absolute():
        assert record_path(Path(output), root) == snakemakes(root, output)


def test_long_paths_are_split_as_snakemake_does(tmp_path: Path) -> None:
    (tmp_path / METADATA).mkdir(parents=True)
    output = "results/" + "long/" * 150 + "manifest.json"
    path = record_path(Path(output), tmp_path)
    assert path == snakemakes(tmp_path, output)
    assert len(path.relative_to(tmp_path / METADATA).parts) > 1


def test_records_written_by_snakemake_are_found(tmp_path: Path) -> None:
    persistence = FilePersistence(path=tmp_path / ".snakemake")
    known, unknown, absent = (Path("results", name, "manifest.json") for name in ("known", "unknown", "absent"))
    for path in (known, unknown):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).touch()
    persistence._io_write(persistence._metadata_path, {"rule": "a"}, known.as_posix())
    assert unrecorded([known, unknown, absent], tmp_path) == [unknown]
    assert unrecorded([tmp_path / known, tmp_path / unknown], tmp_path) == [tmp_path / unknown]


def test_nothing_is_recorded_without_snakemake(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    assert unrecorded([Path("a"), Path("b")], tmp_path) == [Path("a")]
    assert not (tmp_path / ".snakemake").exists()
