"""Figures as files: the same bytes every time, the identity inside, and nothing where there is no data."""

import json
from pathlib import Path

import draw_sft_phases
import pytest
from made import sft_run, study, write_run
from PIL import Image

from coherence.provenance.artifact import read_card

SUFFIXES = ("png", "svg", "parquet", "caption.md")


@pytest.fixture
def build(tmp_path: Path):  # type: ignore[no-untyped-def]
    config = study(tmp_path)
    sft = [write_run(tmp_path, sft_run(seed)) for seed in (0, 1)]

    def run(name: str) -> Path:
        out = tmp_path / name / "sft_phases"
        draw_sft_phases.main(config, sft, out)
        return out

    return run


def test_a_rebuild_has_the_same_bytes(build) -> None:  # type: ignore[no-untyped-def]
    once, again = build("once"), build("again")
    for suffix in SUFFIXES:
        assert Path(f"{once}.{suffix}").read_bytes() == Path(f"{again}.{suffix}").read_bytes(), suffix


def test_png_and_svg_hold_the_identity(build) -> None:  # type: ignore[no-untyped-def]
    out = build("here")
    identity = read_card(out)["identity"]["digest"]
    with Image.open(f"{out}.png") as image:
        told = json.loads(image.text["Description"])
        width = image.width / image.info["dpi"][0]
    assert told["identity"] == identity and told["seeds"] == [0, 1]
    assert told["settings"]["gate"]["token_class"] == "content" and told["figure"] == "sft_phases"
    assert width == pytest.approx(7.0, abs=0.01), "two columns"
    svg = Path(f"{out}.svg").read_text()
    assert identity in svg and "<dc:date>" not in svg


def test_the_style_is_part_of_the_identity(build) -> None:  # type: ignore[no-untyped-def]
    assert "src/coherence/figures/paper.mplstyle" in read_card(build("here"))["identity"]["parts"]["code"]


def test_without_data_nothing_is_written(build, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    for seed in (0, 1):
        (tmp_path / "sft" / f"seed{seed}" / "metrics.jsonl").write_text("")
    with pytest.raises(ValueError, match="nothing to draw"):
        build("here")
    assert not list(tmp_path.glob("here/*"))
