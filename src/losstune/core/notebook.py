"""Output in a notebook."""

from __future__ import annotations

import html
import sys


def in_notebook() -> bool:
    """Return whether the code runs in a notebook's kernel. Imports nothing."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return shell is not None and hasattr(shell, "kernel")


class NotebookBar:
    """A bar with a line of text in the output of the running cell. It needs no widgets and stays when the cell ends.

    Args:
        total: Number of items at which the bar is full.
    """

    def __init__(self, total: int) -> None:
        from IPython.display import HTML, display

        self._html = HTML
        self._total = total
        self._handle = display(HTML(""), display_id=True)

    def show(self, done: int, text: str) -> None:
        """Show that `done` items are finished, with a line of text."""
        bar = f'<progress value="{done}" max="{self._total}" style="width: 16em; vertical-align: middle"></progress>'
        line = html.escape(text)
        self._handle.update(self._html(f"{bar} <code>{line}</code>"))
