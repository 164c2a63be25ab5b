"""User errors: one line that says what is wrong and how to fix it."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

MOST_LETTERS = 600
"""Characters of a library's error that are shown: enough for a full error of MLflow or Git."""


class _OneLine(Exception):  # noqa: N818  (the base of errors, not one itself)
    def _render_traceback_(self) -> list[str]:
        # IPython calls it. The line says what to do, and the frames inside of losstune do not.
        return [f"{type(self).__name__}: {self}"]


class LosstuneError(_OneLine):
    """An error that the user can fix; the command line prints it as one line and exits with code 2."""


class UnfinishedStudyError(_OneLine):
    """A stage ended before it finished all planned trainings; the ledger keeps the finished ones. Exit code 1."""


def did_you_mean(found: str, allowed: Sequence[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the closest match in `allowed` other than `found`, or an empty string.

    Example:
        >>> did_you_mean("crossentropy", ["cross_entropy", "focal"])
        "; did you mean 'cross_entropy'?"
    """
    allowed = [name for name in allowed if name != found]
    near = difflib.get_close_matches(found.lower(), [name.lower() for name in allowed], n=1, cutoff=0.6)
    if not near:
        return ""
    original = next(name for name in allowed if name.lower() == near[0])
    return f"; did you mean '{original}'?"


def in_one_line(reason: BaseException | str, most: int = MOST_LETTERS) -> str:
    r"""Return a library's error on one line; a long one is cut in the middle, between words.

    The end is kept because it usually says what to do. Mask secrets first: a secret cut in half is not recognised.

    Example:
        >>> in_one_line("no such table\n" + 99 * "as was said " + "\nrun `mlflow db upgrade`", 50)
        'no such table as was said … run `mlflow db upgrade`'
    """
    words = str(reason).strip().removesuffix(".").split()
    text = " ".join(words)
    if len(text) <= most:
        return text or type(reason).__name__
    begin: list[str] = []
    end: list[str] = []
    for word in words:
        if len(" ".join([*begin, word])) > most // 2:
            break
        begin.append(word)
    for word in reversed(words):
        if len(" ".join([word, *end])) > most // 2:
            break
        end.insert(0, word)
    # A single long word, such as a dump without spaces, has no separate end.
    return f"{' '.join(begin) or text[: most // 2]} … {' '.join(end)}".rstrip()


def printable(text: str) -> str:
    """Return `text` with line breaks and control characters escaped, as names of files and keys may hold any."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)
