"""torch.compile in two levels: agreement, edges, and that neither rows nor vocabulary compile anew."""

from typing import Any

import pytest
from rewards.test_backends import assert_agrees, check_edges, made_logits, oracle_of

from coherence.core.backends.choose import available_backends
from coherence.core.order_parameter import hidden_statistics, token_statistics

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.skipif(
    "compiled" not in available_backends(torch.zeros(1)), reason="torch.compile needs a C++ compiler"
)


@pytest.mark.parametrize(
    ("shape", "padding"),
    [((3, 5000), 0), ((2, 4, 2048), 0), ((7, 4000), 96), ((1, 5000), 0), ((5, 300), 0), ((4, 3), 0), ((2, 0, 50), 0)],
)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_agrees_with_the_oracle(shape: tuple[int, ...], padding: int, dtype: str) -> None:
    logits = made_logits((*shape[:-1], shape[-1] + padding), dtype, 3.0, -20.0, 0.3, 4)
    ids = torch.zeros(shape[:-1], dtype=torch.long)
    for temperature in (1.0, 0.7):
        options: dict[str, Any] = {"vocab_size": shape[-1], "temperature": temperature}
        assert_agrees(token_statistics(logits, ids, backend="compiled", **options), oracle_of(logits, ids, **options))


def test_edges() -> None:
    check_edges("compiled")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_phi_is_exact_to_2e_7_at_the_width_of_a_real_vocabulary(dtype: str) -> None:
    scales = torch.tensor([0.01, 0.3, 1.0, 2.0, 3.0, 4.0, 6.0, 10.0])
    logits = made_logits((8, 151_936), "float64", 1.0, 0.0, 0.0, 3) * scales[:, None] - 17.0
    logits, ids = logits.to(getattr(torch, dtype)), torch.arange(8) * 1000
    assert_agrees(token_statistics(logits, ids, backend="compiled"), oracle_of(logits, ids))


def test_another_size_does_not_compile_anew() -> None:
    token_statistics(torch.zeros(3, 5000), torch.zeros(3, dtype=torch.long), backend="compiled")
    with torch.compiler.set_stance("fail_on_recompile"):
        for rows, width in ((6, 4096), (11, 151_936), (50, 9000), (1, 9000), (9, 512)):
            logits, ids = torch.zeros(rows, width), torch.zeros(rows, dtype=torch.long)
            assert (token_statistics(logits, ids, backend="compiled").phi == 0.0).all()


def test_from_hidden_states() -> None:
    generator = torch.Generator().manual_seed(0)
    hidden, weight = (torch.randn(n, 24, generator=generator) for n in (5, 7000))
    ids = torch.arange(5)
    got = hidden_statistics(hidden, weight, ids, temperature=0.8, backend="compiled")
    assert_agrees(got, oracle_of(hidden.double() @ weight.double().T, ids, temperature=0.8), phi=2e-6)
