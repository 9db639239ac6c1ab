"""Hostile programs in the sandbox: each is given a call that is right only if it got out, or got away with it."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from coherence.tasks.code import guest, sandbox
from coherence.tasks.code.rewards import passed_reward
from coherence.tasks.code.sandbox import run_calls

LIBC = "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"
FALSE = guest.canonical(False)


def got_out(code: str, call: str) -> bool:
    """Whether `call` is true after `code`; one that fails or kills its process has not got out."""
    answers = run_calls(code, "", [call])
    assert answers is not None, "the sandbox did not come up"
    return answers == (guest.canonical(True),)


def test_an_honest_program_is_answered_and_knows_its_modules() -> None:
    code = "import math, re\nfrom collections import Counter\nfrom datetime import datetime\ndef f(x):\n    return x"
    calls = ["f(2.5)", "f({'a': (1, None)})", "math.gcd(4, 6)", "Counter('aab').most_common(1)", "f(f)", "1 / 0"]
    calls.append("datetime.strptime('2020-01-02', '%Y-%m-%d').day")
    right = [2.5, {"a": (1, None)}, 2, [("a", 2)]]
    assert run_calls(code, "", calls) == (*map(guest.canonical, right), "", "", guest.canonical(2))


@pytest.mark.parametrize(
    ("code", "call"),
    [
        ("import socket", "bool(socket.create_connection(('127.0.0.1', 22), 1))"),
        (LIBC, "libc.socket(2, 1, 0) >= 0"),
        (LIBC, "libc.socket(1, 1, 0) >= 0"),
        ("import os", "os.fork() >= 0"),
        ("import subprocess", "bool(subprocess.Popen(['/bin/true']))"),
        ("import os", "os.execv('/bin/true', ['true']) or True"),
        (LIBC, "libc.syscall(435, 0, 0) >= 0"),
        ("import os", "len(os.listdir('/')) > 0"),
        ("import os", "bool(open('/etc/passwd'))"),
        ("import os", "os.path.exists('/proc/1')"),
        ("import os", "bool(open('/x', 'w'))"),
        ("import os", "bool(open('x', 'w'))"),
        ("import os", "os.mkdir('/tmp') or True"),
        (LIBC, "libc.mount(b'none', b'/', b'tmpfs', 0, None) == 0"),
        (LIBC, "libc.unshare(0x10000000) == 0"),
        (LIBC, "libc.prctl(1, 0) == 0"),
        (LIBC, "libc.memfd_create(b'x', 0) >= 0"),
        (LIBC, "libc.ptrace(0, 0, 0, 0) == 0"),
        ("import os", "os.setuid(0) or True"),
        ("import os", "os.kill(2, 9) or True"),
        ("import os", "not {'LC_CTYPE'} >= set(os.environ)"),
        ("import sys", "len(sys.argv) > 1"),
        ("import resource", "resource.setrlimit(resource.RLIMIT_AS, (1 << 40, 1 << 40)) or True"),
    ],
)  # fmt: skip
def test_it_does_not_get_out(code: str, call: str) -> None:
    assert not got_out(code, call)


ANSWER = {"names": ["f"], "setup": "", "calls": ["f(1)", "f(2)"], "expected": ["10", "20"]}
HOSTILE = {
    "exit": "def f(x): raise SystemExit(0)",
    "exit at import": "import sys\ndef f(x): return 1\nsys.exit(0)",
    "exit at once": "import os\ndef f(x): os._exit(0)",
    "kill": "import os\ndef f(x): os.kill(os.getpid(), 9)",
    "equal to all": """
class E:
    def __eq__(self, other): return True
def f(x): return E()""",
    "an int equal to all": """
class E(int):
    def __eq__(self, other): return True
def f(x): return E(1)""",
    "no assert": "import builtins\nbuiltins.AssertionError = Exception\ndef f(x): return 1",
    "another judge": """
import sys
sys.modules['__main__'].canonical = lambda value: 'True'
def f(x): return 1""",
    "own channel": "import os\nos.write(3, b'True\\nTrue\\n')\ndef f(x): return 1\nos._exit(0)",
    "prints": "def f(x):\n    print('ready\\na/1\\n14/1')\n    return 1",
    "reads frames": """
import sys
def f(x):
    frame = sys._getframe()
    while frame:
        for value in frame.f_locals.values():
            if value in (10 * x, str(10 * x)): return value
        frame = frame.f_back""",
    "searches memory": """
import gc
def f(x):
    for held in gc.get_objects():
        if isinstance(held, (list, tuple)) and (10 * x in held or str(10 * x) in held): return 10""",
    "endless": "def f(x):\n    while True: pass",
    "memory bomb": "def f(x): return len([0] * (1 << 40)) or 10",
    "slow memory bomb": "def f(x):\n    kept = []\n    while True: kept.append(bytearray(1 << 24))",
    "long answer": "def f(x): return 'x' * (1 << 27)",
    "deep answer": "def f(x):\n    a = []\n    for _ in range(10**5): a = [a]\n    return a",
    "circular answer": "def f(x):\n    a = []\n    a.append(a)\n    return a",
    "flood": "import os\ndef f(x):\n    while True: os.write(3, b'x' * 65536)",
    "fork bomb": "import os\ndef f(x):\n    while True: os.fork()",
    "threads": """
import _thread
def f(x):
    _thread.start_new_thread(print, ())
    return 10 * x""",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_code_passes_no_test(name: str) -> None:
    began = time.monotonic()
    assert passed_reward(HOSTILE[name], ANSWER) == 0.0
    assert time.monotonic() - began < sandbox.START_S + sandbox.WALL_S + 5


def test_the_expected_values_never_go_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = []
    monkeypatch.setattr(sandbox, "_exchange", lambda job: jobs.append(job) or b"ready\n")
    assert passed_reward("def f(x): return x", ANSWER | {"expected": ["'secret'", "'secret'"]}) == 0.0
    assert len(jobs) == 1 and b"secret" not in jobs[0] and b"f(2)" in jobs[0]


def test_a_sleeper_is_stopped_by_the_clock_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "WALL_S", 0.5)
    sleeper = "import time, signal\nfor s in (1, 2, 15): signal.signal(s, signal.SIG_IGN)\ndef f(x): time.sleep(77.25)"
    assert run_calls(sleeper, "", ["f(1)"]) == ()
    deadline = time.monotonic() + 10
    while guests() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert guests() == []


def guests() -> list[str]:
    """Command lines of sandboxes that this process has left."""
    lines = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    return [line.decode() for line in lines if guest.__file__.encode() in line]


def test_what_was_answered_before_the_end_counts() -> None:
    code = "import os\ndef f(x):\n    if x == 2: os._exit(0)\n    return x"
    assert run_calls(code, "", ["f(1)", "f(2)", "f(3)"]) == (guest.canonical(1),)


@pytest.mark.parametrize("what", ["namespaces", "a wall with a hole"])
def test_without_walls_nothing_is_run_and_one_line_says_so(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {"namespaces": None, "a wall with a hole": (FALSE, "1/1", *[FALSE] * (len(sandbox.ATTEMPTS) - 2))}[what]
    said = {"namespaces": "this machine gives none", "a wall with a hole": "in its sandbox it can open a socket"}[what]
    monkeypatch.setattr(sandbox, "_answers", lambda *job: answers)
    monkeypatch.setattr(sandbox, "require_sandbox", sandbox.require_sandbox.__wrapped__)
    with pytest.raises(ValueError, match=said) as error:
        run_calls("def f(): pass", "", ["f()"])
    assert "\n" not in str(error.value)


def test_a_guest_that_cannot_make_namespaces_runs_nothing(tmp_path: Path) -> None:
    """In a namespace that allows no further ones the guest ends before it says that it is ready."""
    code = f"import os\nopen({str(tmp_path / 'ran')!r}, 'w')"
    script = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"'
    done = subprocess.run(
        ["unshare", "-r", "sh", "-c", script, "sh", sys.executable, "-I", "-S", "-B", guest.__file__],
        input=f"{code}\0\0f()", capture_output=True, text=True, env={"PATH": os.environ["PATH"]}, check=False,
    )  # fmt: skip
    assert done.returncode != 0 and done.stdout == ""
    assert not (tmp_path / "ran").exists()
