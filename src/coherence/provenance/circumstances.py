"""How an artifact came to be: command line, machine, versions, time, memory. Never part of an identity."""

import importlib.metadata
import json
import os
import platform
import resource
import secrets
import shlex
import socket
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self


@dataclass(frozen=True)
class Clock:
    """Started once; reads wall time, processor time (with child processes) and peak memory since then."""

    started: datetime
    wall: float
    cpu: float

    @classmethod
    def start(cls) -> Self:
        return cls(datetime.now(UTC), time.monotonic(), _cpu_seconds())

    def read(self) -> dict[str, Any]:
        """UTC times, seconds, and the process's peak resident memory in MB (since it began)."""
        return {
            "started": self.started.isoformat(timespec="seconds"),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "wall_s": round(time.monotonic() - self.wall, 3),
            "cpu_s": round(_cpu_seconds() - self.cpu, 3),
            "peak_rss_mb": round(_peak_rss_bytes() / 1e6, 1),
        }


def this_process() -> str:
    """JSON that names this process among all that may write in a folder: host, pid, SLURM job, and a random word."""
    job = os.environ.get("SLURM_JOB_ID")
    who = {"host": socket.gethostname(), "pid": os.getpid(), "slurm_job": job, "token": secrets.token_hex(8)}
    return json.dumps(who)


def command(script: Path, root: Path) -> str:
    """The command line of this process, to be pasted at the root of any clone."""
    here = (f"{Path.cwd()}/", f"{root}/")
    arguments = sys.argv[1:]
    for prefix in here:
        arguments = [argument.replace(prefix, "") for argument in arguments]
    return shlex.join(["python", shown(script, root), *arguments])


def shown(path: Path, root: Path) -> str:
    """A path relative to the working folder or to root where it lies below one of them; absolute otherwise.

    Links are not followed: results/ may be a link to a larger disk.
    """
    full = Path(os.path.normpath(path.absolute()))
    base = next((base for base in (Path.cwd(), root) if full.is_relative_to(base)), None)
    return (full.relative_to(base) if base else full).as_posix()


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Installed versions, local tags (+cpu) included."""
    return {name: importlib.metadata.version(name) for name in packages}


def machine() -> dict[str, Any]:
    """Processor, cores, operating system and Python; not the machine's name."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "os": platform.platform(),
        "python": platform.python_version(),
    }


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor() or platform.machine())


def _cpu_seconds() -> float:
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in both)


def _peak_rss_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
