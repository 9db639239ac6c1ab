"""train and agent on a tiny model, and what they say to a mistake."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from repository import read_jsonl

from coherence.core.order_parameter import completion_logits, token_statistics
from coherence.front.agent import agent_step
from coherence.front.examples import read_columns
from coherence.models.load import load_pretrained, prompt_ids, render_prompt, save_model
from coherence.provenance.artifact import read_card
from coherence.tasks.rewards import answer_reward

Call = Callable[..., Any]
SFT = ("--method", "sft", "--max-steps", 4, "--learning-rate", 1e-2, "--batch-size", 4)
GRPO = ("--max-steps", 2, "--learning-rate", 1e-3, "--batch-size", 2, "--num-generations", 2)
GRPO += ("--max-completion-length", 8, "--prompt-column", "q", "--answer-column", "a")


@pytest.fixture
def base(tiny: SimpleNamespace) -> Path:
    return Path(tiny.base)


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    lines = [{"prompt": f"Say {word}", "completion": word} for word in ("one", "two", "three", "four", "five")]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return path


@pytest.fixture
def answers(tmp_path: Path) -> Path:
    path = tmp_path / "answers.csv"
    pd.DataFrame({"q": ["Say one", "Say two", "Say three"], "a": [1, 2, 3]}).to_csv(path, index=False)
    return path


def test_sft_leaves_a_model_that_loads_and_says_what_to_do_next(front: Call, base: Path, rows: Path) -> None:
    call = ("train", "--model", base, "--dataset", rows, "--output", "out", *SFT)
    first = front(*call)
    assert first.code == 0, first.err
    assert "5 rows, 0 left out" in first.out and "the crystallization gate never fired" in first.out
    assert first.out.splitlines()[-1].endswith("next: python scripts/observe.py out")
    outcome = json.loads(Path("out/outcome.json").read_text())
    assert (outcome["status"], outcome["steps"]) == ("not_crystallized", 4)
    assert [line["step"] for line in read_jsonl(Path("out/metrics.jsonl"))] == [1, 2, 3, 4]
    before = load_pretrained(base, "cpu")[0].get_output_embeddings().weight
    assert not before.equal(load_pretrained(Path("out"), "cpu")[0].get_output_embeddings().weight)
    written = {path: path.read_bytes() for path in Path("out").iterdir()}
    again = front(*call)
    assert again.code == 0 and "already there" in again.out and "rows" not in again.out
    assert {path: path.read_bytes() for path in Path("out").iterdir()} == written


def test_sft_stops_where_it_crystallizes(front: Call, base: Path, tmp_path: Path) -> None:
    (tmp_path / "one.jsonl").write_text(json.dumps({"prompt": "Say it", "completion": "it"}) + "\n")
    where = ("train", "--model", base, "--dataset", "one.jsonl", "--output", "out", "--method", "sft")
    done = front(*where, "--max-steps", 60, "--learning-rate", 2e-2, "--gate-accuracy", 0.9)
    steps = read_card(Path("out"))["outcome"]["gate_step"]
    assert steps < 60 and f"crystallized: the gate fired at step {steps}" in done.out
    assert [line["all/accuracy"] >= 0.9 for line in read_jsonl(Path("out/metrics.jsonl"))][-5:].count(True) >= 3


def test_grpo_is_paid_for_the_answer_and_for_carl(front: Call, tuned: Path, answers: Path) -> None:
    call = ("train", "--model", tuned, "--dataset", answers, *GRPO)
    both = front(*call, "--output", "both", "--carl-weight", 0.25)
    assert both.code == 0 and "0 of 8 completions could not be scored" in both.out, both.err
    for line in read_jsonl(Path("both/metrics.jsonl")):
        exact, carl = line["rewards/exact/mean"], line["rewards/carl/mean"]
        assert line["reward"] == pytest.approx(exact + 0.25 * carl, abs=1e-6) and carl > 0
        assert line["task/exact"] == pytest.approx(exact)
    assert front(*call, "--output", "alone", "--answer-weight", 0).code == 0
    for line in read_jsonl(Path("alone/metrics.jsonl")):
        assert line["reward"] == pytest.approx(0.5 * line["rewards/carl/mean"], abs=1e-6)
        assert "rewards/exact/mean" not in line and "task/exact" in line
    card = read_card(Path("alone"))
    assert card["identity"]["parts"]["settings"]["answer_weight"] == 0
    assert "gate_accuracy" not in card["identity"]["parts"]["settings"]


def test_an_artifact_may_be_the_model_and_its_content_is_what_counts(front: Call, base: Path, rows: Path) -> None:
    assert front("train", "--model", base, "--dataset", rows, "--output", "first", *SFT).code == 0
    call = ("train", "--dataset", rows, "--output", "second", *SFT)
    assert front(*call, "--model", "first").code == 0
    assert list(read_card(Path("second"))["identity"]["parts"]["inputs"]) == ["model"]
    shutil.copytree("first", "copy")
    assert "already there" in front(*call, "--model", "copy").out


def test_the_reward_is_for_the_answer_and_nothing_else() -> None:
    said = ("7", " 7\n", "17", "7.", "", "The answer is 7")
    assert [answer_reward(text, {"text": "7 "}) for text in said] == [1, 1, 0, 0, 0, 0]


def test_rows_that_are_too_long_are_left_out_and_counted(front: Call, base: Path, rows: Path) -> None:
    long = {"prompt": "Say " + "that " * 200, "completion": "that"}
    with rows.open("a") as file:
        file.write(json.dumps(long) + "\n")
    done = front("train", "--model", base, "--dataset", rows, "--output", "out", *SFT)
    assert "5 rows, 1 left out (over 128 tokens)" in done.out, "the model has 128 positions"
    outcome = read_card(Path("out"))["outcome"]
    assert (outcome["rows"], outcome["dropped"]) == (5, {"sft: over 128 tokens": 1})


def test_the_same_rows_are_read_from_all_three_kinds_of_file(tmp_path: Path) -> None:
    table = pd.DataFrame({"q": ["NA", 'Größe, "x"\n'], "a": [1, 20]})
    table.to_csv(tmp_path / "t.csv", index=False)
    table.to_parquet(tmp_path / "t.parquet")
    table.to_json(tmp_path / "t.jsonl", orient="records", lines=True)
    read = [read_columns(str(tmp_path / f"t.{kind}"), ("q", "a")) for kind in ("csv", "parquet", "jsonl")]
    assert read == [[("NA", "1"), ('Größe, "x"\n', "20")]] * 3


WRONG = {
    "--carl-weight 2 --method sft": "--carl-weight does not go with --method sft",
    "--gate-accuracy 0.5": "--gate-accuracy does not go with --method grpo",
    "--method sft --gate-accuracy 1.5": "threshold: Input should be less than or equal to 1",
    "--learning-rate 0": "learning_rate: Input should be greater than 0",
    "--max-steps 0": "steps: Input should be greater than or equal to 1",
    "--batch-size 0": "--batch-size must be at least 1",
    "--num-generations 1": "num_generations: Input should be greater than or equal to 2",
    "--carl-weight -1": "--carl-weight must not be negative",
    "--carl-weight 0 --answer-weight 0": "nothing would be paid for",
    "--seed -1": "--seed must not be negative",
    "--bf16": "--bf16 needs --device cuda",
    "--dataset none.jsonl": "none.jsonl",
    "--dataset some/where": "no such file, and the hub does not give it",
    "--dataset note.txt": "a .jsonl, .csv or .parquet file is expected",
    "--model no-such-model": "give a folder with config.json, *.safetensors",
    "--model ./none": "no such folder, and it is no hub id",
    "--model empty": "empty is not a model folder",
    "--completion-column text --method sft": "line 1: no column 'text' (has: prompt, completion)",
    "--output full": "--output full is there already, and is not this run",
    "--output note.txt": "note.txt",
    "--batch-size 6 --answer-column completion --max-completion-length 8": "6 is more than the 5 prompts that fit",
    "--max-length 3 --method sft": "none of the 5 rows fits into 3 tokens",
    "--answer-column completion": "none of the 5 rows fits into 128 tokens",
}


@pytest.mark.parametrize("options", WRONG)
def test_a_run_that_cannot_be_is_one_line_and_leaves_nothing(
    options: str, front: Call, mistake: Call, base: Path, rows: Path
) -> None:
    Path("empty").mkdir()
    Path("full").mkdir()
    for file in ("full/mine.txt", "note.txt"):
        Path(file).write_text("mine")
    call = {"--model": str(base), "--dataset": str(rows), "--output": "out"}
    words = options.split()
    given = [part for name, value in call.items() if name not in words for part in (name, value)]
    if "fit" in WRONG[options]:  # found out only when the model is there
        code, out, err = front("train", *given, *words)
        assert (code, len(err.splitlines())) == (2, 1) and WRONG[options] in err, out
    elif "--output" in words:
        words += ["--method", "sft"]
        assert WRONG[options] in mistake("train", *given, *words)
        assert Path("full/mine.txt").read_text() == Path("note.txt").read_text() == "mine"
    else:
        assert WRONG[options] in mistake("train", *given, *words)
    assert not Path("out").exists()


LINES = {
    '{"prompt": "a", "completion": "b"': "rows.jsonl, line 2: not valid JSON",
    "[1, 2]": "rows.jsonl, line 2: a JSON object is expected",
    '{"prompt": "a"}': "rows.jsonl, line 2: no column 'completion' (has: prompt)",
    '{"prompt": "", "completion": "b"}': "line 2: column 'prompt' must be text that is not empty",
    '{"prompt": "a", "completion": null}': "line 2: column 'completion' must be text",
    '{"prompt": [{"role": "user"}], "completion": "b"}': "line 2: column 'prompt' must be text",
    '{"prompt": "a", "completion": NaN}': "line 2: column 'completion' must be text",
}


@pytest.mark.parametrize("line", LINES)
def test_a_broken_row_is_named(line: str, mistake: Call, base: Path, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(f'{{"prompt": "a", "completion": "b"}}\n{line}\n')
    call = ("train", "--method", "sft", "--model", base, "--dataset", "rows.jsonl", "--output", "out")
    assert LINES[line] in mistake(*call)


def test_files_that_are_not_what_they_are_called(mistake: Call, base: Path, tmp_path: Path) -> None:
    files = {"no.parquet": b"PAR0", "latin.jsonl": b'{"prompt": "\xe9"}\n', "empty.csv": b"", "none.jsonl": b"\n"}
    told = (
        "no.parquet cannot be read",
        "latin.jsonl is not UTF-8",
        "empty.csv cannot be read",
        "none.jsonl has no rows",
    )
    for (name, content), why in zip(files.items(), told, strict=True):
        (tmp_path / name).write_bytes(content)
        assert why in mistake("train", "--model", base, "--dataset", name, "--output", "out")


def test_weights_that_are_cut_off_are_told(front: Call, base: Path) -> None:
    shutil.copytree(base, "model")
    weights = Path("model/model.safetensors")
    weights.write_bytes(weights.read_bytes()[:-100])
    code, out, err = front("agent", "--model", "model", "--task", "Say one")
    assert (code, out) == (2, "") and "model: the model does not load" in err and "Traceback" not in err


# ------------------------------------------------------------------------------- agent


def test_the_agents_phi_is_that_of_a_forward_over_what_it_said(tuned: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, tokenizer, _ = load_pretrained(tuned, "cpu")
    said: list[int] = []
    decode = tokenizer.decode
    monkeypatch.setattr(tokenizer, "decode", lambda ids, **how: said.extend(ids) or decode(ids, **how))
    for temperature in (0.0, 1.5):
        said.clear()
        step = agent_step(model, tokenizer, "Click Save in Mail", 0.1, 12, temperature, seed=3)
        del said[: -step.n_tokens]  # decoded twice: as a study stores it, and as it is shown here
        assert (len(said), said[-1] == tokenizer.eos_token_id) == (step.n_tokens, step.ended)
        prompt = prompt_ids(tokenizer, render_prompt(tokenizer, "Click Save in Mail"))
        with torch.no_grad():
            whole_TV = model(torch.tensor([prompt + said])).logits[0]
        phi_T = token_statistics(completion_logits(whole_TV, len(prompt)), torch.tensor(said)).phi
        assert step.phi_mean == pytest.approx(float(phi_T.mean()), abs=1e-5)


def test_the_agent_abstains_under_the_threshold(front: Call, tuned: Path) -> None:
    call = ("agent", "--model", tuned, "--task", "Click Save in Mail", "--max-new-tokens", 6)
    sure = front(*call, "--threshold", 0, "--json").json()
    assert set(sure) == {"completion", "act", "confidence", "phi_mean", "n_tokens", "ended"}
    assert sure["act"] and 0 < sure["phi_mean"] < 1 and 1 <= sure["n_tokens"] <= 6
    unsure = front(*call, "--threshold", np.nextafter(sure["phi_mean"], 1), "--json").json()
    assert unsure == sure | {"act": False, "confidence": "abstain"}
    told = front(*call, "--threshold", 1).out.splitlines()
    assert told[0] == sure["completion"] and any(line.split()[:2] == ["act", "no"] for line in told)


def test_sampling_follows_the_seed_and_an_observation_changes_the_prompt(front: Call, base: Path) -> None:
    call = ("agent", "--model", base, "--task", "Click Save", "--max-new-tokens", 8, "--json", "--temperature", 1)
    first, same, other = (front(*call, "--seed", seed).json()["completion"] for seed in (1, 1, 2))
    assert first == same != other
    greedy = [front(*call[:-2], *more).json()["phi_mean"] for more in ((), ("--observation", "Mail is open"))]
    assert greedy[0] != greedy[1]


MISTAKES = {
    "--threshold 7": "--threshold 7.0 must be a number in 0..1",
    "--max-new-tokens 500": "more than its 128 positions",
    "--max-new-tokens 0": "max_new_tokens",
    "--temperature -1": "temperature",
    "--task  ": "--task is empty",
    "--device cuda": "cuda",
}


@pytest.mark.parametrize("options", MISTAKES)
def test_an_agent_that_cannot_step(options: str, mistake: Call, base: Path) -> None:
    if "cuda" in options and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    name, _, value = options.partition(" ")
    task = [] if name == "--task" else ["--task", "Say one"]
    room = [] if name == "--max-new-tokens" else ["--max-new-tokens", 8]
    assert MISTAKES[options] in mistake("agent", "--model", base, *task, *room, name, value)


def test_a_model_whose_weights_are_no_numbers_abstains(front: Call, base: Path) -> None:
    model, tokenizer, _ = load_pretrained(base, "cpu")
    with torch.no_grad():
        model.get_output_embeddings().weight.fill_(float("nan"))
    save_model(model, tokenizer, Path("broken"))
    told = front("agent", "--model", "broken", "--task", "Say one", "--max-new-tokens", 3, "--json").json()
    assert (told["act"], told["confidence"], told["phi_mean"]) == (False, "abstain", None)


def test_a_padded_head_and_a_models_own_sampling_habits_are_taken_off(front: Call, base: Path) -> None:
    model, tokenizer, _ = load_pretrained(base, "cpu")
    model.resize_token_embeddings(len(tokenizer) + 24)
    model.generation_config.repetition_penalty = 9.0
    save_model(model, tokenizer, Path("padded"))
    call = ("agent", "--task", "Say one", "--max-new-tokens", 8, "--json", "--model")
    padded, plain = front(*call, "padded").json(), front(*call, base).json()
    assert padded.pop("phi_mean") == pytest.approx(plain.pop("phi_mean"), abs=1e-6)
    assert padded == plain
