"""Adoption of copied results, against Snakemake itself."""

import subprocess
import sys
from pathlib import Path

import pytest
from clones import Clone

from coherence.provenance.adopt import adopt, complete, move_aside, touch_arguments
from coherence.provenance.artifact import ROOT
from coherence.provenance.place import Place, find_all
from coherence.provenance.records import unrecorded
from coherence.provenance.verify import verify

CONFIG = Path("config/s.yaml")
SNAKEFILE = f"""
import os, sys
from pathlib import Path
sys.path.insert(0, "{ROOT / "src"}")
from coherence.provenance.adopt import ADOPTING
from coherence.provenance.place import find_all
from coherence.provenance.records import unrecorded

BUILT = find_all(Path("results/s"))
if ADOPTING not in os.environ and unrecorded([place.manifest for place in BUILT], Path()):
    print("run python scripts/verify.py --adopt", file=sys.stderr)
    sys.exit(2)
EXTRA
rule base:
    output: "results/s/base/manifest.json"
    shell: "exit 9"
rule sft:
    input: "results/s/base/manifest.json"
    output: "results/s/sft/seed{{seed}}/manifest.json"
    params: rate=config["rate"]
    log: "logs/sft{{seed}}.log"
    benchmark: "logs/sft{{seed}}.tsv"
    shell: "exit 9"
rule figure:
    input: "results/s/sft/seed0/manifest.json", "results/s/sft/seed1/manifest.json"
    output: "figs/s/arms.png", "figs/s/arms.manifest.json"
    shell: "exit 9"
"""


def prepare(clone: Clone, extra: str = "") -> None:
    clone.build_all()
    (clone.root / "Snakefile").write_text(SNAKEFILE.replace("EXTRA", extra))
    (clone.root / "config").mkdir()
    (clone.root / CONFIG).write_text("rate: 0.001\n")


def plan(*targets: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "snakemake", "-n", *targets, "--configfile", str(CONFIG)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_adopt_with_snakemake(clone: Clone) -> None:
    prepare(clone)
    Path("results/s/sft/seed1/model.bin").write_text("damaged")
    Path("results/s/sft/seed0/manifest.json").unlink()
    assert plan("results/s/base/manifest.json") == (2, "run python scripts/verify.py --adopt\n")

    findings, moved = adopt(CONFIG, "s", clone.settings, root=clone.root)
    good = [finding.place.manifest for finding in findings if finding.status == "ok"]
    assert sorted(map(str, good)) == ["results/s/base/manifest.json", "results/s/sft/seed0/manifest.json"]
    assert [place.out.as_posix() for place in moved] == ["results/s/sft/seed1", "figs/s/arms"]
    assert unrecorded(good, Path()) == []

    assert "Nothing to be done" in plan(*map(str, good))[1]
    code, text = plan("figs/s/arms.png")
    assert code == 0 and "output: results/s/sft/seed1/manifest.json" in text
    assert "output: results/s/sft/seed0/manifest.json" not in text


def test_records_make_a_changed_parameter_visible(clone: Clone) -> None:
    """The reason for --forceall."""
    prepare(clone)
    findings, moved = adopt(CONFIG, "s", clone.settings, root=clone.root)
    assert len(findings) == 4 and not moved
    assert "Nothing to be done" in plan("figs/s/arms.png")[1]
    CONFIG.write_text("rate: 0.003\n")
    text = plan("figs/s/arms.png")[1]
    assert "Params have changed" in text and "rule base" not in text


def test_a_workflow_that_fails_is_told(clone: Clone) -> None:
    prepare(clone, "raise ValueError('broken')")
    with pytest.raises(ValueError, match="snakemake could not record"):
        adopt(CONFIG, "s", clone.settings, root=clone.root)


def test_aside_keeps_paths_and_neighbours(clone: Clone) -> None:
    clone.build_all()
    clone.build(clone.artifact("figures", out=Path("figs/s/arms_table"), stem=False))
    clone.build(clone.artifact("sft", 0, out=Path("results/s/base/inner")))
    findings = verify("s", clone.settings, root=clone.root)
    aside = Path("results/s/.aside/now")
    assert move_aside(Place(Path("results/s/base")), findings, aside, Path()) == aside / "results/s/base"
    move_aside(Place(Path("figs/s/arms"), stem=True), findings, aside, Path())
    assert [place.out.as_posix() for place in find_all(Path("results/s"))] == [
        "results/s/base/inner",
        "results/s/sft/seed0",
        "results/s/sft/seed1",
    ]
    assert {path.name for path in (aside / "figs/s").iterdir()} == {
        "arms.card.json",
        "arms.manifest.json",
        "arms.parquet",
        "arms.png",
    }
    assert [path.name for path in Path("figs/s").iterdir()] == ["arms_table"]
    assert (aside / "results/s/base/sub/log.jsonl").is_file()


def test_only_whole_artifacts_are_completed(clone: Clone) -> None:
    clone.build_all()
    for seed in (0, 1):
        Path(f"results/s/sft/seed{seed}/manifest.json").unlink()
    Path("results/s/sft/seed1/model.bin").unlink()
    done = complete(verify("s", clone.settings, root=clone.root))
    assert [place.out.as_posix() for place in done] == ["results/s/sft/seed0"]
    assert Path("results/s/sft/seed0/manifest.json").exists()


def test_touch_arguments_are_targets_first(clone: Clone) -> None:
    """Options that take several values would swallow targets behind them."""
    places = [Place(clone.root / "results/s/base"), Place(clone.root / "figs/s/arms", stem=True)]
    assert touch_arguments(places, CONFIG, clone.root) == [
        "results/s/base/manifest.json",
        "figs/s/arms.manifest.json",
        "--configfile",
        "config/s.yaml",
        "--touch",
        "--forceall",
        "--cores",
        "1",
    ]
