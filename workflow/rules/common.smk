# The study, and what rules say of themselves to Snakemake: code, packages, settings.

import os
import re
import sys
from pathlib import Path

ROOT = Path(workflow.basedir)
sys.path.insert(0, str(ROOT / "src"))
os.environ.update(
    PATH=os.pathsep.join([str(Path(sys.executable).parent), *os.get_exec_path()]),
    PYTHONPATH=str(ROOT / "src"),
    TOKENIZERS_PARALLELISM="false",
    OMP_NUM_THREADS="1",
    HF_HUB_DISABLE_TELEMETRY="1",
    HF_HUB_OFFLINE="1",
)

from coherence.cluster.controllers import locked_by, record_start
from coherence.config.evaluate import shown_arms
from coherence.config.hub import repositories
from coherence.config.resolved import WEIGHTS, data_files, model_files
from coherence.config.study import check_name, load_study
from coherence.console import one_line
from coherence.provenance.adopt import ADOPTING
from coherence.provenance.artifact import digest
from coherence.provenance.code import code_parts
from coherence.provenance.packages import locked_packages
from coherence.provenance.place import find_all
from coherence.provenance.records import unrecorded
from coherence.provenance.store import store_folder

# not by another Snakemake, for one of its jobs
STARTED_BY_HAND = workflow.exec_mode.name == "DEFAULT"


def checked(read):
    """What `read` returns; a mistake in config or files is one line and exit code 2."""
    try:
        return read()
    except (ValueError, OSError, SyntaxError) as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        sys.exit(2)


def one_configfile():
    if workflow.config_settings.config or len(workflow.configfiles) > 1:
        raise ValueError("one file is one study: put the change into a file with the line `base: default.yaml`")
    return os.path.relpath(next(iter(workflow.configfiles), "config/default.yaml"))


CONFIGFILE = checked(one_configfile)
STUDY = checked(lambda: load_study(CONFIGFILE))
checked(lambda: check_name(Path(CONFIGFILE)))
ON_CUDA = STUDY.resolved["compute"]["device"] == "cuda"
# one GPU for each job that computes with a model; a site names its partition and, where it has several, its GPUs
MODEL_RESOURCES = {"gpu": 1, "slurm_partition": os.getenv("SLURM_GPU_PARTITION", "gpu")} if ON_CUDA else {}
if ON_CUDA and (gpu_model := os.getenv("SLURM_GPU_MODEL")):
    MODEL_RESOURCES["gpu_model"] = gpu_model
# training takes as many as the study says, one process on each
PROCESSES = STUDY.resolved["compute"]["processes"]
TRAINING_RESOURCES = MODEL_RESOURCES | {"gpu": PROCESSES} if ON_CUDA else {}
TORCHRUN = f"torchrun --standalone --nproc-per-node {PROCESSES}"
LAUNCH = (
    "python" if PROCESSES == 1 else f"python -m coherence.cluster.slots {PROCESSES} {TORCHRUN}" if ON_CUDA else TORCHRUN
)
R = f"results/{STUDY.name}"
F = f"figs/{STUDY.name}"
SOURCES = checked(lambda: {"base": model_files(STUDY.resolved, Path(R)), "data": data_files(STUDY.resolved, Path(R))})


def model_mb():
    """Host memory of a process that loads the model in float32: its files, which may hold half of that, and a copy."""
    folders = {path.parent for path in SOURCES["base"].values()}
    files = [file.stat().st_size for folder in folders for file in folder.glob(f"*{WEIGHTS}")]
    not_fetched = STUDY.resolved["model"]["kind"] == "hub" and not files
    return 60_000 if not_fetched else 2500 + 4 * sum(files) // 1_000_000


MODEL_MB = model_mb()
checked(store_folder)


def can_write():
    """A folder that takes no results is known before anything is computed."""
    for top in map(Path, (R, F)):
        lowest = next(path for path in (top, *top.parents) if path.exists())
        if not (lowest.is_dir() and os.access(lowest, os.W_OK | os.X_OK)):
            raise ValueError(f"{top} cannot be written: {lowest} is no folder that you may write into")


checked(can_write)


def all_recorded():
    """Outputs without Snakemake's records were not made here: their settings would not be compared, so refuse them."""
    manifests = [place.manifest for top in (R, F) for place in find_all(Path(top)) if place.manifest.is_file()]
    strange = [] if ADOPTING in os.environ else unrecorded(manifests, Path())
    if strange:
        raise ValueError(
            f"{len(strange)} artifacts, e.g. {strange[0]}, have no records of Snakemake's (copied results?): "
            f"verify and adopt them with `python scripts/verify.py --configfile {CONFIGFILE} --adopt`"
        )


if STARTED_BY_HAND:
    checked(all_recorded)


def growing(amount):
    """A resource of which each attempt gets more, since the last one may have failed for want of it."""
    return lambda wildcards, attempt: amount * attempt


def executor():
    """The executor and the profile; on a cluster also where each kind of job goes."""
    profile = re.search(r"--profile[= ](\S+)", " ".join(sys.argv))
    said = f"executor {workflow.executor_plugin.name}, profile {profile[1] if profile else 'none'}"
    if slurm_run():
        given = workflow.resource_settings.default_resources.get("slurm_partition")
        wanted = MODEL_RESOURCES.get("slurm_partition", "none asked for")
        said += f", CPU partition {given.raw if given else 'of the site'}, GPU partition {wanted}"
    return said


def slurm_run():
    """The name that all SLURM jobs of this start bear; None for other executors."""
    return getattr(workflow.scheduler._executor, "run_uuid", None)


def explain_lock():
    """Snakemake refuses to start beside another, or after one that was killed: which of the two is it?"""
    ours = any(f"{top}/" in lock.read_text() for lock in Path(".snakemake/locks").glob("*") for top in (R, F))
    if ours and not {"--unlock", "-n", "--dry-run", "--summary"} & set(sys.argv):
        print(locked_by(STUDY.name, CONFIGFILE), file=sys.stderr)


if STARTED_BY_HAND:
    explain_lock()


def identity(script):
    """What a script is, for Snakemake's own comparison: its code (import closure) and the packages under it.

    A job on a cluster starts a Snakemake that compares and records nothing: there it is not worked out.
    """
    read = lambda: {"code": code_parts(ROOT / script, ROOT), "packages": locked_packages(ROOT / script, ROOT)}
    return digest(checked(read)) if STARTED_BY_HAND else ""


def settings(stage, **fixed):
    """The settings of a cell, as a function of the wildcards."""
    return lambda w: STUDY.settings(stage, **fixed, **{k: int(v) if k == "seed" else v for k, v in w.items()})


CHECKPOINTS = expand("{arm}/seed{seed}", arm=["sft", *sorted(STUDY.arms)], seed=STUDY.seeds)
SHOWN = shown_arms(STUDY.resolved)
SHOWN_CHECKPOINTS = expand("{arm}/seed{seed}", arm=["sft", *SHOWN], seed=STUDY.seeds)


def run_of(checkpoint):
    """The run whose model is evaluated; `sft` stands among the arms as the start of them all."""
    return checkpoint if checkpoint.startswith("sft/") else f"grpo/{checkpoint}"


def checkpoint(wildcards):
    """The folder of that run."""
    return f"{R}/{run_of(f'{wildcards.arm}/seed{wildcards.seed}')}"


RUNS, SHOWN_RUNS = (list(map(run_of, cells)) for cells in (CHECKPOINTS, SHOWN_CHECKPOINTS))

CURVES = STUDY.resolved["curves"] or {"bases": {}, "runs": {}}
CURVE_RUNS = expand(f"{R}/curves/{{curve}}/seed{{seed}}", curve=CURVES["runs"], seed=STUDY.seeds)


def base_of(curve):
    """The folder of the base that a curve starts from."""
    name = CURVES["runs"][curve]["base"]
    return f"{R}/bases/{name}" if name else f"{R}/base"


def manifest_of(place):
    """The manifest of an artifact: a folder, or a figure, which is files of one name."""
    return f"{place}.manifest.json" if place.startswith(F) else f"{place}/manifest.json"


wildcard_constraints:
    seed="|".join(map(str, STUDY.seeds)),
    arm="|".join(map(re.escape, ["sft", *STUDY.arms])),
