"""A real SLURM on this one machine for as long as a command runs: `python tests/slurm/cluster.py pytest tests/slurm`.

slurmctld, munge and a slurmd per node on loopback; no systemd, no cgroups, no database, null devices for GPUs. All lies
in one folder, but for the link /etc/slurm/slurm.conf: job steps look there, since the executor takes every SLURM_*
variable, SLURM_CONF too, from them. Where it may not run (no root, no apt, another cluster) it says so, exit code 0.
"""

import os
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType

import psutil

ROOT = Path("/tmp/coherence-slurm")
CONF = ROOT / "slurm.conf"
OWNER = ROOT / "owner.pid"
SYSTEM_CONF = Path("/etc/slurm/slurm.conf")
MARK = "COHERENCE_SLURM"
"""In the environment of every process that belongs to the cluster, its jobs included; and of the tests."""
PROGRAMS = ("slurmctld", "slurmd", "sbatch", "munged")
PACKAGES = ("slurmctld", "slurmd", "slurm-client", "munge")
NODES = ("cpu1", "cpu2", "gpu1")
PORT = 16817

SLURM_CONF = """\
ClusterName=coherence-test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={root}/munge.socket
CredType=cred/munge
MpiDefault=none
# processes are followed by their parents, since there are no cgroups
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=2
# polled: a job above its --mem is killed, and ends FAILED
JobAcctGatherParams=OverMemoryKill
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool/%n
SlurmctldPidFile={root}/slurmctld.pid
SlurmdPidFile={root}/slurmd.%n.pid
SlurmctldLogFile={root}/slurmctld.log
SlurmdLogFile={root}/slurmd.%n.log
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
MinJobAge=3600
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=1,sched_interval=2,bf_interval=2,sched_min_interval=0
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
ReturnToService=2
# the nodes claim more processors than the machine has
SlurmdParameters=config_overrides
SlurmdTimeout=20
SlurmctldTimeout=20
InactiveLimit=0
KillWait=15
Waittime=0
GresTypes=gpu
{nodes}
PartitionName=cpu Nodes=cpu[1-2] Default=YES MaxTime=INFINITE State=UP PriorityTier=1
PartitionName=urgent Nodes=cpu[1-2] MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=off
PartitionName=gpu Nodes=gpu1 MaxTime=INFINITE State=UP PriorityTier=1
"""
NODE = "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=4 RealMemory=16000 {gpus}State=UNKNOWN"


def main(command: Sequence[str]) -> int:
    """Run the command with the cluster up; its exit code, or 0 and one line where the cluster may not be started."""
    why = obstacle()
    if why:
        print(f"SLURM tests skipped: {why}")
        return 0
    signal.signal(signal.SIGTERM, _exit)
    os.environ[MARK] = str(ROOT)
    try:
        stop()  # what a killed run has left
        configure()
        start()
        return subprocess.run(command, check=False).returncode
    finally:
        stop()


def obstacle() -> str | None:
    """Why no cluster can be started here, if so; packages that are missing are installed."""
    if os.geteuid() != 0:
        return "only root can start a cluster of its own"
    if MARK in os.environ or (OWNER.is_file() and psutil.pid_exists(int(OWNER.read_text()))):
        return "another test cluster runs on this machine"
    ours = SYSTEM_CONF.is_symlink() and SYSTEM_CONF.readlink() == CONF  # left by a killed run
    if not ours and (os.path.lexists(SYSTEM_CONF) or "SLURM_CONF" in os.environ or _answers()):
        return "a SLURM cluster is configured on this machine"
    if not all(map(shutil.which, PROGRAMS)) and not install():
        return f"no {', '.join(PACKAGES)} here, and apt-get does not install them"
    return None


def _answers() -> bool:
    return shutil.which("scontrol") is not None and _quiet("scontrol", "ping") == 0


def _quiet(*command: str) -> int:
    return subprocess.run(command, capture_output=True, check=False).returncode


def install() -> bool:
    """Install Debian's SLURM, its services not started."""
    if shutil.which("apt-get") is None:
        return False
    os.environ |= {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}  # in runlevel 1 packages start no services
    _quiet("apt-get", "update", "-qq")
    return _quiet("apt-get", "install", "-y", "-qq", "--no-install-recommends", *PACKAGES) == 0


def configure() -> None:
    """Write the cluster's folder anew, and link its configuration to where job steps look for it."""
    shutil.rmtree(ROOT, ignore_errors=True)
    for folder in (ROOT, ROOT / "state", ROOT / "spool"):
        folder.mkdir()
    OWNER.write_text(str(os.getpid()))
    host = socket.gethostname().split(".")[0]
    nodes = [
        NODE.format(name=name, host=host, port=PORT + 1 + i, gpus="Gres=gpu:h100:2 " if "gpu" in name else "")
        for i, name in enumerate(NODES)
    ]
    CONF.write_text(SLURM_CONF.format(host=host, port=PORT, root=ROOT, nodes="\n".join(nodes)))
    for i in range(2):
        os.mknod(ROOT / f"gpu{i}", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    (ROOT / "gres.conf").write_text(f"AutoDetect=off\nNodeName=gpu1 Name=gpu Type=h100 File={ROOT}/gpu[0-1]\n")
    # slurmd loads a cgroup plugin even where nothing uses it; `disabled` came with 23.11, v1 only reads this file
    release = subprocess.run(["slurmd", "-V"], capture_output=True, text=True, check=True).stdout.split()[-1]
    plugin = "disabled" if tuple(map(int, release.split(".")[:2])) >= (23, 11) else "cgroup/v1"
    (ROOT / "cgroup.conf").write_text(f"CgroupPlugin={plugin}\n")
    key = ROOT / "munge.key"
    key.write_bytes(secrets.token_bytes(1024))
    key.chmod(0o400)
    SYSTEM_CONF.parent.mkdir(exist_ok=True)
    SYSTEM_CONF.unlink(missing_ok=True)
    SYSTEM_CONF.symlink_to(CONF)


def start() -> None:
    """Start the daemons and wait until every node is idle."""
    files = {"key-file": "key", "socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
    options = [f"--{option}={ROOT}/munge.{suffix}" for option, suffix in files.items()]
    subprocess.run(["munged", "--force", *options], check=True)
    subprocess.run(["slurmctld", "-f", CONF], check=True)
    for name in NODES:
        start_node(name)
    wait_for(idle, 60, f"the nodes are not up; logs: {ROOT}/*.log")


def start_node(name: str) -> None:
    """Start one slurmd."""
    subprocess.run(["slurmd", "-N", name, "-f", CONF], check=True)


def idle() -> bool:
    """True if no node is down or busy."""
    seen = subprocess.run(["sinfo", "-h", "-N", "-o", "%N %T"], capture_output=True, text=True, check=False).stdout
    return set(seen.split("\n")) - {""} == {f"{name} idle" for name in NODES}


def wait_for(what: Callable[[], object], seconds: float, otherwise: str) -> None:
    """Call `what` until it is true; TimeoutError saying `otherwise` if it does not become so."""
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            raise TimeoutError(otherwise)
        time.sleep(0.3)


def stop() -> None:
    """End the jobs, then every process that bears the mark, and take folder and link away."""
    _quiet("timeout", "20", "scancel", "--user", "root")
    for number in (signal.SIGTERM, signal.SIGKILL):
        ours = _ours()
        for process in ours:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)
        psutil.wait_procs(ours, timeout=15)
    if SYSTEM_CONF.is_symlink() and SYSTEM_CONF.readlink() == CONF:
        SYSTEM_CONF.unlink()
    shutil.rmtree(ROOT, ignore_errors=True)


def _ours() -> list[psutil.Process]:
    """Processes of the cluster, but for this one. slurmstepd writes its title over its environment."""
    found = [p for p in psutil.process_iter(["environ", "name"]) if p.pid != os.getpid()]
    return [p for p in found if MARK in (p.info["environ"] or {}) or p.info["name"] == "slurmstepd"]


def _exit(signum: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + signum)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
