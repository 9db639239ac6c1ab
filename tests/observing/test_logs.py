"""Any log becomes the same rows: training values by step, and nothing of an evaluation."""

import json
import math
import shutil
import sqlite3
from pathlib import Path

import pytest
from watched import FIXTURES, read_one, write_log, write_trackio

from coherence.observing.logs import find_files, read_all, read_logs, stamps


def test_a_real_sft_log_of_trl_gives_its_training_entries_alone() -> None:
    path = FIXTURES / "sft_trainer_state.json"
    entries = json.loads(path.read_text())["log_history"]
    assert [e["step"] for e in entries if "eval_entropy" in e] == [10, 20], "the fixture must hold evaluations"
    rows = read_one(path).rows
    trained = [e for e in entries if "loss" in e]
    assert rows == {e["step"]: {k: v for k, v in e.items() if k not in ("step", "epoch")} for e in trained}
    assert read_one(path).finished


def test_a_real_grpo_log_of_trl_keeps_rewards_and_drops_evaluations() -> None:
    rows = read_one(FIXTURES / "grpo_trainer_state.json").rows
    assert list(rows) == list(range(2, 25, 2))
    assert all({"reward", "rewards/short/mean", "frac_reward_zero_std", "entropy"} <= set(row) for row in rows.values())
    assert not any(key.startswith(("eval", "train_")) for row in rows.values() for key in row)


def test_a_half_written_last_line_is_left_for_later(tmp_path: Path) -> None:
    path = write_log(tmp_path / "a.jsonl", loss=[3, 2, 1])
    whole = path.read_bytes()
    for cut in range(1, 12):
        path.write_bytes(whole[:-cut])
        assert list(read_one(path).rows) == ([1, 2, 3] if cut == 1 else [1, 2])


def test_a_half_written_character_is_no_binary_file(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes('{"step": 1, "loss": 1}\n{"step": 2, "note": "é'.encode()[:-1])
    assert list(read_one(path).rows) == [1]


@pytest.mark.parametrize("line", ["{oops}", "[1, 2]", "7", '{"a": ' * 100_000, '{"step": ' + "9" * 5000 + "}"])
def test_a_broken_line_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(f'{{"step": 1, "loss": 1}}\n{line}\n{{"step": 2, "loss": 1}}\n')
    with pytest.raises(ValueError, match=r"a\.jsonl, line 2: (not valid JSON|a JSON object)"):
        read_one(path)


def test_numbers_beyond_a_float_are_infinite_and_no_steps(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(
        f'{{"step": 1, "loss": {"9" * 400}}}\n{{"step": {"9" * 400}, "loss": 1}}\n{{"step": 1e300, "x": 1}}\n'
    )
    assert read_one(path).rows == {1: {"loss": math.inf}}


def test_null_is_no_number_and_an_absent_key_is_absent(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"step": 1, "loss": null, "name": "x"}\n{"step": 2, "entropy": NaN}\n')
    rows = read_one(path).rows
    assert math.isnan(rows[1]["loss"]) and set(rows[1]) == {"loss"}
    assert set(rows[2]) == {"entropy"}


def test_an_evaluation_is_known_by_prefix_or_by_word(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    entries = [
        {"global_step": 1, "train/loss": 2.0, "val/accuracy": 1.0},
        {"global_step": 2, "accuracy": 1.0, "split": "eval"},
        {"global_step": 3, "eval_accuracy": 1.0},
        {"global_step": 4, "evaluator_loss": 1.0},
    ]
    path.write_text("\n".join(map(json.dumps, entries)))
    assert read_one(path).rows == {1: {"loss": 2.0}, 4: {"evaluator_loss": 1.0}}


def test_a_resumed_run_supersedes_what_it_repeats(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("".join(f'{{"step": {s}, "loss": {i}}}\n' for i, s in enumerate([1, 2, 3, 4, 2, 3])))
    log = read_one(path)
    assert {step: row["loss"] for step, row in log.rows.items()} == {1: 0, 2: 4, 3: 5}
    assert log.restarts == [2]


@pytest.mark.parametrize(
    ("steps", "kept", "restart"),
    [([*range(10, 101, 10), 45, 55], [10, 20, 30, 40, 45, 55], 45), ([10, 20, 30, 20], [10, 20], 20)],
)
def test_a_resumed_run_drops_what_lies_ahead(tmp_path: Path, steps: list[int], kept: list[int], restart: int) -> None:
    log = read_one(_steps(tmp_path / "a.jsonl", steps))
    assert list(log.rows) == kept and log.restarts == [restart]


def test_one_step_out_of_order_is_no_restart(tmp_path: Path) -> None:
    log = read_one(_steps(tmp_path / "a.jsonl", [10, 20, 40, 30, 50]))
    assert list(log.rows) == [10, 20, 30, 40, 50] and not log.restarts


def _steps(path: Path, steps: list[int]) -> Path:
    path.write_text("".join(f'{{"step": {step}, "loss": 1}}\n' for step in steps))
    return path


def test_rows_out_of_order_are_no_restart(tmp_path: Path) -> None:
    path = tmp_path / "newest_first.csv"
    path.write_text("step,loss\n3,1\n2,2\n1,3\n")
    log = read_one(path)
    assert list(log.rows) == [1, 2, 3] and not log.restarts


def test_csv(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("\ufeffloss,step,accuracy,note\n1.5,10,,a\nnan,20.0,0.5,b\n")
    rows = read_one(path).rows
    assert rows[10] == {"loss": 1.5} and math.isnan(rows[20]["loss"]) and rows[20]["accuracy"] == 0.5


def test_trackio_runs_with_the_trainers_own_steps(tmp_path: Path) -> None:
    first = [
        {"train/loss": 2.0, "train/entropy": "NaN", "train/global_step": 5},
        {"eval/loss": 9.0, "train/epoch": 1.0, "train/global_step": 5},
        {"profiling/Time taken: GRPOTrainer.compute_loss": 0.1},
        {"train/loss": 1.0, "train/global_step": 10},
        {"train/train_runtime": 3.0, "train/train_loss": 1.5, "train/global_step": 10},
    ]
    path = write_trackio(tmp_path / "p.db", {"a": first, "b": [{"loss": 1.0}, {"loss": 0.5}]}, {"vocab_size": 576})
    one, two = read_logs(path)
    assert {step: row["loss"] for step, row in one.rows.items()} == {5: 2.0, 10: 1.0}
    assert math.isnan(one.rows[5]["entropy"]) and one.finished and one.config["vocab_size"] == 576
    assert two.name == "b" and two.rows == {0: {"loss": 1.0}, 1: {"loss": 0.5}}
    assert set(stamps(path)) == {path}


@pytest.mark.parametrize(
    ("row", "said"), [("[1]", "run a, step 1: a JSON object"), ("{", "p.db, line 1: not valid JSON")]
)
def test_a_broken_row_of_trackio_names_the_file(tmp_path: Path, row: str, said: str) -> None:
    path = write_trackio(tmp_path / "p.db", {"a": [{"loss": 1.0}, {"loss": 0.5}]}, {})
    with sqlite3.connect(path) as database:
        database.execute("UPDATE metrics SET metrics = ? WHERE step = 1", (row,))
    database.close()
    with pytest.raises(ValueError, match=said):
        read_logs(path)


def test_the_latest_checkpoint_tells_the_whole_run(tmp_path: Path) -> None:
    for step in (5, 20, 100):
        (tmp_path / f"checkpoint-{step}").mkdir()
        shutil.copy(FIXTURES / "sft_trainer_state.json", tmp_path / f"checkpoint-{step}/trainer_state.json")
    assert find_files(tmp_path) == [tmp_path / "checkpoint-100/trainer_state.json"]


def test_an_unfinished_run_of_ours_is_found_by_its_final_name(tmp_path: Path) -> None:
    log = write_log(tmp_path / ".seed0.partial/metrics.jsonl", loss=[1])
    assert find_files(tmp_path / "seed0") == [log]
    final = write_log(tmp_path / "seed0/metrics.jsonl", loss=[1])
    assert find_files(tmp_path / "seed0") == [final]


def test_the_folder_that_one_stands_in_has_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_log(tmp_path / "study/.seed0.partial/metrics.jsonl", loss=[1])
    (tmp_path / "study/seed0").mkdir()
    for folder, name in (("study", ".seed0.partial"), ("study/seed0", "study/.seed0.partial")):
        monkeypatch.chdir(tmp_path / folder)
        assert read_all(Path())[0].name.endswith(name.split("/")[-1])


def test_a_broken_run_does_not_hide_the_others(tmp_path: Path) -> None:
    write_log(tmp_path / "study/good/metrics.jsonl", loss=[1, 2])
    (write_log(tmp_path / "study/bad/metrics.jsonl", loss=[1])).write_text("{oops}\n")
    bad, good = read_all(tmp_path / "study")
    assert (bad.name, good.name) == ("bad", "good")
    assert "line 1" in bad.broken and not good.broken and len(good.rows) == 2


@pytest.mark.parametrize("text", ["Step,Loss\n1,2.5\n", "step;loss\n1;2.5\n", "step\tloss\n1\t2.5\n"])
def test_a_table_may_be_spelled_as_other_programs_spell_it(tmp_path: Path, text: str) -> None:
    (tmp_path / "log.csv").write_text(text)
    (log,) = read_all(tmp_path / "log.csv")
    assert log.rows == {1: {"loss": 2.5}}
