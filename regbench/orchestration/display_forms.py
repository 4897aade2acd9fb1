"""Two forms of one view of a run: bars that stay in place in a terminal, and short lines for a log."""

import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from regbench.orchestration.status import duration

SHOWN = 6  # running jobs
FIRST, LATER, SOON = 10.0, 60.0, 600.0  # seconds between two lines of a log: in its first minutes, and after these
BAR = 24  # columns
A_SECOND = 2  # frames


class View(NamedTuple):
    """What there is to show."""

    study: str
    seconds: float  # since the start
    stages: Sequence[tuple[str, int, float, int]]  # jobs that have ended, shares of those that run, and all
    running: Sequence[tuple[str, float, float]]  # name, share that is done, seconds
    facts: Sequence[str]


class Form:
    """One that shows nothing."""

    def begin(self) -> None:
        """The number of jobs is known."""

    def say(self, text: str, *, loud: bool = False) -> None:
        """A line that stays; an error where it is loud."""

    def changed(self) -> None:
        """There may be something new to show."""

    def end(self) -> None:
        """Leave the terminal as it was."""


class Lines(Form):
    """Short lines: where it stands, every ten seconds at most, later every minute."""

    def __init__(self, stream: TextIO, view: Callable[[], View]) -> None:
        self._stream, self._view = stream, view
        self._last = -LATER
        self._text = ""
        self._begun = False

    def begin(self) -> None:
        view = self._view()
        parts = ", ".join(f"{stage} {count}" for stage, _, _, count in view.stages)
        self.say(f"study {view.study}: {sum(count for *_, count in view.stages)} jobs to run ({parts})")
        self._begun = True

    def say(self, text: str, *, loud: bool = False) -> None:
        print(f"{time.strftime('%H:%M:%S')}  {text}", file=self._stream, flush=True)

    def changed(self) -> None:
        view = self._view()
        if not self._begun or view.seconds - self._last < (FIRST if view.seconds < SOON else LATER):
            return
        text = _line(view)
        if text != self._text:
            self._last, self._text = view.seconds, text
            self.say(text)


def _line(view: View) -> str:
    ended, count = sum(stage[1] for stage in view.stages), sum(stage[3] for stage in view.stages)
    names = [f"{name} ({share:.0%})" if share else name for name, share, _ in view.running[:2]]
    more = f" and {len(view.running) - 2} more" if len(view.running) > 2 else ""
    parts = [f"{ended} of {count} jobs done", f"running: {', '.join(names)}{more}" if names else "", *view.facts]
    return "; ".join(part for part in parts if part)


class Screen(Form):
    """Bars that stay in place, with the running jobs, the time left and the best so far below."""

    def __init__(self, stream: TextIO, view: Callable[[], View]) -> None:
        self._console = Console(file=stream, soft_wrap=False)
        self._view = view
        self._live: Live | None = None

    @staticmethod
    def fits(stream: TextIO) -> bool:
        """Whether the stream is a terminal that can move its cursor."""
        with suppress(OSError, ValueError):
            return stream.isatty() and os.environ.get("TERM", "dumb") not in ("dumb", "unknown", "")
        return False

    def begin(self) -> None:
        self._live = Live(
            console=self._console, get_renderable=self._frame, refresh_per_second=A_SECOND, transient=True,
            redirect_stdout=False, redirect_stderr=False,
        )  # fmt: skip
        self._live.start()
        self._console.show_cursor(True)  # a head that is killed would leave a terminal without one

    def say(self, text: str, *, loud: bool = False) -> None:
        self._console.print(Text(text, style="bold red" if loud else "yellow"))

    def end(self) -> None:
        if self._live is not None:
            live, self._live = self._live, None
            live.stop()

    def _frame(self) -> RenderableType:
        try:
            return _frame(self._view(), self._console.width)
        except Exception as error:  # noqa: BLE001  in rich's own thread, where nobody would catch it
            return Text(f"(nothing to show: {error})")


def _frame(view: View, width: int) -> RenderableType:
    bars = Table.grid(padding=(0, 1))
    for stage, ended, inside, count in view.stages:
        bar = ProgressBar(total=count, completed=ended + inside, width=max(min(BAR, width - 40), 4))
        bars.add_row(Text(stage), bar, Text(f"{ended} of {count}"))
    running = [
        _short(f"running  {name}{f'  {share:.0%}' if share else ''}  {duration(seconds)}", width)
        for name, share, seconds in view.running[:SHOWN]
    ]
    if len(view.running) > SHOWN:
        running.append(Text(f"         and {len(view.running) - SHOWN} more"))
    head = _short(f"study {view.study}  {duration(view.seconds)}", width)
    return Group(head, bars, *running, *(_short(fact, width) for fact in view.facts))


def _short(text: str, width: int) -> Text:
    line = Text(text, no_wrap=True, overflow="ellipsis")
    line.truncate(max(width - 1, 1), overflow="ellipsis")
    return line
