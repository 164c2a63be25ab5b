"""Write docs/study.md and its figures from the results of the studies and facts.json.

    python page.py                                # reads studies/, writes ../../docs/study.md and study_*.svg
    python page.py --studies FOLDER               # of another work tree
    python ../../docs/quote_results.py            # afterwards: the README quotes the page's first lines

Every number and every statement that depends on one is computed. Studies that have not run yet are named.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import context_sections
import figures
import findings
import markup
import verdict_sections
from again import SUFFIX
from findings import ASYMMETRIC, BASELINE, CLEAN, CONDITIONS, KERAS, KL, SYMMETRIC, TAIL, Cell
from verdict_sections import KINDS, Losses

from losstune.verdict.results import Results
from losstune.verdict.wording import count, enumeration

HERE = Path(__file__).resolve().parent


def page(
    cells: Sequence[Cell], facts: Mapping[str, Any], repeated: Mapping[str, Results], across: str = ""
) -> tuple[str, dict[str, str]]:
    """Return the page, and its figures by file name.

    Args:
        cells: All cells of the matrix.
        facts: Trainings and seconds by the name of the cell, see facts.py.
        repeated: Results of repeated studies, by the title of the cell.
        across: What `losstune across` says of all studies in a sentence; empty if it has not run.
    """
    pooled = {
        condition: findings.pooled_losses(findings.results_of(cells, condition, with_verdict=True))
        for condition in CONDITIONS
    }
    facts = {cell.name: facts[cell.name] for cell in cells if cell.results is not None and cell.name in facts}
    changes = {cell.title: one for cell in cells if cell.results and (one := findings.tuning(cell.results))}
    sections = [
        _head(cells, pooled, repeated),
        verdict_sections.clean(cells, pooled[CLEAN]),
        verdict_sections.noise(cells, pooled),
        verdict_sections.tail(cells, pooled[TAIL]),
        verdict_sections.repetitions(cells, repeated),
        verdict_sections.kl(cells),
        context_sections.tuning(cells, changes),
        context_sections.cost(cells, facts),
        context_sections.calibration(cells),
        context_sections.noise_floor(cells),
        verdict_sections.verdicts(cells, across),
        context_sections.run_again(facts),
    ]
    drawn = {
        "study_losses.svg": figures.losses_svg(
            {condition: {name: one for name, (one, _) in losses.items()} for condition, losses in pooled.items()}, cells
        ),
        "study_kl.svg": figures.kl_svg(cells, (KL, KERAS)),
        "study_tuning.svg": figures.tuning_svg(changes),
    }
    return "\n\n".join(sections) + "\n", drawn


def _head(cells: Sequence[Cell], pooled: Mapping[str, Losses], repeated: Mapping[str, Results]) -> str:
    run = findings.results_of(cells)
    missing = [cell.title for cell in cells if cell.results is None]
    so_far = (
        f"{len(run)} of the {len(cells)} studies have run. These have not: {enumeration(missing)}. What follows is "
        "about the others."
        if missing
        else f"All {len(cells)} studies have run."
    )
    silent = [cell.title for cell in cells if cell.results is not None and not cell.has_verdict]
    no_verdict = (
        f" {count(len(silent), 'study has', 'studies have')} no verdict, because a control failed: "
        f"{enumeration(silent)}. Sections 1 to 3 leave {'it' if len(silent) == 1 else 'them'} out."
        if silent
        else ""
    )
    return "\n\n".join(
        [
            "# Is any loss better than cross-entropy?",
            markup.quote(_finding(cells, pooled, repeated)),
            markup.fill(
                "losstune asked this on seven data sets: handwritten digits (scikit-learn's and MNIST), CIFAR-10, "
                "features of a frozen backbone for samples of the last two, and two tables. Each was trained with "
                "correct labels, with 40% symmetric and with 40% asymmetric noise in the training labels, and four "
                "with a long tail. Every study compares 20 or 23 losses with the [pooled protocol](protocol.md), and "
                f"has a verdict of its own. The studies' [README](../studies/real/README.md) describes data, models "
                f"and budgets. {so_far}{no_verdict}"
            ),
            markup.fill(
                "The data sets are small: 70 to 2,500 training samples. The models are small, too, and train for "
                "seconds. Nothing is claimed beyond these studies. All differences are test accuracy minus "
                f"{BASELINE}'s, in percentage points, with 95% intervals. A difference within ±0.5 points counts as "
                "equivalent. The intervals cover searches and seeds on one split of the data, and no other test "
                "samples: on the 71 of wine, one sample is 1.4 points. The means over studies cover that, too."
            ),
            markup.fill(
                "**Many comparisons.** Within a study, all claims together hold at 5%, for all its losses and looks. "
                f"Over {len(run)} studies, at most {0.05 * len(run):.3g} studies with a false claim are to be "
                "expected. An estimate that made a study stop early tends to be too large. So a single claim deserves "
                "a repetition: see section 4."
            ),
        ]
    )


def _finding(cells: Sequence[Cell], pooled: Mapping[str, Losses], repeated: Mapping[str, Results]) -> str:
    """Return what was found, in some sentences."""
    clean = findings.results_of(cells, CLEAN, with_verdict=True)
    noisy = findings.results_of(cells, SYMMETRIC, ASYMMETRIC, with_verdict=True)
    tail = findings.results_of(cells, TAIL, with_verdict=True)
    total = findings.total(clean)
    others = enumeration([f"{total[kind]} {kind}" for kind in KINDS[1:]])
    sentences = [
        f"With correct labels, {total['better']} of {total.total()} comparisons in "
        f"{count(len(clean), 'study', 'studies')} found a loss better than {BASELINE} ({others})",
        _average(pooled[CLEAN]),
    ]
    if noisy:
        total, top = findings.total(noisy), verdict_sections.most_often(noisy, 1)
        sentences.append(
            f"With 40% wrong training labels, {total['better']} of {total.total()} in "
            f"{count(len(noisy), 'study', 'studies')} found a better one" + (f", most often {top}" if top else "")
        )
    if tail:
        total = findings.total(tail)
        sentences.append(
            f"With a long tail, {total['better']} of {total.total()} in {count(len(tail), 'study', 'studies')} did"
        )
    pairs = findings.repetitions(cells, repeated)
    if pairs:
        found = [pair.is_found for pair in pairs]
        clean_found = [pair.is_found for pair in pairs if pair.cell.condition == CLEAN]
        sentences.append(
            f"Of {count(len(pairs), 'claim that was', 'claims that were')} repeated with other seeds, "
            f"{sum(found)} were found again ({sum(clean_found)} of {len(clean_found)} with correct labels) and "
            f"{sum(pair.has_same_sign for pair in pairs)} kept the sign"
        )
    sentences.append(_finding_on_kl(findings.results_of(cells)))
    return "".join(f"{sentence}. " for sentence in sentences).rstrip()


def _average(pooled: Losses) -> str:
    """Return what holds on average over the studies."""
    if not pooled:
        return "There are too few studies for an average"
    better = [name for name, (one, p_holm) in pooled.items() if one.mean > 0 and p_holm <= 0.05]
    who = f"{enumeration(better)} {'is' if len(better) == 1 else 'are'}" if better else "No loss is"
    return (
        f"{who} better on average over the studies, and for {findings.num_without_advantage(pooled)} of {len(pooled)} "
        "losses, the average rules out an advantage of 0.5 points"
    )


def _finding_on_kl(run: Sequence[Results]) -> str:
    counts = {loss: findings.excluding_zero(run, loss) for loss in (KL, KERAS)}
    text = (
        f"KL divergence, which is cross-entropy on hard labels, differs from it in {counts[KL][0]} of {counts[KL][1]} "
        f"studies (chance alone gives {0.05 * counts[KL][1]:.3g} at most), and KL divergence with Keras's clipping "
        f"in {counts[KERAS][0]} of {counts[KERAS][1]}"
    )
    decided = findings.decisions(run).get(KERAS, Counter())
    parts = [f"{decided[kind]} call it {kind}" for kind in ("better", "worse") if decided[kind]]
    return text + (f"; of the studies' verdicts, {' and '.join(parts)}" if parts else "")


def repeated_in(studies: Path, cells: Iterable[Cell]) -> dict[str, Results]:
    """Return the results of the studies that again.py repeated, by the title of the cell."""
    found = {}
    for cell in cells:
        path = studies / f"{cell.title}{SUFFIX}-{cell.name.rpartition('-')[2]}" / "results.json"
        if path.exists():
            found[cell.title] = Results.model_validate_json(path.read_bytes())
    return found


def across_in(studies: Path) -> str:
    """Return the sentence of the comparison of all studies; nothing if there is none."""
    path = studies.parent / "across" / "across.json"
    return str(json.loads(path.read_text(encoding="utf-8")).get("sentence", "")) if path.exists() else ""


def main() -> None:
    """Write the page and its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=Path, default=HERE / "studies", help="the folder of the studies")
    parser.add_argument("--output", type=Path, default=HERE.parents[1] / "docs", help="the folder to write to")
    options = parser.parse_args()
    cells = findings.load(options.studies)
    facts = json.loads((HERE / "facts.json").read_text(encoding="utf-8"))
    text, drawn = page(cells, facts, repeated_in(options.studies, cells), across_in(options.studies))
    for name, content in {"study.md": text, **drawn}.items():
        (options.output / name).write_text(content, encoding="utf-8")
    print(f"{options.output / 'study.md'}: {len(findings.results_of(cells))} of {len(cells)} studies")


if __name__ == "__main__":
    main()
