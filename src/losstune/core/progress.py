"""Progress with an ETA: a bar in a terminal, a few plain lines elsewhere."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console
from rich.progress import BarColumn, ProgressColumn, Task, TextColumn
from rich.progress import Progress as RichProgress
from rich.text import Text

LINE_EVERY_FRACTION = 0.1
LINE_EVERY_SEC = 30.0


class Progress:
    """Tells how far a piece of work is and how long it will take; a context manager.

    On a terminal it is one bar that vanishes at the end. Elsewhere (a log file, a pipe, DVC's output) it is
    a line at the start, one per 10% or per 30 seconds, and one at the end.

    Args:
        total: Units to do now, without the kept ones. The time left is judged by these alone.
        label: What is being done, such as ``"tune"``; begins every line.
        kept: Units found finished from an earlier run.
        unit: Name of one unit; an "s" makes its plural.
        stream: Where to write; standard error by default.
        clock: A monotonic clock in seconds.

    Example:
        >>> import sys
        >>> no_time = lambda: 0.0
        >>> with Progress(2, "confirm", kept=1, unit="block", stream=sys.stdout, clock=no_time) as progress:
        ...     progress.update(1)
        ...     progress.update(2)
        confirm: 2 blocks to go, 1 kept
        confirm 1/2, 50%, 0:00 elapsed, about 0:00 left
        confirm: 2 blocks in 0:00
    """

    def __init__(
        self,
        total: int,
        label: str,
        *,
        kept: int = 0,
        unit: str = "trial",
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._total = total
        self._label = label
        self._kept = kept
        self._unit = unit
        self._stream = sys.stderr if stream is None else stream
        self._clock = clock
        self._lock = threading.Lock()
        self._start = self._line_at = clock()
        self._done = self._line_done = 0
        self._note = ""
        self._bar: RichProgress | None = None

    def __enter__(self) -> Self:
        """Say what is to be done."""
        self._start = self._line_at = self._clock()
        if self._total == 0:
            self._write(f"{self._label}: nothing left to do, {_count(self._kept, self._unit)} kept")
            return self
        kept = f", {self._kept} kept" if self._kept else ""
        self._write(f"{self._label}: {_count(self._total, self._unit)} to go{kept}")
        if _is_terminal(self._stream):
            columns = (TextColumn("{task.description}"), BarColumn(), _StatusColumn(self._status))
            self._bar = RichProgress(*columns, console=Console(file=self._stream), transient=True)
            self._bar.add_task(self._label, total=self._total)
            self._bar.start()
        return self

    def update(self, done: int, note: str = "") -> None:
        """Say that `done` of the total units are finished by now; any thread may call it.

        Args:
            done: Finished units since the start, not since the last call. A lower number than before, as
                threads that race for the lock may bring, is ignored.
            note: A few words that end the line, such as ``"best accuracy 0.981"``.
        """
        with self._lock:
            if done <= self._done:
                return
            self._done, self._note = done, note
            if self._bar is not None:
                self._bar.update(self._bar.task_ids[0], completed=done)
            elif done < self._total and self._is_due():
                self._line_at, self._line_done = self._clock(), done
                self._write(f"{self._label} {self._status()}")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Say how long it took, or where it was cut short."""
        with self._lock:
            if self._bar is not None:
                self._bar.stop()
                self._bar = None
            if self._total == 0:
                return
            elapsed = format_duration(self._clock() - self._start)
            if kind is None and self._done >= self._total:
                self._write(f"{self._label}: {_count(self._total, self._unit)} in {elapsed}")
            else:
                self._write(f"{self._label}: ended at {self._done}/{self._total} after {elapsed}")

    def _is_due(self) -> bool:
        fraction = (self._done - self._line_done) / self._total
        return fraction >= LINE_EVERY_FRACTION or self._clock() - self._line_at >= LINE_EVERY_SEC

    def _status(self) -> str:
        done, elapsed_sec = self._done, self._clock() - self._start
        parts = [
            f"{done}/{self._total}",
            f"{100 * done // self._total}%",
            f"{format_duration(elapsed_sec)} elapsed",
        ]
        if done:
            parts.append(f"about {format_duration(elapsed_sec / done * (self._total - done))} left")
        if self._note:
            parts.append(self._note)
        return ", ".join(parts)

    def _write(self, line: str) -> None:
        print(line, file=self._stream, flush=True)


class _StatusColumn(ProgressColumn):
    # Rich redraws it ten times a second, so that the clock runs on while a long unit is being worked on.
    def __init__(self, status: Callable[[], str]) -> None:
        super().__init__()
        self._status = status

    def render(self, task: Task) -> Text:
        return Text(self._status())


def format_duration(seconds: float) -> str:
    """Return minutes and seconds, ``"2:30"``, with hours in front where there are any, ``"1:02:30"``."""
    minutes, whole_seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{whole_seconds:02}" if hours else f"{minutes}:{whole_seconds:02}"


def _count(number: int, unit: str) -> str:
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"


def _is_terminal(stream: TextIO) -> bool:
    return stream.isatty() and os.environ.get("TERM", "") not in {"dumb", "unknown"}
