"""One writer in a folder at a time: a file that names the process, which it touches as long as it lives.

No flock: network file systems may not know it. A lease is taken over from a process that is dead on this host, from an
earlier start of the same SLURM job, and from one that has not touched it for STALE_S.
"""

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from coherence.console import progress
from coherence.provenance.circumstances import this_process

LEASE = "lease.json"
BEAT_S, STALE_S, LOOK_S = 10.0, 60.0, 1.0


class Lease:
    """The lease of a folder; `check` fails once another process has taken it."""

    def __init__(self, folder: Path) -> None:
        self.path, self.lost, self.done = folder / LEASE, False, threading.Event()
        self.text = this_process()

    def take(self) -> None:
        """ValueError where another process holds it. One on another host is watched, for STALE_S at most."""
        seen = first = look(self.path)
        began = time.monotonic()
        while seen is not None and not over(*seen) and time.monotonic() - began < STALE_S:
            if seen != first or _here(_parsed(seen[0])):
                raise self._in_use(seen[0])
            if time.monotonic() - began < LOOK_S:
                progress(f"is {named(seen[0])} still at work in {self.path.parent}? waiting up to {STALE_S:.0f} s")
            time.sleep(LOOK_S)
            seen = look(self.path)
        if seen is not None:
            self.path.unlink(missing_ok=True)
        try:
            with self.path.open("x", encoding="utf-8") as file:
                file.write(self.text)
        except FileExistsError:  # two came at once
            raise self._in_use(self.path.read_text(encoding="utf-8")) from None

    def _in_use(self, text: str) -> ValueError:
        return ValueError(f"{self.path.parent} is in use by {named(text)}: let it finish or stop it, then run again")

    def check(self) -> None:
        """ValueError where another process has taken it over: nothing may be written any more."""
        self._see()
        if self.lost:
            raise ValueError(f"{self.path.parent} was taken over by another process while this one stood still")

    def beat(self) -> None:
        """Touch the file until done, or another's."""
        while not self.lost and not self.done.wait(BEAT_S):
            self._see()
            with contextlib.suppress(OSError):
                if not self.lost:
                    os.utime(self.path)

    def _see(self) -> None:
        """Look whose the file is; what the disk refuses is tried again the next time."""
        with contextlib.suppress(OSError):
            seen = look(self.path)
            self.lost = self.lost or (seen is not None and seen[0] != self.text)


@contextmanager
def held(folder: Path) -> Iterator[Lease]:
    """The folder's lease, held for the block."""
    lease = Lease(folder)
    lease.take()
    beating = threading.Thread(target=lease.beat, daemon=True)
    beating.start()
    try:
        yield lease
    finally:
        lease.done.set()
        beating.join()
        seen = look(lease.path)
        if seen is not None and seen[0] == lease.text:
            lease.path.unlink()


def look(path: Path) -> tuple[str, float] | None:
    """What a lease says and when it was touched; None where there is none. Opened: NFS is up to date only then."""
    try:
        with path.open(encoding="utf-8") as file:
            return file.read(), os.fstat(file.fileno()).st_mtime
    except FileNotFoundError:
        return None


def over(text: str, touched: float) -> bool:
    """Whether the process that wrote this lease is known not to hold it any more."""
    held_by = _parsed(text)
    if _here(held_by):
        gone = _dead(held_by["pid"])
    else:  # SLURM starts a requeued job on another node, once it has ended the first start
        job = os.environ.get("SLURM_JOB_ID")
        gone = job is not None and held_by.get("slurm_job") == job
    return gone or time.time() - touched > STALE_S


def named(text: str) -> str:
    """The process that a lease names, for a person."""
    held_by = _parsed(text)
    job = f", SLURM job {held_by['slurm_job']}" if held_by.get("slurm_job") else ""
    return f"process {held_by.get('pid', '?')} on {held_by.get('host', '?')}{job}"


def _here(held_by: dict[str, Any]) -> bool:
    return held_by.get("host") == socket.gethostname()


def _dead(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # alive, and another user's
        return False
    return False


def _parsed(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:  # half written
        return {}
    return value if isinstance(value, dict) else {}
