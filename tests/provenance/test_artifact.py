"""Artifacts: complete or absent, the same bytes for the same thing, and reused only when they are right."""

import json
import math
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from clones import Clone
from hypothesis import given
from hypothesis import strategies as st

from coherence.provenance import artifact as module
from coherence.provenance.artifact import Artifact, digest, identity_parts, read_card, read_manifest
from coherence.provenance.files import canonical, damage, sha256_file

BASE = Path("results/s/base")


def snapshot(top: Path) -> dict[str, bytes]:
    return {path.as_posix(): path.read_bytes() for path in sorted(top.rglob("*")) if path.is_file()}


def test_what_is_written(clone: Clone) -> None:
    base = clone.artifact("base")
    assert not base.reuse()
    clone.build(base)
    assert {path for path in snapshot(BASE)} == {
        f"{BASE}/{name}" for name in ("card.json", "manifest.json", "model.bin", "sub/log.jsonl")
    }
    assert json.loads((BASE / "manifest.json").read_bytes()).keys() == {"files"}
    assert [entry["name"] for entry in read_manifest(BASE)["files"]] == ["model.bin", "sub/log.jsonl"]
    assert not list(Path("results").rglob(".*"))


def test_card(clone: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    clone.build(clone.artifact("base"))
    monkeypatch.setattr(sys, "argv", ["scripts/make.py", "--seed", "0", f"--out={clone.root}/results/s/sft/seed0"])
    sft = clone.artifact("sft", 0)
    sft.outcome = {"status": "degenerate", "phi": math.nan}
    clone.build(sft)
    card = read_card(sft.out)
    assert card["command"] == "python scripts/make.py --seed 0 --out=results/s/sft/seed0"
    assert card["identity"] == {"digest": sft.identity, "parts": sft.parts}
    assert card["inputs"] == {"base": "results/s/base"} and card["script"] == "scripts/make.py"
    assert card["outcome"] == {"status": "degenerate", "phi": None}
    assert card["manifest"] == sha256_file(sft.out / "manifest.json")
    assert sft.parts["inputs"] == {"base": sha256_file(BASE / "manifest.json")}
    assert card["stage"] == "sft" and card["cell"] == {"seed": 0} and card["started"] <= card["finished"]
    assert card["machine"].keys() == {"cpu", "cores", "os", "python"} and card["peak_rss_mb"] > 1
    assert card["wall_s"] >= 0 and card["cpu_s"] >= 0
    assert str(clone.root) not in json.dumps(card)


def test_versions_have_their_local_tag(clone: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    (clone.root / "scripts/make.py").write_text("import numpy")
    monkeypatch.setattr("importlib.metadata.version", lambda name: "2.4.6+local")
    clone.build(clone.artifact("base"))
    card = read_card(BASE)
    assert card["versions"] == {"numpy": "2.4.6+local"}
    assert card["identity"]["parts"]["packages"] == {"numpy": "2.4.6"}


def test_wrong_packages_are_refused_before_the_work(clone: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    (clone.root / "scripts/make.py").write_text("import numpy")
    monkeypatch.setattr("importlib.metadata.version", lambda name: "1.0")
    with pytest.raises(ValueError, match=r"numpy 1\.0 is installed"), clone.artifact("base").write():
        raise AssertionError("not reached")
    assert not Path("results").exists()


def test_manifest_bytes_depend_on_the_files_alone(clone: Clone) -> None:
    clone.build(clone.artifact("base"))
    before = (BASE / "manifest.json").read_bytes()
    clone.values["base"] = {"layers": 3}
    with clone.artifact("base").write() as folder:
        for name in ("sub/log.jsonl", "model.bin"):
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(f"bytes {name} {{}}")
    assert (BASE / "manifest.json").read_bytes() == before


# ------------------------------------------------------------------------------- complete or absent


class Stop(BaseException):
    """Not an Exception: as a signal would come."""


@pytest.mark.parametrize("error", [Stop, ValueError, KeyboardInterrupt])
def test_an_exception_leaves_the_old_artifact_as_it_was(clone: Clone, error: type[BaseException]) -> None:
    clone.build(clone.artifact("base"))
    before = snapshot(BASE)
    clone.values["base"] = {"layers": 3}
    with pytest.raises(error), clone.artifact("base").write() as folder:
        (folder / "model.bin").write_text("half")
        raise error
    assert snapshot(BASE) == before
    assert not clone.artifact("base").reuse()


def test_an_exception_leaves_nothing_that_looks_finished(clone: Clone) -> None:
    with pytest.raises(Stop), clone.artifact("base").write() as folder:
        (folder / "model.bin").write_text("half")
        raise Stop
    assert not BASE.exists()
    assert not clone.artifact("base").reuse()
    with pytest.raises(ValueError, match=r"input base: results/s/base/manifest\.json is missing: build it first"):
        clone.artifact("sft", 0)
    clone.build(clone.artifact("base"))
    assert not list(Path("results").rglob(".*"))


@pytest.mark.parametrize("calls", range(7))
def test_a_crash_while_installing(clone: Clone, monkeypatch: pytest.MonkeyPatch, calls: int) -> None:
    """Wherever it stops (there are 7 steps): no manifest or all right; the next attempt ends clean."""
    clone.build(clone.artifact("base"), "old")
    old = read_manifest(BASE)
    (BASE / "mine.txt").write_text("not the artifact's")
    clone.values["base"] = {"layers": 3}
    left = [calls]

    def stopping(act: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(path: Path, *args: Any, **options: Any) -> Any:
            left[0] -= path.name != ".writer"
            if left[0] < 0:
                raise Stop
            return act(path, *args, **options)

        return wrapped

    with monkeypatch.context() as patch:
        for name in ("replace", "unlink", "rmdir"):
            patch.setattr(Path, name, stopping(getattr(Path, name)))
        with pytest.raises(Stop), clone.artifact("base").write() as folder:
            (folder / "weights.bin").write_text("new")
    if (BASE / "manifest.json").exists():
        assert read_manifest(BASE) == old and damage(BASE, old["files"]) is None
    if clone.artifact("base").reuse():
        assert (BASE / "weights.bin").read_text() == "new"
    with clone.artifact("base").write() as folder:
        (folder / "weights.bin").write_text("new")
    assert {path.name for path in BASE.rglob("*")} == {
        "weights.bin",
        "card.json",
        "manifest.json",
        "mine.txt",
    }
    assert clone.artifact("base").reuse()


def test_two_writers(clone: Clone) -> None:
    with (
        pytest.raises(ValueError, match="another process is writing it"),
        clone.artifact("base").write() as folder,
    ):
        (folder / "model.bin").write_text("one")
        clone.build(clone.artifact("base"))
    assert read_manifest(BASE)["files"][0]["name"] == "model.bin"
    assert clone.artifact("base").reuse()


@pytest.mark.parametrize("name", ["card.json", "manifest.json"])
def test_sidecars_are_not_the_programs_to_write(clone: Clone, name: str) -> None:
    with pytest.raises(ValueError, match="written by Artifact"), clone.artifact("base").write() as folder:
        (folder / name).touch()


def test_links_and_empty_artifacts_are_refused(clone: Clone) -> None:
    with pytest.raises(ValueError, match="no plain file"), clone.artifact("base").write() as folder:
        (folder / "model.bin").symlink_to(clone.root / "requirements.lock")
    with pytest.raises(ValueError, match="has written no file"), clone.artifact("base").write():
        pass
    assert not BASE.exists()


def test_a_list_of_files_cannot_reach_outside(clone: Clone) -> None:
    clone.build(clone.artifact("base"))
    for name in ("card.json", "manifest.json"):
        (BASE / name).write_text((BASE / name).read_text().replace("model.bin", "../../../requirements.lock"))
    with pytest.raises(ValueError, match="outside its folder"):
        read_manifest(BASE)
    clone.build(clone.artifact("base"))
    assert (clone.root / "requirements.lock").exists()


# ------------------------------------------------------------------------------- reuse


def test_reuse_restores_the_manifest(clone: Clone) -> None:
    base = clone.artifact("base")
    base.outcome = {"status": "not_crystallized"}
    clone.build(base)
    before = snapshot(BASE)
    (BASE / "manifest.json").unlink()
    again = clone.artifact("base")
    assert again.reuse() and again.outcome == {"status": "not_crystallized"}
    assert snapshot(BASE) == before
    (BASE / "manifest.json").write_text("{}")
    assert again.reuse() and snapshot(BASE) == before


def test_reuse_after_the_input_was_rebuilt_to_the_same_bytes(clone: Clone) -> None:
    clone.build(clone.artifact("base"))
    clone.build(clone.artifact("sft", 0))
    clone.values["base"] = {"threads": 2}
    clone.build(clone.artifact("base"))
    assert clone.artifact("sft", 0).reuse()


@pytest.mark.parametrize(
    "change", ["settings", "code", "input", "flip", "cut", "gone", "card", "broken card", "no card"]
)
def test_no_reuse_of_another_thing(clone: Clone, change: str) -> None:
    clone.build(clone.artifact("base"))
    clone.build(clone.artifact("sft", 0))
    model, card = Path("results/s/sft/seed0/model.bin"), Path("results/s/sft/seed0/card.json")
    if change == "settings":
        clone.values["sft"]["learning_rate"] = 0.003
    elif change == "code":
        (clone.root / "src/lib/core.py").write_text("def double(x):\n    return 3 * x\n")
    elif change == "input":
        clone.values["base"] = {"layers": 3}
        clone.build(clone.artifact("base"), "other")
    elif change == "flip":
        model.write_bytes(bytes([model.read_bytes()[0] ^ 1]) + model.read_bytes()[1:])
    elif change == "cut":
        model.write_bytes(model.read_bytes()[:-1])
    elif change == "gone":
        model.unlink()
    elif change == "card":
        card.write_text(card.read_text().replace("model.bin", "model2.bin"))
    elif change == "broken card":
        card.write_text(card.read_text()[:-9])
    else:
        card.unlink()
    again = clone.artifact("sft", 0)
    assert not again.reuse()
    clone.build(again)
    assert clone.artifact("sft", 0).reuse()


# ------------------------------------------------------------------------------- inputs


def test_inputs_must_be_whole(clone: Clone) -> None:
    clone.build(clone.artifact("base"))
    sft = clone.artifact("sft", 0)
    (BASE / "model.bin").write_text("")
    for begin in (sft.reuse, sft.write().__enter__):
        with pytest.raises(ValueError, match=r"input base: results/s/base/model.bin has 0 bytes, .*verify\.py"):
            begin()


def test_an_input_that_changes_under_the_work(clone: Clone) -> None:
    clone.build(clone.artifact("base"))
    with (
        pytest.raises(ValueError, match=r"input base: .* has changed"),
        clone.artifact("sft", 0).write() as folder,
    ):
        (folder / "model.bin").touch()
        clone.values["base"] = {"layers": 3}
        clone.build(clone.artifact("base"), "other")
    assert not Path("results/s/sft/seed0").exists()


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (
            "results/s/gone",
            "input x: results/s/gone/manifest.json is missing: build it first, `snakemake results/s",
        ),
        ("raw/gone.jsonl", "input x: raw/gone.jsonl is missing"),
        ("results/s/base/manifest.json", "input x: results/s/base/manifest.json is missing"),
    ],
)
def test_missing_inputs(clone: Clone, path: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        clone.artifact("base", inputs={"x": Path(path)})
    assert "\n" not in str(caught.value)


def test_plain_files_count_by_their_bytes(clone: Clone) -> None:
    raw = Path("raw.jsonl")
    raw.write_text("one")
    clone.build(clone.artifact("base", inputs={"raw": raw}))
    raw.touch()
    assert clone.artifact("base", inputs={"raw": raw}).reuse()
    raw.write_text("two")
    assert not clone.artifact("base", inputs={"raw": raw}).reuse()


def test_a_manifest_names_its_artifact(clone: Clone) -> None:
    clone.build(clone.artifact("base"))
    folder, file = (clone.artifact("sft", 0, inputs={"base": path}) for path in (BASE, BASE / "manifest.json"))
    assert folder.identity == file.identity


# ------------------------------------------------------------------------------- stems


def test_stems_do_not_touch_their_neighbours(clone: Clone) -> None:
    clone.build_all()
    table = Path("figs/s/arms_table")
    with clone.artifact("figures", out=table).write() as folder:
        (folder / "arms_table.csv").write_text("1,2")
    Path("figs/s/README.md").write_text("mine")
    before = snapshot(Path("figs"))
    assert {Path(path).name for path in before} == {
        "arms.png",
        "arms.parquet",
        "arms.card.json",
        "arms.manifest.json",
        "README.md",
        "arms_table.csv",
        "arms_table.card.json",
        "arms_table.manifest.json",
    }
    clone.values["figures"] = {"width": 3}
    with clone.artifact("figures").write() as folder:
        (folder / "arms.svg").write_text("new")
    after = snapshot(Path("figs"))
    assert after.keys() == before.keys() - {"figs/s/arms.png", "figs/s/arms.parquet"} | {"figs/s/arms.svg"}
    assert all(after[path] == before[path] for path in before if Path(path).name[:5] != "arms.")
    assert clone.artifact("figures").reuse() and not list(Path("figs").rglob(".*"))
    assert read_card(table)["files"] == read_manifest(table)["files"]
    assert read_card(Path("figs/s/arms"))["identity"]["digest"] == clone.artifact("figures").identity


@pytest.mark.parametrize("name", ["arms_table.png", "other.png", "arms", "sub/arms.png", "arms.card.json"])
def test_a_stem_has_only_files_of_its_name(clone: Clone, name: str) -> None:
    clone.build(clone.artifact("base"))
    with (
        pytest.raises(ValueError, match="figs/s/arms: "),
        clone.artifact("figures", inputs={}).write() as folder,
    ):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()


def test_a_stem_has_no_dot(clone: Clone) -> None:
    with pytest.raises(ValueError, match="a stem has no dot"):
        clone.artifact("figures", out=Path("figs/s/arms.v2"), inputs={})


# ------------------------------------------------------------------------------- identity

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), JSON, max_size=4))
def test_digest_depends_on_the_value_alone(value: dict[str, object]) -> None:
    shuffled = dict(reversed(value.items()))
    assert digest(shuffled) == digest(value) == digest(json.loads(canonical(value)))
    assert digest(value | {"one more": 1}) != digest(value | {"one more": 1.0}) != digest(value | {"one more": True})


def test_settings_must_be_json(clone: Clone) -> None:
    for value in (math.nan, Path("x"), {1, 2}):
        with pytest.raises(ValueError, match="JSON"):
            identity_parts(Path("scripts/make.py"), {"x": value}, {}, clone.root)
    parts = identity_parts(Path("scripts/make.py"), {"x": (1, 2)}, {}, clone.root)
    assert parts["settings"] == {"x": [1, 2]}
    assert parts.keys() == {"settings", "code", "inputs", "packages"}


def test_scripts_of_another_clone(clone: Clone, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("other") / "scripts" / "make.py"
    other.parent.mkdir()
    other.write_text("")
    with pytest.raises(ValueError, match=r"runs with the library of .*: `pip install -e \.`"):
        clone.artifact("base", script=other)
    with pytest.raises(ValueError, match="runs with the library of"):
        clone.artifact("base", root=module.ROOT, script=clone.root / "scripts/make.py")
    with pytest.raises(ValueError, match=r"scripts/none\.py does not exist"):
        clone.artifact("base", script=Path("scripts/none.py"))
    (clone.root / "scripts/linked.py").symlink_to(clone.root / "src/lib/core.py")
    for script in ("src/lib/core.py", "scripts/linked.py"):
        with pytest.raises(ValueError, match=r"src/lib/core\.py is no program in "):
            clone.artifact("base", script=Path(script))


def test_the_program_that_runs_is_of_another_clone(clone: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["__main__"], "__file__", "/elsewhere/scripts/make.py")
    with pytest.raises(ValueError, match=r"/elsewhere/scripts/make\.py runs with the library of"):
        clone.artifact("base")


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"files": [1]}', '{"files": [{"name": "a"}]}', "\xff"])
def test_broken_json_is_one_line_with_the_file(clone: Clone, text: str) -> None:
    clone.build(clone.artifact("base"))
    for read, name in ((read_card, "card.json"), (read_manifest, "manifest.json")):
        (BASE / name).write_bytes(text.encode("latin-1"))
        with pytest.raises(ValueError, match=f"results/s/base/{name}") as caught:
            read(BASE)
        assert "\n" not in str(caught.value)


def test_a_tree_moved_to_another_folder(clone: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    clone.build_all()
    elsewhere = clone.root / "copy"
    shutil.copytree(clone.root, elsewhere, ignore=shutil.ignore_patterns("copy"))
    monkeypatch.chdir(elsewhere)
    moved = Clone(elsewhere)
    assert all(artifact.reuse() for artifact in (moved.artifact("base"), moved.artifact("sft", 1)))
    assert isinstance(moved.artifact("figures"), Artifact)


def test_of_several_processes_of_one_job_the_first_alone_writes(clone: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    clone.build(clone.artifact("base"))
    assert not Path("results").exists()
    monkeypatch.setenv("RANK", "0")
    clone.build(clone.artifact("base"))
    assert (BASE / "manifest.json").is_file()
