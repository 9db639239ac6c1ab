# A study from base model to figures: `snakemake --cores 2 all`, or `make all`, which sets up everything first.
# One config file is one study:  snakemake --cores 2 --configfile config/demo.yaml all
# One figure and what it needs:  snakemake --cores 2 figs/default/phi_trajectories.png
# What would run, and why:       snakemake -n all

import os
import sys
from pathlib import Path

ROOT = Path(workflow.basedir)
sys.path.insert(0, str(ROOT / "src"))
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
os.environ["PYTHONPATH"] = str(ROOT / "src")
os.environ.update(TOKENIZERS_PARALLELISM="false", OMP_NUM_THREADS="1", HF_HUB_DISABLE_TELEMETRY="1")

from coherence.config.resolved import data_files, model_files
from coherence.config.study import load_study
from coherence.provenance.artifact import digest
from coherence.provenance.code import code_parts
from coherence.provenance.packages import locked_packages
from coherence.provenance.records import unrecorded


def checked(read):
    """What `read` returns; a mistake in config or files is one line and exit code 2."""
    try:
        return read()
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


def one_configfile():
    if workflow.config_settings.config or len(workflow.configfiles) > 1:
        raise ValueError("one file is one study: put the change into a file with the line `base: default.yaml`")
    return str(next(iter(workflow.configfiles), "config/default.yaml"))


CONFIGFILE = checked(one_configfile)
STUDY = checked(lambda: load_study(CONFIGFILE))
SOURCES = checked(lambda: {"base": model_files(STUDY.resolved), "data": data_files(STUDY.resolved)})
GPU = 0 if STUDY.resolved["model"]["kind"] == "embedded" else 1
R = f"results/{STUDY.name}"
F = f"figs/{STUDY.name}"


def identity(script):
    """What a script is, for Snakemake's own comparison: its code (import closure) and the packages under it."""
    return digest({"code": code_parts(ROOT / script, ROOT), "packages": locked_packages(ROOT / script, ROOT)})


def settings(stage, **fixed):
    """The settings of a cell, as a function of the wildcards."""
    return lambda w: STUDY.settings(stage, **fixed, **{k: int(v) if k == "seed" else v for k, v in w.items()})


wildcard_constraints:
    seed=r"\d+",
    arm=r"[\w+-]+",


include: "workflow/rules/base.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/sft.smk"
include: "workflow/rules/grpo.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/figures.smk"


rule all:
    default_target: True
    localrule: True
    input:
        expand(f"{F}/{{name}}.manifest.json", name=FIGURES),
        f"{R}/start/manifest.json",


onsuccess:
    print(f"\nfigures and tables: {F}/    artifacts: {R}/    check them: python scripts/verify.py")


onerror:
    print("\nA job failed; its log is named above. Mend the cause and run the same command: finished work is kept.")
