"""Scripts run by hand in a built clone: gates, refusals, and one-line errors with exit code 2."""

import json
import shutil

import pytest
from workflow.working_copy import Clone

RESULTS = "results/tiny"


def evaluate(clone: Clone, checkpoint: str, config: str = f"{RESULTS}/study.json") -> tuple[int, str]:
    done = clone.python(
        "scripts/evaluate_model.py", "--config", config, "--data", f"{RESULTS}/data", "--gate", checkpoint
    )
    return done.returncode, done.stdout


def set_study(clone: Clone, section: str, **values: object) -> None:
    path = clone.root / RESULTS / "study.json"
    study = json.loads(path.read_text())
    study[section] |= values
    path.write_text(json.dumps(study))


def test_the_gate_passes_fails_and_fails_closed(clone: Clone) -> None:
    set_study(clone, "evaluate", gate_accuracy=0.0)
    code, said = evaluate(clone, f"{RESULTS}/sft/seed0")
    assert code == 0 and "PASS: strict accuracy" in said
    set_study(clone, "evaluate", gate_accuracy=1.0)
    code, said = evaluate(clone, f"{RESULTS}/sft/seed0")
    assert code == 1 and "FAIL: strict accuracy" in said
    for checkpoint, config in (("nowhere", f"{RESULTS}/study.json"), (f"{RESULTS}/sft/seed0", "no.json")):
        code, said = evaluate(clone, checkpoint, config)
        assert code == 1 and "cannot be judged" in said


def test_a_start_outside_its_limits_is_refused_with_the_numbers(clone: Clone) -> None:
    limits = {"prompts": 4, "min_accuracy": 1.0, "max_accuracy": 1.0, "max_zero_variance": 0.0}
    set_study(clone, "grpo", start=limits)
    done = clone.python(
        "scripts/check_start.py", "--config", f"{RESULTS}/study.json", "--seed", "0", "--sft", f"{RESULTS}/sft/seed0",
        "--data", f"{RESULTS}/data", "--out", "results/tiny/elsewhere",
    )  # fmt: skip
    assert done.returncode == 2
    assert "(grpo.start)" in done.stderr
    assert not (clone.root / "results/tiny/elsewhere/manifest.json").exists()


def grpo(clone: Clone, arm: str = "task") -> tuple[int, str]:
    done = clone.python(
        "scripts/train_grpo.py", "--config", f"{RESULTS}/study.json", "--arm", arm, "--seed", "0",
        "--sft", f"{RESULTS}/sft/seed0", "--data", f"{RESULTS}/data", "--out", "results/tiny/elsewhere",
    )  # fmt: skip
    return done.returncode, done.stderr


def test_grpo_refuses_a_start_that_has_not_crystallized(clone: Clone) -> None:
    set_study(clone, "grpo", require_crystallized=True)
    code, said = grpo(clone)
    assert code == 2
    assert "not_crystallized" in said and "require_crystallized" in said
    assert not (clone.root / "results/tiny/elsewhere/manifest.json").exists()


def test_an_unknown_arm_is_one_line(clone: Clone) -> None:
    code, said = grpo(clone, arm="nope")
    assert code == 2
    assert said.strip().splitlines()[-1] == "error: no arm 'nope' in this study (has: carl, task)"


@pytest.mark.parametrize("cell", ["sft/seed9", "grpo/nope/seed0"])
def test_a_cell_that_the_study_does_not_have_has_no_rule(built: Clone, cell: str) -> None:
    done = built.snakemake("-n", f"{RESULTS}/{cell}/manifest.json")
    assert done.returncode != 0
    assert "No rule to produce" in done.stdout + done.stderr


def test_a_flipped_byte_of_an_input_stops_what_would_build_on_it(clone: Clone) -> None:
    weights = clone.root / RESULTS / "sft/seed0/model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    code, said = grpo(clone)
    assert code == 2 and "model.safetensors" in said
    assert not (clone.root / "results/tiny/elsewhere/manifest.json").exists()


def test_the_same_run_twice_has_the_same_bytes(clone: Clone) -> None:
    manifest = f"{RESULTS}/grpo/carl/seed0/manifest.json"
    before = (clone.root / manifest).read_bytes()
    shutil.rmtree((clone.root / manifest).parent)
    done = clone.snakemake(manifest, "all")
    assert done.returncode == 0, done.stderr
    assert (clone.root / manifest).read_bytes() == before
    assert done.stdout.count("already there with this identity") >= 2
