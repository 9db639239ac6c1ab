"""Phi, the CARL reward, the coherence gate, training, and one step of an agent, at the command line."""

import json as json_text
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import arg, subcommand

from coherence.console import label, progress, run_cli
from coherence.core.coherence_gate import THRESHOLD, coherence_gate
from coherence.front.options import TrainOptions
from coherence.provenance.artifact import Artifact
from coherence.provenance.files import canonical, nan_to_null, sha256_bytes

MEANINGS = {
    "reward": "0.5 multiscale + 0.3 cloud_quality + 0.2 discontinuity",
    "multiscale": "evenness of Phi in blocks of 1, 2, 4, ... tokens; 1: even",
    "cloud_quality": "mean of P(token) Phi: likely tokens, sharply predicted",
    "discontinuity": "mean score of the jumps |dPhi| > 0.03; 0.5 without one",
    "phi_mean": "mean of Phi = 1 - H/ln V; 0: uniform, 1: certain",
    "phi_std": "population standard deviation of Phi over the tokens",
    "entropy_mean": "mean entropy H, in nats",
    "n_tokens": "tokens (rows of the logits)",
    "vocab_size": "V (columns of the logits)",
    "invalid_rows": "no distribution, or their token's probability is 0",
    "act": "whether the mean Phi reaches the threshold",
    "confidence": "high from 0.8, medium from 0.5, low below; or abstain",
    "ended": "whether the end token came before the cut-off",
}
"""What the numbers of a report say."""


def constants(json: bool = False) -> None:
    """The published constants, exact, and what arithmetic says about the claims made for them.

    Verdicts are computed anew, in exact rationals: a statement holds, fails, or is a tautology.

    Args:
        json: One JSON object on stdout instead of tables.
    """
    from coherence.core import constants as exact
    from coherence.core.constant_checks import OTHER_WIDTHS, PUBLISHED_EXPONENTS, constant_checks, is_triadic

    values = {name: getattr(exact, name.upper()) for name in ("kappa", "sigma", "kappa_sigma", "defect_threshold")}
    widths = {d: exact.t_star(d) for d in sorted([*PUBLISHED_EXPONENTS, *OTHER_WIDTHS])}
    checks = constant_checks()
    if json:
        told: dict[str, Any] = {name: float(value) for name, value in values.items()}
        told["exact"] = {name: str(value) for name, value in values.items()}
        told["t_star"] = {str(d): str(value) for d, value in widths.items()}
        print(json_text.dumps(told | {"checks": [asdict(check) for check in checks]}))
        return
    print_table([[name, value, f"{float(value):g}"] for name, value in values.items()], ["", "exact", "value"])
    rows = [[d, value, int(value), "yes" if is_triadic(d) else ""] for d, value in widths.items()]
    print_table(rows, ["width d", "T* = 64 d / 3", "whole part", "d = 3 * 2^k"])
    print_table([[c.verdict, c.kind, c.statement, c.computed] for c in checks], ["", "kind", "statement", "computed"])


def phi(logits_file: Path, mode: Literal["aligned", "compat"] = "aligned", json: bool = False) -> None:
    """Phi and entropy of logits [T, V]: a row per token, a column per entry of the vocabulary.

    Row t must be the one that predicts token t. A causal LM's row t predicts token t+1, so of a sequence of T tokens
    with a prompt of P the completion has the rows P-1 to T-2: numpy.save("logits.npy", logits[P-1:-1]).
    V is the number of columns: leave out those that belong to no token.

    Args:
        logits_file: A .npy file of real numbers (never unpickled).
        mode: aligned: float64, no epsilon, invalid rows left out. compat: the reference's numbers (1e-10 in the log).
        json: One JSON object on stdout instead of a table; null for what is not a finite number.
    """
    from coherence.front.arrays import phi_report

    show(phi_report(logits_file, mode), json)


def reward(
    logits_file: Path, token_ids_file: Path, mode: Literal["aligned", "compat"] = "aligned", json: bool = False
) -> None:
    """The CARL reward of one completion, from its logits [T, V] and token ids [T].

    Row t is paired with id t as given, in both modes, so row t must be the one that predicts token t. Of a causal LM's
    output for a sequence with a prompt of P tokens, take logits[P-1:-1] and ids[P:].

    The reference file paired logits[t] with ids[t] of the text without its prompt, which scores how likely a token is
    to be repeated. For its published numbers give it these two, with --mode compat.

    Args:
        logits_file: A .npy file of real numbers (never unpickled).
        token_ids_file: A .npy file of whole numbers, as many as the logits have rows.
        mode: aligned: float64, no epsilon; an invalid row makes the reward null. compat: the reference's numbers.
        json: One JSON object on stdout instead of a table; null for what is not a finite number.
    """
    from coherence.front.arrays import reward_report

    show(reward_report(logits_file, token_ids_file, mode), json)


def gate_check(phi: float, threshold: float = THRESHOLD, json: bool = False) -> None:
    """Whether the coherence gate acts at a mean Phi, and how confidently. The exit code is 0 either way.

    Working models are seldom below the default: with V = 151936 it takes an entropy above 9.7 nats.

    Args:
        phi: Mean Phi, in 0..1.
        threshold: The gate abstains below it; the default is sigma = 3/16. (The reference ignores one above 0.5.)
        json: One JSON object on stdout instead of a table.
    """
    check_phi("--phi", phi)
    check_phi("--threshold", threshold)
    show(dict(zip(("act", "confidence"), coherence_gate(phi, threshold), strict=True)), json)


ROUNDING = 1e-6
"""By which a mean of Phi may lie outside 0..1."""


def check_phi(option: str, value: float) -> None:
    """ValueError unless an option's value can be a Phi."""
    if not -ROUNDING <= value <= 1 + ROUNDING:
        raise ValueError(f"{option} {value} must be a number in 0..1, as Phi = 1 - H/ln V is (0 uniform, 1 certain)")


def train(options: Annotated[TrainOptions, arg(name="")]) -> None:
    """Train a model on your own prompts, with this project's trainers.

    sft: completions are learned until they crystallize: the run stops once 3 of its last 5 steps reach the gate's token
    accuracy. A gate that never fires is a result too (not_crystallized).

    grpo: sampled completions are paid for being exactly the answer, and for CARL, computed from the forwards of their
    own generation, aligned, given the prompt. Start from a model that ends its completions.

    The output folder gets the model (safetensors), its tokenizer, metrics.jsonl (a line per step), outcome.json, and
    card.json, which says what made it. The same call again finds it there; another one never overwrites it.
    """
    label(f"train {options.method}")
    from coherence.front.examples import read_columns
    from coherence.front.pretrained import model_folder, model_inputs

    start, out = model_folder(options.model), options.output
    pairs = read_columns(options.dataset, options.columns)
    cell, inputs = {"method": options.method, "seed": options.seed}, model_inputs(start)
    settings = options.settings() | {"rows": sha256_bytes(canonical(pairs).encode())}
    artifact = Artifact(out=out, stage="train", cell=cell, script=Path(__file__), settings=settings, inputs=inputs)
    if not artifact.reuse():
        if out.exists() and not (out.is_dir() and not any(out.iterdir())):
            raise ValueError(f"--output {out} is there already, and is not this run: name another, or remove it")
        from coherence.front.train import train as run

        with artifact.write() as folder:
            artifact.outcome |= run(options, start, pairs, folder)
    progress(f"{artifact.outcome['status']} after {artifact.outcome['steps']} steps; {gate_told(artifact.outcome)}")
    progress(f"model, tokenizer, metrics.jsonl, outcome.json and card.json are in {out}")
    progress(f"next: python scripts/observe.py {out}")


def gate_told(outcome: Mapping[str, Any]) -> str:
    """What became of SFT's gate, or of GRPO's scoring."""
    if "gate_step" not in outcome:
        return f"{outcome['unscored_completions']} of {outcome['completions']} completions could not be scored"
    step = outcome["gate_step"]
    return "the crystallization gate never fired" if step is None else f"crystallized: the gate fired at step {step}"


def agent(
    model: str,
    task: str,
    observation: str = "",
    threshold: float = THRESHOLD,
    max_new_tokens: int = 128,
    temperature: float = 0.0,
    seed: int = 0,
    device: Literal["cpu", "cuda"] = "cpu",
    json: bool = False,
) -> None:
    """One step of an agent: observe, predict, gate, act; except that nothing is executed, here or anywhere.

    The model answers the task; Phi of each token that it said tells how sure it was; by their mean the gate decides.
    To act means that the completion may be used; to abstain, that it should not.
    The reference's fifth part, to adapt the weights at test time, is not part of this.

    Args:
        model: A folder (config.json, *.safetensors, tokenizer), or a hub id.
        task: The instruction; the model's chat template, if it has one, goes around it.
        observation: What the agent sees; it is put before the instruction.
        threshold: Mean Phi below which the gate abstains. Working models seldom fall below sigma = 3/16.
        max_new_tokens: Tokens at which the completion is cut off.
        temperature: Of sampling; 0 is greedy. Phi is always at temperature 1.
        seed: Of sampling.
        device: Where to compute.
        json: One JSON object on stdout.
    """
    from coherence.front.agent import agent_step
    from coherence.front.pretrained import model_folder
    from coherence.models.load import load_pretrained, quiet

    check_phi("--threshold", threshold)
    quiet()
    prompt = f"{observation}\n\nInstruction: {task}" if observation else task
    loaded = load_pretrained(model_folder(model), device)[:2]
    step = asdict(agent_step(*loaded, prompt, threshold, max_new_tokens, temperature, seed))
    if not json:
        print(step.pop("completion"), end="\n\n")
    show(step, json)


def show(report: Mapping[str, Any], json: bool) -> None:
    """A report as one JSON object, or as a table that says what each number means."""
    if json:
        print(json_text.dumps(nan_to_null(dict(report))))
        return
    print_table([[name, _text(value), MEANINGS[name]] for name, value in report.items()], ["", "value", "meaning"])


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6f}" if isinstance(value, float) else str(value)


def print_table(rows: Sequence[Sequence[Any]], headers: Sequence[str]) -> None:
    """A table no wider than a terminal, and an empty line."""
    from tabulate import tabulate

    print(tabulate(rows, headers, disable_numparse=True, maxcolwidths=60), end="\n\n")


Command = (
    Annotated[None, subcommand("constants", constructor=constants)]
    | Annotated[None, subcommand("phi", constructor=phi)]
    | Annotated[None, subcommand("reward", constructor=reward)]
    | Annotated[None, subcommand("gate-check", constructor=gate_check)]
    | Annotated[None, subcommand("train", constructor=train)]
    | Annotated[None, subcommand("agent", constructor=agent)]
)


def main(command: Annotated[Command, arg(name="")]) -> None:
    """Phi, the CARL reward, the coherence gate, training, and one step of an agent.

    Phi_t = 1 - H(P_t)/ln V is the order parameter of the distribution P_t over V tokens that predicts token t: 0 where
    it is uniform, 1 where it is certain. `carl.py COMMAND --help` explains each command.
    """


if __name__ == "__main__":
    run_cli(main)
