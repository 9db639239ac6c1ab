"""Publishing refuses what is not built, not verified or too large; what it writes is from the published data."""

import json
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import publish
import pytest
from report.small_study import artifact

from coherence.report.published import blocks, findings, moves


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one built figure, in which verify.py says what `verdict` says."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(publish.subprocess, "run", lambda *_, **__: SimpleNamespace(returncode=0))
    artifact(Path("figs/default/arms.manifest.json"))
    for suffix in (*publish.SUFFIXES, "svg"):
        Path(f"figs/default/arms.{suffix}").write_text(suffix)
    return Path("figs/default/arms")


def test_what_is_not_built_is_refused(place: Path) -> None:
    with pytest.raises(ValueError, match="alignment is not built: run `snakemake"):
        publish.check([place, place.with_name("alignment")])


def test_what_is_not_verified_is_refused(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish.check([place])
    monkeypatch.setattr(publish.subprocess, "run", lambda *_, **__: SimpleNamespace(returncode=1))
    with pytest.raises(ValueError, match="publish what is verified"):
        publish.check([place])


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_large_data_are_refused(place: Path, suffix: str) -> None:
    Path(f"{place}.{suffix}").write_bytes(b"x" * (publish.LARGEST + 1))
    with pytest.raises(ValueError, match=rf"arms.{suffix} has 200,001 bytes; published data have at most 200,000"):
        publish.check([place])


def test_a_copy_leaves_nothing_of_an_earlier_one(place: Path) -> None:
    publish.FIGURES.mkdir(parents=True)
    (publish.FIGURES / "old.png").write_text("old")
    publish.copy([place])
    assert {path.name for path in publish.FIGURES.iterdir()} == {f"arms.{suffix}" for suffix in publish.SUFFIXES}


def test_the_index_names_files_identity_and_command(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish, "read_card", lambda stem: {"identity": {"digest": "0123456789abcdef" * 4}})
    text = publish.index([place])
    assert "| arms | [png](arms.png)" in text and "`0123456789abcdef`" in text
    assert "snakemake --cores 2 figs/default/arms.manifest.json --configfile config/default.yaml" in text


def test_performance_is_the_benchmarks_own_table(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    publish.BENCHMARKS.parent.mkdir(parents=True)
    about = {"measure": "run", "processor": "a chip", "date": "2020-01-01", "versions": dict.fromkeys(publish.PEERS)}
    ratio = {"measure": "grpo_ratio", "of": "one batched pass", "value": 1.5, "low": 1.4, "high": 1.6}
    publish.BENCHMARKS.write_text("\n".join(map(json.dumps, (about, ratio))))
    text = publish.performance()
    assert "one batched pass | 1.50x [1.40, 1.60] | <= 1.15 | SHORT |" in text
    assert "compiled | not measured | >= 5 | SHORT |" in text
    assert text.count("one forward per completion") == 0, "a line without a target is not a result"


# ------------------------------------------------------------------------------- words from data


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Published data that are known beforehand: the arm `carl` has collapsed in seed 1."""
    means = {"carl_aligned": [0.7, 0.9], "carl_both": [0.701, 0.9], "carl_prompted": [0.5, 0.6]}
    means |= {"carl_shifted": [0.6, 0.6], "carl_compat": [0.58, 0.57]}
    at = {"cloud_quality_both": 0.8, "cloud_quality_prompted": 0.001, "phi_both": 0.9, "phi_shifted": 0.7}
    pd.DataFrame({"arm": ["sft", "carl"], "strict": [0.6, 0.1], **means, **at}).to_csv(tmp_path / "alignment.csv")
    (tmp_path / "alignment.md").write_text("| arm |\n")
    points = [
        {"panel": "completion", "arm": arm, "seed": seed, "strict": i, "aligned": 0.1 * i + 0.5, "compat": 0.57}
        for arm, seed, i in (("sft", 0, 0), ("sft", 0, 1), ("carl", 1, 0), ("carl", 1, 1))
    ]
    areas = [
        {"panel": "separation", "arm": arm, "convention": name, "low": low}
        for arm, name, low in (("sft", "aligned", 0.6), ("carl", "aligned", 0.4), ("sft", "compat", 0.3))
    ]
    case = {"panel": "case", "case": "collapsed here", "aligned": 0.9, "compat": 0.63, "published": 0.55}
    pd.DataFrame([*points, *areas, case]).astype({"seed": "Int64"}).to_parquet(tmp_path / "alignment.parquet")
    rows = [
        {"family": "all", "mode": "greedy", "arm": arm, "quantity": "distinct", "seed": seed, "estimate": count}
        for arm, seed, count in (("sft", None, 30), ("sft", 0, 30), ("carl", None, 9), ("carl", 0, 17), ("carl", 1, 1))
    ]
    pd.DataFrame(rows).astype({"seed": "Int64"}).to_parquet(tmp_path / "arms.parquet")
    sft = [
        {"seed": seed, "gate_step": gate, "token_class": "all", "entropy_share": share}
        for seed, gate, share in ((0, 12, 0.9), (0, 12, 0.8), (1, None, 0.7))
    ]
    pd.DataFrame(sft).to_parquet(tmp_path / "sft_phases.parquet")
    pd.DataFrame({"verdict": ["holds", "fails", "holds"]}).to_parquet(tmp_path / "constants.parquet")
    return tmp_path


def test_moves_are_from_the_start(data: Path) -> None:
    assert moves(data) == {"carl": ["-0.50", "+0.200", "-0.010"]}


def test_findings_count_seeds_and_verdicts(data: Path) -> None:
    text = findings(data, "default")
    assert "| gate fires at SFT step | 12 (1 of 2 seeds) | `snakemake --cores 2 figs/default/sft_phases.png` |" in text
    assert "0.70 to 0.90" in text and "holds 2, fails 1" in text and "carl +0.200 and -0.010" in text


def test_conventions_and_consequences_are_sentences_of_the_data(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coherence.report.published.results", lambda folder, study: "")
    found = blocks(data, "default")
    assert "by at most 0.001; leaving out the shift moves it by -0.30 to -0.20" in found["conventions"]
    assert "cloud quality goes from 0.800 to 0.001" in found["conventions"]
    text = found["consequences"]
    assert "- Collapsed here: 0.90 aligned, 0.63 by the reference file; published: about 0.55." in text
    assert "`carl` seed 1 gives one answer to all 2 prompts. Its CARL: 0.55 in 2 values aligned, 0.57 in 1" in text
    assert "aligned score tells right from wrong, its AUROC's interval above one half, in: `SFT start`." in text
    assert "published score tells right from wrong, its AUROC's interval above one half, in: no arm." in text
    assert "- 2 published scores are given to a right and to a wrong answer" in text
