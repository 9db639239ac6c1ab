"""What an edit reruns: announced by dry runs, confirmed by real ones."""

import json
import shutil
from collections import Counter
from pathlib import Path

import pytest
from workflow.working_copy import Clone, copy_repository

STAGES = {"base", "data", "sft", "start", "grpo", "generate", "evaluate", "baselines", "compat"}
GRPO_ON = {"start": 1, "grpo": 2, "generate": 2, "evaluate": 1, "compat": 1}
"""The reward mathematics: two arms and their generations; the SFT checkpoint's own generations stay."""
SFT_ON = {"sft": 1, "start": 1, "grpo": 2, "generate": 3, "evaluate": 1, "compat": 1}


def stages(planned: Counter[str]) -> dict[str, int]:
    return {rule: n for rule, n in planned.items() if rule in STAGES}


def figures(planned: Counter[str]) -> set[str]:
    return set(planned) - STAGES - {"report"}


def cards(clone: Clone) -> dict[str, str]:
    """When each artifact of the stages was made."""
    found = (clone.root / "results/tiny").rglob("card.json")
    return {
        card.parent.relative_to(clone.root / "results/tiny").as_posix(): json.loads(card.read_text())["started"]
        for card in found
    }


def test_a_finished_study_has_nothing_to_do(built: Clone) -> None:
    assert built.planned() == Counter()


def test_what_cannot_change_results_reruns_nothing(clone: Clone) -> None:
    for path in (*(clone.root / "src").rglob("*.py"), *(clone.root / "scripts").glob("*.py")):
        path.touch()
    clone.edit("src/coherence/core/composite.py", lambda s: s.replace("\n\n\n", "\n\n\n# a remark\n\n\n", 1))
    clone.edit("src/coherence/training/sft.py", lambda s: s.replace('"""SFT that stops', '"""An SFT that stops'))
    clone.edit("src/coherence/training/grpo.py", lambda s: s.replace("    )\n", "    )\n\n", 1))
    clone.edit("scripts/train_sft.py", lambda s: s.replace('parameters")', 'parameters in the model")'))
    clone.edit("src/coherence/console.py", lambda s: s.replace("5.0", "7.0"))
    clone.edit("README.md", lambda s: s + "\nMore.\n")
    clone.edit("environment.yml", lambda s: s + "\n# a remark\n")
    clone.edit("config/tiny.yaml", lambda s: "# a remark\n" + s)
    assert clone.planned() == Counter()


def test_an_edit_that_is_taken_back_reruns_nothing(clone: Clone) -> None:
    clone.edit("src/coherence/core/gate.py", lambda s: s + "\nX = 1\n")
    clone.edit("src/coherence/core/gate.py", lambda s: s.removesuffix("\nX = 1\n"))
    assert clone.planned() == Counter()


@pytest.mark.parametrize("name", ["sft_phases", "constants"])
def test_one_figures_script_reruns_that_figure(clone: Clone, name: str) -> None:
    (script,) = [
        p
        for p in (clone.root / "scripts").glob("*.py")
        if p.stem.removeprefix("draw_").removeprefix("tabulate_") == name
    ]
    clone.edit(f"scripts/{script.name}", lambda s: s + "\nEDITED = 1\n")
    planned = clone.planned()
    assert stages(planned) == {}
    assert figures(planned) == {name} and planned["report"] == 1


@pytest.mark.parametrize("name", ["page.css", "page.html.jinja"])
def test_the_look_of_the_report_reruns_the_report_alone(clone: Clone, name: str) -> None:
    clone.edit(f"src/coherence/report/{name}", lambda s: s + "\n")
    assert clone.planned() == Counter({"report": 1})


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        ("src/coherence/tasks/grounding/rewards.py", "SCALE = 20.0", "SCALE = 25.0"),
        ("src/coherence/core/composite.py", "UNDECIDED = 0.5", "UNDECIDED = 0.6"),
    ],
)
def test_the_reward_mathematics_reruns_grpo_and_what_follows(clone: Clone, path: str, old: str, new: str) -> None:
    clone.edit(path, lambda s: s.replace(old, new))
    planned = clone.planned()
    assert stages(planned) == GRPO_ON | ({"baselines": 1} if "tasks" in path else {})
    assert figures(planned) >= {"arms", "phi_trajectories"}
    assert "sft_phases" not in figures(planned)


def test_a_module_two_imports_below_the_sft_script_reruns_sft_and_what_follows(clone: Clone) -> None:
    clone.edit("src/coherence/core/gate.py", lambda s: s + "\nEDITED = 1\n")
    assert stages(clone.planned()) == SFT_ON


def test_the_sft_learning_rate_reruns_sft_and_what_follows(clone: Clone) -> None:
    clone.edit("config/tiny.yaml", lambda s: s.replace("learning_rate: 1.0e-2", "learning_rate: 2.0e-2"))
    planned = clone.planned()
    assert stages(planned) == SFT_ON
    assert "constants" not in figures(planned)


def test_a_figures_own_option_reruns_that_figure(clone: Clone) -> None:
    clone.edit("config/tiny.yaml", lambda s: s + "figures: {sft_phases: {smooth: 7}}\n")
    planned = clone.planned()
    assert stages(planned) == {}
    assert figures(planned) == {"sft_phases"}


def test_an_added_seed_runs_the_new_cells_and_what_pools_them(clone: Clone) -> None:
    clone.edit("config/tiny.yaml", lambda s: s.replace("seeds: [0]", "seeds: [0, 1]"))
    planned = clone.planned()
    assert stages(planned) == SFT_ON
    assert "constants" not in figures(planned)


def test_an_added_arm_runs_its_own_cells(clone: Clone) -> None:
    clone.edit("config/tiny.yaml", lambda s: s.replace("arms: {task+carl: null}", "arms: {}"))
    assert stages(clone.planned()) == {"grpo": 1, "generate": 1, "evaluate": 1, "compat": 1}


def test_one_target_builds_only_what_it_needs(clone: Clone) -> None:
    shutil.rmtree(clone.root / "results")
    shutil.rmtree(clone.root / "figs")
    shutil.rmtree(clone.root / ".snakemake")
    assert set(clone.planned("figs/tiny/constants.manifest.json")) == {"constants"}
    assert stages(clone.planned("figs/tiny/sft_phases.png")) == {"base": 1, "data": 1, "sft": 1}


def test_data_with_the_same_bytes_stops_there(clone: Clone) -> None:
    before, weights = cards(clone), (clone.root / "results/tiny/sft/seed0/model.safetensors").stat().st_mtime_ns
    clone.edit(
        "src/coherence/tasks/rows.py", lambda s: s.replace("if tokens > max_tokens:", "if not tokens <= max_tokens:")
    )
    done = clone.snakemake("all")
    assert done.returncode == 0, done.stderr
    after = cards(clone)
    assert {name for name in before if before[name] != after[name]} == {"data"}
    assert (clone.root / "results/tiny/sft/seed0/model.safetensors").stat().st_mtime_ns == weights
    assert clone.planned() == Counter()


def test_a_real_rerun_makes_what_the_dry_run_announced(clone: Clone) -> None:
    clone.edit("src/coherence/tasks/grounding/rewards.py", lambda s: s.replace("SCALE = 20.0", "SCALE = 25.0"))
    planned, before = clone.planned(), cards(clone)
    done = clone.snakemake("all")
    assert done.returncode == 0, done.stderr
    changed = {name for name, started in cards(clone).items() if before[name] != started}
    made = Counter({"scores": "evaluate"}.get(name, name.split("/")[0]) for name in changed)
    assert {rule for rule in made} <= set(stages(planned))
    assert {"start", "grpo", "evaluate"} <= set(made)
    assert not {"base", "data", "sft"} & set(made)
    assert clone.planned() == Counter()


def test_copied_results_are_refused_then_verified_and_adopted(built: Clone, tmp_path: Path) -> None:
    other = copy_repository(tmp_path / "other")
    for part in ("results", "figs"):
        shutil.copytree(built.root / part, other.root / part)
    refused = other.snakemake("-n", "all")
    assert refused.returncode == 2
    assert "scripts/verify.py --configfile config/tiny.yaml --adopt" in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1

    adopted = other.python("scripts/verify.py", "--configfile", "config/tiny.yaml", "--adopt")
    assert adopted.returncode == 0, adopted.stdout + adopted.stderr
    assert other.planned() == Counter()
    other.edit("config/tiny.yaml", lambda s: s.replace("learning_rate: 1.0e-2", "learning_rate: 2.0e-2"))
    assert stages(other.planned()) == SFT_ON


def test_a_flipped_byte_and_a_changed_setting_are_named_and_rebuilt(built: Clone, tmp_path: Path) -> None:
    other = copy_repository(tmp_path / "other")
    for part in ("results", "figs"):
        shutil.copytree(built.root / part, other.root / part)
    weights = other.root / "results/tiny/grpo/carl/seed0/model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    other.edit("config/tiny.yaml", lambda s: s.replace("samples: 1", "samples: 2"))

    said = other.python("scripts/verify.py", "--configfile", "config/tiny.yaml")
    assert said.returncode == 1
    assert "results/tiny/grpo/carl/seed0" in said.stdout and "damaged" in said.stdout
    assert "evaluate.samples 1 -> 2" in said.stdout

    other.python("scripts/verify.py", "--configfile", "config/tiny.yaml", "--adopt")
    assert stages(other.planned()) == {"grpo": 1, "generate": 3, "evaluate": 1, "compat": 1}


def test_a_bad_config_is_one_line_and_exit_code_2(built: Clone, tmp_path: Path) -> None:
    shutil.copytree(built.root, tmp_path / "c", symlinks=True)
    clone = Clone(tmp_path / "c")
    clone.edit("config/tiny.yaml", lambda s: s.replace("max_steps", "max_step"))
    done = clone.snakemake("-n", "all")
    assert done.returncode == 2
    assert "did you mean 'max_steps'" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    overridden = built.snakemake("-n", "all", "--config", "seeds=[3]")
    assert overridden.returncode == 2 and "one file is one study" in overridden.stderr
