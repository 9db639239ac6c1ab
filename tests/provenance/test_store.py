"""The store: one run for several clones, every byte checked, and no store that fails can fail a run."""

import errno
import json
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
from clones import SOURCES, Clone, write_tree

from coherence.provenance import store
from coherence.provenance.artifact import read_card
from coherence.provenance.files import copy_file
from coherence.provenance.place import Place
from coherence.provenance.store import SharedArtifact, store_folder

BASE = Path("results/s/base")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty store, which CARL_STORE names."""
    path = tmp_path / "store"
    path.mkdir()
    monkeypatch.setenv(store.STORE, str(path))
    return path


def clone_at(root: Path, monkeypatch: pytest.MonkeyPatch) -> Clone:
    """Another clone of the same sources, which becomes the working folder."""
    write_tree(root, SOURCES)
    monkeypatch.chdir(root)
    return Clone(root)


def shared(clone: Clone, **changes: Any) -> SharedArtifact:
    base = clone.artifact("base", **changes)
    given = ("out", "stage", "cell", "script", "settings", "inputs", "root")
    return SharedArtifact(**{name: getattr(base, name) for name in given})


def make(clone: Clone, text: str = "bytes") -> SharedArtifact:
    """What a script does: look, and build where there is nothing."""
    artifact = shared(clone)
    if not artifact.reuse():
        artifact.outcome |= {"steps": 7}
        clone.build(artifact, text)
    return artifact


def is_whole(folder: Path, identity: str) -> bool:
    """Whether the store has an entry of that identity, every byte of it right."""
    return store._fault(Place(folder / identity), identity) is None


def test_two_clones_share_one_run(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first = make(clone_at(tmp_path / "a", monkeypatch), "of a")
    built, manifest = read_card(BASE), (BASE / "manifest.json").read_bytes()
    assert is_whole(folder, first.identity) and "from_store" not in built
    capsys.readouterr()

    second = make(clone_at(tmp_path / "b", monkeypatch), "of b")
    card = read_card(BASE)
    assert (BASE / "manifest.json").read_bytes() == manifest and (BASE / "model.bin").read_text().startswith("of a")
    assert second.outcome == {"status": "ok", "steps": 7} == card["outcome"]
    assert card["from_store"] == built and card["identity"] == built["identity"]
    assert card["started"] >= built["finished"]
    assert "taken from the store, built by `python scripts/make.py" in capsys.readouterr().out
    assert not list(tmp_path.rglob(".*")), "no partial folder is left"

    (BASE / "model.bin").write_text("of b")
    assert (folder / first.identity / "model.bin").read_text().startswith("of a"), "it is a copy"


def test_a_run_that_a_person_joined_together_is_not_shared(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clone = clone_at(tmp_path / "a", monkeypatch)
    for joined, stored in (({"resumed_from": {"identity": "of old code"}}, False), ({"attempts": [1, 2]}, True)):
        artifact = shared(clone)
        with artifact.write() as partial:
            (partial / "model.bin").write_text("half of each")
            artifact.history = joined
        assert (folder / artifact.identity).exists() == stored


def test_without_a_store_nothing_is_shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(store.STORE, raising=False)
    artifact = make(clone_at(tmp_path / "a", monkeypatch))
    assert store_folder() is None and "from_store" not in read_card(artifact.out)


def test_another_identity_is_no_hit(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(clone_at(tmp_path / "a", monkeypatch), "of a")
    clone = clone_at(tmp_path / "b", monkeypatch)
    clone.values["base"] = {"layers": 3}
    make(clone, "of b")
    assert (BASE / "model.bin").read_text().startswith("of b")
    assert len(list(folder.iterdir())) == 2


def test_a_folder_that_is_not_there_is_told_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(store.STORE, "/no/such")
    with pytest.raises(ValueError, match="CARL_STORE is /no/such, which is no folder"):
        make(clone_at(tmp_path / "a", monkeypatch))
    assert not BASE.exists()


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def other_manifest(path: Path) -> None:
    """A list of files that agrees with them, but is not the one that the card names."""
    listed = json.loads(path.read_text())
    path.write_text(json.dumps({"files": listed["files"][:1]}))


BREAKS = {
    "flipped model": ("model.bin", flip),
    "flipped log": ("sub/log.jsonl", flip),
    "flipped card": ("card.json", flip),
    "flipped manifest": ("manifest.json", flip),
    "shorter manifest": ("manifest.json", other_manifest),
    "half a file": ("model.bin", lambda path: path.write_bytes(path.read_bytes()[:3])),
    "no model": ("model.bin", Path.unlink),
    "no card": ("card.json", Path.unlink),
    "no manifest": ("manifest.json", Path.unlink),
}


@pytest.mark.parametrize("name", BREAKS)
def test_a_broken_entry_is_built_anew_and_replaced(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    file, damage = BREAKS[name]
    first = make(clone_at(tmp_path / "a", monkeypatch), "of a")
    damage(folder / first.identity / file)
    make(clone_at(tmp_path / "b", monkeypatch), "of b")
    said = capsys.readouterr().out
    assert "not taken, built anew" in said and str(folder / first.identity) in said
    assert (BASE / "model.bin").read_text().startswith("of b") and "from_store" not in read_card(BASE)
    make(clone_at(tmp_path / "c", monkeypatch), "of c")
    assert (BASE / "model.bin").read_text().startswith("of b"), "the whole one has taken its place"
    assert [path.name for path in folder.iterdir()] == [first.identity]


def test_an_entry_under_another_name_is_not_taken(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = make(clone_at(tmp_path / "a", monkeypatch), "of a")
    clone = clone_at(tmp_path / "b", monkeypatch)
    clone.values["base"] = {"layers": 3}
    (folder / first.identity).rename(folder / shared(clone).identity)
    make(clone, "of b")
    assert (BASE / "model.bin").read_text().startswith("of b")


def test_what_a_killed_writer_leaves_is_no_hit(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clone = clone_at(tmp_path / "a", monkeypatch)

    def killed(source: Path, target: Path) -> None:
        if source.name == "card.json":
            raise SystemExit(9)
        copy_file(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(store, "copy_file", killed)
        patch.setattr(shutil, "rmtree", lambda *_, **__: None)  # a kill tidies up nothing
        with pytest.raises(SystemExit):
            make(clone)
    assert [path.name[0] for path in folder.iterdir()] == ["."]
    identity = shared(clone).identity
    assert not is_whole(folder, identity)
    make(clone_at(tmp_path / "b", monkeypatch))
    assert is_whole(folder, identity)


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EIO])
def test_a_store_that_takes_nothing_is_one_line(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: int,
) -> None:
    def refuses(source: Path, target: Path) -> None:
        target.write_bytes(source.read_bytes()[:2])
        raise OSError(error, "refused", str(target))

    clone = clone_at(tmp_path / "a", monkeypatch)
    with monkeypatch.context() as patch:
        patch.setattr(store, "copy_file", refuses)
        artifact = make(clone)
    lines = [line for line in capsys.readouterr().out.splitlines() if "CARL_STORE" in line]
    assert len(lines) == 1 and "results/s/base is not copied into it" in lines[0] and "refused" in lines[0]
    assert artifact.reuse() and list(folder.iterdir()) == []


def test_a_read_only_store_is_read(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make(clone_at(tmp_path / "a", monkeypatch), "of a")
    monkeypatch.setattr(store, "_put", lambda *_: pytest.fail("what was taken is not copied back"))
    make(clone_at(tmp_path / "b", monkeypatch), "of b")
    assert (BASE / "model.bin").read_text().startswith("of a")


def test_the_first_writer_wins(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both have looked before either was done; the second keeps its own bytes, the store the first's."""
    one = shared(clone_at(tmp_path / "a", monkeypatch))
    assert not one.reuse()
    clone = clone_at(tmp_path / "b", monkeypatch)
    two = shared(clone)
    assert not two.reuse()
    clone.build(two, "of b")
    monkeypatch.chdir(tmp_path / "a")
    Clone(tmp_path / "a").build(one, "of a")
    assert (BASE / "model.bin").read_text().startswith("of a")
    assert (folder / one.identity / "model.bin").read_text().startswith("of b")


def test_many_writers_and_readers_at_once(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight writers of other bytes, half of the time over a broken entry: readers see a whole one or none."""
    places = []
    with monkeypatch.context() as patch:
        patch.delenv(store.STORE)
        for name in "abcdefgh":
            clone = clone_at(tmp_path / name, monkeypatch)
            identity = make(clone, name * 100_000).identity
            places.append(Place(tmp_path / name / BASE))
    seen, stop = list[str](), threading.Event()

    def read(target: Path) -> None:
        while not stop.is_set():
            shutil.rmtree(target, ignore_errors=True)
            target.mkdir()
            try:
                store._copy_out(Place(folder / identity), identity, target)
            except store.Broken:
                continue
            seen.append((target / "model.bin").read_text())

    readers = [threading.Thread(target=read, args=(tmp_path / f"reader{n}",)) for n in range(2)]
    for reader in readers:
        reader.start()
    for round_ in range(6):
        writers = [threading.Thread(target=store._put, args=(place, identity)) for place in places]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        assert store._fault(Place(folder / identity), identity) is None
        assert [path.name for path in folder.iterdir()] == [identity]
        if round_ % 2:
            (folder / identity / "model.bin").write_text("broken")
        else:
            shutil.rmtree(folder / identity)
    stop.set()
    for reader in readers:
        reader.join()
    assert seen and all(len(set(text.split(" ")[0])) == 1 and len(text) > 100_000 for text in seen)
