"""Writes what the pages quote of the default studies' ``results.json``: ``python docs/quote_results.py``.

A page has a quotation between ``<!-- verdict of FOLDER -->`` or ``<!-- table of FOLDER -->`` and ``<!-- end -->``.
``<!-- pack of NAME -->`` quotes what a study pack is, and its claims, judged by the results in ``packs/NAME``.
``<!-- finding of PAGE -->`` repeats the quotation at the top of that page, which ``studies/real/page.py`` writes.
"""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

from losstune.packs import outputs
from losstune.packs.loading import load_pack
from losstune.packs.run import judged
from losstune.report.differences import differences_svg
from losstune.report.scaled import values
from losstune.verdict import wording
from losstune.verdict.results import LossResult, Results

ROOT = Path(__file__).parents[1]
RESULTS = ROOT
"""Where the default studies are."""
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FIGURES = {".": ROOT / "docs/differences.svg", "studies/noisy_digits-cnn": ROOT / "docs/differences_noise.svg"}
SCALED = {"scaled_nll": "NLL, scaled", "scaled_ece": "ECE, scaled"}
QUOTATION = re.compile(r"(<!-- (verdict|table|pack|finding) of (\S+) -->\n).*?(?=<!-- end -->)", flags=re.DOTALL)


def results_of(folder: str) -> Results:
    """Return the results of the study in a folder of the repository."""
    return Results.model_validate_json((RESULTS / folder / "results.json").read_bytes())


def quoted(text: str) -> str:
    """Return a page's text with current quotations."""
    write = {"verdict": _verdict, "table": _table, "pack": _pack, "finding": _finding}
    return QUOTATION.sub(lambda found: found[1] + write[found[2]](found[3]), text)


def _pack(name: str) -> str:
    pack = load_pack(name)
    found = judged(pack, ROOT / "packs" / name)
    has_run = any(cell.verdict for cell in found.cells)
    lists = {"The same as published": found.same, "Smaller, different or left out": found.smaller}
    blocks = [" ".join(found.sources)]
    for title, texts in lists.items():
        lines = (textwrap.fill(text, 120, initial_indent="- ", subsequent_indent="  ") for text in texts)
        blocks.append("\n".join((f"{title}:\n", *lines)))
    blocks += [found.summary if has_run else "Not run yet.", outputs.table(found)]
    return "\n\n".join((textwrap.fill(blocks[0], 120), *blocks[1:])) + "\n"


def _finding(page: str) -> str:
    lines = (ROOT / page).read_text(encoding="utf-8").splitlines(keepends=True)
    return "".join(line for line in lines if line.startswith("> "))


def _verdict(folder: str) -> str:
    results, lead = results_of(folder), "> "
    return textwrap.fill(results.verdict.sentence, 120, initial_indent=lead, subsequent_indent=lead) + "\n"


def _table(folder: str) -> str:
    results = results_of(folder)
    columns = ("loss", f"test {results.units.label}", "difference, points", "Holm p", "decision", *SCALED.values())
    rows = [columns, ["-"] * len(columns), *(_cells(result, results) for result in results.ranked())]
    lines = "".join(f"| {' | '.join(cells)} |\n" for cells in rows)
    return f"{lines}\nRegistered as `{results.protocol[:12]}`.\n"


def _cells(result: LossResult, results: Results) -> list[str]:
    difference, units, scaled = result.difference, results.units, values(result, results)
    needed = f", {result.further_short}" if result.further_short else ""
    return [
        result.loss,
        units.score(result.scores[results.metric].mean) if result.scores else "-",
        units.with_interval(difference.mean, difference.low, difference.high) if difference else "",
        wording.p_value(difference.p_holm) if difference and difference.p_holm is not None else "",
        f"{result.standing}{needed}",
        *(scaled[name][0] if name in scaled else "" for name in SCALED),
    ]


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(quoted(page.read_text(encoding="utf-8")), encoding="utf-8")
    for folder, figure in FIGURES.items():
        figure.write_text(differences_svg(results_of(folder)), encoding="utf-8")
