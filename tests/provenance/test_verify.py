"""Verification without Snakemake: each way in which an artifact can be wrong, and the reason given."""

import json
import shutil
from pathlib import Path

import pytest
from clones import SOURCES, Clone, write_tree
from hypothesis import given
from hypothesis import strategies as st

from coherence.provenance.artifact import _seal
from coherence.provenance.files import differences
from coherence.provenance.place import find_all
from coherence.provenance.verify import Finding, report, verify
from coherence.provenance.whence import stale

BASE, SFT, FIGURE = "results/s/base", "results/s/sft/seed0", "figs/s/arms"


def examine(clone: Clone) -> dict[str, Finding]:
    findings = verify("s", clone.settings, root=clone.root)
    return {finding.place.out.as_posix(): finding for finding in findings}


def statuses(clone: Clone) -> dict[str, str]:
    return {out: finding.status for out, finding in examine(clone).items()}


def edit(path: str, old: str, new: str) -> None:
    text = Path(path).read_text()
    assert old in text
    Path(path).write_text(text.replace(old, new))


@pytest.fixture
def built(clone: Clone) -> Clone:
    clone.build_all()
    return clone


def test_all_right(built: Clone) -> None:
    findings = examine(built)
    assert {*statuses(built).values()} == {"ok"} and len(findings) == 4
    assert next(iter(findings)) == BASE and [*findings][-1] == FIGURE
    assert not Path(".snakemake").exists()


def test_nothing_built(clone: Clone) -> None:
    assert examine(clone) == {}
    assert report([]) == "nothing is built yet"


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (f"{SFT}/model.bin", "results/s/sft/seed0/model.bin has other bytes than its manifest says"),
        (f"{SFT}/sub/log.jsonl", "results/s/sft/seed0/sub/log.jsonl has other bytes than its manifest says"),
        (f"{SFT}/manifest.json", "results/s/sft/seed0/manifest.json is not the one that its card names"),
    ],
)
def test_one_flipped_byte(built: Clone, file: str, message: str) -> None:
    data = bytearray(Path(file).read_bytes())
    data[len(data) // 2] ^= 1
    Path(file).write_bytes(data)
    findings = examine(built)
    assert str(findings[SFT]) == f"{SFT}  damaged: {message}"
    assert str(findings[FIGURE]) == f"{FIGURE}  stale: built on {SFT}"
    assert findings[BASE].status == findings["results/s/sft/seed1"].status == "ok"


def test_a_figure_from_stale_results_is_told_though_its_own_identity_is_the_same(built: Clone) -> None:
    told, identity = {"study": "s", "figure": "arms"}, built.artifact("figures").identity

    def settings(stage: str, **cell: object) -> object:
        return built.settings(stage, cell)

    assert stale(Path("away.png"), told, settings, built.root) == []
    edit("src/lib/core.py", "2 * x", "3 * x")
    assert built.artifact("figures").identity == identity
    (line,) = stale(Path("away.png"), told, settings, built.root)
    assert line.startswith(f"results: {FIGURE}  stale: built on {SFT}; ")


@pytest.mark.parametrize("script", ["/tmp/evil.py", "scripts/../evil.py", "evil.py", "../scripts/evil.py"])
def test_a_card_that_names_no_program_in_scripts_is_damaged(built: Clone, script: str) -> None:
    write_tree(built.root, {"evil.py": "never read"})
    path = Path(BASE, "card.json")
    card = json.loads(path.read_text()) | {"script": script}
    del card["seal"]
    path.write_text(json.dumps({**card, "seal": _seal(card)}))
    assert examine(built)[BASE].why == f"{BASE}/card.json names {script}, which is no program in scripts/"


def test_other_damage(built: Clone) -> None:
    Path(f"{BASE}/model.bin").unlink()
    Path("figs/s/arms.png").write_text("")
    Path(f"{SFT}/card.json").write_text("{")
    edit("results/s/sft/seed1/card.json", '"learning_rate": 0.001', '"learning_rate": 0.002')
    findings = examine(built)
    assert findings[BASE].why == f"{BASE}/model.bin is missing"
    assert findings[FIGURE].why.startswith("figs/s/arms.png has 0 bytes, its manifest says ")
    assert findings[SFT].why.startswith(f"{SFT}/card.json is not JSON: ") and findings[SFT].stage == "?"
    assert findings["results/s/sft/seed1"].why == "results/s/sft/seed1/card.json is not as it was written"
    assert {*statuses(built).values()} == {"damaged"}


def test_missing_card(built: Clone) -> None:
    Path(f"{BASE}/card.json").unlink()
    assert examine(built)[BASE].why == f"{BASE}/card.json is missing"


def test_settings(built: Clone) -> None:
    built.values["sft"] = {"learning_rate": 0.003, "gate": [1, 2]}
    finding = examine(built)[SFT]
    assert finding.status == "stale"
    assert finding.why == "settings: sft.gate nothing -> [1,2]; settings: sft.learning_rate 0.001 -> 0.003"
    assert examine(built)[FIGURE].why == f"built on {SFT}; built on results/s/sft/seed1"
    assert statuses(built)[BASE] == "ok"


def test_code(built: Clone) -> None:
    edit("src/lib/core.py", "2 * x", "3 * x")
    assert examine(built)[BASE].why == "code: src/lib/core.py changed"
    edit("src/lib/core.py", "3 * x", "2 * x  # twice")
    assert {*statuses(built).values()} == {"ok"}
    edit("src/lib/plots.py", "WIDTH", "import lib.core\nWIDTH")
    assert examine(built)[FIGURE].why == "code: src/lib/core.py is newly used; code: src/lib/plots.py changed"
    Path("scripts/draw.py").unlink()
    assert examine(built)[FIGURE].why == "code: scripts/draw.py is gone"


def test_packages(clone: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    edit("scripts/make.py", "import lib.core", "import lib.core, numpy")
    clone.build(clone.artifact("base"))
    edit("requirements.lock", "2.4.6", "2.5.0")
    assert examine(clone)[BASE].why == "packages: numpy 2.4.6 -> 2.5.0"


def test_input_rebuilt(built: Clone) -> None:
    built.values["base"] = {"layers": 3}
    built.build(built.artifact("base"), "other")
    findings = examine(built)
    assert findings[BASE].status == "ok"
    assert str(findings[SFT]) == f"{SFT}  stale: input base changed: {BASE}"
    shutil.rmtree(BASE)
    assert examine(built)[SFT].why == f"input base is missing: {BASE}"


def test_orphan(built: Clone) -> None:
    built.seeds = (1,)
    findings = examine(built)
    assert str(findings[SFT]) == f"{SFT}  orphan: the study has no such cell any more"
    assert findings[FIGURE].why == f"built on {SFT}"


def test_unfinished(built: Clone) -> None:
    Path(f"{SFT}/manifest.json").unlink()
    assert str(examine(built)[SFT]) == f"{SFT}  unfinished: {SFT}/manifest.json is missing, all else is right"
    Path(f"{SFT}/model.bin").unlink()
    assert examine(built)[SFT].why == f"{SFT}/manifest.json is missing, {SFT}/model.bin is missing"
    assert examine(built)[FIGURE].why == f"built on {SFT}"


def test_plain_inputs(clone: Clone, tmp_path_factory: pytest.TempPathFactory) -> None:
    inside, outside = Path("data/raw.jsonl"), tmp_path_factory.mktemp("elsewhere") / "raw.jsonl"
    for path in (inside, outside):
        path.parent.mkdir(exist_ok=True)
        path.write_text("one")
    clone.build(clone.artifact("base", inputs={"in": inside, "out": outside}))
    assert statuses(clone) == {BASE: "ok"}
    outside.write_text("two")
    assert examine(clone)[BASE].why == f"input out changed: {outside}"
    outside.unlink()
    finding = examine(clone)[BASE]
    assert finding.status == "ok" and finding.note == f"input out is not here, so not compared: {outside}"
    assert finding.note in report([finding])
    inside.unlink()
    assert examine(clone)[BASE].why == "input in is missing: data/raw.jsonl"


def test_a_file_of_an_artifact_as_input(built: Clone) -> None:
    built.build(built.artifact("figures", out=Path("figs/s/log"), stem=False, inputs={"x": Path(SFT, "sub/log.jsonl")}))
    assert statuses(built)["figs/s/log"] == "ok"
    Path(f"{SFT}/model.bin").unlink()
    assert examine(built)["figs/s/log"].why == f"built on {SFT}"


def test_an_artifact_of_another_study(built: Clone) -> None:
    other = Path("results/other/base")
    built.build(built.artifact("base", out=other))
    built.build(built.artifact("sft", 0, inputs={"base": other}))
    assert statuses(built)[SFT] == "ok"
    (other / "model.bin").write_text("x" * (other / "model.bin").stat().st_size)
    assert "input base is damaged: results/other/base/model.bin has other bytes" in examine(built)[SFT].why
    (other / "manifest.json").unlink()
    assert examine(built)[SFT].why == "input base is missing: results/other/base/manifest.json"


def test_from_another_working_folder(built: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    findings = verify("s", built.settings, built.root, built.root)
    assert [finding.status for finding in findings] == ["ok"] * 4


def test_hidden_folders_are_not_entered(built: Clone) -> None:
    shutil.copytree(BASE, "results/s/.aside/base")
    shutil.copytree(BASE, "results/s/.base.partial")
    assert [place.out.as_posix() for place in find_all(Path("results/s"))] == [
        BASE,
        SFT,
        "results/s/sft/seed1",
    ]


@given(data=st.data())
def test_any_damage_is_found_and_none_stops_the_check(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Flip a byte or cut a file anywhere: never ok (but for white space on a card), never an exception."""
    clone = pristine(tmp_path_factory)
    files = sorted(path for top in ("results", "figs") for path in (clone.root / top).rglob("*") if path.is_file())
    path = data.draw(st.sampled_from(files))
    before = path.read_bytes()
    position = data.draw(st.integers(0, len(before) - 1))
    flipped = bytes([before[position] ^ data.draw(st.integers(1, 255))])
    after = data.draw(st.sampled_from([before[:position], before[:position] + flipped + before[position + 1 :]]))
    path.write_bytes(after)
    try:
        findings = verify("s", clone.settings, clone.root, clone.root)
    finally:
        path.write_bytes(before)
    if "card.json" not in path.name or not same_json(before, after):
        assert sum(finding.status == "damaged" for finding in findings) == 1
        assert next(finding for finding in findings if finding.place.stem).status != "ok"


def same_json(one: bytes, other: bytes) -> bool:
    try:
        return bool(json.loads(one) == json.loads(other))
    except ValueError:
        return False


def pristine(factory: pytest.TempPathFactory) -> Clone:
    """One built clone for all examples of a property."""
    root = factory.getbasetemp() / "pristine"
    clone = Clone(root)
    if not root.exists():
        write_tree(root, SOURCES)
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(root)
            clone.build_all()
    return clone


# ------------------------------------------------------------------------------- in words


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({"a": {"b": 1}}, {"a": {"b": 2}}, ["a.b 1 -> 2"]),
        ({"a": 1}, {"a": 1.0}, ["a 1 -> 1.0"]),
        ({"a": True}, {"a": 1}, ["a true -> 1"]),
        ({"a": "x"}, {}, ["a x -> nothing"]),
        ({"a": [1, {"b": 2}]}, {"a": [1, {"b": 3}]}, ["a.1.b 2 -> 3"]),
        ({"a": [1]}, {"a": [1, 2]}, ["a [1] -> [1,2]"]),
        ({"a": None}, {"a": None}, []),
        ({"a": "x" * 60}, {"a": 1}, ["a " + "x" * 37 + "... -> 1"]),
    ],
)
def test_differences(old: object, new: object, expected: list[str]) -> None:
    assert [*differences(old, new)] == expected


KEYS = st.dictionaries(st.sampled_from("abc"), st.none() | st.integers(0, 3) | st.lists(st.booleans(), max_size=2))


@given(KEYS, KEYS)
def test_differences_are_empty_for_equals_only(old: dict[str, object], new: dict[str, object]) -> None:
    assert bool([*differences(old, new)]) == (json.dumps(old, sort_keys=True) != json.dumps(new, sort_keys=True))


def test_report_is_one_screen(built: Clone) -> None:
    built.seeds = tuple(range(60))
    for seed in range(2, 60):
        built.build(built.artifact("sft", seed))
    edit("src/lib/core.py", "2 * x", "3 * x")
    text = report([*examine(built).values()]).splitlines()
    assert text[0].split() == ["stage", "ok", "damaged", "stale", "orphan", "unfinished"]
    assert ["sft", ".", ".", "60", ".", "."] in [line.split() for line in text]
    assert text[-1] == "... and 42 more" and len(text) < 30
    assert text[4].startswith("results/s/base  stale: code: src/lib/core.py changed")


def test_causes_come_before_consequences(built: Clone) -> None:
    Path(f"{BASE}/model.bin").unlink()
    edit("src/lib/plots.py", "3", "4")
    lines = report([*examine(built).values()]).splitlines()
    bad = [line.split("  ")[0] for line in lines if "  stale: " in line or "  damaged: " in line]
    assert bad == [BASE, FIGURE, SFT, "results/s/sft/seed1"]
