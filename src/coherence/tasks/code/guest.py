"""The program inside the sandbox: it shuts itself in, then evaluates calls of untrusted code and sends what came out.

A script of its own; sandbox.py starts it and says what is and is not promised. It imports little: it starts for each
completion that is judged.
One process reads the job and imports what the code names, enters new namespaces and forks; the fork gives up every
right that it has and runs the code, the first one only waits for it.
"""

import ctypes
import os
import resource
import sys

SEPARATOR = "\0"
"""Between the parts of a job on stdin: code, setup, calls. No Python source holds it."""
READY = "ready"
"""The first line sent: the walls stand, and nothing of the candidate has run."""
CHANNEL = 3
"""File descriptor of the pipe to the host."""
NAMED = """array ast base64 bisect calendar cmath collections copy dataclasses datetime decimal enum fractions functools
hashlib heapq itertools json keyword math numbers operator os platform pprint queue random re secrets statistics string
struct sys textwrap time timeit types typing unicodedata uuid zlib"""
MODULES = {name: name for name in NAMED.split()} | {"strptime": "_strptime", "Counter": "heapq"}
"""What code may import (or what a module of these imports late), by the word that it says. There are no files inside,
so what it names is loaded before."""
LIMITS = {
    resource.RLIMIT_CPU: 3,  # seconds
    resource.RLIMIT_AS: 512 << 20,  # bytes
    resource.RLIMIT_FSIZE: 0,
    resource.RLIMIT_NOFILE: 16,
    resource.RLIMIT_CORE: 0,
    resource.RLIMIT_MEMLOCK: 0,
}

NEW_NAMESPACES = 0x10000000 | 0x20000000 | 0x40000000 | 0x00020000 | 0x08000000 | 0x04000000  # user pid net mnt ipc uts
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REC, MS_PRIVATE = 1, 2, 4, 8, 1 << 14, 1 << 18
MNT_DETACH = 2
PR_SET_PDEATHSIG, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, SIGKILL = 1, 22, 38, 9
SECCOMP_MODE_FILTER, ALLOW, REFUSE, KILL = 2, 0x7FFF0000, 0x00050001, 0x80000000
X32 = 0x40000000
"""System calls from here on are those of another ABI of x86-64."""
PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
ARCHITECTURE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
DENIED = {
    # clone fork vfork execve execveat | socket socketpair | ptrace process_vm_readv process_vm_writev | unshare setns
    # mount umount2 pivot_root chroot | prctl personality | keyctl add_key request_key | bpf perf_event_open
    # userfaultfd | shmget semget msgget mq_open memfd_create | open_by_handle_at
    "x86_64": (
        *(56, 57, 58, 59, 322, 41, 53, 101, 310, 311, 272, 308, 165, 166, 155, 161, 157, 135, 250, 248, 249, 321, 298),
        *(323, 29, 64, 68, 240, 319, 304),
    ),
    "aarch64": (
        *(220, 221, 281, 198, 199, 117, 270, 271, 97, 268, 40, 39, 41, 51, 167, 92, 219, 217, 218, 280, 241),
        *(282, 194, 190, 186, 180, 279, 265),
    ),
}
DENIED_EVERYWHERE = (425, 428, 429, 430, 432, 433, 435, 442, 447)
"""io_uring_setup open_tree move_mount fsopen fsmount fspick clone3 mount_setattr memfd_secret: one number for all."""


class Instruction(ctypes.Structure):
    """One of the kernel's classic BPF instructions (struct sock_filter)."""

    _fields_ = (("code", ctypes.c_uint16), ("yes", ctypes.c_uint8), ("no", ctypes.c_uint8), ("k", ctypes.c_uint32))


class Program(ctypes.Structure):
    """A filter for seccomp (struct sock_fprog)."""

    _fields_ = (("length", ctypes.c_uint16), ("instructions", ctypes.POINTER(Instruction)))


def main() -> None:
    """Read the job from stdin, shut in a fork of this process, and let it answer on what is stdout now."""
    job = sys.stdin.buffer.read().decode()
    for name in set(MODULES) & set("".join(c if c.isalnum() or c == "_" else " " for c in job).split()):
        __import__(MODULES[name])
    os.dup2(1, CHANNEL)
    silence = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(silence, descriptor)
    os.closerange(CHANNEL + 1, 1 << 10)
    libc = ctypes.CDLL(None, use_errno=True)
    must(libc.prctl(PR_SET_PDEATHSIG, SIGKILL))
    enter_namespaces(libc)
    child = os.fork()
    if child:
        os.close(CHANNEL)
        os.waitpid(child, 0)
        return
    shut_in(libc)
    send(READY)
    evaluate(*job.split(SEPARATOR))
    os._exit(0)


def must(result: int) -> None:
    """OSError for a call of libc that failed: without one of the walls nothing is run."""
    if result != 0:
        raise OSError(ctypes.get_errno(), "the sandbox could not be made")


def enter_namespaces(libc: ctypes.CDLL) -> None:
    """New user, pid (for children), network, mount, IPC and host-name namespaces; this user is nobody inside."""
    user, group = os.geteuid(), os.getegid()
    must(libc.unshare(NEW_NAMESPACES))
    for name, text in (("setgroups", "deny"), ("uid_map", f"65534 {user} 1"), ("gid_map", f"65534 {group} 1")):
        descriptor = os.open(f"/proc/self/{name}", os.O_WRONLY)
        os.write(descriptor, text.encode())
        os.close(descriptor)


def shut_in(libc: ctypes.CDLL) -> None:
    """An empty read-only root, limits, no capability, and no system call that makes processes or reaches out."""
    machine = os.uname().machine
    must(libc.prctl(PR_SET_PDEATHSIG, SIGKILL))
    must(libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None))
    must(libc.mount(b"none", b"/proc", b"tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, None))
    os.chdir("/proc")
    must(libc.syscall(PIVOT_ROOT[machine], b".", b"."))
    must(libc.umount2(b".", MNT_DETACH))
    os.chdir("/")
    for limit, value in LIMITS.items():
        resource.setrlimit(limit, (value, value))
    must(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    must(libc.capset((ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()))
    filters = system_call_filter(machine)
    program = Program(len(filters), (Instruction * len(filters))(*filters))
    must(libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0))


def system_call_filter(machine: str) -> list[Instruction]:
    """Seccomp: EPERM for the denied calls and those of another ABI, death for those of another architecture."""
    load, equal, at_least, answer = 0x20, 0x15, 0x35, 0x06
    refused = [Instruction(equal, 0, 1, number) for number in (*DENIED[machine], *DENIED_EVERYWHERE)]
    if machine == "x86_64":
        refused.append(Instruction(at_least, 0, 1, X32))
    refuse = Instruction(answer, 0, 0, REFUSE)
    return [
        Instruction(load, 0, 0, 4),
        Instruction(equal, 1, 0, ARCHITECTURE[machine]),
        Instruction(answer, 0, 0, KILL),
        Instruction(load, 0, 0, 0),
        *(step for test in refused for step in (test, refuse)),
        Instruction(answer, 0, 0, ALLOW),
    ]


def evaluate(code: str, setup: str, *calls: str) -> None:
    """Run the code and its setup, then send one line for each call: its value, or an empty one where it failed."""
    names: dict[str, object] = {"__name__": "candidate"}
    exec(compile(code, "candidate", "exec"), names)
    exec(compile(setup, "setup", "exec"), names)
    for call in calls:
        try:
            send(canonical(eval(call, names)))
        except (Exception, SystemExit, KeyboardInterrupt):  # noqa: BLE001  (what untrusted code raises is its failure)
            send("")


def send(line: str) -> None:
    """Write one line to the host."""
    data = f"{line}\n".encode()
    while data:
        data = data[os.write(CHANNEL, data) :]


def canonical(value: object) -> str:
    """One text for all values that Python calls equal (1 and 1.0, a tuple and a named tuple), and for no others.

    Of None, numbers, strings, bytes and lists, tuples, sets and dicts of them. ValueError, OverflowError, TypeError
    or AttributeError for anything else.
    """
    if value is None:
        return "None"
    if isinstance(value, str):
        return ascii("".join(value))
    if isinstance(value, bytes | bytearray):
        return ascii(bytes(value))
    if isinstance(value, complex):
        real, imaginary = canonical(value.real), canonical(value.imag)
        return f"{real}+{imaginary}j" if value.imag else real
    if isinstance(value, dict):
        return "{" + ",".join(sorted(f"{canonical(key)}:{canonical(item)}" for key, item in value.items())) + "}"
    if isinstance(value, set | frozenset):
        return "set(" + ",".join(sorted(map(canonical, value))) + ")"
    if isinstance(value, list):
        return "[" + ",".join(map(canonical, value)) + "]"
    if isinstance(value, tuple):
        return "(" + ",".join(map(canonical, value)) + ")"
    numerator, denominator = value.as_integer_ratio()  # type: ignore[attr-defined]
    return f"{numerator:x}/{denominator:x}"


if __name__ == "__main__":
    main()
