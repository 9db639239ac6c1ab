"""Small runs, generations and scores whose figures are known beforehand."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from repository import REPO
from tokenizers import AddedToken, Tokenizer, models

from coherence.config.adapt import METHODS
from coherence.config.study import Study, deep_merge, read_values
from coherence.figures.read import Cell, Ended, Run
from coherence.streams import generator

VOCABULARY = 100
MELTING_RUN = [  # entropy share, accuracy of format tokens, of content tokens: melts at 3, half climbed at 6
    (0.30, 0.0, 0.0),
    (0.30, 0.0, 0.0),
    (0.90, 0.2, 0.0),
    (0.70, 0.9, 0.0),
    (0.50, 1.0, 0.2),
    (0.30, 1.0, 0.6),
    (0.20, 1.0, 0.9),
    (0.10, 1.0, 1.0),
    (0.10, 1.0, 1.0),
    (0.10, 1.0, 1.0),
]
GATE = {"split": "sft", "token_class": "content", "threshold": 0.99, "window": 5, "count": 3}


def metrics(curve: Sequence[tuple[float, float, float]]) -> pd.DataFrame:
    """metrics.jsonl as a table."""
    share, form, content = (np.array(column) for column in zip(*curve, strict=True))
    entropy = share * np.log(VOCABULARY)
    table = {"step": np.arange(1, len(curve) + 1), "loss": np.linspace(5.0, 0.1, len(curve))}
    for name, accuracy in {"all": (form + content) / 2, "format": form, "content": content}.items():
        table |= {f"{name}/accuracy": accuracy, f"{name}/entropy": entropy}
        table |= {f"{name}/entropy_share": share, f"{name}/phi": 1 - share}
    return pd.DataFrame(table)


def sft_run(seed: int, gate_step: int | None = 10, curve: Sequence[tuple[float, float, float]] = MELTING_RUN) -> Run:
    status = "ok" if gate_step else "not_crystallized"
    return Run("sft", seed, {"status": status, "gate_step": gate_step, "vocab_size": VOCABULARY}, metrics(curve))


def curve_run(name: str, seed: int, tau: float = 30.0, width: float = 12.0, **outcome: Any) -> Run:
    """A logistic of accuracy over 60 steps, with a little noise that differs from seed to seed; `flat` does not climb.

    Each seed climbs a step later than the one before.
    """
    step = np.arange(1, 61)
    share = np.zeros(60) if name == "flat" else 1 / (1 + np.exp(-(step - tau - seed) * math.log(81) / width))
    noise = generator(seed, "made", name).normal(0, 0.01, 60)
    table = pd.DataFrame({"step": step, "content/accuracy": np.clip(share + noise, 0, 1)})
    table["all/accuracy"] = table["content/accuracy"]
    table = table.assign(**{"all/entropy_share": 0.9 - 0.8 * share, "loss": 5 - 4 * share + seed})
    told = {"status": "ok", "gate_step": None, "width": 96, "learning_rate": 1e-3}
    return Run(name, seed, told | outcome, table)


def grpo_run(arm: str, seed: int, phi: Sequence[float], status: str = "ok", **columns: Any) -> Run:
    """A GRPO run whose accuracy, cloud quality and CARL are Phi itself unless others are given."""
    same = ("coherence/phi", "coherence/carl", "coherence/multiscale", "coherence/cloud_quality", "task/click")
    table = pd.DataFrame({"step": range(1, len(phi) + 1)} | dict.fromkeys(same, phi))
    rest = {"coherence/discontinuity": 0.5, "task/format": 1.0, "task/distance": 0.5}
    rest |= {
        "distinct_completions": 4,
        "strict_zero_variance_groups": 0.5,
        "all_wrong_groups": 0.5,
        "final_reward": 0.5,
    }
    rest |= {
        "frac_reward_zero_std": 0.1,
        "zero_signal_groups": 0.1,
        "kl_to_start": 0.1,
        "coherence/synchrony": 0.9,
        "grad_norm": 1.0,
    }
    told = {"status": status, "steps": len(phi), "completions": 8 * len(phi)}
    told |= {"alarm_step": None, "carl_from_step": None}
    return Run(arm, seed, told, table.assign(**rest | columns))


def ok(table: pd.DataFrame) -> dict[Cell, str]:
    """Every run of a table of scores ended ok."""
    return dict.fromkeys(zip(table["arm"], table["seed"], strict=True), "ok")


def ended(statuses: Mapping[Cell, str]) -> list[Ended]:
    """Runs that ended so."""
    return [Ended(arm, seed, {"status": status}) for (arm, seed), status in statuses.items()]


def write_run(folder: Path, run: Run) -> Path:
    """The run as the folder `{arm}/seed{seed}` with its manifest, as a rule would leave it."""
    out = folder / run.arm / f"seed{run.seed}"
    out.mkdir(parents=True)
    lines = [json.dumps(line) for line in run.metrics.to_dict("records")]
    (out / "metrics.jsonl").write_text("".join(f"{line}\n" for line in lines))
    (out / "outcome.json").write_text(json.dumps(run.outcome))
    (out / "manifest.json").write_text(json.dumps({"files": []}))
    return out


SHARED = {
    "learning_rate": 1e-3,
    "prompts_per_step": 2,
    "num_generations": 4,
    "carl_weights": {"multiscale": 0.5, "cloud_quality": 0.3, "discontinuity": 0.2},
}
ARMS = {"task": {"click": 1.0}, "carl": {"carl": 0.5}}


def study(folder: Path) -> Path:
    """The default study with two seeds and two arms, resolved."""
    bootstrap, bootstrapped = {"resamples": 100}, ("alignment", "arms", "coherence_trap", "risk_coverage")
    options = {name: {"smooth": 3} for name in ("coherence_trap", "phi_trajectories", "reward_components")}
    thresholds = {"level": 0.95, "least_climb": 0.2, "sharp": 0.5, "narrowest": 4, "least_jump": 0.1}
    options |= {"transitions": thresholds, "transition_checks": {"studies": 10, "worlds": 10}}
    adapt = {
        "prompts": 8,
        "batch_size": 4,
        "slot": {"steps": 8, "learning_rate": 2e-3},
        "micro": {"learning_rate": 1e-4},
    }
    acts = {"resamples": 100, "level": 0.95, "target_risk": 0.1, "wrong_cost": 1.0}
    gate = {"baseline": 10, "window": 5, "alpha": 0.05}
    options |= {"gates": {"courses": 10, "resamples": 100, "level": 0.95, "series": 100, "gate": gate}}
    options |= {"claims": {"level": 0.95}}
    options |= {"contrasts": {"resamples": 100, "level": 0.95, "against": {"carl": "task", "flat": "slow"}}}
    take = {"arm": "carl", "quantity": "strict_greedy", "against": "task"}
    test = {"figure": "contrasts", "take": take, "comparator": ">", "threshold": 0.0, "seeds": 2}
    changed = {
        "seeds": [0, 1],
        "adapt": adapt,
        "claims": {"made": {"claim": "it helps", "source": "here", "family": "one", **test}},
        "curves": {"steps": 60, "runs": {"slow": {"learning_rate": 1e-3}, "flat": {}}},
        "grpo": {"arms": {"task": {"rewards": {"format": None}}, "task+carl": None}},
        "figures": deep_merge(options | {"adaptation": acts}, dict.fromkeys(bootstrapped, bootstrap)),
    }
    path = folder / "results" / "made" / "study.json"
    Study("made", deep_merge(read_values(REPO / "config/default.yaml"), changed)).write(path)
    return path


def write_tables(folder: Path, name: str, table: pd.DataFrame) -> Path:
    """A table as the only file of a folder with a manifest."""
    folder.mkdir(parents=True)
    table.to_parquet(folder / f"{name}.parquet")
    (folder / "manifest.json").write_text(json.dumps({"files": []}))
    return folder


def generations(phi: Mapping[tuple[str, int], Sequence[Sequence[float]]]) -> pd.DataFrame:
    """Greedy completions: per (arm, seed) a list of completions, each the list of its tokens' Phi."""
    rows = [
        {"arm": arm, "seed": seed, "id": f"i{n}", "mode": "greedy", "phi": list(one), "ids": list(range(len(one)))}
        | {"logp": [-0.1 * (k + 1) for k, _ in enumerate(one)]}
        for (arm, seed), completions in phi.items()
        for n, one in enumerate(completions)
    ]
    return pd.DataFrame(rows)


def scores(strict: Mapping[tuple[str, int], Sequence[float]], **columns: Any) -> pd.DataFrame:
    """One greedy and two sampled rows per item; items alternate between two families, two of them to a unit."""
    rows = [
        {
            "arm": arm,
            "seed": seed,
            "id": f"i{n}",
            "unit": f"u{n // 2}",
            "family": ("clean", "shifted")[n % 2],
            "mode": mode,
            "sample": sample,
            "completion": f"{arm}{n}",
            "strict": value,
            "format": 1.0,
            "phi": 0.9,
            "carl": 0.7,
            "logp": -0.1 - 0.01 * n,
            "cloud_quality": 0.8,
            **columns,
        }
        for (arm, seed), values in strict.items()
        for n, value in enumerate(values)
        for mode, sample in (("greedy", 0), ("sampled", 0), ("sampled", 1))
    ]
    return pd.DataFrame(rows)


def adapted(seed: int, prompts: int = 8) -> pd.DataFrame:
    """Answers of every method: every other one right, the one who learns labels is right after its unit was met."""
    rows = []
    for method in METHODS:
        for n in range(prompts):
            met = method == "micro_label" and n % 4 >= 2
            values = {
                "phi": 0.9 if n % 2 == 0 else 0.7,
                "strict": float(met or n % 2 == 0),
                "nll_answering": 0.5 - 0.3 * met,
            }
            values |= {"nll_after": 0.1 if method == "micro_label" else values["nll_answering"], "nll_start": 0.5}
            values |= {"objective_before": 2.0, "objective_after": 1.0}
            rows.append(
                {"method": method, "position": n, "id": f"i{n}", "unit": f"u{n // 4}{n % 2}", "seed": seed} | values
            )
    return pd.DataFrame(rows)


def compat_scores(strict: Mapping[tuple[str, int], Sequence[float]]) -> pd.DataFrame:
    """Greedy completions, two items to a unit: the aligned score follows accuracy, the reference file's is constant."""
    rows = [
        {"arm": arm, "seed": seed, "id": f"i{n}", "unit": f"u{n // 2}", "text": "the same", "strict": value}
        | {f"carl_{name}": 0.7 + 0.2 * value for name in ("aligned", "both", "prompted", "shifted")}
        | {"carl_compat": 0.59}
        for (arm, seed), values in strict.items()
        for n, value in enumerate(values)
    ]
    return pd.DataFrame(rows)


def tokenizer_folder(folder: Path) -> Path:
    """A model's folder that has a tokenizer of four tokens: a word, a bracket, a number, the end."""
    words = {"click": 0, "(": 1, "7": 2}
    made = Tokenizer(models.WordLevel(words, unk_token="click"))
    made.add_special_tokens([AddedToken("<|im_end|>", special=True)])
    folder.mkdir(parents=True)
    made.save(str(folder / "tokenizer.json"))
    (folder / "manifest.json").write_text(json.dumps({"files": []}))
    return folder
