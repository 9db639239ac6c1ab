"""A small study as its rules would leave it, with runs that ended in every way."""

import json
from pathlib import Path

from figures.made import scores
from repository import REPO

from coherence.config.study import load_study

EVIL = '<b>&"'
"""An arm's name that would break a page that does not escape."""
SVG = """\
<svg xmlns="http://www.w3.org/2000/svg" width="504pt" height="180pt" viewBox="0 0 504 180">
<defs><clipPath id="clip"><rect width="504" height="180"/></clipPath></defs>
<rect id="shape" width="504" height="180" fill="#0072b2" clip-path="url(#clip)"/></svg>
"""
TABLE = '| arm | strict |\n| --- | -----: |\n| a\\|b | 0.5 |\n| <b>&" | 0.25 |\n'
STUDY = load_study(REPO / "config/default.yaml").resolved | {"data_root": "/somewhere/private", "seeds": [0, 1]}
STUDY["grpo"] = STUDY["grpo"] | {"arms": {"task": {"rewards": {"click": 1.0}}, EVIL: {"rewards": {"carl": 0.5}}}}
RUNS = {
    ("sft", 0): {"status": "ok", "gate_step": 7, "steps": 7},
    ("sft", 1): {"status": "not_crystallized", "gate_step": None, "steps": 9},
    ("task", 0): {"status": "ok", "steps": 5, "unscored_completions": 0, "completions": 40},
    ("task", 1): {"status": "degenerate", "steps": 3, "unscored_completions": 0, "completions": 24},
    (EVIL, 0): {"status": "over_nan_budget", "steps": 2, "unscored_completions": 9, "completions": 16},
}


def artifact(manifest: Path) -> None:
    manifest.parent.mkdir(parents=True, exist_ok=True)
    manifest.write_text(json.dumps({"files": []}))


def exhibit(stem: Path, caption: str, svg: str = "", table: str = "") -> Path:
    """A figure, a table, or both, with their caption."""
    artifact(Path(f"{stem}.manifest.json"))
    for suffix, text in (("caption.md", caption), ("svg", svg), ("md", table)):
        if text:
            Path(f"{stem}.{suffix}").write_text(text)
    return stem


def write_study(folder: Path, name: str = "small") -> dict[str, object]:
    """The arguments of write_report for a study with figures, tables, and runs that ended in every way."""
    results, figs = folder / "results" / name, folder / "figs"
    for (arm, seed), outcome in RUNS.items():
        artifact(results / arm / f"seed{seed}" / "manifest.json")
        (results / arm / f"seed{seed}" / "outcome.json").write_text(json.dumps(outcome))
    (results / "study.json").write_text(json.dumps(STUDY))
    artifact(results / "data/manifest.json")
    rows = {"kept": {"sft": 4, "heldout": 2}, "dropped": {"sft: over 96 tokens": 3}}
    (results / "data/report.json").write_text(json.dumps(rows))
    artifact(results / "scores/manifest.json")
    table = scores({("task", 0): [1, 0], ("task", 1): [0, 0]})
    table.loc[[0, 1], "carl"] = float("nan")
    table.to_parquet(results / "scores/scores.parquet")
    return {
        "config": results / "study.json",
        "figures": [
            exhibit(figs / "constants", "**Only a table.** No figure <script>alert(1)</script>.", table=TABLE),
            exhibit(figs / "unheard_of", "No title in bold.", svg=SVG),
            exhibit(figs / "arms", "**Both.** Figure **and** table,\nT\\*(3) < 4.\n", svg=SVG, table=TABLE),
            exhibit(figs / "sft_phases", "**A figure.** Its caption.", svg=SVG),
        ],
        "runs": [results / arm / f"seed{seed}" for arm, seed in RUNS],
        "data": results / "data",
        "scores": results / "scores",
        "lock": REPO / "requirements.lock",
    }
