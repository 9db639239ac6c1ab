"""Watch a training run: point it at a log and see the geometry of learning."""

import io
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from json import dumps
from pathlib import Path
from typing import Annotated

import tyro

from coherence.console import run_cli
from coherence.observing.findings import Finding, findings, stale
from coherence.observing.logs import read_all, stamps
from coherence.observing.run import Run, as_json, observe
from coherence.observing.terminal import full, one_line, printable

PAUSE_S = 1.0
CLEAR = "\x1b[H\x1b[2J\x1b[3J"


def main(
    path: Annotated[Path, tyro.conf.Positional],
    live: bool = False,
    out: Path | None = None,
    json: bool = False,
    vocab_size: int | None = None,
    run: str | None = None,
) -> None:
    """Accuracy, entropy, Phi, phases, gate and what looks wrong, of any TRL or transformers run.

    A run of this project:         python scripts/observe.py results/default/sft/seed0

    All runs of a study:           python scripts/observe.py results/default

    One that is running:           python scripts/observe.py outputs/my_run --live

    A figure to send to a phone:   python scripts/observe.py trainer_state.json --out run.html

    Trackio:                       python scripts/observe.py ~/.cache/huggingface/trackio/PROJECT.db --run NAME

    Args:
        path: metrics.jsonl, trainer_state.json, a CSV or JSONL with a step column, a trackio database, or a folder.
        live: Follow the log until Ctrl-C.
        out: Also write the figure (.png, .svg) or a page with the figure and all that is said here (.html).
        json: Print one JSON object instead.
        vocab_size: Size V of the vocabulary, where nothing beside the log tells it: Phi = 1 - H / ln V.
        run: Which of several runs.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # of characters that the terminal does not have
    if live and (json or out):
        raise ValueError("--live shows runs in the terminal: leave out --json and --out")
    if out and out.suffix not in (".html", ".png", ".svg"):
        raise ValueError(f"--out {out}: the name must end in .html, .png or .svg")
    if live:
        follow(path, run, vocab_size)
        return
    seen = look(path, run, vocab_size)
    if not any(one.log.rows or one.log.broken for one, _ in seen):
        raise ValueError(f"{path}: no entry has been logged (an empty file, or a first line half written?)")
    if out:
        from coherence.observing.page import write

        if len(seen) > 1:
            raise ValueError(f"--out draws one run, {path} has {len(seen)}: name one by its path, or by --run NAME")
        write(*seen[0], out)
    if json:
        told = [{**as_json(one), "wrong": [finding._asdict() for finding in wrong]} for one, wrong in seen]
        print(dumps(told[0] if len(told) == 1 else {"runs": told}, indent=1))
    else:
        print(*show(seen), sep="\n")


def look(path: Path, run: str | None, vocab_size: int | None) -> list[tuple[Run, list[Finding]]]:
    """The runs, read, each with what looks wrong in it. ValueError for a `run` that is not there."""
    logs = read_all(path)
    chosen = [log for log in logs if run in (None, log.name)]
    if logs and not chosen:
        names = printable(", ".join(log.name for log in logs))
        raise ValueError(f"--run {run}: {path} has no such run, but {names}")
    seen = [observe(log, vocab_size) for log in chosen]
    return [(one, findings(one)) for one in seen]


def show(seen: Sequence[tuple[Run, Sequence[Finding]]]) -> list[str]:
    """One run in full; of several one line each."""
    if len(seen) == 1:
        return full(*seen[0], shutil.get_terminal_size().columns)
    return [one_line(run, wrong) for run, wrong in seen]


def follow(path: Path, run: str | None, vocab_size: int | None) -> None:
    """Show the runs anew whenever a log changes or grows stale, until Ctrl-C.

    A log that cannot be read for the moment (half-written, being moved) is tried again; at the start it is a mistake.
    """
    written, seen, trouble, shown = stamps(path), look(path, run, vocab_size), "", ""
    try:
        while True:
            judged = [(one, [*wrong, *_stale(one, written)]) for one, wrong in seen]
            text = "\n".join([*show(judged), trouble])
            if text != shown:
                print(CLEAR if sys.stdout.isatty() else "", text, sep="", flush=True)
            shown = text
            time.sleep(PAUSE_S)
            try:
                if (now := stamps(path)) != written:
                    written, seen, trouble = now, look(path, run, vocab_size), ""
            except (ValueError, OSError) as error:
                trouble = f"(not up to date: {error})"
    except KeyboardInterrupt:
        print()


def _stale(run: Run, written: Mapping[Path, tuple[float, int]]) -> list[Finding]:
    times = [when for file, (when, _) in written.items() if str(file).startswith(str(run.log.path))]
    return [*stale(run, time.time() - max(times, default=time.time()))]


if __name__ == "__main__":
    run_cli(main)
