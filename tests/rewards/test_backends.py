"""Torch backends against the float64 oracle: shapes, dtypes, masks, scales. Legend: B batch, T tokens, V vocabulary."""

import math
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coherence.core.backends import choose, eager, moments
from coherence.core.backends.choose import available_backends, choose_backend
from coherence.core.order_parameter import TokenStatistics, completion_logits, hidden_statistics, token_statistics

torch = pytest.importorskip("torch")

NAMES = ("logp", "entropy", "phi", "tempered_logp")
HALF = ("bfloat16", "float16")
BACKENDS = [name for name in ("eager", "triton") if name in available_backends(torch.zeros(1))]


def made_logits(shape: tuple[int, ...], dtype: str, scale: float, offset: float, masked: float, seed: int) -> Any:
    """Normal logits of a scale and an offset, a share of them masked but never the first column."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(shape, generator=generator, dtype=torch.float64) * scale + offset
    gone = torch.rand(shape, generator=generator) < masked
    gone[..., 0] = False
    return logits.masked_fill(gone, -torch.inf).to(getattr(torch, dtype))


def assert_agrees(got: TokenStatistics[Any], oracle: TokenStatistics[Any], phi: float = 2e-7) -> None:
    """Phi to `phi`, log-probabilities to float32's relative precision, validity exactly."""
    np.testing.assert_array_equal(got.valid.numpy(), oracle.valid)
    np.testing.assert_allclose(got.phi.numpy(), oracle.phi, rtol=0, atol=phi)
    np.testing.assert_allclose(got.entropy.numpy(), oracle.entropy, rtol=1e-6, atol=2e-6)
    for name in ("logp", "tempered_logp"):
        np.testing.assert_allclose(getattr(got, name).numpy(), getattr(oracle, name), rtol=1e-6, atol=5e-6)


def oracle_of(logits: Any, ids: Any, **options: Any) -> TokenStatistics[Any]:
    return token_statistics(logits.double().numpy(), ids.numpy(), **options)


cases = st.tuples(
    st.sampled_from([(1, 1), (2, 3), (5, 4), (0, 3), (4, 0)]),  # B, T
    st.sampled_from([2, 3, 17, 1023, 1024, 1025, 2048, 5000]),  # V
    st.sampled_from(["float64", "float32", *HALF]),
    st.sampled_from([0.0, 0.3, 1.0, 8.0, 60.0]),
    st.sampled_from([0.0, 100.0, -100.0]),
    st.sampled_from([0.0, 0.5, 0.999]),
    st.sampled_from([1.0, 0.7, 2.0]),
    st.integers(0, 5),  # columns of a padded head
)


@pytest.mark.parametrize("backend", BACKENDS)
@given(case=cases, seed=st.integers(0, 2**31))
def test_every_backend_agrees_with_the_oracle(backend: str, case: Any, seed: int) -> None:
    (batch, tokens), width, dtype, scale, offset, masked, temperature, padding = case
    logits = made_logits((batch, tokens, width + padding), dtype, scale, offset, masked, seed)
    ids = torch.randint(0, width, (batch, tokens), generator=torch.Generator().manual_seed(seed))
    options = {"vocab_size": width, "temperature": temperature}
    if backend not in available_backends(logits):
        return
    assert_agrees(token_statistics(logits, ids, backend=backend, **options), oracle_of(logits, ids, **options))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", ["float32", *HALF])
def test_phi_is_exact_to_2e_7_at_the_width_of_a_real_vocabulary(dtype: str, backend: str) -> None:
    scales = torch.tensor([0.01, 0.3, 1.0, 2.0, 3.0, 4.0, 6.0, 10.0])
    logits = made_logits((8, 151_936), "float64", 1.0, 0.0, 0.0, 3) * scales[:, None] - 17.0
    logits, ids = logits.to(getattr(torch, dtype)), torch.arange(8) * 1000
    assert_agrees(token_statistics(logits, ids, backend=backend), oracle_of(logits, ids))


def _edge_logits() -> tuple[Any, list[bool]]:
    """Rows of 3000 logits, and which of them are distributions."""
    rows = made_logits((13, 3000), "float32", 2.0, 0.0, 0.0, 1)
    rows[0, :2048] = -torch.inf  # whole blocks masked
    rows[1, 1024:] = -torch.inf
    rows[2, 1:] = -torch.inf  # one token left
    rows[3] = 3e4  # uniform, far from 0
    rows[4, 7], rows[4, 8] = 1e38, -1e38
    rows[5, 1500] = torch.nan
    rows[6, 1500] = torch.inf
    rows[7, [3, 2500]] = torch.inf
    rows[8] = -torch.inf
    rows[9] = torch.nan
    rows[10, :2999], rows[10, 2999] = -torch.inf, torch.nan  # the invalid one comes last, alone in its block
    rows[11, :1024] = torch.nan
    return rows, [True] * 5 + [False] * 7 + [True]


def check_edges(backend: str) -> None:
    logits, valid = _edge_logits()
    ids = torch.full((len(logits),), 2999)
    for temperature in (1.0, 0.7, 4.0):
        got = token_statistics(logits, ids, temperature=temperature, backend=backend)
        assert got.valid.tolist() == valid
        for name in NAMES:
            assert getattr(got, name)[~got.valid].isnan().all(), name
            assert not getattr(got, name)[got.valid].isnan().any(), name
        assert_agrees(got, oracle_of(logits, ids, temperature=temperature))
        assert got.phi[3] == 0.0 and got.phi[2] == got.phi[4] == 1.0
        assert got.logp[1] == got.tempered_logp[1] == -torch.inf  # valid, but it masks the chosen token


@pytest.mark.parametrize("backend", BACKENDS)
def test_edges(backend: str) -> None:
    check_edges(backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_half_precision_overflow_is_flagged(backend: str) -> None:
    logits = torch.tensor([[7e4, 0.0], [6e4, 0.0]]).half()  # 7e4 is +inf in float16
    assert token_statistics(logits, torch.tensor([0, 0]), backend=backend).valid.tolist() == [False, True]


def test_temperature_tempers_one_number_only() -> None:
    logits, ids = made_logits((4, 300), "float64", 3.0, 5.0, 0.2, 7), torch.arange(4)
    plain, tempered = token_statistics(logits, ids), token_statistics(logits, ids, temperature=0.6)
    for name in ("logp", "entropy", "phi"):
        assert torch.equal(getattr(plain, name), getattr(tempered, name))
    assert torch.equal(plain.tempered_logp, plain.logp)
    torch.testing.assert_close(tempered.tempered_logp, token_statistics(logits / 0.6, ids).logp, rtol=1e-12, atol=1e-12)


def test_a_high_temperature_keeps_masked_tokens_out() -> None:
    logits = torch.full((1, 50_000), -torch.inf)
    logits[0, :2] = 0.0
    got = token_statistics(logits, torch.tensor([0]), temperature=100.0)
    assert got.tempered_logp[0] == pytest.approx(-math.log(2), rel=1e-6)


def test_no_copy_of_the_logits_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    logits = made_logits((2, 9, 50), "float32", 1.0, 0.0, 0.0, 0)
    aligned = completion_logits(logits, 3)[..., :40]
    seen: list[Any] = []
    monkeypatch.setattr(eager, "moments_of_rows", lambda x, t: seen.append(x) or moments.Moments(*[x[:, 0]] * 4))
    eager.eager_moments(aligned)
    eager.eager_moments(logits[..., :40])
    assert [tuple(piece.shape) for piece in seen] == [(6, 40), (6, 40), (18, 40)]
    assert all(piece.untyped_storage().data_ptr() == logits.untyped_storage().data_ptr() for piece in seen)


def test_backends_are_chosen_by_array_and_work() -> None:
    assert available_backends(np.zeros(1)) == ["numpy"] and choose_backend(np.zeros(1), 2**40) == "numpy"
    host = torch.zeros(1)
    assert choose_backend(host, 2**30) == "eager"
    assert choose_backend(host, 2**31) == ("compiled" if "compiled" in available_backends(host) else "eager")
    assert "triton" not in available_backends(host.double())


def test_compiling_needs_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    choose._has_cpp_compiler.cache_clear()
    assert "compiled" not in available_backends(torch.zeros(1))
    assert choose_backend(torch.zeros(1), 2**40) == "eager"
    choose._has_cpp_compiler.cache_clear()


@pytest.mark.parametrize(("logits", "name"), [(np.zeros((1, 2)), "eager"), (torch.zeros(1, 2), "numba")])
def test_a_backend_that_is_not_there_is_named_with_those_that_are(logits: Any, name: str) -> None:
    ids = np.array([0]) if isinstance(logits, np.ndarray) else torch.tensor([0])
    with pytest.raises(ValueError, match=f"backend '{name}' is not available for .*: choose one of (numpy|eager)"):
        token_statistics(logits, ids, backend=name)


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan, math.inf])
def test_a_temperature_is_a_positive_number(temperature: float) -> None:
    with pytest.raises(ValueError, match="temperature must be a positive number"):
        token_statistics(torch.zeros(1, 2), torch.tensor([0]), temperature=temperature)


@given(
    shape=st.sampled_from([(1, 1), (3, 5), (2, 0)]),
    dtype=st.sampled_from(["float64", "float32"]),
    tile=st.sampled_from([(1, 7), (4, 64), (512, 10**6)]),
    temperature=st.sampled_from([1.0, 0.7]),
    padding=st.integers(0, 3),
    options=st.sampled_from(["plain", "bias", "softcap"]),
)
def test_hidden_states_give_the_statistics_of_their_logits(
    shape: Any, dtype: str, tile: Any, temperature: float, padding: int, options: str
) -> None:
    generator = torch.Generator().manual_seed(padding)
    kind, width = getattr(torch, dtype), 200
    hidden = torch.randn(*shape, 16, generator=generator, dtype=kind)
    weight = torch.randn(width + padding, 16, generator=generator, dtype=kind)
    bias = torch.randn(width + padding, generator=generator, dtype=kind) if options == "bias" else None
    cap = (lambda x: 5 * (x / 5).tanh()) if options == "softcap" else None
    ids = torch.randint(0, width, shape, generator=generator)
    logits = hidden.double() @ weight.double().T + (0 if bias is None else bias.double())
    oracle = oracle_of(cap(logits) if cap else logits, ids, vocab_size=width, temperature=temperature)
    from coherence.core.backends import tensors

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tensors, "HOST_TILE", tile)
        got = hidden_statistics(
            hidden, weight, ids, bias=bias, vocab_size=width, temperature=temperature, transform=cap
        )
    assert_agrees(got, oracle, phi=1e-12 if dtype == "float64" else 2e-6)
    assert got.phi.dtype == kind


def test_hidden_states_as_arrays_are_the_oracle() -> None:
    rng = np.random.default_rng(0)
    hidden, weight, bias = rng.standard_normal((2, 3, 8)), rng.standard_normal((50, 8)), rng.standard_normal(50)
    ids = rng.integers(0, 48, (2, 3))
    scale = 0.25
    got = hidden_statistics(
        hidden, weight, ids, bias=bias, vocab_size=48, temperature=0.5, transform=lambda x: x * scale
    )
    oracle = token_statistics((hidden @ weight.T + bias) * scale, ids, vocab_size=48, temperature=0.5)
    for name in (*NAMES, "valid"):
        np.testing.assert_allclose(getattr(got, name), getattr(oracle, name), rtol=1e-12, atol=1e-12)


def test_hidden_states_in_bfloat16_match_the_logits_of_the_same_product() -> None:
    generator = torch.Generator().manual_seed(2)
    hidden, weight = (torch.randn(n, 32, generator=generator).bfloat16() for n in (6, 300))
    ids = torch.arange(6)
    got, logits = hidden_statistics(hidden, weight, ids), hidden @ weight.T
    assert got.phi.dtype == torch.float32
    assert_agrees(got, oracle_of(logits, ids))


def test_an_invalid_hidden_state_is_flagged_alone() -> None:
    hidden = torch.ones(3, 4)
    hidden[1, 2] = torch.nan
    got = hidden_statistics(hidden, torch.randn(9, 4), torch.tensor([0, 1, 2]))
    assert got.valid.tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"head_weight": torch.zeros(5, 3)}, "does not fit"),
        ({"bias": torch.zeros(4)}, r"bias must have shape \[V\] = \[5\]"),
        ({"vocab_size": 6}, "vocab_size 6 exceeds the 5"),
        ({"token_ids": torch.tensor([0, 5])}, r"token_ids\[1\] = 5 lies outside 0\.\.4"),
        ({"token_ids": torch.tensor([0])}, "do not match"),
        ({"head_weight": np.zeros((5, 4))}, "all NumPy arrays or all torch tensors"),
        ({"hidden": torch.zeros(2, 4, dtype=torch.long)}, "hidden must be floating point"),
    ],
)
def test_mistakes_about_the_head_are_named(changes: dict[str, Any], message: str) -> None:
    given_ = {"hidden": torch.zeros(2, 4), "head_weight": torch.zeros(5, 4), "token_ids": torch.tensor([0, 1])}
    with pytest.raises(ValueError, match=message):
        hidden_statistics(**given_ | changes)


def test_the_choice_does_not_import_torch() -> None:
    program = "import sys; from coherence.core.backends import choose, oracle; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)
