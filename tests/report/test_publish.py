"""Publishing refuses what is not built, not verified or too large; what it writes is from the published data."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import publish
import pytest
from repository import REPO

from benchmarks import run
from coherence.provenance.artifact import manifest_bytes, read_manifest
from coherence.provenance.files import sha256_file
from coherence.report.published import embedded_blocks, findings, kept_rows, melting, moves


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one built figure, in which verify.py says what `verdict` says."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(publish.subprocess, "run", lambda *_, **__: SimpleNamespace(returncode=0))
    stem = Path("figs/default/arms")
    stem.parent.mkdir(parents=True)
    for suffix in (*publish.SUFFIXES, "svg"):
        Path(f"{stem}.{suffix}").write_text(suffix)
    files = [
        {"name": path.name, "size": path.stat().st_size, "sha256": sha256_file(path)} for path in stem.parent.iterdir()
    ]
    Path(f"{stem}.manifest.json").write_bytes(manifest_bytes(files))  # type: ignore[arg-type]
    data = Path("results/default/data")
    data.mkdir(parents=True)
    (data / publish.REPORT).write_text("{}")
    entry = {"name": publish.REPORT, "size": 2, "sha256": sha256_file(data / publish.REPORT)}
    (data / "manifest.json").write_bytes(manifest_bytes([entry]))  # type: ignore[list-item]
    return stem


def test_what_is_not_built_is_refused(place: Path) -> None:
    with pytest.raises(ValueError, match="alignment is not built: run `snakemake"):
        publish.check([place, place.with_name("alignment")], "default")


def test_what_is_not_verified_is_refused(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish.check([place], "default")
    monkeypatch.setattr(publish.subprocess, "run", lambda *_, **__: SimpleNamespace(returncode=1))
    with pytest.raises(ValueError, match="publish what is verified"):
        publish.check([place], "default")


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_large_data_are_refused(place: Path, suffix: str) -> None:
    Path(f"{place}.{suffix}").write_bytes(b"x" * (publish.LARGEST + 1))
    with pytest.raises(ValueError, match=rf"arms.{suffix} has 1,000,001 bytes; published data have at most 1,000,000"):
        publish.check([place], "default")


def test_a_copy_leaves_nothing_of_an_earlier_one(place: Path) -> None:
    own, other = publish.FIGURES / "default", publish.FIGURES / "other"
    for folder in (own, other):
        folder.mkdir(parents=True)
        (folder / "old.png").write_text("old")
    publish.copy([place], "default")
    names = {f"arms.{suffix}" for suffix in publish.SUFFIXES} | {publish.REPORT}
    assert {path.name for path in own.iterdir()} == {*names, "manifest.json"}
    assert {entry["name"] for entry in read_manifest(own)["files"]} == names
    assert (other / "old.png").is_file(), "another study's"


def test_an_edited_copy_is_not_written_into_a_document(place: Path) -> None:
    publish.copy([place], "default")
    (publish.FIGURES / "default/arms.parquet").write_text("petunia")
    with pytest.raises(ValueError, match=r"arms.parquet has other bytes.*: `make publish` copies"):
        publish.rewrite()


def test_the_index_names_files_identity_and_command(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish, "read_card", lambda stem: {"identity": {"digest": "0123456789abcdef" * 4}})
    text = publish.index([place], "default")
    assert "| arms | [png](arms.png)" in text and "`0123456789abcdef`" in text
    assert "snakemake --cores 2 figs/default/arms.manifest.json --configfile config/default.yaml" in text


def bench(folder: Path, **about: object) -> None:
    """A benchmark's records below a folder: its first line, and one ratio."""
    told = run._about(quick=False)
    ratio = {"measure": "grpo_ratio", "of": "one batched pass", "value": 1.5, "low": 1.4, "high": 1.6}
    (folder / publish.BENCHMARKS).parent.mkdir(parents=True)
    (folder / publish.BENCHMARKS).write_text("\n".join(map(json.dumps, (told | about, ratio))))


def test_performance_is_the_benchmarks_own_table(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    bench(tmp_path)
    text = publish.performance()
    assert "one batched pass | 1.50x [1.40, 1.60] | <= 1.15 | SHORT |" in text
    assert "compiled | not measured | >= 5 | SHORT |" in text
    assert text.count("one forward per completion") == 0, "a line without a target is not a result"


@pytest.mark.parametrize("about", [{"code": None}, {"code": "0" * 64}])
def test_a_benchmark_of_other_code_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, about: dict[str, str | None]
) -> None:
    monkeypatch.chdir(tmp_path)
    bench(tmp_path, **about)
    with pytest.raises(ValueError, match=r"bench\.jsonl was measured with other code: run `make bench`"):
        publish.check_benchmark()


@pytest.mark.parametrize(
    ("edited", "line", "stale"),
    [
        ("src/coherence/core/composite.py", "EDITED = 1", True),
        ("src/coherence/training/trl_seam.py", "EDITED = 1", True),
        ("benchmarks/rounds.py", "EDITED = 1", True),
        ("src/coherence/core/composite.py", "# a comment", False),
        ("src/coherence/training/sft.py", "EDITED = 1", False),
        ("benchmarks/table.py", "EDITED = 1", False),
    ],
)
def test_only_what_is_timed_makes_a_benchmark_stale(tmp_path: Path, edited: str, line: str, stale: bool) -> None:
    for folder in ("benchmarks", "src"):
        shutil.copytree(REPO / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__", "results"))
    with (tmp_path / edited).open("a") as file:
        file.write(f"\n{line}\n")
    assert (run.timed_code(tmp_path) != run.timed_code()) == stale


# ------------------------------------------------------------------------------- words from data


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Published data that are known beforehand: the arm `carl` has collapsed in seed 1."""
    tmp_path = tmp_path / "default"
    tmp_path.mkdir()
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
    assert moves(data) == {"carl": ["-0.50", "+0.20", "-0.01"]}


def test_findings_count_seeds_and_verdicts(data: Path) -> None:
    text = findings(data)
    assert "| gate fires at SFT step | 12 (1 of 2 seeds) | `snakemake --cores 2 figs/default/sft_phases.png` |" in text
    assert "0.70 to 0.90" in text and "holds 2, fails 1" in text and "carl +0.20 and -0.01" in text


def test_conventions_and_consequences_are_sentences_of_the_data(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coherence.report.published.results", lambda folder: "")
    found = embedded_blocks(data)
    assert "by at most 0.001; leaving out the shift moves it by -0.30 to -0.20" in found["conventions"]
    assert "cloud quality goes from 0.800 to 0.001" in found["conventions"]
    text = found["consequences"]
    assert "- Collapsed here: 0.90 aligned, 0.63 by the reference file; published: about 0.55." in text
    assert (
        "`carl` seed 1 gives one answer to all 2 prompts. Its CARL: 0.55 (2 different) aligned, 0.57 (1 different)"
        in text
    )
    assert "aligned score tells right from wrong, its AUROC's interval above one half, in: `SFT start`." in text
    assert "reference file's score tells right from wrong, its AUROC's interval above one half, in: no arm." in text
    assert "- 2 of the reference file's scores are given to a right and to a wrong answer" in text


def test_rows_that_were_left_out_are_told_by_reason(tmp_path: Path) -> None:
    report = {"kept": {"sft": 13558}, "dropped": {"call too long": 2, "other": 0}, "near_duplicates": {"heldout": 0}}
    (tmp_path / "report.json").write_text(json.dumps(report))
    assert kept_rows(tmp_path).strip() == "Rows: sft 13,558. Left out: call too long 2."


def test_melting_tells_each_class_its_own_peak(tmp_path: Path) -> None:
    shares = {"format": [0.3, 0.7, 0.1], "content": [0.4, 0.5, 0.2]}
    sft = [
        {"seed": seed, "token_class": name, "step": step + 1, "entropy_share": share}
        for name, values in shares.items()
        for seed in (0, 1)
        for step, share in enumerate(values + [0.0] * seed)
    ]
    pd.DataFrame(sft).to_parquet(tmp_path / "sft_phases.parquet")
    rows = [line.replace(" ", "") for line in melting(tmp_path).splitlines()]
    assert "|format|0.30|0.70|2|0.10|" in rows and "|content|0.40|0.50|2|0.20|" in rows
