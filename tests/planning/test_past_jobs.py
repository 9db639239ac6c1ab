"""What past jobs say about the time of a planned one, and what they must not say."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from repository import REPO

from coherence.config.study import Study, deep_merge
from coherence.planning.jobs import History, Past, answer, ask_snakemake
from coherence.provenance.place import Place

VALUES = yaml.safe_load((REPO / "config/default.yaml").read_text())


def study(**changes: Any) -> Study:
    return Study("mine", deep_merge(VALUES, changes))


def card(owner: Study, stage: str, seconds: float, steps: int | None = None, **cell: Any) -> dict[str, Any]:
    settings = copy.deepcopy(owner.settings(stage, **cell))
    return {
        "stage": stage, "cell": cell, "wall_s": seconds, "inputs": {},
        "outcome": {"status": "ok"} | ({} if steps is None else {"steps": steps}),
        "identity": {"parts": {"settings": settings}},
    }  # fmt: skip


def history(now: Study, past: Study, *more: tuple[str, dict[str, Any]]) -> History:
    """Cards of a study `old`, whose base and data are there."""
    found = History(now, [])
    cards = {"base": card(past, "base", 9.0), "data": card(past, "data", 1.0), **dict(more)}
    found.cards = {Place(Path("results/old") / out): card for out, card in cards.items()}
    return found


def grpo(past: Study, *seconds: float) -> list[tuple[str, dict[str, Any]]]:
    cells = [(arm, seed) for arm in past.arms for seed in past.seeds][: len(seconds)]
    return [
        (f"grpo/{arm}/seed{seed}", card(past, "grpo", s, steps=100, arm=arm, seed=seed))
        for (arm, seed), s in zip(cells, seconds, strict=True)
    ]


def test_percentiles_are_of_what_was_measured() -> None:
    assert Past((3.0, 1.0, 2.0)).p50 == 2.0
    assert Past(tuple(map(float, range(1, 11)))).p90 == 9.0
    assert Past((5.0,)).p90 == 5.0
    assert Past(()).p50 is None and Past(()).p90 is None


def test_seeds_arms_and_learning_rates_do_not_change_the_time() -> None:
    past = study()
    now = study(seeds=[7], grpo={"learning_rate": 1.0e-5, "arms": {"other": {"rewards": {"click": 1.0}}}})
    assert history(now, past, *grpo(past, 10.0, 20.0, 30.0)).past("grpo").seconds == (10.0, 20.0, 30.0)


@pytest.mark.parametrize(
    "changes",
    [
        {"grpo": {"num_generations": 16}},
        {"grpo": {"max_completion_length": 13}},
        {"model": {"layers": 3}},
        {"data": {"max_tokens": 95}},
        {"compute": {"device": "cuda"}},
    ],
    ids=str,
)
def test_other_sizes_models_data_and_devices_say_nothing(changes: dict[str, Any]) -> None:
    past = study()
    assert history(study(**changes), past, *grpo(past, 10.0)).past("grpo").seconds == ()


def test_how_the_base_was_taught_is_its_own_stages_time_alone() -> None:
    past, now = study(), study(model={"pretraining": {"steps": 500}})
    found = history(now, past, *grpo(past, 10.0))
    assert found.past("grpo").seconds == (10.0,)
    assert found.past("base").seconds == (18.0,)


def test_time_grows_with_the_steps_but_not_where_the_gate_had_stopped() -> None:
    past = study()
    assert history(study(grpo={"steps": 300}), past, *grpo(past, 10.0)).past("grpo").seconds == (30.0,)
    longer = study(sft={"max_steps": 600})
    stopped, ran_out = (("sft/seed0", card(past, "sft", 12.0, steps=steps, seed=0)) for steps in (160, 300))
    assert history(longer, past, stopped).past("sft").seconds == (12.0,)
    assert history(longer, past, ran_out).past("sft").seconds == (24.0,)
    assert history(study(sft={"max_steps": 80}), past, stopped).past("sft").seconds == (6.0,)


def test_the_benchmark_counts_unless_the_job_found_its_artifact(tmp_path: Path) -> None:
    past = study()
    found = history(past, past, *grpo(past, 10.0))
    found.base, found.cards = tmp_path, {Place(tmp_path / place.out): card for place, card in found.cards.items()}
    bench = tmp_path / "logs/old/grpo/task/seed0.tsv"
    bench.parent.mkdir(parents=True)
    for seconds, expected in ((14.5, 14.5), (2.0, 10.0)):
        bench.write_text(f"s\th:m:s\n{seconds}\t0:00:01\n")
        assert found.past("grpo").seconds == (expected,)


def test_what_snakemake_refuses_is_told_in_its_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"config/none\.yaml"):
        answer(ask_snakemake(Path("config/none.yaml")))
