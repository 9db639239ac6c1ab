"""Run untrusted Python where it can reach nothing, and learn the values of some calls. Linux; no program is needed.

The candidate shares its interpreter with nothing that it could want: it is given calls, never what they should give.
Only a text that names each value comes back (guest.canonical), and the host compares that text with its own. So there
is no nonce to find, no comparison or assert to override, no exit code, print or pipe message that means success: all
that code can send is an answer, and a wrong one is wrong. It can still fit the arguments of the tests, or guess; and
only tests of the form `call == literal` can be asked this way.

Walls: new user, pid, network, mount, IPC and host-name namespaces; an empty read-only file system; no capability; no
new privileges; a seccomp list without processes, threads, sockets, programs, mounts and tracing; limits on CPU seconds,
memory, files; a wall-clock limit; an empty environment; death with the host. They are Linux's: a hole in the kernel is
a hole here, and the seccomp list names what is refused, not what is allowed. Time and memory up to the limits can be
wasted. Where a wall cannot be built, `require_sandbox` refuses: nothing is ever run bare.
"""

import os
import select
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import cache, lru_cache

from coherence.tasks.code import guest

START_S = 30.0
"""Until the walls stand; after that it is the machine's failure, not the code's."""
WALL_S = 10.0
"""For the code with all its calls; of CPU time it has guest.LIMITS."""
MAX_BYTES = 1 << 20
"""Of answers; more of them are not read."""
KNOWN_BAD = """
import ctypes, os
libc = ctypes.CDLL(None)
def done(attempt, *arguments):
    try:
        return attempt(*arguments) not in (-1, [])
    except (OSError, RuntimeError):
        return False
"""
ATTEMPTS = {
    "start a process": "done(os.fork)",
    "open a socket": "done(libc.socket, 2, 1, 0)",
    "see files": "done(os.listdir, '/')",
    "write a file": "done(os.open, '/x', os.O_CREAT | os.O_WRONLY)",
    "see processes": "done(os.kill, os.getppid() or 2, 0)",
    "mount": "done(libc.mount, b'none', b'/', b'tmpfs', 0, None)",
    "leave its limits": "done(os.nice, -1)",
}


def run_calls(code: str, setup: str, calls: Sequence[str]) -> tuple[str, ...] | None:
    """The canonical value of each call after `code` and `setup`, empty for one that failed; fewer if it ended early.

    None where the sandbox did not come up this time. ValueError where this machine has none.
    """
    require_sandbox()
    return _answers(code, setup, tuple(calls))


@cache
def require_sandbox() -> None:
    """ValueError unless a program that tries what it must not do is kept from all of it."""
    answers = _answers(KNOWN_BAD, "", tuple(ATTEMPTS.values())) if sys.platform == "linux" else None
    if answers is None or len(answers) < len(ATTEMPTS):
        raise ValueError(
            "model-written code is run in a sandbox only, and this machine gives none: it takes Linux on x86-64 or "
            "arm64 that lets users make namespaces (sysctl user.max_user_namespaces, "
            "kernel.apparmor_restrict_unprivileged_userns=0; in a container: its seccomp profile)"
        )
    broken = [what for what, answer in zip(ATTEMPTS, answers, strict=True) if answer != guest.canonical(False)]
    if broken:
        raise ValueError(f"model-written code is not run on this machine: in its sandbox it can {', '.join(broken)}")


@lru_cache(maxsize=1 << 12)
def _answers(code: str, setup: str, calls: tuple[str, ...]) -> tuple[str, ...] | None:
    job = guest.SEPARATOR.join([code.replace(guest.SEPARATOR, "\\0"), setup, *calls])
    lines = _exchange(job.encode(errors="replace")).decode("ascii", errors="replace").split("\n")
    return tuple(lines[1:-1][: len(calls)]) if lines[0] == guest.READY else None


def _exchange(job: bytes) -> bytes:
    command = [sys.executable, "-I", "-S", "-B", guest.__file__]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={}, cwd="/"
    ) as process:
        assert process.stdin and process.stdout
        try:
            process.stdin.write(job)
            process.stdin.close()
            return _read(process.stdout.fileno())
        except BrokenPipeError:
            return b""
        finally:
            process.kill()


def _read(descriptor: int) -> bytes:
    """All that comes until the other end is closed, time is up or there is too much."""
    data, deadline, ready = b"", time.monotonic() + START_S, False
    while len(data) <= MAX_BYTES and select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))[0]:
        part = os.read(descriptor, 1 << 16)
        if not part:
            break
        data += part
        if not ready and b"\n" in data:
            ready, deadline = True, time.monotonic() + WALL_S
    return data
