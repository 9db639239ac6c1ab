"""A figure tells where it came from, also far from home, and a clone says whether it would draw it again."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from made import sft_run, study, write_run
from matplotlib.figure import Figure
from PIL import Image, PngImagePlugin
from repository import REPO

from coherence.provenance.artifact import _seal
from coherence.provenance.whence import Check, check, origin, told_lines

NAME = "figs/made/sft_phases"


def python(*arguments: str | Path, folder: Path) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "PYTHONPATH": str(REPO / "src")}
    program = [sys.executable, *map(str, arguments)]
    return subprocess.run(program, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with a figure that was drawn there by its own program."""
    folder = tmp_path_factory.mktemp("drawn")
    study(folder)
    runs = [write_run(folder / "results", sft_run(seed)).relative_to(folder) for seed in (0, 1)]
    arguments = ["--config", "results/made/study.json", "--sft", *runs, "--out", NAME]
    done = python(REPO / "scripts/draw_sft_phases.py", *arguments, folder=folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def home(drawn: Path, tmp_path: Path) -> Path:
    shutil.copytree(drawn, tmp_path / "home")
    return tmp_path / "home"


def examine(path: Path, home: Path) -> Check:
    return check(path, origin(path), home)


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_a_figure_far_from_home_tells_its_origin(drawn: Path, tmp_path: Path, suffix: str) -> None:
    away = shutil.copy(drawn / f"{NAME}.{suffix}", tmp_path / f"picture.{suffix}")
    told = origin(Path(away))
    assert told["command"].startswith("python scripts/draw_sft_phases.py --config results/made/study.json --sft ")
    lines = list(told_lines(told))
    assert lines[:3] == ["study     made", "figure    sft_phases", "seeds     0, 1"]
    assert '  gate.token_class = "content"' in lines


def test_the_program_prints_checks_and_tells_by_its_exit_code(home: Path, tmp_path: Path) -> None:
    away = shutil.copy(home / f"{NAME}.pdf", tmp_path / "picture.pdf")
    done = python(REPO / "scripts/whence.py", away, "--check", "--json", folder=home)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["check"]["differs"] == []
    done = python(REPO / "scripts/whence.py", away, "--check", folder=home)
    assert done.returncode == 0 and done.stdout.endswith(
        "same: identity and every byte, from the results as they lie here, and these are current\n"
    )
    (home / "results/sft/seed1/outcome.json").unlink()
    (home / "results/sft/seed1/manifest.json").unlink()
    done = python(REPO / "scripts/whence.py", away, "--check", folder=home)
    assert done.returncode == 1 and "results: figs/made/sft_phases  stale: input sft/seed1 is missing" in done.stdout
    (home / "results/made/study.json").write_text("{}")
    done = python(REPO / "scripts/whence.py", away, "--check", folder=home)
    assert done.returncode == 1 and "it cannot be drawn again" in done.stdout
    assert "results: --config results/made/study.json is no resolved study" in done.stdout
    done = python(REPO / "scripts/whence.py", home / "results/made/study.json", folder=home)
    assert done.returncode == 2 and done.stdout == "" and done.stderr.count("error: ") == 1


def test_the_same_is_the_same_and_only_the_cards_command_runs(home: Path) -> None:
    for suffix in ("png", "svg"):
        path = home / f"{NAME}.{suffix}"
        found = check(path, {**origin(path), "command": "python scripts/draw_sft_phases.py; touch ran"}, home)
        assert found.same and len(found.compared) == 2, found
    assert not (home / "ran").exists()


def test_other_settings_and_inputs_are_named(home: Path) -> None:
    config = home / "results/made/study.json"
    values = json.loads(config.read_text())
    values["figures"]["sft_phases"]["smooth"] = 5
    config.write_text(json.dumps(values))
    (home / "results/sft/seed1/manifest.json").write_text(json.dumps({"files": [], "more": 1}))
    differs = examine(home / f"{NAME}.svg", home).differs
    assert "settings: figure.smooth 3 -> 5" in differs and "inputs: sft/seed1 is another" in differs
    assert differs[-1] == "bytes: the drawing made now has others"


def test_a_retouched_figure_and_another_identity_are_found_out(home: Path) -> None:
    svg, away = home / f"{NAME}.svg", home / "away.svg"
    identity = origin(svg)["identity"]
    away.write_text(svg.read_text().replace("#e69f00", "#000000").replace(identity, "0" * 64))
    svg.write_text(svg.read_text().replace("#e69f00", "#000000"))
    differs = examine(away, home).differs
    assert [line.split(":")[0] for line in differs] == ["identity", "bytes", "identity", "bytes"]
    assert differs[0] == f"identity: the artifact here is {identity}"
    assert differs[1].endswith("sft_phases.svg has other bytes than its manifest says")


def test_what_was_never_built_here_cannot_be_compared(home: Path, tmp_path: Path) -> None:
    path = home / f"{NAME}.png"
    command = r"`snakemake --cores 2 figs/made/sft_phases\.png --configfile config/made\.yaml`"
    with pytest.raises(ValueError, match=f"is not built here: {command} builds it"):
        check(path, origin(path), tmp_path)
    with pytest.raises(ValueError, match="cannot be"):
        check(path, {**origin(path), "study": "../elsewhere"}, home)


@pytest.mark.parametrize("inside", [True, False])
def test_a_program_that_a_card_smuggles_in_is_never_run(home: Path, tmp_path: Path, inside: bool) -> None:
    evil, ran = tmp_path / "evil.py", tmp_path / "ran"
    evil.write_text(f"open({str(ran)!r}, 'w')")
    script = f"scripts/{os.path.relpath(evil, REPO / 'scripts')}" if inside else str(evil)
    card = json.loads((home / f"{NAME}.card.json").read_text())
    card["command"] = card["command"].replace(card["script"], script)
    card["script"] = script
    del card["seal"]
    (home / f"{NAME}.card.json").write_text(json.dumps({**card, "seal": _seal(card)}))
    with pytest.raises(ValueError, match=r"no program in scripts/"):
        examine(home / f"{NAME}.png", home)
    assert not ran.exists()


def write_png(path: Path, text: str) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("Description", text)
    Image.new("L", (1, 1)).save(path, pnginfo=info)


@pytest.mark.parametrize(
    ("name", "write", "why"),
    [
        ("a.png", lambda path: Image.new("L", (1, 1)).save(path), "does not tell where it came from"),
        ("b.png", lambda path: write_png(path, "a holiday"), "does not tell"),
        ("c.png", lambda path: write_png(path, '{"study": 3}'), "does not tell"),
        ("d.png", lambda path: path.write_text("no picture"), "cannot identify"),
        ("e.svg", lambda path: path.write_text("<svg/>"), "does not tell"),
        ("f.svg", lambda path: path.write_text("<svg"), "is not SVG"),
        ("g.pdf", lambda path: Figure().savefig(path), "does not tell"),
        ("h.jpg", lambda path: path.write_text(""), "origins are told by"),
        ("i.png", lambda path: None, "No such file"),
    ],
)
def test_a_file_without_origin_is_refused(tmp_path: Path, name: str, write: Callable[[Path], object], why: str) -> None:
    write(tmp_path / name)
    with pytest.raises((ValueError, OSError), match=why):
        origin(tmp_path / name)
