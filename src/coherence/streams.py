"""Every random stream comes from a seed and the names of what it is for, so that cells never share one by accident."""

import hashlib

import numpy as np


def _sequence(seed: int, names: tuple[str, ...]) -> np.random.SeedSequence:
    digest = hashlib.sha256("\0".join(names).encode()).digest()
    return np.random.SeedSequence([seed, *np.frombuffer(digest, dtype="<u4").tolist()])


def generator(seed: int, *names: str) -> np.random.Generator:
    """A NumPy generator for one purpose, e.g. generator(0, "data", "grounding")."""
    return np.random.default_rng(_sequence(seed, names))


def integer_seed(seed: int, *names: str) -> int:
    """A 31-bit seed for libraries that take an integer."""
    return int(_sequence(seed, names).generate_state(1)[0] >> 1)
