"""What a pack ends in: ``pack.json``, ``pack.md`` and the table in the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from losstune.core.files import write_atomically, write_json
from losstune.core.records import Row
from losstune.packs.claims import Judgement, Outcome
from losstune.report.parts.terminal import Column, narrowed, print_lines, print_table
from losstune.verdict import wording
from losstune.verdict.results import Results

JSON, MARKDOWN = Path("pack.json"), Path("pack.md")
OUTCOMES: tuple[Outcome, ...] = ("agrees", "disagrees", "undecided")
STYLES: dict[Outcome, str] = {"agrees": "green", "disagrees": "red", "undecided": "yellow"}


class CellFacts(Row):
    """A cell in ``pack.json``.

    Attributes:
        name: Its name.
        stand_in: What its data stands in for; None for the published data.
        missing: Why it has not run; None if it has.
        verdict: The verdict of its study; None if it has not run.
        protocol: Hash of its registration.
        num_trainings: Trainings that the study spent; None if unknown.
    """

    name: str
    stand_in: str | None
    missing: str | None = None
    verdict: str | None = None
    protocol: str | None = None
    num_trainings: int | None = None


class PackResults(Row):
    """All of ``pack.json``."""

    pack_version: int = 1
    name: str
    title: str
    sources: tuple[str, ...]
    same: tuple[str, ...]
    smaller: tuple[str, ...]
    cells: tuple[CellFacts, ...]
    claims: tuple[Judgement, ...]

    @property
    def summary(self) -> str:
        """How many claims agree, disagree and are undecided, in a sentence."""
        ran = {cell.name: cell for cell in self.cells if cell.verdict is not None}
        counts = Counter(claim.outcome for claim in self.claims if claim.cell in ran)
        total = counts.total()
        if not total:
            return "No cell has run."
        verbs = [f"{counts[outcome]} {outcome.removesuffix('s' * (counts[outcome] != 1))}" for outcome in OUTCOMES[:2]]
        parts = wording.enumeration(
            [*verbs, f"{counts['undecided']} {'is' if counts['undecided'] == 1 else 'are'} undecided"]
        )
        stands_in = any(cell.stand_in for cell in ran.values())
        place = " on smaller stand-ins" if stands_in else ""
        left = len(self.claims) - total
        more = f" {wording.count(left, 'more was', 'more were')} not run." if left else ""
        return f"Of {wording.count(total, 'comparison')} with a published claim{place}, {parts}.{more}"


def cell_facts(name: str, stand_in: str | None, results: Results | None, missing: str | None) -> CellFacts:
    """Return what ``pack.json`` says about a cell."""
    if results is None:
        return CellFacts(name=name, stand_in=stand_in, missing=missing)
    return CellFacts(
        name=name,
        stand_in=stand_in,
        verdict=results.verdict.sentence,
        protocol=results.protocol,
        num_trainings=results.rounds.num_trainings if results.rounds else None,
    )


def write(found: PackResults, folder: Path) -> None:
    """Write ``pack.json`` and ``pack.md``."""
    write_json(folder / JSON, found.model_dump(mode="json"))
    write_atomically(folder / MARKDOWN, markdown(found))


def markdown(found: PackResults) -> str:
    """Return the pack's results as a page in Markdown."""
    lines = [f"# {found.title}", "", *(f"- {source}" for source in found.sources), "", found.summary, ""]
    lines += [table(found), ""]
    for title, texts in (("The same as published", found.same), ("Smaller, different or left out", found.smaller)):
        lines += [f"## {title}", "", *(f"- {text}" for text in texts), ""]
    lines += ["## Cells", ""]
    lines += [f"- **{cell.name}**: {text}" for cell in found.cells for text in _cell_lines(cell)]
    return "\n".join(lines).rstrip() + "\n"


def table(found: PackResults) -> str:
    """Return the claims as a table in Markdown, without a final line break."""
    rows = [("claim", "place", "cell", "ours: difference and interval", "outcome"), ("-",) * 5]
    for claim in found.claims:
        published = f" (published: {_published(claim)})" if claim.published else ""
        ours = claim.ours or "-"
        rows.append((claim.text + published, claim.place, claim.cell, ours, _outcome(claim)))
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows)


def print_pack(found: PackResults, console: Console | None = None) -> None:
    """Print the table of claims."""
    console = narrowed(console)
    print_lines(console, ["", Text(found.title, style="bold"), *found.sources, ""])
    columns = [
        Column("claim", wraps=True),
        Column("cell"),
        Column("ours: difference", right=True),
        Column("outcome"),
        Column("remark", wraps=True, optional=True),
    ]
    print_table(console, columns, [_row(claim) for claim in found.claims])
    print_lines(console, ["", *(f"{cell.name}: {text}" for cell in found.cells for text in _cell_lines(cell))])
    print_lines(console, ["", Text(found.summary, style="bold")])


def _row(claim: Judgement) -> Sequence[Text]:
    outcome = Text(claim.outcome, style=STYLES[claim.outcome])
    remark = claim.reason or (f"found {claim.decision}" if claim.decision != claim.direction else "")
    return [Text(claim.text), Text(claim.cell), Text(claim.ours or "-"), outcome, Text(remark)]


def _outcome(claim: Judgement) -> str:
    found = claim.decision if claim.decision not in (None, "undecided") else None
    more = "; ".join(filter(None, (found and f"found {found}", claim.reason)))
    return f"**{claim.outcome}**{f': {more}' if more else ''}"


def _published(claim: Judgement) -> str:
    shown = claim.published
    assert shown is not None
    return f"{claim.loss} {shown.loss:g}, {claim.versus} {shown.versus:g} {shown.unit}, {shown.place}"


def _cell_lines(cell: CellFacts) -> Iterator[str]:
    data = f"a smaller stand-in: {cell.stand_in}" if cell.stand_in else "the published data"
    if cell.missing is not None:
        yield f"{data}; {cell.missing}"
        return
    spent = f"; {wording.count(cell.num_trainings, 'training')}" if cell.num_trainings is not None else ""
    yield f"{data}{spent}. {cell.verdict}"
