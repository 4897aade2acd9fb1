"""A small, real Slurm on this machine: one controller and four virtual nodes on loopback, three of them with two GPUs.

    python tests/slurm/cluster.py up|down|fail NODE|back NODE

The GPUs are Slurm's only (device files that are no GPU). No systemd, no cgroups, no accounting. Needs root, because
jobs and daemons look for their settings in /etc/slurm, and Debian's slurmctld, slurmd and munge (`up` installs them).
Every process that `up` starts is written down by its pid, and `down` ends these and no others.
"""

import os
import platform
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

# `su` and cron leave these out of root's PATH; Slurm's daemons lie there.
os.environ["PATH"] = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"])

HOME = Path(os.environ.get("REGBENCH_SLURM_HOME", "/tmp/regbench-slurm"))  # short: a socket lies here
ETC = Path("/etc/slurm")
PACKAGES = ("munge", "slurmctld", "slurmd", "slurm-client", "slurm-wlm-basic-plugins")
NODES = ("c1", "g1", "g2", "g3")
GPUS = 2  # of each node g*
CLUSTER = "regbench-drills"
FILES = ("slurm.conf", "gres.conf", "cgroup.conf")

SETTINGS = """\
ClusterName={cluster}
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={home}/munge.socket
StateSaveLocation={home}/state
SlurmdSpoolDir={home}/spool/%n
SlurmctldPidFile={home}/run/slurmctld.own
SlurmdPidFile={home}/run/slurmd-%n.own
SlurmctldLogFile={home}/log/slurmctld.log
SlurmdLogFile={home}/log/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
SchedulerParameters=bf_interval=1,sched_interval=1,sched_min_interval=0,batch_sched_delay=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
PreemptExemptTime=0
Prolog={home}/prolog
SlurmdTimeout=10
SlurmctldTimeout=10
ReturnToService=2
KillWait=5
OverTimeLimit=0
CompleteWait=0
JobRequeue=1
MinJobAge=36000
MailProg=/bin/true
{nodes}
PartitionName=cpu Nodes=c1 Default=YES MaxTime=INFINITE DefMemPerCPU=256 State=UP PriorityTier=1
PartitionName=gpu Nodes=g[1-3] MaxTime=INFINITE DefMemPerCPU=256 State=UP PriorityTier=1 GraceTime=5
PartitionName=urgent Nodes=g[1-3] MaxTime=INFINITE DefMemPerCPU=256 State=UP PriorityTier=10 PreemptMode=OFF
"""
# What a job got and when, written down by its node as it starts.
PROLOG = """\
#!/bin/sh
echo "$SLURM_JOB_ID $SLURMD_NODENAME ${{SLURM_JOB_GPUS:--}} $(date +%s.%N)" >> {home}/started
"""


def install() -> None:
    """Debian's packages, without starting their services."""
    if all(shutil.which(name) for name in ("munged", "slurmctld", "slurmd", "sbatch")):
        return
    policy = Path("/usr/sbin/policy-rc.d")
    mine = not policy.exists()
    if mine:
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
    try:
        quiet = {
            "stdout": subprocess.DEVNULL,
            "env": {**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        }
        subprocess.run(["apt-get", "update", "-qq"], check=True, **quiet)
        subprocess.run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *PACKAGES], check=True, **quiet)
    finally:
        if mine:
            policy.unlink()


def up() -> bool:
    """Start what does not run yet; return when every node is ready: whether the controller was started now."""
    if os.geteuid() != 0 or not (shutil.which("sbatch") or shutil.which("apt-get")):
        sys.exit(f"`make slurm-test` must run as root on Debian or Ubuntu (in a container, for example), or with "
                 f"{', '.join(PACKAGES)} installed, and as root: Slurm looks for its settings in {ETC}.")  # fmt: skip
    install()
    for name in ("run", "log", "state", "spool", "dev"):
        (HOME / name).mkdir(parents=True, exist_ok=True)
    _configure()
    if not (HOME / "munge.key").exists():
        (HOME / "munge.key").touch(0o600)
        (HOME / "munge.key").write_bytes(secrets.token_bytes(1024))
    _start("munged", "munged", "--foreground", "--force", f"--key-file={HOME}/munge.key",
           f"--socket={HOME}/munge.socket", f"--pid-file={HOME}/run/munged.own", f"--log-file={HOME}/log/munged.log",
           f"--seed-file={HOME}/munge.seed")  # fmt: skip
    _wait(10, "munged", (HOME / "munge.socket").exists)
    fresh = not _pid("slurmctld")
    _start("slurmctld", "slurmctld", "-D")
    _wait(30, "slurmctld", lambda: " UP" in slurm("scontrol", "ping"))
    for node in NODES:
        back(node)
    return fresh


def back(node: str) -> None:
    """Start a node, and wait until jobs can run there."""
    (HOME / "spool" / node).mkdir(exist_ok=True)
    _start(f"slurmd-{node}", "slurmd", "-D", "-N", node)
    ready = ("idle", "mixed", "allocated")
    _wait(40, f"slurmd-{node}", lambda: slurm("sinfo", "-h", "-n", node, "-o", "%T").split()[:1][0] in ready)


def fail(node: str) -> None:
    """A power cut: kill a node's daemon with all that runs under it."""
    if pid := _pid(f"slurmd-{node}"):
        _kill(pid, signal.SIGKILL)
    _end_jobs_of(node)
    (HOME / "run" / f"slurmd-{node}.pid").unlink(missing_ok=True)


def down() -> None:
    """End the jobs, then what `up` started, by pid."""
    if (ETC / "slurm.conf").is_symlink() and (ETC / "slurm.conf").resolve().is_relative_to(HOME.resolve()):
        if " UP" in slurm("scontrol", "ping"):
            slurm("scancel", "--user=root")
            end = time.monotonic() + 15
            while slurm("squeue", "-h") and time.monotonic() < end:
                time.sleep(0.2)
        for name in [*(f"slurmd-{node}" for node in NODES), "slurmctld", "munged"]:
            _stop(name)
        _end_jobs_of(*NODES)  # they outlive their daemons, as on a real node
        for name in FILES:
            (ETC / name).unlink(missing_ok=True)
    shutil.rmtree(HOME, ignore_errors=True)


def started() -> dict[str, list[str]]:
    """Node, GPUs and second of the start of every job that has run; the last start where it ran again."""
    return {line.split()[0]: line.split()[1:] for line in (HOME / "started").read_text().splitlines()}


def slurm(*words: str) -> str:
    """What a command of Slurm says."""
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=60).stdout


def tree(pid: int) -> list[int]:
    """A process and all below it."""
    children = Path(f"/proc/{pid}/task")
    found = []
    for task in children.iterdir() if children.exists() else ():
        try:
            found += (task / "children").read_text().split()
        except OSError:
            continue
    return [pid, *(one for child in found for one in tree(int(child)))]


def _configure() -> None:
    ports = iter(_free_ports(len(NODES) + 1))
    port = next(ports)
    lines = [
        f"NodeName={node} NodeHostname={platform.node().split('.')[0]} NodeAddr=127.0.0.1 Port={next(ports)} CPUs=8 "
        f"RealMemory=64000 {f'Gres=gpu:fake:{GPUS} ' if node[0] == 'g' else ''}State=UNKNOWN"
        for node in NODES
    ]
    for number in range(GPUS):
        device = HOME / "dev" / f"gpu{number}"
        if not device.exists():  # Slurm drops a GPU without a device file: a second /dev/null
            os.mknod(device, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    text = {
        "slurm.conf": SETTINGS.format(
            host=platform.node().split(".")[0], cluster=CLUSTER, port=port, home=HOME, nodes="\n".join(lines)
        ),
        "gres.conf": f"NodeName=g[1-3] Name=gpu Type=fake File={HOME}/dev/gpu[0-{GPUS - 1}]\n",
        "cgroup.conf": "CgroupPlugin=cgroup/v1\n",  # 22.05 loads one even if nothing uses it
    }
    ETC.mkdir(exist_ok=True)
    for name, content in text.items():
        if not (HOME / name).exists():
            (HOME / name).write_text(content)
        if not (ETC / name).is_symlink():
            if (ETC / name).exists():
                sys.exit(f"`{ETC / name}` must be free for the test cluster, but belongs to something else.")
            (ETC / name).symlink_to(HOME / name)
    (HOME / "prolog").write_text(PROLOG.format(home=HOME))
    (HOME / "prolog").chmod(0o755)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def _start(name: str, *command: str) -> None:
    if _pid(name):
        return
    with (HOME / "log" / f"{name}.out").open("ab") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    (HOME / "run" / f"{name}.pid").write_text(str(process.pid))
    while process.poll() is None and not _pid(name):  # not yet the program
        time.sleep(0.01)


def _pid(name: str) -> int:
    """The pid that was written down, while it still runs that program; else 0."""
    try:
        pid = int((HOME / "run" / f"{name}.pid").read_text())
        running = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, ValueError):
        return 0
    return pid if name.partition("-")[0] in running and state != "Z" else 0


def _stop(name: str) -> None:
    if pid := _pid(name):
        _kill(pid, signal.SIGTERM)
        end = time.monotonic() + 10
        while _pid(name) and time.monotonic() < end:
            time.sleep(0.1)
        if _pid(name):
            _kill(pid, signal.SIGKILL)


def _kill(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _end_jobs_of(*nodes: str) -> None:
    """Kill whatever the daemons of `nodes` have started, until nothing of it is left."""
    end = time.monotonic() + 30
    while found := _started_by(*nodes):
        for pid in found:
            _kill(pid, signal.SIGKILL)
        if time.monotonic() > end:
            sys.exit(f"processes of {', '.join(nodes)} do not end: {found}")
        time.sleep(0.1)


def _started_by(*nodes: str) -> list[int]:
    """Step daemons, which hold their node's log open, and jobs, which name cluster and node in their environment.

    The process tree would not do: a job whose step daemon was killed is a child of nobody's.
    """
    logs = {str(HOME / "log" / f"slurmd-{node}.log") for node in nodes}
    names = {f"SLURMD_NODENAME={node}".encode() for node in nodes}
    found = []
    for entry in Path("/proc").iterdir():
        try:
            here = entry.name.isdigit() and set((entry / "environ").read_bytes().split(b"\0"))
        except OSError:
            continue
        of_job = here and f"SLURM_CLUSTER_NAME={CLUSTER}".encode() in here and not names.isdisjoint(here)
        if of_job or (here is not False and not logs.isdisjoint(_open_files(entry))):
            found.append(int(entry.name))
    return found


def _open_files(process: Path) -> set[str]:
    try:
        return {os.readlink(entry) for entry in (process / "fd").iterdir()}
    except OSError:
        return set()


def _wait(seconds: float, name: str, ready) -> None:
    end = time.monotonic() + seconds
    while not ready():
        if not _pid(name) or time.monotonic() > end:
            log = (HOME / "log" / f"{name}.out").read_text()[-2000:]
            sys.exit(f"{name} did not come up:\n{log}")
        time.sleep(0.1)


if __name__ == "__main__":
    {"up": up, "down": down, "fail": fail, "back": back}[sys.argv[1]](*sys.argv[2:])
