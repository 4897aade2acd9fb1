"""A folder shown again on a second mount, where each operation takes a given time: `slow_mount.py BELOW MOUNT SECONDS`.

Needs FUSE and `fusepy`. Every operation is passed on to the folder below, after a wait. At its end it prints how many
there were of each kind, as JSON.
"""

import errno
import json
import os
import sys
import time
from collections import Counter

from fuse import FUSE, FuseOSError, Operations


class Slow(Operations):
    def __init__(self, below: str, seconds: float) -> None:
        self.below, self.seconds = os.path.realpath(below), seconds
        self.done: Counter[str] = Counter()

    def __call__(self, name, path, *arguments):
        self.done[name] += 1
        time.sleep(self.seconds)
        if name not in ("symlink", "link"):
            path = self.below + path
        return super().__call__(name, path, *arguments)

    def _listed(self, what, names):
        return {name: getattr(what, name) for name in names}

    def getattr(self, path, fh=None):
        names = ("st_atime", "st_ctime", "st_gid", "st_mode", "st_mtime", "st_nlink", "st_size", "st_uid", "st_ino")
        return self._listed(os.lstat(path), names)

    def statfs(self, path):
        names = ("f_bavail", "f_bfree", "f_blocks", "f_bsize", "f_favail", "f_ffree", "f_files", "f_flag", "f_frsize",
                 "f_namemax")  # fmt: skip
        return self._listed(os.statvfs(path), names)

    def access(self, path, mode):
        if not os.access(path, mode):
            raise FuseOSError(errno.EACCES)

    def readdir(self, path, fh):
        return [".", "..", *os.listdir(path)]

    def rename(self, old, new):
        os.rename(old, self.below + new)

    def create(self, path, mode, fi=None):
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, mode)

    def open(self, path, flags):
        return os.open(path, flags & ~os.O_APPEND)

    def read(self, path, size, offset, fh):
        return os.pread(fh, size, offset)

    def write(self, path, data, offset, fh):
        return os.pwrite(fh, data, offset)

    def truncate(self, path, length, fh=None):
        os.truncate(path, length)

    def flush(self, path, fh):
        return 0

    def fsync(self, path, datasync, fh):
        os.fsync(fh)

    def release(self, path, fh):
        os.close(fh)

    def utimens(self, path, times=None):
        os.utime(path, times)

    def mkdir(self, path, mode):
        os.mkdir(path, mode)

    def unlink(self, path):
        os.unlink(path)

    def rmdir(self, path):
        os.rmdir(path)

    def chmod(self, path, mode):
        os.chmod(path, mode)

    def chown(self, path, uid, gid):
        os.chown(path, uid, gid)

    def readlink(self, path):
        return os.readlink(path)


if __name__ == "__main__":
    slow = Slow(sys.argv[1], float(sys.argv[3]))
    FUSE(slow, sys.argv[2], foreground=True, use_ino=True, big_writes=True)
    print(json.dumps(dict(slow.done.most_common())))
