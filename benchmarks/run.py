"""The benchmark: all contenders in turns, medians of per-round ratios, and what falls short of its target."""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import table
from benchmarks.machine import ROOT, environment, installed, processor, versions

Record = dict[str, Any]
SEED = 20
RESULTS = Path(__file__).parent / "results"
MEASURING = ("contenders", "grpo_steps", "measures", "rounds")
TIMED = tuple(f"src/coherence/{package}/" for package in ("core", "models", "training"))


def main(quick: bool, out: Path) -> None:
    """Measure each part in processes of its own, print the table, and write bench.jsonl and the growth plots to `out`.

    quick: sizes at which no number means anything, to see that everything works (under a minute).
    """
    start = time.monotonic()
    records = [_about(quick)]
    for part, allocator in _parts(quick):
        print(f"{time.monotonic() - start:4.0f} s  {part} ({allocator})", file=sys.stderr, flush=True)
        records += _measure(part, allocator, quick)
    out.mkdir(parents=True, exist_ok=True)
    (out / "bench.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records), encoding="utf-8")
    _draw(records, out)
    print("\n".join(_report(records)), flush=True)
    print(f"{time.monotonic() - start:.0f} s; lines and plots in {out}")


def _parts(quick: bool) -> Iterable[tuple[str, str]]:
    """What is run, and with which allocator; memory is one process per contender, of which a quick run needs two."""
    yield from (("times", "pooled"), ("times", "default"))
    names = installed()
    yield from ((f"memory {name}", "returning") for name in (["eager", "reference"] if quick else names))
    yield from (("grpo", "pooled"), ("growth", "pooled"))


def _about(quick: bool) -> Record:
    """First line of the file: what ran, when, on what kind of processor. No names of machines or people."""
    date = time.strftime("%Y-%m-%d", time.gmtime())
    about = {"date": date, "quick": quick, "processor": processor(), "versions": versions(), "code": timed_code()}
    return {"measure": "run", **about}


def timed_code(root: Path = ROOT) -> str:
    """sha256 over the modules that measure and those that they time, comments and docstrings aside."""
    from coherence.provenance.artifact import digest
    from coherence.provenance.code import code_parts

    found: dict[str, str] = {}
    for name in MEASURING:
        found |= code_parts(root / f"benchmarks/{name}.py", root)
    return digest({path: code for path, code in found.items() if path.startswith(("benchmarks/", *TIMED))})


def _measure(part: str, allocator: str, quick: bool) -> list[Record]:
    """Run one part in a new process, whose allocator is set before it starts; its records."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "records.jsonl"
        command = [sys.executable, __file__, "--part", part, "--allocator", allocator, "--out", str(path)]
        done = subprocess.run(
            command + ["--quick"] * quick, env=environment(allocator), cwd=ROOT, stdout=sys.stderr, check=False
        )
        if done.returncode:
            raise ValueError(f"'{part}' failed with exit code {done.returncode}; what it said stands above")
        return _lines(path)


def measure(part: str, allocator: str, quick: bool) -> list[Record]:
    """One part in this process."""
    import numpy as np
    import torch

    from benchmarks import growth, grpo_steps, machine, measures

    torch.set_num_threads(1)
    sizes, rng = measures.QUICK if quick else measures.FULL, np.random.default_rng(SEED)
    if part == "times":
        records = measures.logits_records(sizes, allocator, rng) + measures.hidden_records(sizes, allocator, rng)
        ceilings = machine.ceilings(*((64, 256, 3) if quick else (512, 2048, 9)))
        records += measures.composite_records(sizes, allocator, rng)
        accurate = allocator == "pooled"  # the same numbers under any allocator
        records += measures.accuracy_records(sizes) + measures.event_records(sizes) if accurate else []
        return [*records, {"measure": "ceilings", "allocator": allocator, **ceilings}]
    if part == "grpo":
        if quick:
            return grpo_steps.grpo_records(2, 6, 16, rng, ways=("task only", "recorder"))
        return grpo_steps.grpo_records(21, 32, 64, rng)
    if part == "growth":
        return growth.growth_records(growth.QUICK if quick else growth.FULL, rng)
    return measures.memory_records(part.removeprefix("memory "), sizes)


def _draw(records: list[Record], out: Path) -> None:
    from benchmarks.growth import draw

    draw(records, out)


def _report(records: list[Record]) -> list[str]:
    """Table, ceilings and versions as lines; in a quick run, that it says nothing."""
    about = records[0]
    ceilings = next(r for r in records if r["measure"] == "ceilings")
    took_part = ", ".join(f"{name} {version}" for name, version in about["versions"].items() if version)
    missing = [name for name in ("trl", "carl-studio") if not about["versions"][name]]
    lines = ["", *table.lines(records, judged=not about["quick"]), ""]
    lines.append(
        f"one thread of {about['processor']}: reads {ceilings['read_gb_s']:.1f} GB/s, "
        f"float32 product {ceilings['gemm_gf_s']:.0f} GFLOP/s; {_share(records, ceilings)}"
    )
    lines.append(took_part)
    lines += [f"not installed, so not measured: {', '.join(missing)} (make bench installs them)"] * bool(missing)
    if about["quick"]:
        return [*lines, "a quick run: none of these numbers means anything"]
    return [*lines, f"short of target: {'; '.join(table.short(records)) or 'none'}", *_starts(records)]


def _starts(records: list[Record]) -> list[str]:
    """What compiling costs once per process, which the ratios leave out."""
    found = [r["first_call_s"] for r in records if r.get("contender") == "compiled" and "first_call_s" in r]
    return [f"first call of the compiled backend: {max(found):.1f} s (no part of the ratios; eager needs none)"]


def _share(records: list[Record], ceilings: Record) -> str:
    """How much of the machine our two kernels use."""
    ours = {r["measure"]: r for r in records if r.get("contender") == "compiled" and r.get("allocator") == "pooled"}
    logits, hidden = ours["logits_time"], ours.get("hidden_time")
    read = logits["tokens"] * logits["vocab"] * 4 / logits["cpu_ms"] / 1e6
    text = f"from logits {read / ceilings['read_gb_s']:.0%} of the first"
    if hidden:
        flops = 2 * hidden["tokens"] * hidden["vocab"] * hidden["hidden"] / hidden["cpu_ms"] / 1e6
        text += f", from hidden states {flops / ceilings['gemm_gf_s']:.0%} of the second"
    return text


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="tiny sizes: does everything work?")
    parser.add_argument("--out", type=Path, help="folder for results (default: benchmarks/results)")
    parser.add_argument("--show", action="store_true", help="print the table of the last run, measure nothing")
    parser.add_argument("--part", help=argparse.SUPPRESS)
    parser.add_argument("--allocator", default="pooled", help=argparse.SUPPRESS)
    return parser.parse_args()


def _lines(path: Path) -> list[Record]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


if __name__ == "__main__":
    given = _arguments()
    folder = given.out or (RESULTS / "quick" if given.quick else RESULTS)
    try:
        if given.part:
            found = measure(given.part, given.allocator, given.quick)
            folder.write_text("".join(json.dumps(record) + "\n" for record in found), encoding="utf-8")
        elif given.show:
            print("\n".join(_report(_lines(folder / "bench.jsonl"))))
        else:
            main(given.quick, folder)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
