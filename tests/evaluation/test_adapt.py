"""Adaptation at inference on a tiny model: each method does what it says and nothing else, and leaves no trace."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from coherence.config.adapt import METHODS, AdaptConfig, Slot
from coherence.evaluation.adapt import Answerer, adapt, added, donors, find_vector
from coherence.evaluation.generate import generate
from coherence.models.load import load_model

CONFIG = {"prompts": 8, "batch_size": 3, "slot": {"steps": 8, "learning_rate": 0.05}, "micro": {"learning_rate": 0.01}}


def config(**changes: object) -> AdaptConfig:
    return AdaptConfig.parse(CONFIG | changes, "adapt")


@pytest.fixture(scope="module")
def ask(tiny: SimpleNamespace, tuned: Path) -> Answerer:
    model = load_model(tuned, "cpu")
    model.requires_grad_(False)
    return Answerer(model, tiny.tokenizer, 12)


@pytest.fixture(scope="module")
def answers(tiny: SimpleNamespace, tuned: Path) -> pd.DataFrame:
    model = load_model(tuned, "cpu")
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    table = adapt(model, tiny.tokenizer, tiny.rows["heldout"], config(), "grounding", 12, seed=0)
    after = model.state_dict()
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)
    assert not model.get_output_embeddings()._forward_pre_hooks
    return table


def of(answers: pd.DataFrame, method: str) -> pd.DataFrame:
    return answers[answers["method"] == method].sort_values("position", ignore_index=True)


def test_every_method_answers_every_prompt_of_the_stream(answers: pd.DataFrame) -> None:
    assert answers.groupby("method").size().to_dict() == dict.fromkeys(METHODS, 8)
    assert all(of(answers, method)["id"].tolist() == of(answers, "none")["id"].tolist() for method in METHODS)
    assert np.isfinite(answers[["phi", "nll_start", "nll_answering", "nll_after", "strict"]].to_numpy()).all()


def test_the_controls_are_the_model_itself(answers: pd.DataFrame, tiny: SimpleNamespace, tuned: Path) -> None:
    plain = of(answers, "none")
    rows = {row["id"]: row for row in tiny.rows["heldout"]}
    how = {"samples": 0, "temperature": 1.0, "max_new_tokens": 12, "batch_size": 4, "seed": 0}
    said = generate(load_model(tuned, "cpu"), tiny.tokenizer, [rows[name] for name in plain["id"]], **how)
    assert plain["completion"].tolist() == said["completion"].tolist()
    assert plain["phi"].tolist() == pytest.approx([float(np.mean(phi)) for phi in said["phi"]], abs=1e-5)
    still = of(answers, "micro_still")
    assert still["completion"].tolist() == plain["completion"].tolist()
    assert still["nll_answering"].to_numpy() == pytest.approx(plain["nll_answering"].to_numpy(), abs=1e-5)
    assert plain["nll_start"].tolist() == plain["nll_answering"].tolist()


def test_each_objective_falls_and_the_random_vector_is_as_long(answers: pd.DataFrame) -> None:
    for method in ("slot", "slot_leaking"):
        own = of(answers, method)
        assert (own["objective_after"] < own["objective_before"]).all(), method
    assert of(answers, "slot_random")["norm"].to_numpy() == pytest.approx(of(answers, "slot")["norm"].to_numpy())
    leaked = of(answers, "slot_leaking")
    assert leaked["objective_before"].to_numpy() == pytest.approx(leaked["nll_start"].to_numpy(), abs=1e-4)


def test_who_learns_answers_first(answers: pd.DataFrame) -> None:
    learner, still = of(answers, "micro_label"), of(answers, "micro_still")
    assert learner["nll_answering"][0] == pytest.approx(still["nll_answering"][0], abs=1e-6), "nothing was learned yet"
    assert learner["nll_after"][0] < still["nll_after"][0] - 1e-3
    assert learner["nll_answering"][1] != pytest.approx(still["nll_answering"][1], abs=1e-4), "it is carried on"
    assert of(answers, "micro")["objective_before"][0] == pytest.approx(still["objective_before"][0], abs=1e-6)


def test_a_prompts_vector_is_its_own_whoever_is_in_the_batch(ask: Answerer, tiny: SimpleNamespace) -> None:
    rows = sorted(tiny.rows["heldout"], key=lambda row: len(row["prompt"]))
    pair, slot = [rows[0], rows[-1]], Slot(steps=3, learning_rate=0.01)
    layer = ask.model.get_decoder().layers[0]
    for module, targets in ((ask.model.get_output_embeddings(), None), (layer, ask.targets(pair))):
        together, _ = find_vector(ask, pair, module, slot, targets)
        alone, _ = find_vector(ask, pair[:1], module, slot, targets and targets[:1])
        assert together[:1] == pytest.approx(alone, abs=1e-4) and alone.norm() > 0.01
    assert all(weight.grad is None for weight in ask.model.parameters()), "frozen parameters gather nothing"


def test_a_vector_on_the_head_moves_the_logits_by_the_heads_product(ask: Answerer) -> None:
    head, ids = ask.model.get_output_embeddings(), torch.tensor([[1, 2, 3]])
    vector = torch.randn(1, 1, head.in_features, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        plain = ask.model(ids).logits
        with added(head, vector):
            moved = ask.model(ids).logits
        assert moved - plain == pytest.approx((vector @ head.weight.T).expand_as(plain), abs=1e-4)
        assert torch.equal(ask.model(ids).logits, plain)


def test_the_next_prompt_asks_for_something_else() -> None:
    assert donors(["a", "a", "b", "c"]) == [3, 3, 1, 2]
    assert donors(["a", "a"]) == [1, 0], "where all are alike there is no other"


def test_a_model_that_diverged_says_nothing(tiny: SimpleNamespace) -> None:
    model = load_model(tiny.base, "cpu")
    with torch.no_grad():
        next(model.parameters()).fill_(torch.nan)
    assert adapt(model, tiny.tokenizer, tiny.rows["heldout"], config(), "grounding", 12, seed=0).empty
