"""Say what a study would run, why, how long it takes and whether it fits, before anything is paid for."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from coherence.config.study import Study, check_name, load_study
from coherence.console import run_cli
from coherence.planning.jobs import History, Job, answer, ask_snakemake

if TYPE_CHECKING:
    from coherence.planning.stages import Memory

GB = 10**9
CHAIN = ("fetch", "base", "data", "sft", "start", "grpo", "generate", "evaluate", "compat", "figures")
"""Lines that wait for each other; the jobs of one line need not."""


def main(
    configfile: Path = Path("config/default.yaml"),
    memory_gb: float | None = None,
    json: tyro.conf.FlagCreatePairsOff[bool] = False,
) -> None:
    """Print what is there already, what would run and why, for how long by what past jobs took, and in what memory.

    Past jobs are those in results/ here with the same model, data, device and sizes; without any, a time is unknown.
    Exit code 2 where a stage cannot fit, with the settings that would make it fit.

    Args:
        configfile: The study.
        memory_gb: Memory of one GPU, in GB of 10^9 bytes (of the machine, where the study's device is cpu).
        json: print one JSON object.
    """
    study = load_study(configfile)
    check_name(configfile)
    asked = ask_snakemake(configfile)
    try:
        memory = counted(study, memory_gb)
    except ValueError:
        answer(asked)  # what the pipeline itself refuses is told in its own words
        raise
    jobs = answer(asked)
    found = plan_of(study, jobs, memory)
    print(dumps(found, indent=1) if json else "\n".join(report(found)))
    refuse(found, memory)


def counted(study: Study, memory_gb: float | None) -> "Memory":
    """The study's model, ready to be counted."""
    from coherence.planning.stages import Memory, lengths_of

    limit = None if memory_gb is None else int(memory_gb * GB)
    results = Path("results", study.name)
    return Memory(study.resolved, results, lengths_of(study.resolved, results), limit)


def plan_of(study: Study, jobs: Sequence[Job], memory: "Memory") -> dict[str, Any]:
    """All that is told, as one JSON object: the model, and a line per stage with its jobs, times and bytes."""
    history, compute = History(study, jobs), study.resolved["compute"]
    needs = {stage: memory.known_need(stage) for stage in memory.stages()}
    rows = []
    for name in sorted({job.row for job in jobs}, key=_order):
        mine = [job for job in jobs if job.row == name]
        why = Counter(reason for job in mine if job.runs for reason in history.why(job))
        past, run = history.past(name), sum(job.runs for job in mine)
        device = compute["device"] if name in needs or name == "compat" else "cpu"
        gpus = compute.get("processes", 1) if name in ("sft", "grpo") else 1
        hours = None if past.p50 is None else run * past.p50 * gpus / 3600
        rows.append(
            {
                "stage": name, "jobs": len(mine), "cached": len(mine) - run, "run": run, "why": dict(why.most_common()),
                "device": device, "hours": hours, "wall_s_p50": past.p50, "wall_s_p90": past.p90,
                "past_jobs": len(past.seconds), "memory": (need := needs.get(name)) and asdict(need),
            }
        )  # fmt: skip
    return {"study": study.name, "model": asdict(memory.facts), "lengths": asdict(memory.lengths), "stages": rows}


def _order(name: str) -> tuple[int, str]:
    return CHAIN.index(name) if name in CHAIN else len(CHAIN), name


def refuse(found: Mapping[str, Any], memory: "Memory") -> None:
    """ValueError for the first stage that would run and cannot fit, with what would mend it."""
    for row in found["stages"]:
        need = row["memory"]
        if memory.limit and row["run"] and need and need["peak"] > memory.limit:
            ways = memory.mend(row["stage"])
            mended = f"it would with {', or '.join(ways)}" if ways else "no one setting mends it: take a smaller model"
            raise ValueError(
                f"{row['stage']} needs {need['peak'] / GB:.1f} GB ({need['when']}), and there are"
                f" {memory.limit / GB:g}: {mended}"
            )


# ------------------------------------------------------------------------------- the table


def report(found: Mapping[str, Any]) -> Iterator[str]:
    """The plan for a person."""
    yield from _model_lines(found)
    yield ""
    lines = [_cells(row) for row in found["stages"]]
    head = ("stage", "jobs", "cached", "run", "hours", "one job: p50", "p90", "past jobs", "memory GB")
    yield from _aligned([head, *lines])
    yield ""
    for row in found["stages"]:
        if row["run"]:
            reasons = [f"{why} ({n})" if n < row["run"] else why for why, n in row["why"].items()]
            more = [f"and {len(reasons) - 4} more"] if len(reasons) > 4 else []
            yield f"{row['stage']:<10} runs: " + "; ".join([*reasons[:4], *more])
    yield from _total_lines(found)
    yield ""
    yield from _memory_lines(found)


def _model_lines(found: Mapping[str, Any]) -> Iterator[str]:
    model, lengths = found["model"], found["lengths"]
    head = "tied to the embedding" if model["tied"] else "not tied"
    yield f"study {found['study']}: {model['architecture']}, {model['parameters']:,} parameters ({model['modality']})"
    yield f"head of {model['vocab_size']:,} tokens, {head}; {model['targets']} linear layers beside it"
    if model["quantization"]:
        yield f"its weights are stored quantized ({model['quantization']}); here they are counted as float32"
    source = "as built" if lengths["known"] else "at most, by data.max_tokens: the data are not built yet"
    yield f"longest row {lengths['row']} tokens, longest prompt {lengths['prompt']} ({source})"


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    known = row["past_jobs"] > 0
    hours = "0" if not row["run"] else f"{row['hours']:.2f} {row['device']}" if known else "unknown"
    times = [_time(row[key]) if known else "unknown" for key in ("wall_s_p50", "wall_s_p90")]
    memory = f"{row['memory']['peak'] / GB:.2f}" if row["memory"] else ""
    counts = (str(row[key]) for key in ("jobs", "cached", "run"))
    return (row["stage"], *counts, hours, *times, str(row["past_jobs"]), memory)


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        first, *rest = (
            text.ljust(width) if i == 0 else text.rjust(width)
            for i, (text, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join([first, *rest]).rstrip()


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _total_lines(found: Mapping[str, Any]) -> Iterator[str]:
    """Hours by device, and how long it takes with as many machines as jobs."""
    running = [row for row in found["stages"] if row["run"]]
    if not running:
        yield "nothing would run"
        return
    known = [row for row in running if row["past_jobs"]]
    if not known:
        yield "hours unknown: no jobs like these have run here"
        return
    missing = [row["stage"] for row in running if not row["past_jobs"]]
    rest = f", and what is unknown: {', '.join(missing)}" if missing else ""
    for device in sorted({row["device"] for row in known}):
        hours = sum(row["hours"] for row in known if row["device"] == device)
        yield f"together {hours:.2f} {'GPU' if device == 'cuda' else 'CPU'} hours{rest}"
    chain = [row for row in known if row["stage"] in CHAIN]
    if chain:
        p50, p90 = (sum(row[key] for row in chain) for key in ("wall_s_p50", "wall_s_p90"))
        yield f"with a machine for every job: {_time(p50)} (p90 {_time(p90)}) from start to end{rest}"


def _memory_lines(found: Mapping[str, Any]) -> Iterator[str]:
    parts = ("weights", "gradients", "optimizer", "activations", "cache", "peak")
    rows = [row for row in found["stages"] if row["memory"]]
    cells = [(row["stage"], *(f"{row['memory'][p] / GB:.2f}" for p in parts), row["memory"]["when"]) for row in rows]
    if not rows:
        yield "memory: unknown, what this model computes depends on values (its weights and adapters alone are known)"
        return
    yield "memory of one job's process, GB, each part at its highest (logits are among the activations):"
    yield from _aligned([("stage", *parts, "peak in"), *cells])


if __name__ == "__main__":
    run_cli(main)
