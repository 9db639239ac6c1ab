"""The Triton kernel's semantics, in Triton's interpreter on a CPU, or on the GPU itself where there is one."""

import os
import sys
from typing import Any

import pytest
from rewards.test_backends import assert_agrees, check_edges, made_logits, oracle_of

from coherence.core.backends.choose import available_backends
from coherence.core.order_parameter import completion_logits, token_statistics

torch = pytest.importorskip("torch")
if not torch.cuda.is_available():
    if "triton" in sys.modules and os.environ.get("TRITON_INTERPRET") != "1":
        pytest.skip("triton was imported for a GPU: run this file alone", allow_module_level=True)
    os.environ["TRITON_INTERPRET"] = "1"  # read when triton is imported
pytest.importorskip("triton")

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def _check(logits: Any, ids: Any, **options: Any) -> None:
    got = token_statistics(logits.to(DEVICE), ids.to(DEVICE), backend="triton", **options)
    host = type(got)(*(part.cpu() for part in (got.logp, got.entropy, got.phi, got.valid, got.tempered_logp)))
    assert_agrees(host, oracle_of(logits, ids, **options))


@pytest.mark.parametrize(("shape", "padding"), [((3, 5000), 0), ((2, 3, 512), 0), ((2, 50_257), 47), ((2, 0, 50), 0)])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_agrees_with_the_oracle(shape: tuple[int, ...], padding: int, dtype: str) -> None:
    logits = made_logits((*shape[:-1], shape[-1] + padding), dtype, 3.0, -20.0, 0.3, 4)
    ids = torch.zeros(shape[:-1], dtype=torch.long)
    for temperature in (1.0, 0.7):
        _check(logits, ids, vocab_size=shape[-1], temperature=temperature)


@pytest.mark.parametrize("programs", [1, 7, 10**6])
def test_programs_that_share_a_row_merge_exactly(programs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from coherence.core.backends import kernel

    monkeypatch.setattr(kernel, "ENOUGH_PROGRAMS", programs)
    monkeypatch.setattr(kernel, "BLOCK", 256)
    logits = made_logits((2, 3, 3001), "float32", 4.0, 7.0, 0.2, 9)
    logits[0, 1, :2000] = -torch.inf
    _check(completion_logits(logits, 1), torch.zeros(2, 2, dtype=torch.long), temperature=1.3)


@pytest.mark.skipif(DEVICE == "cuda", reason="compares host tensors")
def test_edges() -> None:
    check_edges("triton")


def test_float64_is_left_to_others() -> None:
    assert "triton" not in available_backends(torch.zeros(1, dtype=torch.float64, device=DEVICE))
    with pytest.raises(ValueError, match=r"backend 'triton' is not available for torch.float64"):
        token_statistics(torch.zeros(1, 2).double(), torch.tensor([0]), backend="triton")
