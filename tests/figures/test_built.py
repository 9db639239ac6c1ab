"""Every figure and table as files: the same bytes every time, the origin inside, and nothing where there is no data."""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from made import (
    adapted,
    compat_scores,
    curve_run,
    generations,
    grpo_run,
    scores,
    sft_run,
    study,
    tokenizer_folder,
    write_run,
    write_tables,
)
from PIL import Image

from coherence.config.figures import NAMES
from coherence.provenance.artifact import read_card
from coherence.provenance.whence import origin

STRICT = {(arm, seed): [1, 0, 1, seed] for arm in ("sft", "task", "carl") for seed in (0, 1)}
PICTURE, TABLE = {"png", "svg", "pdf"}, {"md", "csv", "tex"}
BARE_PICTURES = {
    "coherence_trap",
    "gates",
    "phi_trajectories",
    "reward_components",
    "sft_phases",
    "transition_checks",
}
BARE_TABLES = {"constants", "families", "phase_table"}
Build = Callable[[str, str], Path]


def inputs(folder: Path) -> dict[str, dict[str, Any]]:
    """The arguments of each figure's program, made once for a test."""
    sft = [write_run(folder, sft_run(seed)) for seed in (0, 1)]
    phi = [0.5, 0.6, 0.7, 0.8, 0.9]
    grpo = [write_run(folder, grpo_run(arm, seed, phi)) for arm in ("task", "carl") for seed in (0, 1)]
    scored = write_tables(folder / "scores", "scores", scores(STRICT, tokens=2, multiscale=0.5))
    compat = write_tables(folder / "compat", "compat", compat_scores(STRICT))
    stored = [
        write_tables(
            folder / "generate" / arm / f"seed{seed}", "generations", generations({(arm, seed): [[0.9, 0.5]] * 4})
        )
        for arm, seed in STRICT
    ]
    greedy = scores({("nearest", 0): [1, 0, 1, 0]}).query("mode == 'greedy'").rename(columns={"arm": "baseline"})
    baselines = write_tables(folder / "baselines", "baselines", greedy.drop(columns=["seed", "mode", "sample", "unit"]))
    items = greedy[["id", "unit", "family"]].assign(split="heldout", content="[]", answer="{}")
    data = write_tables(folder / "data", "data", items)
    streams = [write_tables(folder / "adapt" / f"seed{seed}", "adapt", adapted(seed)) for seed in (0, 1)]
    curves = [write_run(folder / "curves", curve_run(n, s)) for n in ("slow", "flat") for s in (0, 1)]
    base = tokenizer_folder(folder / "base")
    return {
        "adaptation": {"adapt": streams, "runs": sft},
        "alignment": {"compat": compat, "runs": [*sft, *grpo]},
        "arms": {"scores": scored, "runs": [*sft, *grpo]},
        "coherence_trap": {"scores": scored, "runs": [*sft, *grpo]},
        "constants": {},
        "families": {"data": data, "scores": scored, "baselines": baselines, "runs": [*sft, *grpo]},
        "phase_table": {"sft": sft},
        "phi_trajectories": {
            "base": base,
            "generations": stored,
            "runs": [*sft, *grpo],
        },
        "reward_components": {"grpo": grpo},
        "risk_coverage": {"scores": scored, "generations": stored, "runs": [*sft, *grpo]},
        "sft_phases": {"sft": sft},
        "transition_checks": {},
        "transitions": {"runs": curves},
        "contrasts": {
            "base": base,
            "scores": scored,
            "generations": stored,
            "runs": [*sft, *grpo],
            "curves": curves,
        },
        "gates": {"scores": scored, "grpo": grpo},
    }


@pytest.fixture
def build(tmp_path: Path) -> Build:
    config, arguments = study(tmp_path), inputs(tmp_path)
    programs = {"constants": "tabulate_constants", "families": "tabulate_families", "phase_table": "tabulate_phases"}
    programs |= {"claims": "judge_claims"}

    def run(name: str, folder: str) -> Path:
        out = tmp_path / folder / "made" / name
        if name == "claims":
            arguments[name] = {"figures": [run("contrasts", f"{folder}-read")]}
        program = importlib.import_module(programs.get(name, f"draw_{name}"))
        program.main(config=config, out=out, **arguments[name])
        return out

    return run


@pytest.mark.parametrize("name", NAMES)
def test_a_rebuild_has_the_same_files_and_bytes(build: Build, name: str) -> None:
    once, again = build(name, "once").parent, build(name, "again").parent
    suffixes = {path.name.removeprefix(f"{name}.") for path in once.iterdir()} - {"card.json"}
    pictures, tables = set() if name in BARE_TABLES else PICTURE, set() if name in BARE_PICTURES else TABLE
    assert suffixes == {*pictures, *tables, "parquet", "caption.md", "manifest.json"}
    for suffix in suffixes:
        assert (once / f"{name}.{suffix}").read_bytes() == (again / f"{name}.{suffix}").read_bytes(), suffix


def test_each_format_holds_the_same_origin(build: Build) -> None:
    out = build("sft_phases", "figs")
    told = [origin(out.with_suffix(f".{suffix}")) for suffix in sorted(PICTURE)]
    assert told[0] == told[1] == told[2]
    assert told[0]["identity"] == read_card(out)["identity"]["digest"]
    assert (told[0]["study"], told[0]["figure"], told[0]["seeds"]) == ("made", "sft_phases", [0, 1])
    assert told[0]["settings"]["gate"]["token_class"] == "content"


def test_a_figure_has_print_size_no_date_and_text_that_is_text(build: Build) -> None:
    out = build("sft_phases", "figs")
    with Image.open(f"{out}.png") as image:
        assert image.width / image.info["dpi"][0] == pytest.approx(7.0, abs=0.01), "two columns"
        assert image.info["Title"] == "The phases of supervised fine-tuning"
    svg, pdf = Path(f"{out}.svg").read_text(), Path(f"{out}.pdf").read_bytes()
    assert "<dc:date>" not in svg and "token accuracy</text>" in svg
    assert b"CreationDate" not in pdf and b"/Type3" not in pdf and b"/FontFile2" in pdf


def test_the_style_is_part_of_the_identity(build: Build) -> None:
    assert "src/coherence/figures/paper.mplstyle" in read_card(build("sft_phases", "figs"))["identity"]["parts"]["code"]


def test_without_data_nothing_is_written(build: Build, tmp_path: Path) -> None:
    for seed in (0, 1):
        (tmp_path / "sft" / f"seed{seed}" / "metrics.jsonl").write_text("")
    with pytest.raises(ValueError, match="nothing to draw"):
        build("sft_phases", "figs")
    assert not list(tmp_path.glob("figs/*"))


def test_a_run_without_a_step_stops_no_figure(build: Build, tmp_path: Path) -> None:
    """It ended at its first step: every other run is drawn, and the caption names it."""
    run = tmp_path / "carl" / "seed1"
    (run / "metrics.jsonl").write_text("")
    (run / "outcome.json").write_text('{"status": "over_nan_budget"}')
    without = {"adaptation", "claims", "constants", "phase_table", "sft_phases", "transition_checks", "transitions"}
    for name in set(NAMES) - without:
        caption = " ".join(Path(f"{build(name, 'figs')}.caption.md").read_text().split())
        assert "carl seed 1 (over nan budget)" in caption, name
    (tmp_path / "sft" / "seed1" / "metrics.jsonl").write_text("")
    for name in ("phase_table", "sft_phases"):
        assert Path(f"{build(name, 'figs')}.caption.md").is_file()
