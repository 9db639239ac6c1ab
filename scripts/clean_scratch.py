"""List the states of unfinished runs, and remove them."""

import time

from coherence.console import run_cli
from coherence.provenance.artifact import ROOT
from coherence.provenance.scratch import Kept, kept, scratch_root
from coherence.provenance.scratch import remove as take_away


def main(remove: tuple[str, ...] = ()) -> None:
    """List what unfinished runs have left in scratch/ (or CARL_SCRATCH). Nothing is removed unless it is named.

    Args:
        remove: beginnings of identities, or `all`; a run that is at work is left alone.
    """
    top = scratch_root(ROOT)
    found = kept(top)
    named = {name: [run for run in found if name == "all" or run.identity.startswith(name)] for name in remove}
    for name, runs in named.items():
        if not runs and name != "all":
            raise ValueError(f"no run in {top} begins with '{name}'")
    chosen = {run.folder: run for runs in named.values() for run in runs}
    for run in found:
        print(line(run) + ("  removed" if run.folder in chosen and not run.user else ""))
        if run.folder in chosen and not run.user:
            take_away(run.folder, top)
    if not found:
        print(f"{top} holds nothing")
    elif not remove:
        size = sum(run.size for run in found) / 1e6
        print(f"{size:.1f} MB in {top}. Remove with `make clean-scratch REMOVE=IDENTITY` or REMOVE=all; running the")
        print("command of a run again goes on from its state and removes it when done.")


def line(run: Kept) -> str:
    """One run: where it was going, its last step, size, age, and who is at work."""
    age = (time.time() - run.touched) / 60
    since = f"{age:.0f} min" if age < 120 else f"{age / 60:.0f} h" if age < 2880 else f"{age / 1440:.0f} days"
    step = "no state" if run.step is None else f"step {run.step}"
    user = f"  in use by {run.user}" if run.user else ""
    return f"{run.identity[:12]}  {run.size / 1e6:8.1f} MB  {step:>10}  {since:>8} old  {run.out}{user}"


if __name__ == "__main__":
    run_cli(main)
