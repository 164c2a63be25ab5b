"""Progress with an ETA: a bar in a terminal or a notebook, a few plain lines elsewhere."""

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

from losstune.core.notebook import NotebookBar, in_notebook

LINE_EVERY_FRACTION = 0.1
LINE_EVERY_SEC = 30.0


class Progress:
    """A context manager that shows progress and the remaining time.

    On a terminal it shows one bar, which it removes at the end, and in a notebook a bar in the cell's output. Elsewhere
    (a log file, a pipe, DVC's output) it prints a line at the start, one per 10% or per 30 seconds, and one at the end.

    Args:
        total: Number of items to do now, without the kept ones. Only these count for the remaining time.
        label: Name of the task, such as ``"tune"``; begins every line.
        kept: Number of items that an earlier run finished.
        unit: Name of one item; an "s" makes its plural.
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
        self._cell: NotebookBar | None = None

    def __enter__(self) -> Self:
        """Print how much there is to do, and start the bar on a terminal or in a notebook."""
        self._start = self._line_at = self._clock()
        if self._total == 0:
            self._write(f"{self._label}: nothing left to do, {_count(self._kept, self._unit)} kept")
            return self
        kept = f", {self._kept} kept" if self._kept else ""
        if self._stream is sys.stderr and in_notebook():
            self._cell = NotebookBar(self._total)
            self._cell.show(0, f"{self._label}: {_count(self._total, self._unit)} to go{kept}")
            return self
        self._write(f"{self._label}: {_count(self._total, self._unit)} to go{kept}")
        if _is_terminal(self._stream):
            columns = (TextColumn("{task.description}"), BarColumn(), _StatusColumn(self._status))
            self._bar = RichProgress(*columns, console=Console(file=self._stream), transient=True)
            self._bar.add_task(self._label, total=self._total)
            self._bar.start()
        return self

    def update(self, done: int, note: str = "") -> None:
        """Report that `done` of the total items are finished. Thread-safe.

        Args:
            done: Items finished since the start, not since the last call. A lower number than before, which
                concurrent threads may report, is ignored.
            note: A few words for the end of the line, such as ``"best accuracy 0.981"``.
        """
        with self._lock:
            if done <= self._done:
                return
            self._done, self._note = done, note
            if self._bar is not None:
                self._bar.update(self._bar.task_ids[0], completed=done)
            elif self._cell is not None:
                self._cell.show(done, f"{self._label} {self._status()}")
            elif done < self._total and self._is_due():
                self._line_at, self._line_done = self._clock(), done
                self._write(f"{self._label} {self._status()}")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Print how long it took, or where it was interrupted."""
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
        parts = [f"{done}/{self._total}", f"{100 * done // self._total}%", f"{format_duration(elapsed_sec)} elapsed"]
        if done:
            parts.append(f"about {format_duration(elapsed_sec / done * (self._total - done))} left")
        if self._note:
            parts.append(self._note)
        return ", ".join(parts)

    def _write(self, line: str) -> None:
        if self._cell is not None:
            self._cell.show(self._done, line)
        else:
            print(line, file=self._stream, flush=True)


class _StatusColumn(ProgressColumn):
    # Rich redraws it ten times a second, so the clock keeps running during a long item.
    def __init__(self, status: Callable[[], str]) -> None:
        super().__init__()
        self._status = status

    def render(self, task: Task) -> Text:
        return Text(self._status())


def format_duration(seconds: float) -> str:
    """Return minutes and seconds, ``"2:30"``, from one hour on with hours, ``"1:02:30"``."""
    minutes, whole_seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{whole_seconds:02}" if hours else f"{minutes}:{whole_seconds:02}"


def _count(number: int, unit: str) -> str:
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"


def _is_terminal(stream: TextIO) -> bool:
    return stream.isatty() and os.environ.get("TERM", "") not in {"dumb", "unknown"}
