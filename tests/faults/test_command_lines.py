"""Mistakes on the command line, of the programs and of Snakemake."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from faults.tried import Shop, check_line, finished, in_a_process
from workflow.working_copy import Clone, copy_repository

CELL = "--seed 0 --data data --out x"
PROGRAMS = {
    "make_base": "--out x",
    "prepare_data": "--base base --out x",
    "train_sft": f"{CELL} --base base",
    "check_start": f"{CELL} --sft sft",
    "train_grpo": f"{CELL} --arm task --sft sft",
    "generate_heldout": f"{CELL} --arm sft --model sft",
    "evaluate_model": "--data data --generations sft --out x",
    "score_compat": "--data data --scores sft --models sft --generations sft --out x",
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_program_wants_a_resolved_study(shop: Shop, program: str) -> None:
    before = finished(shop.folder)
    printed = in_a_process(f"{program} --config nowhere.json {PROGRAMS[program]}", shop.folder)
    check_line(printed, "--config nowhere.json is no resolved study: `python scripts/write_study.py")
    assert finished(shop.folder) == before


@pytest.mark.parametrize("config", ["config/tiny.yaml", "base/config.json", "base", "base/model.safetensors"])
def test_a_config_that_is_no_resolved_study(shop: Shop, config: str) -> None:
    shop.refuses(f"train_sft --config {config} {PROGRAMS['train_sft']}", f"--config {config} is no resolved study")


@pytest.mark.parametrize("program", ["train_sft", "check_start", "train_grpo", "generate_heldout"])
def test_a_seed_that_the_study_does_not_have(shop: Shop, program: str) -> None:
    arguments = PROGRAMS[program].replace("--seed 0", "--seed 7")
    shop.refuses(f"{program} --config study.json {arguments}", "no seed 7 in this study (has: 0)")


@pytest.mark.parametrize(
    ("program", "arm"), [("train_grpo", "nope"), ("train_grpo", "sft"), ("generate_heldout", "nope")]
)
def test_an_arm_that_the_study_does_not_have(shop: Shop, program: str, arm: str) -> None:
    arguments = PROGRAMS[program].replace("--arm task", f"--arm {arm}").replace("--arm sft", f"--arm {arm}")
    shop.refuses(f"{program} --config study.json {arguments}", f"no arm '{arm}' in this study (has: carl, task)")


def test_evaluation_of_nothing(shop: Shop) -> None:
    said = "give --generations and --out, or --gate CHECKPOINT"
    shop.refuses("evaluate_model --config study.json --data data", said)


@pytest.mark.parametrize(
    ("command", "option"),
    [
        (f"train_sft --config study.json {CELL} --base base --lr 3", "--lr"),
        (f"train_sft --config study.json {CELL}", "--base"),
        (f"train_sft --config study.json {CELL} --base base --seed zero", "--seed"),
    ],
)
def test_an_option_that_does_not_parse_is_named(shop: Shop, command: str, option: str) -> None:
    printed = in_a_process(command, shop.folder)
    assert option in printed and "--help" in printed
    assert "Traceback" not in printed


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    return copy_repository(tmp_path_factory.mktemp("clone"))


def add(path: str, text: str) -> Callable[[Path], object]:
    def write(root: Path) -> None:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)

    return write


def nothing(root: Path) -> None:
    pass


@pytest.mark.parametrize(
    ("arguments", "harm", "said"),
    [
        ("--configfile config/tiny.yaml config/demo.yaml", nothing, "one file is one study ... base: default.yaml"),
        ("--config seeds=3", nothing, "one file is one study ... base: default.yaml"),
        (
            "--configfile config/x.yaml",
            add("config/x.yaml", "base: default.yaml\nsedes: [1]\n"),
            "sedes: unknown key (did you mean 'seeds'?)",
        ),
        (
            "--configfile config/x.yaml",
            add("config/x.yaml", "base: default.yaml\nmodel: {kind: local, path: m}\n"),
            "'m' is relative to data_root: set CARL_DATA_ROOT",
        ),
        (
            "--configfile config/a/tiny.yaml",
            add("config/a/tiny.yaml", "base: ../default.yaml\n"),
            "config/a/tiny.yaml and config/tiny.yaml are two studies of one name: rename one",
        ),
        ("", add("results", "a file"), "results/tiny cannot be written: results is no folder"),
    ],
)
def test_snakemake_says_it_too(
    clone: Clone, tmp_path: Path, arguments: str, harm: Callable[[Path], object], said: str
) -> None:
    shutil.copytree(clone.root, tmp_path / "clone")
    harm(tmp_path / "clone")
    done = Clone(tmp_path / "clone").snakemake(*arguments.split(), "all" if not arguments else "-n")
    assert done.returncode == 2, done.stdout + done.stderr
    check_line(done.stdout + done.stderr, said)
    assert not list((tmp_path / "clone").rglob("*manifest.json"))
