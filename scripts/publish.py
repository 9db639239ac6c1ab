"""Publish a study: figures and tables with their small data to docs/figures/STUDY, numbers into README and docs."""

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from coherence.config.figures import names
from coherence.config.study import load_study
from coherence.console import run_cli
from coherence.provenance.artifact import manifest_bytes, read_card, read_manifest
from coherence.provenance.files import damage

EMBEDDED = "default"
FIGURES = Path("docs/figures")
DOCUMENTS = (Path("README.md"), *(Path("docs", f"{name}.md") for name in ("alignment", "claims", "real_input")))
BENCHMARKS = Path("benchmarks/results/bench.jsonl")
SUFFIXES = ("png", "md", "csv", "parquet", "caption.md")
REPORT = "report.json"
"""Of the data set: rows kept, dropped and nearly repeated."""
PEERS = ("torch", "numpy", "trl", "carl-studio")
"""Whose versions stand under the benchmark."""
LARGEST = 1_000_000
"""Bytes of a published data file."""


def main(study: str = EMBEDDED) -> None:
    """Copy a study's figures and tables, if all of it is verified, and write the generated blocks anew.

    Run it at the root of the clone, where results/ and figs/ lie.

    Args:
        study: name of the study, which is config/STUDY.yaml.
    """
    stems = [Path("figs", study, name) for name in names(load_study(configfile(study)).resolved)]
    check(stems, study)
    if study == EMBEDDED:
        check_benchmark()  # whose table stands in README, beside this study's numbers
    copy(stems, study)
    (FIGURES / study / "README.md").write_text(index(stems, study), encoding="utf-8")
    rewrite()
    print(f"{len(stems)} figures and tables: {FIGURES / study}/; numbers: {', '.join(map(str, DOCUMENTS))}")


def configfile(study: str) -> str:
    """Where a study is described."""
    return f"config/{study}.yaml"


def check(stems: Sequence[Path], study: str) -> None:
    """ValueError unless every figure is built, all of the study is what its records say, and the data are small."""
    for stem in stems:
        if not Path(f"{stem}.manifest.json").is_file():
            raise ValueError(f"{stem} is not built: run `snakemake --cores 2 all --configfile {configfile(study)}`")
    verify = [sys.executable, str(Path(__file__).with_name("verify.py")), "--configfile", configfile(study)]
    if subprocess.run(verify, stdout=sys.stderr, check=False).returncode:
        raise ValueError("not everything of the study is as it should be (the table above): publish what is verified")
    for path in (path for stem in stems for path in published(stem) if path.suffix in (".csv", ".parquet")):
        if path.stat().st_size > LARGEST:
            raise ValueError(f"{path} has {path.stat().st_size:,} bytes; published data have at most {LARGEST:,}")


def published(stem: Path) -> list[Path]:
    """The files of a figure or table that are published."""
    paths = [Path(f"{stem}.{suffix}") for suffix in SUFFIXES]
    return [path for path in paths if path.is_file()]


def copy(stems: Sequence[Path], study: str) -> None:
    """Fill docs/figures/STUDY anew; its manifest.json lists the bytes as the artifacts' own manifests do."""
    target, data = FIGURES / study, Path("results", study, "data")
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    paths = [data / REPORT, *(path for stem in stems for path in published(stem))]
    for path in paths:
        shutil.copyfile(path, target / path.name)
    names = {path.name for path in paths}
    listed = [entry for place in (data, *stems) for entry in read_manifest(place)["files"] if entry["name"] in names]
    (target / "manifest.json").write_bytes(manifest_bytes(listed))


def index(stems: Sequence[Path], study: str) -> str:
    """Which identity and command each figure or table came from."""
    lines = [f"| {stem.name} | {_links(stem)} | `{read_card(stem)['identity']['digest'][:16]}` |" for stem in stems]
    commands = [f"snakemake --cores 2 {stem}.manifest.json --configfile {configfile(study)}" for stem in stems]
    return "\n".join(
        [
            f"# Published figures and tables of the study `{study}`\n",
            "`make publish` writes this folder from artifacts that it has verified; nothing here is edited by hand.",
            "An identity is the sha256 of settings, code, inputs and packages; its first 16 digits are shown. A PNG",
            f"carries the whole of it: `python scripts/whence.py {FIGURES / study}/arms.png`. `manifest.json` lists",
            f"the bytes as the artifacts do. [{REPORT}]({REPORT}) counts the rows of each split, and those left out.\n",
            "| name | files | identity |",
            "| --- | --- | --- |",
            *lines,
            "\nEach is made, with all that it needs, by its own command:\n",
            "```bash",
            *commands,
            "```\n",
        ]
    )


def _links(stem: Path) -> str:
    return ", ".join(f"[{path.name.removeprefix(f'{stem.name}.')}]({path.name})" for path in published(stem))


def rewrite() -> None:
    """Write the generated blocks of README and docs."""
    from coherence.report.blocks import fill

    found = generated()
    for document in DOCUMENTS:
        document.write_text(fill(document, found), encoding="utf-8")


def generated() -> dict[str, str]:
    """All generated blocks, from docs/figures and the benchmark's records; ValueError for bytes that were edited."""
    from coherence.report.published import CLAIMS, claims_blocks, embedded_blocks, study_block

    found: dict[str, str] = {}
    for folder in sorted(path.parent for path in FIGURES.glob("*/manifest.json")):
        fault = damage(folder, read_manifest(folder)["files"])
        if fault:
            raise ValueError(f"{fault}: `make publish` copies what the study made")
        if (folder / f"{CLAIMS}.parquet").is_file():
            found |= claims_blocks(folder)
        else:
            found |= embedded_blocks(folder) if folder.name == EMBEDDED else {folder.name: study_block(folder)}
    return found | {"performance": performance()}


def check_benchmark() -> None:
    """ValueError where the code that the benchmark timed has changed since."""
    from benchmarks import run

    if benchmark_records()[0].get("code") != run.timed_code():
        raise ValueError(f"{BENCHMARKS} was measured with other code: run `make bench`")


def benchmark_records() -> list[dict[str, Any]]:
    """The lines of the last run; the first one says what ran."""
    return [json.loads(line) for line in BENCHMARKS.read_text(encoding="utf-8").splitlines()]


def performance() -> str:
    """The benchmark's headline table."""
    from benchmarks import table

    records = benchmark_records()
    about = records[0]
    versions = ", ".join(f"{name} {about['versions'][name]}" for name in PEERS if about["versions"][name])
    return (
        f"{table.markdown(records)}\n\nOne thread of {about['processor']}, {about['date']}, {versions}. Measure anew: "
        "`make bench`; every line of the last run: `python benchmarks/run.py --show`"
    )


if __name__ == "__main__":
    run_cli(main)
