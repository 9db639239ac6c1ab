"""One GPU per process on a machine that no scheduler divides, by locks that the system drops when a process ends."""

import fcntl
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from coherence.console import progress

GIVEN = {"SLURM_JOB_ID", "CUDA_VISIBLE_DEVICES", "TORCHELASTIC_RUN_ID"}
"""Whoever sets one of these has said which GPUs are whose."""


def take_gpus(compute: Mapping[str, Any]) -> None:
    """Let this process see as many GPUs as the study's processes, which no other sees; waits where all are taken.

    To be called before torch is imported. ValueError where the machine has fewer. Does nothing for `device: cpu`, where
    the environment says which GPUs to use, or where nvidia-smi lists none.
    """
    if compute["device"] != "cuda" or GIVEN & os.environ.keys():
        return
    see(int(compute.get("processes", 1)))


def see(wanted: int) -> None:
    """Take so many GPUs for this process and what it starts, unless nvidia-smi lists none."""
    gpus = list_gpus()
    if gpus and wanted > len(gpus):
        raise ValueError(f"compute.processes is {wanted}, but this machine has {len(gpus)} GPUs: lower it")
    if gpus:
        folder = Path(tempfile.gettempdir(), f"coherence-gpus-{os.getuid()}")
        folder.mkdir(exist_ok=True)
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(take(gpus, wanted, folder))


def list_gpus() -> list[str]:
    """Names that CUDA_VISIBLE_DEVICES takes; none where there is no nvidia-smi, or it fails."""
    try:
        done = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False)
    except OSError:
        return []
    return re.findall(r"^GPU \d+:.*\(UUID: (GPU-[\w-]+)\)", done.stdout, flags=re.MULTILINE)


def take(gpus: Sequence[str], wanted: int, folder: Path) -> list[str]:
    """Lock so many of the GPUs by their files in `folder`, until this process ends.

    One process at a time gathers (file `turn`), so that two that want several never wait for each other.
    """
    turn, files, held = _open(folder / "turn"), {gpu: _open(folder / gpu) for gpu in gpus}, list[str]()
    says = True
    while not (_lock(turn) and _gather(files, held, wanted)):
        if says:
            progress(f"waiting for {wanted} of {len(gpus)} GPUs: others have them")
            says = False
        time.sleep(0.5)
    for gpu in gpus:
        if gpu in held:
            os.set_inheritable(files[gpu], True)  # for the program that this one may become
        else:
            os.close(files[gpu])
    os.close(turn)
    return held


def _gather(files: Mapping[str, int], held: list[str], wanted: int) -> bool:
    """Add free GPUs to `held`; True once they are as many as wanted."""
    for gpu, file in files.items():
        if len(held) < wanted and gpu not in held and _lock(file):
            held.append(gpu)
    return len(held) == wanted


def _open(path: Path) -> int:
    """A descriptor that stays open, and with it a lock, until it is closed or the process ends."""
    return os.open(path, os.O_RDWR | os.O_CREAT)


def _lock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


if __name__ == "__main__":
    # N COMMAND: what starts several processes takes the GPUs of all of them, and becomes that command
    number, *command = sys.argv[1:]
    if int(number) and not GIVEN & os.environ.keys():
        see(int(number))
    os.execvp(command[0], command)
