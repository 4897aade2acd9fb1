"""What the head process (Snakemake) says of each job in its log: sent, finished, or failed and why.

A kill by the kernel or by a scheduler leaves no word in the job's own log; the head's log has the exit status, and on
Slurm the state of the job. Read as it is written by Snakemake 9 and snakemake-executor-plugin-slurm 2.
"""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

# A rule whose log stays only where it fails has more behind its command.
STATUS = re.compile(r"> (\S.*?) 2>&1(?:| \|\| \{.*)' (?:returned non-zero exit status (\d+)|died with <Signals\.(\w+))")
LOG_OF_COMMAND = re.compile(r"> (\S.*?) 2>&1 \|\| \{")
HELD = {  # what Slurm calls the end of a job, in words
    "OUT_OF_MEMORY": "out of memory (killed by Slurm)",
    "TIMEOUT": "time limit",
    "DEADLINE": "time limit (deadline)",
    "CANCELLED": "cancelled in Slurm",
    "NODE_FAIL": "its node failed",
    "PREEMPTED": "pre-empted",
    "BOOT_FAIL": "its node did not start",
}
KILLED = "killed (SIGKILL), as the kernel does when memory runs out"


@dataclass
class Event:
    """The last that the head said of a job."""

    state: str  # "sent", "finished" or "failed"
    reason: str = ""
    attempts: int = 1
    slurm_log: str = ""


def events(path: Path) -> dict[str, Event]:
    """The last event of each job, by the path of its log, or of its output where the rule has no log.

    Empty where there is no log of a head.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    return _Reader().read(text)


class _Reader:
    """Goes through the log line by line; a block begins at the margin, its fields are indented by four."""

    def __init__(self) -> None:
        self.by_log: dict[str, Event] = {}
        self.logs: dict[str, str] = {}  # job id to the path of its log
        self.fields: dict[str, str] = {}
        self.block = ""
        self.status: dict[str, str] = {}  # exit status or signal of the last command, by the path of its log

    def read(self, text: str) -> dict[str, Event]:
        for line in text.splitlines():
            if line.startswith("    ") and self.block and line[4:5] != " ":
                key, colon, value = line[4:].partition(": ")
                if colon:
                    self.fields[key] = value
                continue
            if not line.startswith(" "):
                self._close()
                self._line(line)
            elif self.block == "error" and (match := LOG_OF_COMMAND.search(line)):
                self.fields["log of command"] = _unquoted(match[1])
        self._close()
        return self.by_log

    def _line(self, line: str) -> None:
        if re.match(r"(local)?(rule|checkpoint) \w+:$", line):
            self.block, self.fields = "job", {}
        elif re.match(r"Error in rule \w+:$", line):
            self.block, self.fields = "error", {}
        elif match := STATUS.search(line):
            self.status[_unquoted(match[1])] = match[2] or match[3]
        elif match := re.match(r"Finished jobid: (\d+)", line):
            if (log := self.logs.get(match[1])) in self.by_log:
                self.by_log[log].state = "finished"
        elif (match := re.match(r"Trying to restart job (\d+)", line)) and (log := self.logs.get(match[1])):
            self.by_log[log].state = "sent"
            self.by_log[log].attempts += 1

    def _close(self) -> None:
        block, self.block = self.block, ""
        logs = self.fields.get("log", "").removesuffix(" (check log file(s) for error details)")
        # A folder's name may have a comma; a rule without a log has one output.
        names = re.split(r"(?<=\.log), ", logs) if logs else [self.fields.get("output", "")]
        if not block or not names[0]:
            return
        event = self.by_log.setdefault(names[0], Event("sent"))
        self.logs[self.fields.get("jobid", "")] = names[0]
        event.state = "sent" if block == "job" else "failed"
        if block == "error":
            log = names[0] if logs else self.fields.get("log of command", "")
            event.reason = self._reason(self.status.pop(log, ""))
            event.slurm_log = names[1] if len(names) > 1 else ""

    def _reason(self, status: str) -> str:
        """A word for what the job's own log cannot know; empty where the job itself says what failed."""
        message = self.fields.get("message", "None")
        if match := re.search(r"(?:SLURM status is|state): '?(\w+)", message):
            if match[1] != "FAILED":
                return HELD.get(match[1], f"Slurm says {match[1]}")
            return ""
        if status in ("137", "SIGKILL"):
            return KILLED
        if status in ("143", "15", "SIGTERM"):
            return "ended by SIGTERM"
        if status.isdigit() and int(status) > 128:
            return f"killed by signal {int(status) - 128}"
        return message if message not in ("None", "") and not status else ""


def _unquoted(word: str) -> str:
    """A path as it stands in a command of a shell."""
    try:
        return shlex.split(word)[0]
    except (ValueError, IndexError):
        return word
