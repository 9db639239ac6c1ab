"""Check every artifact of a study against its records and against the current tree."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from coherence.config.study import Study, load_study
from coherence.console import run_cli
from coherence.provenance.adopt import adopt as adopt_results
from coherence.provenance.place import Place
from coherence.provenance.verify import CurrentSettings, Finding, report, verify


def main(configfile: Path = Path("config/default.yaml"), adopt: bool = False) -> int:
    """Check every artifact of a study; exit code 1 if one is not ok. Run it where results/ and figs/ lie.

    Args:
        configfile: The study.
        adopt: Move aside what is not ok, and have Snakemake record the rest as built.
    """
    study = load_study(configfile)
    if adopt:
        findings, moved = adopt_results(configfile, study.name, settings_of(study))
        print(report(findings))
        return print_adoption(findings, moved, configfile)
    findings = verify(study.name, settings_of(study))
    if not findings:
        others = sorted(path.name for path in Path("results").glob("*/")) if Path("results").is_dir() else []
        built = f"; built are: {', '.join(others)} (--configfile config/NAME.yaml)" if others else ""
        raise ValueError(f"nothing of the study {study.name} is built{built}")
    print(report(findings))
    wrong = sum(finding.status != "ok" for finding in findings)
    if wrong:
        again = f"python scripts/verify.py --configfile {configfile} --adopt"
        print(f"\n{wrong} of {len(findings)} not ok. Next: `{again}` moves them aside (it deletes nothing),")
        print(f"then `snakemake --configfile {configfile}` builds them anew.")
    return 1 if wrong else 0


def settings_of(study: Study) -> CurrentSettings:
    """The settings of the current config by stage and cell; None where the study has no such cell."""

    def settings(stage: str, cell: Mapping[str, Any]) -> dict[str, Any] | None:
        try:
            return study.settings(stage, **cell)
        except KeyError:
            return None

    return settings


def print_adoption(findings: Sequence[Finding], moved: Mapping[Place, Path], configfile: Path) -> int:
    """Say what was recorded as built, and what was moved where."""
    adopted = [finding.place.out for finding in findings if finding.status == "ok"]
    lines = [f"adopted: {out}" for out in adopted]
    lines += [f"moved aside: {place.out} -> {target}" for place, target in moved.items()]
    print("", *lines, sep="\n")
    print(f"{len(adopted)} adopted, {len(moved)} moved aside. Next: `snakemake --configfile {configfile}`.")
    return 0


if __name__ == "__main__":
    run_cli(main)
