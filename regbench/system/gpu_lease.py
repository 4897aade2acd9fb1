"""A GPU of one's own where no scheduler gives one: a lease by file lock, taken before torch looks at the devices.

Snakemake counts GPUs on a workstation (`resources: gpu=2`) and never says which: two jobs would meet on the first one.
Each job therefore locks the file of a free GPU, in a folder that all studies of a user share, and sees that GPU alone
through CUDA_VISIBLE_DEVICES. The kernel frees the lock when the process ends, `kill -9` included.

Where CUDA_VISIBLE_DEVICES is set, by a scheduler or by the user, nothing is done.

Environment:
    REGBENCH_GPUS: ids of the GPUs that may be used (``0,2``, or UUIDs); default: all that `nvidia-smi -L` lists.
    REGBENCH_GPU_SHARE: how many jobs may compute on one GPU at once; default: 1.
    REGBENCH_GPU_LOCKS: folder of the locks, on a disk of this machine; default: /tmp/regbench-gpus-<user id>, which
        belongs to the user alone. Users who share GPUs name one folder that all of them trust, with the sticky bit.
"""

import fcntl
import logging
import os
import re
import stat
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from regbench.system.errors import UsageError

LOG = logging.getLogger(__name__)
VISIBLE = "CUDA_VISIBLE_DEVICES"
POLL = 1.0  # seconds between two looks for a free GPU
_HELD: list[int] = []  # descriptors that stay open, and so locked, until the process ends


def lease(device: str) -> str | None:
    """Take a free GPU for this process, waiting for one if need be.

    Args:
        device: of the config: ``auto``, ``cuda`` or ``cpu``; the last needs none.

    Returns:
        Its id, or None where nothing was to be taken.

    Raises:
        UsageError: if the environment's variables make no sense, or the folder of the locks cannot be used.
    """
    if device == "cpu" or VISIBLE in os.environ:
        return None
    ids = devices()
    if not ids:
        return None
    places = _places(ids, share())
    told = False
    while True:
        for identity, path in places:
            descriptor = _take(path)
            if descriptor is not None:
                _HELD.append(descriptor)
                os.environ[VISIBLE] = identity
                LOG.info("computes on GPU %s", identity)
                return identity
        if not told:
            LOG.warning("all %d GPUs are taken by other jobs; waiting for one", len(ids))
            told = True
        time.sleep(POLL)


def slots() -> int:
    """How many jobs may hold a GPU of this machine at once; 0 where it has none: what `resources: gpu=` should be."""
    return len(devices()) * share()


def devices() -> list[str]:
    """Ids of the GPUs that may be used, as CUDA_VISIBLE_DEVICES takes them; MIG slices instead of their GPU."""
    given = os.environ.get("REGBENCH_GPUS")
    if given is not None:
        ids = [part.strip() for part in given.split(",") if part.strip()]
        if len(set(ids)) < len(ids) or any(not re.fullmatch(r"[\w./-]+", identity) for identity in ids):
            raise UsageError(f"REGBENCH_GPUS must be different ids with commas between, but got {given!r}.")
        return ids
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=True, timeout=60).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return parse(listed)


def parse(listed: str) -> list[str]:
    """The UUIDs in the output of `nvidia-smi -L`."""
    gpus: list[str] = []
    whole = ""  # the GPU whose lines these are, until a slice of it is seen
    for line in listed.splitlines():
        if match := re.search(r"\(UUID: ([\w./-]+)\)", line):
            if line.startswith("GPU "):
                whole = match[1]
            elif whole in gpus:
                gpus.remove(whole)
            gpus.append(match[1])
    return gpus


def share() -> int:
    """How many jobs may hold one GPU."""
    given = os.environ.get("REGBENCH_GPU_SHARE", "1")
    if not given.isdecimal() or int(given) < 1:
        raise UsageError(f"REGBENCH_GPU_SHARE must be a whole number from 1, but got {given!r}.")
    return int(given)


def _places(ids: Sequence[str], number: int) -> list[tuple[str, Path]]:
    """The locks in the order in which they are tried: every GPU once before any is shared."""
    given = os.environ.get("REGBENCH_GPU_LOCKS")
    folder = Path(given) if given else _own_folder()
    return [(each, folder / f"{each.replace('/', '_')}.{place}.lock") for place in range(number) for each in ids]


def _own_folder() -> Path:
    """The user's own folder; made where it is not there.

    Raises:
        UsageError: if something else lies there, such as a link or a folder of another user, who put it there first.
    """
    folder = Path(f"/tmp/regbench-gpus-{os.getuid()}")  # not TMPDIR, which is another in each job of a scheduler
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
    except OSError as error:
        raise _unusable(folder, str(error.strerror)) from error
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o022:
        raise _unusable(folder, "it is not a folder that you own and that you alone can write to")
    return folder


def _unusable(path: Path, why: str) -> UsageError:
    return UsageError(f"`{path}` must be usable, but got: {why}. Set REGBENCH_GPU_LOCKS to a folder on a local disk.")


def _take(path: Path) -> int | None:
    """The descriptor of the lock, if nobody holds it.

    Users may share the files, so they are only ever opened for reading: that is enough to lock. What lies there and is
    no plain file is refused: a pipe would make the job wait for ever, a link would lock another file.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        try:
            descriptor = os.open(path, flags)
        except FileNotFoundError:
            if not path.parent.is_dir():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.parent.chmod(0o1777)
            descriptor = os.open(path, flags | os.O_CREAT, 0o644)
            os.fchmod(descriptor, 0o644)  # whatever the umask: other users must be able to lock it too
    except OSError as error:
        raise _unusable(path, str(error.strerror)) from error
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        os.close(descriptor)
        raise _unusable(path, "it is no plain file, or has other names")
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor
