"""Without a GPU the check says so and is content; what it compares with float64 is compared here on the CPU."""

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from coherence.core.order_parameter import token_statistics
from scripts import check_gpu

SCRIPT = Path(__file__).parents[2] / "scripts" / "check_gpu.py"


def test_without_cuda_one_line_and_exit_code_0(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), "--out", str(tmp_path / "results")]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "CUDA_VISIBLE_DEVICES": ""})
    assert (done.returncode, done.stdout) == (0, "no CUDA device: nothing to check\n"), done.stderr
    assert not (tmp_path / "results").exists()


def test_it_needs_torch_alone_to_say_so() -> None:
    code = "import sys; sys.argv = ['x']; sys.path.insert(0, 'scripts'); import check_gpu; print('tyro' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=SCRIPT.parents[1])
    assert done.stdout == "False\n", done.stderr


def test_marks() -> None:
    at = {"vocab": 32000, "dtype": "bfloat16", "contender": "ours"}
    error = {"measure": "gpu_error", "case": "plain", **at, "phi_error": 1e-7, "logp_error": 1e-6}
    speed = {"measure": "gpu_speed", **at, "ms": 1.0, "copy_gb_s": 4000.0, "copy_share": 0.9, "over_ours": 1.0}
    marks = [
        (error, ""),
        ({**error, "phi_error": 1e-6}, "WRONG"),
        ({**error, "phi_error": float("nan")}, "WRONG"),
        ({**error, "phi_error": float("nan"), "contender": "trl"}, ""),
        (speed, ""),
        ({**speed, "copy_share": 0.8}, "SHORT"),
        ({**speed, "contender": "trl", "over_ours": 0.9}, "SHORT"),
        ({"measure": "gpu_invalid_rows", "value": False}, "WRONG"),
    ]
    for record, mark in marks:
        line = check_gpu._line(record)
        assert line is not None and line[1] == mark, record


@pytest.fixture
def on_cpu(monkeypatch: pytest.MonkeyPatch) -> dict[str, check_gpu.Kernel]:
    """The check on small logits on the CPU, with the eager backend in the kernel's place and a wrong rival."""

    def eager(logits: torch.Tensor, ids: torch.Tensor) -> check_gpu.Pair:
        found = token_statistics(logits, ids, backend="eager")
        return found.logp, found.entropy

    def rival(logits: torch.Tensor, ids: torch.Tensor) -> check_gpu.Pair:
        logp_NV = torch.log_softmax(logits, dim=-1)  # the product of 0 and -inf is NaN
        return logp_NV.gather(-1, ids[:, None])[:, 0], -(logp_NV.exp() * logp_NV).sum(-1)

    shapes = [(9000, "bfloat16"), (9000, "float32")]
    for name, value in {"DEVICE": "cpu", "SHAPES": shapes, "ROWS": 8, "BYTES": 2**18, "ROUNDS": 4}.items():
        monkeypatch.setattr(check_gpu, name, value)
    seconds = iter(range(1, 1000))
    monkeypatch.setattr(check_gpu, "_device_seconds", lambda work: work() is None or float(next(seconds)))
    return {"ours": eager, "trl": rival}


def test_errors_are_taken_against_float64_in_every_case(on_cpu: dict[str, check_gpu.Kernel]) -> None:
    records = {(r["case"], r["dtype"], r["contender"]): r for r in check_gpu._correctness(on_cpu)}
    assert {case for case, *_ in records} == {"plain", "half masked", "first 8192 masked", "offset"}
    assert all(r["phi_error"] <= check_gpu.LARGEST_ERROR for (*_, name), r in records.items() if name == "ours")
    assert math.isnan(records["half masked", "float32", "trl"]["phi_error"])
    assert records["plain", "bfloat16", "trl"]["phi_error"] > 1e-4


def test_speed_is_told_as_a_share_of_a_copy(on_cpu: dict[str, check_gpu.Kernel]) -> None:
    records = list(check_gpu._speed(on_cpu))
    assert [(r["contender"], r["dtype"]) for r in records[:2]] == [("ours", "bfloat16"), ("trl", "bfloat16")]
    for r in records:
        assert r["copy_share"] == pytest.approx(r["gb_s"] / r["copy_gb_s"])
    assert all(r["over_ours"] == 1.0 for r in records if r["contender"] == "ours")
