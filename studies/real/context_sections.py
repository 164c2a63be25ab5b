"""The sections of docs/study.md on tuning, cost, calibration and the noise floor, and how to run it again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import findings
import markup
import numpy as np
from findings import ASYMMETRIC, BASELINE, CLEAN, CONDITIONS, KL, SYMMETRIC, Cell

from losstune.verdict.wording import count, enumeration


def tuning(cells: Sequence[Cell], changes: Mapping[str, Any]) -> str:
    """Return what a search of each loss changes."""
    head = "## 6. What tuning each loss changes"
    if not changes:
        return f"{head}\n\nNo study has run yet."
    every = list(changes.values())
    ratio = findings.median_interval([one.after / one.before for one in every if one.before > 0])
    rates = findings.learning_rates(findings.results_of(cells))
    medians = sorted((float(np.median(values)), loss) for loss, values in rates.items())
    rows = []
    for condition in CONDITIONS:
        own = [changes[cell.title] for cell in cells if cell.condition == condition and cell.title in changes]
        if own:
            rows.append(
                (
                    CONDITIONS[condition],
                    str(len(own)),
                    markup.points(float(np.median([one.before for one in own]))),
                    markup.points(float(np.median([one.after for one in own]))),
                    f"{100 * float(np.median([one.gain for one in own])):+.2f}",
                    f"{sum(one.is_leader_new for one in own)} of {len(own)}",
                    f"{float(np.median([one.rank_correlation for one in own])):.2f}",
                )
            )
    return "\n\n".join(
        [
            head,
            markup.fill(
                "Before a search, every loss is trained with its published defaults at one learning rate. The "
                "standard deviation of the losses' validation accuracy then is "
                f"{markup.points(float(np.median([one.before for one in every])))} points in the median study. For the "
                "expected best of a search of eight trials of each loss it is "
                f"{markup.points(float(np.median([one.after for one in every])))}. The second is "
                f"{markup.ratio(ratio)} times the first (median over studies). In "
                f"{sum(one.is_leader_new for one in every)} of {len(every)} studies, another loss leads after the "
                "search than before. The median Spearman correlation of the losses "
                f"before and after is {float(np.median([one.rank_correlation for one in every])):.2f}."
            ),
            markup.fill(
                f"The learning rate of a loss's winner over that of {BASELINE}'s has a median over studies from "
                f"{medians[0][0]:.2g} ({medians[0][1]}) to {medians[-1][0]:.2g} ({medians[-1][1]}). For {KL}, which is "
                f"the same loss, it is {float(np.median(rates[KL])):.2g}."
                if KL in rates
                else ""
            ),
            markup.caption(
                "Table 6. Medians over the studies of each condition, in points of validation accuracy: standard "
                "deviation over the losses at the published defaults and after a search of eight trials, what the "
                f"search gains for {BASELINE}, how often the leading loss changes, and the rank correlation of the "
                "losses before and after."
            ),
            markup.table(
                ("labels", "studies", "defaults", "searched", f"{BASELINE} gains", "new leader", "rank correlation"),
                rows,
            ),
            markup.figure(
                "study_tuning.svg",
                "Spread of the losses before and after the search, in each study",
                "Figure 3. Standard deviation of all losses' validation accuracy in each study: at the published "
                "defaults with one learning rate (open), and expected after a search of eight trials of each loss "
                "(filled).",
            ),
        ]
    )


def cost(cells: Sequence[Cell], facts: Mapping[str, Any]) -> str:
    """Return trainings, hours, and the time of each loss."""
    head = "## 7. What it costs"
    if not facts:
        return f"{head}\n\nThe times are not known: `python studies/real/facts.py` writes them."
    trainings = sum(cell["trainings"] for cell in facts.values())
    hours = sum(cell["seconds"] for cell in facts.values()) / 3600
    missing = [cell.title for cell in cells if cell.results is not None and cell.name not in facts]
    times = findings.relative_seconds(facts)
    rows = [
        (loss, f"{float(np.median(values)):.2f}", f"{min(values):.2f}", f"{max(values):.2f}", str(len(values)))
        for loss, values in sorted(times.items(), key=lambda item: float(np.median(item[1])))
    ]
    slow = [row[0] for row in rows if float(row[1]) >= 1.5]
    without = f" The times of {enumeration(missing)} are not known." if missing else ""
    return "\n\n".join(
        [
            head,
            markup.fill(
                f"{count(len(facts), 'study', 'studies')} took {trainings:,} trainings and {hours:.1f} core-hours, "
                f"with their evaluations.{without} "
                + (
                    f"In the median study, {enumeration(slow)} {'takes' if len(slow) == 1 else 'take'} 1.5 times the "
                    f"seconds of {BASELINE} or more."
                    if slow
                    else f"No loss takes 1.5 times the seconds of {BASELINE} in the median study."
                )
            ),
            markup.caption(
                f"Table 7. Seconds of a training over those of {BASELINE}'s training of the same number: median of "
                "each study, then median, least and largest over the studies. The trainings take some tenths of a "
                "second to some seconds and ran beside other work, so that equal losses differ, too."
            ),
            markup.table(("loss", "median", "least", "largest", "studies"), rows),
            markup.fill(
                "[Benchmarks](benchmarks.md) has the cost of each loss alone, on a machine without other work."
            ),
        ]
    )


def calibration(cells: Sequence[Cell]) -> str:
    """Return how calibrated the losses are."""
    head = "## 8. Calibrated or not"
    groups = {
        "correct labels": findings.results_of(cells, CLEAN),
        "wrong labels": findings.results_of(cells, SYMMETRIC, ASYMMETRIC),
    }
    every = findings.results_of(cells)
    if not every:
        return f"{head}\n\nNo study has run yet."
    names = list(dict.fromkeys(loss.loss for results in every for loss in results.losses))
    found = {name: {group: findings.calibration(results, name) for group, results in groups.items()} for name in names}
    clean = found[BASELINE]["correct labels"]
    rows, lower, higher = [], Counter[str](), Counter[str]()
    for name in names:
        row = [name]
        for group, one in found[name].items():
            if not one["scaled_nll"]:
                row += ["-"] * (3 if group == "correct labels" else 1)
                continue
            if group == "correct labels":
                row += [f"{float(np.median(one[key])):.3f}" for key in ("own_ece", "scaled_ece")]
            difference = findings.median_interval(one["scaled_nll"])
            if name == BASELINE:
                row.append("")
                continue
            row.append(markup.nll(difference.value, difference.low, difference.high))
            lower[group] += difference.high < 0
            higher[group] += difference.low > 0
        rows.append(row)
    sentence = " ".join(
        f"With {group}, the scaled NLL is lower than {BASELINE}'s for {count(lower[group], 'loss', 'losses')} and "
        f"higher for {higher[group]} (interval of the median over {len(results)} studies)."
        for group, results in groups.items()
        if len(results) >= 6
    )
    lead = (
        f"With correct labels, {BASELINE}'s median ECE is {float(np.median(clean['own_ece'])):.3f} as trained and "
        f"{float(np.median(clean['scaled_ece'])):.3f} after one temperature, fitted on validation. "
        if clean["own_ece"]
        else ""
    )
    return "\n\n".join(
        [
            head,
            markup.fill(lead + (sentence or "An interval of a median takes six studies.")),
            markup.caption(
                "Table 8. Calibration on test: ECE by the loss's own map from outputs to probabilities and after "
                "temperature scaling (medians over the studies with correct labels), and scaled NLL minus "
                f"{BASELINE}'s in nats (medians over studies, with the exact 95% interval of the median; not corrected "
                "for the number of losses). Lower is better."
            ),
            markup.table(
                ("loss", "ECE, own map", "ECE, scaled", "scaled NLL, correct labels", "scaled NLL, wrong labels"), rows
            ),
        ]
    )


def noise_floor(cells: Sequence[Cell]) -> str:
    """Return what the studies can resolve."""
    head = "## 9. The noise floor, and published differences"
    rows = []
    for condition in CONDITIONS:
        run = findings.results_of(cells, condition)
        widths = findings.half_widths(run)
        same = [
            abs(entry.difference.mean) for results in run if (entry := findings.find(results, KL)) and entry.difference
        ]
        if widths and same:
            lower, median, upper = (float(np.quantile(widths, place, method="nearest")) for place in (0.25, 0.5, 0.75))
            rows.append(
                (
                    CONDITIONS[condition],
                    str(len(widths)),
                    f"±{markup.points(median)} [{markup.points(lower)}, {markup.points(upper)}]",
                    f"{100 * float(np.mean(np.array(widths) > 0.01)):.0f}%",
                    markup.points(float(np.median(same))),
                    markup.points(max(same)),
                )
            )
    if not rows:
        return f"{head}\n\nNo study has run yet."
    clean = findings.half_widths(findings.results_of(cells, CLEAN))
    resolved = (
        f"With correct labels, the median half-width is ±{markup.points(float(np.median(clean)))} points. A published "
        "difference of that size or less would not show in these studies, which spend hundreds of trainings on each "
        "question. A comparison of one search and one seed for each loss shows less. "
        if clean
        else ""
    )
    return "\n\n".join(
        [
            head,
            markup.fill(
                resolved + "Two names of one loss, each searched for itself, differ by the last two columns of table "
                "9: a difference of that size says nothing about a loss."
            ),
            markup.caption(
                "Table 9. What the studies can resolve, in points of test accuracy: half-width of a comparison's 95% "
                "interval (median, and quartiles over losses and studies), the share wider than ±1 point, and the "
                f"difference between {BASELINE} and the identical {KL} (A/A; median and largest over studies)."
            ),
            markup.table(("labels", "comparisons", "half-width", "wider than ±1", "A/A median", "A/A largest"), rows),
            markup.fill(
                "How large published differences are is not repeated here: the sources that losstune checked give "
                "claims in words, and no figure was copied from memory. Hui and Belkin (2021) report a slight edge of "
                "cross-entropy over the square loss on vision; Kornblith et al. (2021) report significant "
                "improvements by many objectives on ImageNet; Dräger and Dunkelau (2022) report that KL divergence can "
                "outperform the usual choice. Whoever knows the figure compares it with table 9. [Study "
                "packs](packs.md) hold these claims as data and judge each by a study."
            ),
        ]
    )


def run_again(facts: Mapping[str, Any]) -> str:
    """Return the commands, and what the trainings ran on."""
    commits = sorted({commit for cell in facts.values() for commit in cell["commits"]})
    processors = sorted({name for cell in facts.values() for name in cell["processors"]})
    trained = (
        f"The trainings ran at commit {enumeration([f'`{commit}`' for commit in commits])} on CPUs "
        f"({enumeration(processors)}). "
        if commits
        else ""
    )
    return "\n\n".join(
        [
            "## Run it again",
            "```\nmake study-real CELL=wine          # one study; the same bytes on the same kind of machine\n"
            "make study-real                    # all of them, their comparison, and this page\n"
            "make study-real AGAIN=wine         # one study with other seeds\n"
            "python docs/quote_results.py       # the README quotes this page\n```",
            markup.fill(
                f"{trained}Registrations and results are in `studies/real/studies/<study>-<model>/`. `make study-real` "
                "also writes a report for each study (`report/report.html` in its folder) and a comparison of all "
                "losses by ranks (`studies/real/across/across.html`). This page is written by "
                "`studies/real/page.py`; do not edit it."
            ),
        ]
    )
