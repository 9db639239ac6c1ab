"""Say where a figure came from, and whether this clone would draw the same again."""

from collections.abc import Mapping
from dataclasses import asdict
from json import dumps
from pathlib import Path
from typing import Annotated, Any

import tyro

from coherence.config.resolved import read_resolved
from coherence.config.study import Study
from coherence.console import run_cli
from coherence.provenance import whence


def main(
    figure: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FIGURE")],
    check: tyro.conf.FlagCreatePairsOff[bool] = False,
    json: tyro.conf.FlagCreatePairsOff[bool] = False,
) -> int:
    """Print the study, seeds, identity, command and settings that a figure carries in itself.

    Exit code 2 for a file that tells no origin; with --check 0 where all is the same, 1 where anything differs, 2
    where there is nothing to compare with.

    Args:
        figure: a .png, .svg or .pdf file, wherever it lies now.
        check: compare it with figs/STUDY/FIGURE below the working folder, draw that again aside, and compare too;
            verify that the results below it are current.
        json: print one JSON object.
    """
    told = whence.origin(figure)
    found = examine(figure, told) if check else None
    if json:
        print(dumps({**told, "check": asdict(found) if found else None}, indent=1, sort_keys=True))
    else:
        print(*whence.told_lines(told), *(verdict(found) if found else []), sep="\n")
    return 0 if found is None or found.same else 1


def examine(figure: Path, told: Mapping[str, Any]) -> whence.Check:
    """Compare the figure, and have the results verified with the settings in results/STUDY/study.json."""
    found = whence.check(figure, told)
    config = Path("results", told["study"], "study.json")
    found.compared.append(f"the results below it, with the tree and {config}")
    try:
        found.differs += whence.stale(figure, told, Study(told["study"], read_resolved(config)).settings)
    except ValueError as error:
        found.differs.append(f"results: {error}")
    return found


def verdict(found: whence.Check) -> list[str]:
    """What the check found, a difference a line."""
    compared = [f"compared with {what}" for what in found.compared]
    return [
        "",
        *compared,
        *(found.differs or ["same: identity and every byte, from the results as they lie here, and these are current"]),
    ]


if __name__ == "__main__":
    run_cli(main)
