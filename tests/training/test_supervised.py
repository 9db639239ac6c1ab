"""SFT: what is logged is what the model does, the gate stops the run, and nothing costs an extra forward."""

import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from repository import read_jsonl

from coherence.config.compute import Compute
from coherence.config.sft import SftConfig
from coherence.core.order_parameter import token_statistics
from coherence.models.load import load_model
from coherence.training.sft import Cooldown, train
from coherence.training.supervised import CONTENT, FORMAT, PROMPT, bucketed, collate, encode_row

CPU = Compute(device="cpu", bf16=False)
CONFIG = {
    "learning_rate": 3e-3,
    "batch_size": 8,
    "bucket": 1,
    "max_steps": 6,
    "warmup_steps": 0,
    "cooldown_steps": 0,
    "weight_decay": 0.0,
    "adam_beta2": 0.98,
    "max_grad_norm": 1.0,
    "gate": {"split": "sft", "token_class": "content", "threshold": 0.99, "window": 5, "count": 3},
}


def run(tiny: SimpleNamespace, folder: Path, seed: int = 1, **changes: object) -> tuple[dict, list[dict]]:
    folder.mkdir()
    config = SftConfig.parse(CONFIG | changes, "sft")
    outcome = train(
        config, CPU, load_model(tiny.base, "cpu"), tiny.tokenizer, tiny.rows["sft"], folder, seed, tiny.rows["heldout"]
    )
    return outcome, read_jsonl(folder / "metrics.jsonl")


def test_token_classes_follow_the_content_spans(tiny: SimpleNamespace) -> None:
    row = tiny.rows["sft"][0]
    encoded = encode_row(tiny.tokenizer, row)
    tokens = zip(encoded["input_ids"], encoded["token_class"], strict=True)
    classes = [(tiny.tokenizer.decode([i]), c) for i, c in tokens if c != PROMPT]
    x, y = row["answer"]["point"]
    assert [text for text, c in classes if c == CONTENT] == [str(x), str(y)]
    assert "".join(text for text, _ in classes) == row["completion"] + tiny.tokenizer.eos_token
    assert classes[-1] == (tiny.tokenizer.eos_token, FORMAT)
    assert [label == -100 for label in encoded["labels"]] == [c == PROMPT for c in encoded["token_class"]]


def test_the_first_logged_step_equals_an_offline_recomputation(tiny: SimpleNamespace, tmp_path: Path) -> None:
    rows = tiny.rows["sft"]
    _, lines = run(tiny, tmp_path / "run", batch_size=len(rows), max_steps=3)
    batch = collate([encode_row(tiny.tokenizer, row) for row in rows], tiny.tokenizer.pad_token_id)
    with torch.no_grad():
        logits = load_model(tiny.base, "cpu")(
            input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]
        ).logits
    logits, ids = logits[:, :-1].double().numpy(), batch["input_ids"][:, 1:].numpy()
    statistics = token_statistics(logits, ids)
    for name, members in (("content", [CONTENT]), ("format", [FORMAT]), ("all", [FORMAT, CONTENT])):
        mask = np.isin(batch["token_class"][:, 1:].numpy(), members)
        assert lines[0][f"{name}/entropy"] == pytest.approx(statistics.entropy[mask].mean(), abs=1e-5)
        assert lines[0][f"{name}/phi"] == pytest.approx(statistics.phi[mask].mean(), abs=1e-6)
        assert lines[0][f"{name}/accuracy"] == pytest.approx((logits.argmax(-1) == ids)[mask].mean())
    assert lines[0]["all/entropy"] == pytest.approx(lines[0]["entropy"], abs=1e-5)
    assert lines[0]["all/accuracy"] == pytest.approx(lines[0]["mean_token_accuracy"])
    assert lines[0]["all/entropy_share"] == pytest.approx(lines[0]["all/entropy"] / math.log(len(tiny.tokenizer)))


def test_one_forward_per_step(tiny: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_model(tiny.base, "cpu")
    calls: list[int] = []
    model.model.register_forward_hook(lambda *_: calls.append(1))
    (tmp_path / "run").mkdir()
    train(SftConfig.parse(CONFIG, "sft"), CPU, model, tiny.tokenizer, tiny.rows["sft"], tmp_path / "run", 0)
    assert len(calls) == CONFIG["max_steps"]


def test_the_gate_stops_the_run_at_the_step_at_which_it_fires(tiny: SimpleNamespace, tmp_path: Path) -> None:
    gate = {"split": "sft", "token_class": "all", "threshold": 1e-9, "window": 5, "count": 3}
    outcome, lines = run(tiny, tmp_path / "run", max_steps=60, gate=gate)
    over = [line["step"] for line in lines if line["all/accuracy"] >= 1e-9]
    assert outcome["status"] == "ok"
    assert outcome["gate_step"] == outcome["steps"] == lines[-1]["step"] < 60
    assert sum(step > outcome["gate_step"] - 5 for step in over) == 3


def test_a_run_whose_gate_never_fires_says_so(tiny: SimpleNamespace, tmp_path: Path) -> None:
    outcome, lines = run(tiny, tmp_path / "run")
    assert outcome["status"] == "not_crystallized"
    assert outcome["gate_step"] is None
    assert len(lines) == CONFIG["max_steps"]


def test_same_seed_same_bytes_other_seed_other_bytes(tiny: SimpleNamespace, tmp_path: Path) -> None:
    weights = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        run(tiny, tmp_path / name, seed)
        weights.append((tmp_path / name / "model.safetensors").read_bytes())
    assert weights[0] == weights[1] != weights[2]
    assert weights[0] != (tiny.base / "model.safetensors").read_bytes()


def test_cooldown_falls_to_zero_after_the_gate_and_before_the_end() -> None:
    fired = Cooldown(warmup=0, length=4, max_steps=100)
    fired.fire(10)
    assert [fired.factor(step) for step in (9, 10, 12, 14)] == [1.0, 1.0, 0.5, 0.0]
    assert fired.last_step == 14
    never = Cooldown(warmup=2, length=10, max_steps=100)
    assert never.factor(0) == pytest.approx(1 / 3)
    assert (never.factor(50), never.factor(95), never.factor(100)) == (1.0, 0.5, 0.0)
    assert Cooldown(warmup=0, length=0, max_steps=5).factor(4) == 1.0


def test_a_run_that_diverges_says_so_and_crashes_nothing(tiny: SimpleNamespace, tmp_path: Path) -> None:
    outcome, _ = run(tiny, tmp_path / "run", learning_rate=1e30)
    assert (outcome["status"], outcome["diverged"]) == ("not_crystallized", True)


def test_validation_tells_the_models_accuracy_on_rows_not_trained_on(tiny: SimpleNamespace, tmp_path: Path) -> None:
    _, lines = run(tiny, tmp_path / "looks", validate_every=4)
    _, plain = run(tiny, tmp_path / "never")
    assert lines == plain, "looking changes nothing"
    looks = read_jsonl(tmp_path / "looks" / "validation.jsonl")
    assert [look["step"] for look in looks] == [4, 6]
    batch = collate([encode_row(tiny.tokenizer, row) for row in tiny.rows["heldout"]], tiny.tokenizer.pad_token_id)
    with torch.no_grad():
        logits = load_model(tmp_path / "looks", "cpu")(
            input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]
        ).logits[:, :-1]
    mask = batch["token_class"][:, 1:] == CONTENT
    right = (logits.argmax(-1) == batch["input_ids"][:, 1:])[mask]
    assert looks[-1]["content/accuracy"] == pytest.approx(float(right.float().mean()))


def test_the_gate_can_look_at_the_validation_split_alone(tiny: SimpleNamespace, tmp_path: Path) -> None:
    gate = {"split": "validation", "token_class": "format", "threshold": 0.01, "window": 2, "count": 2}
    outcome, _ = run(tiny, tmp_path / "run", max_steps=60, gate=gate, validate_every=5)
    looks = read_jsonl(tmp_path / "run" / "validation.jsonl")
    assert outcome["gate_step"] == looks[-1]["step"] == outcome["steps"]
    assert all(look["format/accuracy"] >= 0.01 for look in looks[-2:])
    with pytest.raises(ValueError, match="validate_every"):
        SftConfig.parse(CONFIG | {"gate": gate}, "sft")


def test_bucketed_batches_are_evenly_long_and_in_no_order_of_length() -> None:
    lengths = np.random.default_rng(0).integers(5, 100, 640).tolist()
    order = bucketed(lengths, batch_size=8, bucket=20, batches=160, seed=3)
    assert sorted(order[:640]) == sorted(order[640:]) == list(range(640)), "each epoch shows every row once"
    batches = np.array(lengths)[order].reshape(160, 8)
    padded = (batches.max(axis=1) * 8).sum() / batches.sum()
    assert padded < 1.1
    longest = batches[:20].max(axis=1)
    assert abs(np.corrcoef(np.arange(20), longest)[0, 1]) < 0.6, "short and long batches are mixed"
