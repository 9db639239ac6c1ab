"""A run in two processes is the run in one: same rewards, statistics, metrics and weights, with copies and with parts.

One launch of torchrun on two processors (gloo), a shrunk Qwen3.5. What only GPUs have is not tested: NCCL and vLLM.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from models.architectures import CASES, save_pretrained
from models.test_architectures import rows_for, texts
from repository import REPO, read_jsonl
from safetensors.torch import load_file
from training.two_processes import RANK, run_grpo, run_sft

from coherence.config.compute import Compute
from coherence.core.composite import CompositeWeights
from coherence.models.load import load_model, load_tokenizer, prompt_ids, quiet, render_prompt
from coherence.models.scoring import score_completions
from coherence.tasks.rows import to_table
from coherence.training.arguments import common_arguments
from coherence.training.rewards import carl_components
from scripts.make_base import take_pretrained

ONE = Compute(device="cpu", bf16=False)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of all runs: one/ of one process, two0/ and two1/ of each of two."""
    quiet()
    folder = tmp_path_factory.mktemp("runs")
    save_pretrained(CASES["qwen3_5"], texts(), folder / "in")
    (folder / "base").mkdir()
    take_pretrained({"path": "in"}, {"config.json": folder / "in/config.json"}, folder / "base")
    tokenizer = load_tokenizer(folder / "base")
    to_table(rows_for(lambda text: render_prompt(tokenizer, text))).to_parquet(folder / "data.parquet")
    run_sft(folder, folder / "one/sft", ONE)
    run_grpo(folder, folder / "one/sft", folder / "one/grpo", ONE, replay=True)
    program = Path(sys.executable).with_name("torchrun")
    command = [program, "--standalone", "--nproc-per-node", "2", REPO / "tests/training/two_processes.py", folder]
    environment = os.environ | {"PYTHONPATH": f"{REPO / 'src'}{os.pathsep}{REPO / 'tests'}"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-4000:]
    return folder


def rollouts(run: Path) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = json.loads((run / "rollouts.json").read_text())
    return told


def close(a: Path, b: Path, weights: float) -> None:
    """The same metrics at each step, and the same weights, but for the order in which floats are added up."""
    for x, y in zip(read_jsonl(a / "metrics.jsonl"), read_jsonl(b / "metrics.jsonl"), strict=True):
        assert x.keys() == y.keys()
        for key in x.keys() - {"entropy", "mean_token_accuracy"}:  # TRL's own: means over processes of local means
            assert y[key] == pytest.approx(x[key], rel=2e-3, abs=1e-5), f"{key} at step {x['step']}"
    x, y = load_file(a / "model.safetensors"), load_file(b / "model.safetensors")
    assert x.keys() == y.keys()
    for name in x:
        torch.testing.assert_close(y[name], x[name], atol=weights, rtol=0)


@pytest.mark.parametrize("run", ["sft", "copies", "parts", "parts_lora", "parts_bf16"])
def test_both_processes_know_and_decide_the_same(runs: Path, run: str) -> None:
    names = ["metrics.jsonl", "outcome.json", *(["validation.jsonl"] if run == "sft" else ["rollouts.json"])]
    for name in names:
        assert (runs / "two0" / run / name).read_bytes() == (runs / "two1" / run / name).read_bytes()
    assert json.loads((runs / "two0" / run / "outcome.json").read_text())["diverged"] is False


def test_sft_cut_into_four_parts_is_the_same_sft(runs: Path) -> None:
    close(runs / "one/sft", runs / "two0/sft", weights=5e-3)  # Adam makes a rounding of a small gradient a step
    one, two = (read_jsonl(runs / where / "sft/validation.jsonl") for where in ("one", "two0"))
    assert [line["content/accuracy"] for line in one] == [line["content/accuracy"] for line in two]


@pytest.mark.parametrize("run", ["copies", "parts"])
def test_grpo_on_the_same_completions_is_the_same_grpo(runs: Path, run: str) -> None:
    moved = load_file(runs / "one/grpo/model.safetensors")["model.embed_tokens.weight"]
    assert (moved - load_file(runs / "one/sft/model.safetensors")["model.embed_tokens.weight"]).abs().max() > 1e-3
    close(runs / "one/grpo", runs / "two0" / run, weights=2e-5)
    for one, two in zip(rollouts(runs / "one/grpo"), rollouts(runs / "two0" / run), strict=True):
        assert one["prompts"] == two["prompts"] and one["ids"] == two["ids"]
        for name in ("logps", "entropies", "start", "rewards"):
            for x, y in zip(one[name], two[name], strict=True):
                np.testing.assert_allclose(x, y, atol=1e-4)


@pytest.mark.parametrize("run", ["copies", "parts", "parts_lora"])
def test_every_completion_is_paid_for_its_own_statistics(runs: Path, run: str) -> None:
    size = len(load_tokenizer(runs / "base"))
    for step in rollouts(runs / "two0" / run):
        carl = carl_components(step["logps"], step["entropies"], size, CompositeWeights()).reward
        np.testing.assert_allclose(np.array(step["rewards"])[:, 2], carl, atol=1e-6)
        assert len(set(np.round(carl, 5))) > 6, "equal rewards could change places unseen"


def test_adapters_over_parts_sample_from_the_policy_and_are_held_against_the_start(runs: Path) -> None:
    tokenizer, start = load_tokenizer(runs / "base"), load_model(runs / "one/sft", "cpu")
    first, *_, last = rollouts(runs / "two0/parts_lora")
    assert len({len(ids) for ids in first["ids"]}) > 1, "the processes should not finish at the same step"
    for step, same in ((first, True), (last, False)):
        prompts = [prompt_ids(tokenizer, prompt) for prompt in step["prompts"]]
        true = score_completions(start, tokenizer.pad_token_id, prompts, step["ids"], len(tokenizer))[0]
        np.testing.assert_allclose(np.concatenate(step["start"]), np.concatenate(true), atol=5e-5)
        assert np.allclose(np.concatenate(step["logps"]), np.concatenate(true), atol=5e-5) == same
    before, after = (load_file(run / "model.safetensors") for run in (runs / "one/sft", runs / "two0/parts_lora"))
    assert before.keys() == after.keys()
    changes = {name: after[name] - before[name] for name in before}
    ranks = {name: int(torch.linalg.matrix_rank(change, rtol=1e-3)) for name, change in changes.items() if change.any()}
    assert len(ranks) > 10 and set(ranks.values()) == {RANK}
    assert not any("embed" in name or "norm" in name for name in ranks)


def test_bf16_over_parts_does_not_round_the_statistics(runs: Path) -> None:
    exact, rounded = rollouts(runs / "two0/parts")[0], rollouts(runs / "two0/parts_bf16")[0]
    for name in ("logps", "entropies"):
        x, y = (np.concatenate(step[name]) for step in (exact, rounded))
        assert 1e-5 < np.abs(x - y).max() < 0.3
        assert not torch.equal(torch.tensor(y).bfloat16().double(), torch.tensor(y))


def test_a_study_for_two_processes_is_not_run_in_one(tmp_path: Path) -> None:
    compute = Compute.parse({"device": "cpu", "bf16": False, "processes": 2, "accumulate": 1}, "compute")
    with pytest.raises(ValueError, match=r"but 1 run: start it with `torchrun --standalone --nproc-per-node 2"):
        common_arguments(1e-3, 0.9, compute, tmp_path, 0)
