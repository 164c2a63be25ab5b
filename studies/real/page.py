"""Write docs/study.md and its figures from the results of the studies and facts.json.

    python page.py                                # reads studies/, writes ../../docs/study.md and study_*.svg
    python page.py --studies FOLDER               # of another work tree
    python ../../docs/quote_results.py            # afterwards: the README quotes the page's first lines

Every number and every statement that depends on one is computed. Studies that have not run yet are named.
"""

from __future__ import annotations

import argparse
import json
import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import figures
import findings
import numpy as np
from again import SUFFIX
from findings import ASYMMETRIC, BASELINE, CLEAN, CONDITIONS, SYMMETRIC, TAIL, Cell, Pooled

from losstune.verdict.results import Results
from losstune.verdict.wording import Units, count, enumeration, p_value

HERE = Path(__file__).resolve().parent
KL, KERAS = "kl_divergence", "keras_kl_divergence"
UNITS = Units("accuracy", rope=0.005)
MOST_NAMED = 7
"""Claims that are named one by one."""
KINDS = ("better", "equivalent", "worse", "undecided")


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
        _head(cells, pooled),
        _clean(cells, pooled[CLEAN], repeated),
        _noise(cells, pooled),
        _tail(cells, pooled[TAIL]),
        _kl(cells),
        _tuning(cells, changes),
        _cost(cells, facts),
        _calibration(cells),
        _noise_floor(cells),
        _verdicts(cells, across),
        _again(facts),
    ]
    drawn = {
        "study_losses.svg": figures.losses_svg(
            {condition: {name: one for name, (one, _) in losses.items()} for condition, losses in pooled.items()}, cells
        ),
        "study_kl.svg": figures.kl_svg(cells, (KL, KERAS)),
        "study_tuning.svg": figures.tuning_svg(changes),
    }
    return "\n\n".join(sections) + "\n", drawn


Losses = Mapping[str, tuple[Pooled, float]]


def _head(cells: Sequence[Cell], pooled: Mapping[str, Losses]) -> str:
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
            _quote(_finding(cells, pooled)),
            _fill(
                "losstune asked this on seven data sets: handwritten digits (scikit-learn's and MNIST), CIFAR-10, "
                "features of a frozen backbone for samples of the last two, and two tables. Each was trained with "
                "correct labels, with 40% symmetric and with 40% asymmetric noise in the training labels, and four "
                "with a long tail. Every study compares 20 or 23 losses with the [pooled protocol](protocol.md), and "
                f"has a verdict of its own. The studies' [README](../studies/real/README.md) describes data, models "
                f"and budgets. {so_far}{no_verdict}"
            ),
            _fill(
                "The data sets are small: 70 to 2,500 training samples. The models are small, too, and train for "
                "seconds. Nothing is claimed beyond these studies. All differences are test accuracy minus "
                f"{BASELINE}'s, in percentage points, with 95% intervals. A difference within ±0.5 points counts as "
                "equivalent. The intervals cover searches and seeds on one split of the data, and no other test "
                "samples: on the 71 of wine, one sample is 1.4 points. The means over studies cover that, too."
            ),
            _fill(
                "**Many comparisons.** Within a study, all claims together hold at 5%, for all its losses and looks. "
                f"Over {len(run)} studies, at most {0.05 * len(run):.3g} studies with a false claim are to be "
                "expected. An estimate that made a study stop early tends to be too large. So a single claim deserves "
                "a repetition."
            ),
        ]
    )


def _finding(cells: Sequence[Cell], pooled: Mapping[str, Losses]) -> str:
    """Return what was found, in two sentences."""
    clean = findings.results_of(cells, CLEAN, with_verdict=True)
    noisy = findings.results_of(cells, SYMMETRIC, ASYMMETRIC, with_verdict=True)
    run = findings.results_of(cells)
    won, judged = _won(clean)
    better = [name for name, (one, p_holm) in pooled[CLEAN].items() if one.mean > 0 and p_holm <= 0.05]
    over_all = (
        f"{enumeration(better)} {'is' if len(better) == 1 else 'are'} better on average over the studies"
        if better
        else "no loss is better on average over the studies"
        if pooled[CLEAN]
        else "there are too few studies for an average"
    )
    parts = [
        f"with correct labels, {won} of {judged} comparisons in {count(len(clean), 'study', 'studies')} found a loss "
        f"better than {BASELINE}, and {over_all}"
    ]
    tail = findings.results_of(cells, TAIL, with_verdict=True)
    if noisy:
        won, judged = _won(noisy)
        top = _most_often(noisy, 1)
        parts.append(
            f"with 40% wrong training labels, {won} of {judged} in {count(len(noisy), 'study', 'studies')} did"
            + (f", most often {top}" if top else "")
        )
    if tail:
        won, judged = _won(tail)
        parts.append(f"with a long tail, {won} of {judged} in {count(len(tail), 'study', 'studies')}")
    first = "; ".join(parts)
    counts = {loss: findings.excluding_zero(run, loss) for loss in (KL, KERAS)}
    second = (
        f"KL divergence, which is cross-entropy on hard labels, differs from it in {counts[KL][0]} of {counts[KL][1]} "
        f"studies (chance alone gives {0.05 * counts[KL][1]:.3g} at most), and KL divergence with Keras's clipping "
        f"in {counts[KERAS][0]} of {counts[KERAS][1]}"
    )
    decided = findings.decisions(run).get(KERAS, Counter())
    parts = [f"{decided[kind]} call it {kind}" for kind in ("better", "worse") if decided[kind]]
    if parts:
        second += f"; of the studies' verdicts, {' and '.join(parts)}"
    return f"{first[0].upper()}{first[1:]}. {second}."


def _clean(cells: Sequence[Cell], pooled: Losses, repeated: Mapping[str, Results]) -> str:
    run = findings.results_of(cells, CLEAN, with_verdict=True)
    parts = ["## 1. With correct labels", _fill(_summary(cells, (CLEAN,), pooled))]
    if run:
        parts += [
            _caption(
                f"Table 1. Each loss against {BASELINE} with correct labels: in how many studies it is better, "
                "equivalent, worse or undecided, and its mean difference in points over the studies (random effects, "
                "95% interval; p-value after Holm's correction over the losses)."
            ),
            _decision_table(cells, (CLEAN,), {CLEAN: pooled}),
            _figure(
                "study_losses.svg",
                "The mean difference of each loss from cross-entropy, by condition",
                f"Figure 1. Each loss against {BASELINE}, by what is wrong with the training labels. Diamond and bar: "
                "mean difference over the studies and its 95% interval, not corrected for the number of losses; blue "
                "excludes zero above, orange below. Dots: the single studies. Shaded: ±0.5 points. What lies beyond "
                "an axis is drawn at its end.",
            ),
            _fill(
                "The mean is that of a random-effects model with the variance between studies of Paule and Mandel, "
                "and Hartung and Knapp's interval, which is never made narrower than the usual one. It speaks for "
                "studies like these seven. MNIST and CIFAR-10 are in two of them each, with other samples and another "
                "model."
            ),
        ]
    parts.append(_repetitions(cells, repeated))
    return "\n\n".join(parts)


def _repetitions(cells: Sequence[Cell], repeated: Mapping[str, Results]) -> str:
    claims = [
        (cell, loss)
        for cell in cells
        if cell.condition == CLEAN and cell.has_verdict and cell.results
        for loss in findings.candidates(cell.results)
        if loss.decision == "better"
    ]
    if not claims:
        return "No study with correct labels found a better loss, so there is no claim to repeat."
    rows = []
    for cell, loss in claims:
        again = repeated.get(cell.title)
        entry = findings.find(again, loss.loss) if again else None
        rows.append(
            (
                cell.title,
                loss.loss,
                _difference(loss.difference),
                _difference(entry.difference) if entry else f"not run: `make study-real AGAIN={cell.title}`",
                entry.standing if entry else "",
            )
        )
    return "\n\n".join(
        [
            _caption(
                "Table 2. Every claim of a better loss with correct labels, and what the same study finds with other "
                "seeds for splits, search and trainings."
            ),
            _table(("study", "loss", "difference", "repeated", "decision"), rows),
        ]
    )


def _noise(cells: Sequence[Cell], pooled: Mapping[str, Losses]) -> str:
    parts = ["## 2. With wrong training labels"]
    parts += [_fill(_summary(cells, (condition,), pooled[condition])) for condition in (SYMMETRIC, ASYMMETRIC)]
    both = findings.pooled_losses(findings.results_of(cells, SYMMETRIC, ASYMMETRIC, with_verdict=True))
    parts += [
        _fill(f"Both kinds of noise together, so that most data sets count twice: {_pooled_words(both)}"),
        _caption(
            f"Table 3. Each loss against {BASELINE} with 40% wrong training labels, symmetric and asymmetric. Better / "
            "equivalent / worse / undecided: numbers of studies. Mean difference in points over the studies, with its "
            "95% interval and Holm's p-value. Validation and test labels are correct."
        ),
        _decision_table(cells, (SYMMETRIC, ASYMMETRIC), pooled),
        _fill("The search selects on correct validation labels, which is more than one has in practice."),
    ]
    return "\n\n".join(parts)


def _tail(cells: Sequence[Cell], pooled: Losses) -> str:
    parts = ["## 3. With a long tail", _fill(_summary(cells, (TAIL,), pooled))]
    if findings.results_of(cells, TAIL, with_verdict=True):
        parts += [
            _caption(
                f"Table 4. Each loss against {BASELINE} where the largest class has 50 times as many training samples "
                "as the smallest. Columns as in table 1. The test split is balanced, or nearly so."
            ),
            _decision_table(cells, (TAIL,), {TAIL: pooled}),
        ]
    return "\n\n".join(parts)


def _summary(cells: Sequence[Cell], conditions: Sequence[str], pooled: Losses) -> str:
    """Return counts, claims and the pooled result of some conditions in words."""
    run = findings.results_of(cells, *conditions, with_verdict=True)
    name = enumeration([CONDITIONS[condition] for condition in conditions])
    if not run:
        return f"No study counts yet: {name}."
    total: Counter[str] = sum(findings.decisions(run).values(), Counter())
    num_cells = sum(cell.condition in conditions for cell in cells)
    lead = (
        f"{name[0].upper()}{name[1:]}: {len(run)} of {num_cells} studies count, with {total.total()} comparisons: "
        + ", ".join(f"{total[kind]} {kind}" for kind in KINDS)
        + "."
    )
    claims = [
        f"{loss.loss} on {cell.data} ({_difference(loss.difference)})"
        for cell in cells
        if cell.condition in conditions and cell.has_verdict and cell.results
        for loss in findings.candidates(cell.results)
        if loss.decision == "better"
    ]
    if not claims:
        found = "No loss is better in any study."
    elif len(claims) <= MOST_NAMED:
        found = f"Better {'is' if len(claims) == 1 else 'are'} {enumeration(claims)}."
    else:
        found = f"Most often better, with the studies: {_most_often(run, 5)}."
    return f"{lead} {found} {_pooled_words(pooled)}"


def _pooled_words(pooled: Losses) -> str:
    if not pooled:
        return f"A mean over studies needs {findings.FEWEST}."
    significant = {name: one for name, (one, p_holm) in pooled.items() if p_holm <= 0.05}
    better = [f"{name} ({_interval(one)})" for name, one in significant.items() if one.mean > 0]
    worse = [f"{name} ({_interval(one)})" for name, one in significant.items() if one.mean < 0]
    best, (one, p_holm) = next(iter(pooled.items()))
    below = sum(one.high < UNITS.rope for one, _ in pooled.values())
    words = [
        f"On average over the studies, {enumeration(better)} {'is' if len(better) == 1 else 'are'} better."
        if better
        else f"On average over the studies, no loss of {len(pooled)} is better after Holm's correction; the largest "
        f"mean is {best}'s, {_interval(one)}, p {p_value(p_holm)}."
    ]
    if worse:
        words.append(f"Worse on average: {enumeration(worse)}.")
    words.append(f"For {below} of {len(pooled)} losses, the interval rules out a mean advantage of 0.5 points.")
    return " ".join(words)


def _decision_table(cells: Sequence[Cell], conditions: Sequence[str], pooled: Mapping[str, Losses]) -> str:
    by_condition = {
        condition: findings.decisions(findings.results_of(cells, condition, with_verdict=True))
        for condition in conditions
    }
    names = [*(name for condition in conditions for name in pooled[condition])]
    names += [name for found in by_condition.values() for name in found]
    heading = ["loss"]
    for condition in conditions:
        label = f"{CONDITIONS[condition].removeprefix('40% ')}: " if len(conditions) > 1 else ""
        heading += [f"{label}better / equivalent / worse / undecided", "mean difference", "Holm p"]
    rows = []
    for name in dict.fromkeys(names):
        row = [name]
        for condition in conditions:
            found = by_condition[condition].get(name)
            row.append(" / ".join(str(found[kind]) for kind in KINDS) if found else "-")
            one = pooled[condition].get(name)
            row += [_interval(one[0]), p_value(one[1])] if one else ["-", "-"]
        rows.append(row)
    return _table(heading, rows)


def _claimed(cells: Sequence[Cell], loss: str) -> str:
    """Return in words what single verdicts claim on a loss, which says more than the number of intervals."""
    found = [
        f"{entry.decision} on {cell.title} ({_difference(entry.difference)})"
        for cell in cells
        if cell.has_verdict and cell.results is not None
        if (entry := findings.find(cell.results, loss)) and entry.difference
        if entry.decision in {"better", "worse"}
    ]
    if not found:
        return ""
    return f" Single verdicts, each at 5% over all its losses and looks, call it {enumeration(found)}."


def _kl(cells: Sequence[Cell]) -> str:
    run = findings.results_of(cells)
    head = "## 4. KL divergence, and clipping"
    if not run:
        return f"{head}\n\nNo study has run yet."
    rows, words = [], []
    for loss in (KL, KERAS):
        number, among = findings.excluding_zero(run, loss)
        probability = findings.chance(number, among)
        over_all = findings.pooled_loss(run, loss)
        tiny = sum(
            abs(entry.difference.mean) < 5e-4
            for results in run
            if (entry := findings.find(results, loss)) and entry.difference
        )
        rows.append(
            (
                loss,
                f"{number} of {among}",
                f"{0.05 * among:.3g}",
                p_value(probability),
                _interval(over_all) if over_all else "-",
                f"{tiny} of {among}",
            )
        )
        words.append((loss, number, among, probability, over_all))
    answers = []
    for loss, number, among, probability, over_all in words:
        claimed = _claimed(cells, loss)
        more = probability <= 0.05
        mean = "" if over_all is None else f" Its mean difference over the studies is {_interval(over_all)} points."
        answers.append(
            f"The interval of {loss} excludes zero in {number} of {among} studies, "
            + ("more than" if more else "no more than")
            + f" chance explains by their number ({0.05 * among:.3g} at most).{mean}{claimed}"
        )
    return "\n\n".join(
        [
            head,
            _fill(
                f"On hard labels, {KL} and {BASELINE} are the same loss: values and gradients agree to the bit. Here "
                f"{KL} is searched at points of its own, so that its differences show what a search and its seeds do "
                f"by themselves. {KERAS} clips the probabilities as Keras does and is searched at {BASELINE}'s "
                "points, so that its differences show what clipping does."
            ),
            _fill(" ".join(answers)),
            _caption(
                "Table 5. KL divergence without and with clipping against cross-entropy, over all studies that have "
                "run: intervals that exclude zero, how many chance alone gives on average at most, the probability of "
                "so many or more by chance, the mean difference in points, and the studies in which the difference is "
                "below 0.05 points."
            ),
            _table(("loss", "excludes zero", "by chance", "p", "mean difference", "below 0.05 points"), rows),
            _figure(
                "study_kl.svg",
                "The difference of both KL divergences from cross-entropy in each study",
                f"Figure 2. {KL} (identical to {BASELINE}, with a search of its own) and {KERAS} (clipped, at the same "
                "points) against cross-entropy in each study, with 95% intervals in points. Orange or blue excludes "
                "zero. Shaded: ±0.5 points. What lies beyond an axis is drawn at its end.",
            ),
        ]
    )


def _tuning(cells: Sequence[Cell], changes: Mapping[str, Any]) -> str:
    head = "## 5. What tuning each loss changes"
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
                    _points(float(np.median([one.before for one in own]))),
                    _points(float(np.median([one.after for one in own]))),
                    f"{100 * float(np.median([one.gain for one in own])):+.2f}",
                    f"{sum(one.is_leader_new for one in own)} of {len(own)}",
                    f"{float(np.median([one.rank_correlation for one in own])):.2f}",
                )
            )
    return "\n\n".join(
        [
            head,
            _fill(
                "Before a search, every loss is trained with its published defaults at one learning rate. The "
                "standard deviation of the losses' validation accuracy then is "
                f"{_points(float(np.median([one.before for one in every])))} points in the median study. For the "
                "expected best of a search of eight trials of each loss it is "
                f"{_points(float(np.median([one.after for one in every])))}. The second is {_ratio(ratio)} times the "
                f"first (median over studies). In {sum(one.is_leader_new for one in every)} of {len(every)} studies, "
                "another loss leads after the search than before. The median Spearman correlation of the losses "
                f"before and after is {float(np.median([one.rank_correlation for one in every])):.2f}."
            ),
            _fill(
                f"The learning rate of a loss's winner over that of {BASELINE}'s has a median over studies from "
                f"{medians[0][0]:.2g} ({medians[0][1]}) to {medians[-1][0]:.2g} ({medians[-1][1]}). For {KL}, which is "
                f"the same loss, it is {float(np.median(rates[KL])):.2g}."
                if KL in rates
                else ""
            ),
            _caption(
                "Table 6. Medians over the studies of each condition, in points of validation accuracy: standard "
                "deviation over the losses at the published defaults and after a search of eight trials, what the "
                f"search gains for {BASELINE}, how often the leading loss changes, and the rank correlation of the "
                "losses before and after."
            ),
            _table(
                ("labels", "studies", "defaults", "searched", f"{BASELINE} gains", "new leader", "rank correlation"),
                rows,
            ),
            _figure(
                "study_tuning.svg",
                "Spread of the losses before and after the search, in each study",
                "Figure 3. Standard deviation of all losses' validation accuracy in each study: at the published "
                "defaults with one learning rate (open), and expected after a search of eight trials of each loss "
                "(filled).",
            ),
        ]
    )


def _cost(cells: Sequence[Cell], facts: Mapping[str, Any]) -> str:
    head = "## 6. What it costs"
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
            _fill(
                f"{count(len(facts), 'study', 'studies')} took {trainings:,} trainings and {hours:.1f} core-hours, "
                f"with their evaluations.{without} "
                + (
                    f"In the median study, {enumeration(slow)} {'takes' if len(slow) == 1 else 'take'} 1.5 times the "
                    f"seconds of {BASELINE} or more."
                    if slow
                    else f"No loss takes 1.5 times the seconds of {BASELINE} in the median study."
                )
            ),
            _caption(
                f"Table 7. Seconds of a training over those of {BASELINE}'s training of the same number: median of "
                "each study, then median, least and largest over the studies. The trainings take some tenths of a "
                "second to some seconds and ran beside other work, so that equal losses differ, too."
            ),
            _table(("loss", "median", "least", "largest", "studies"), rows),
            _fill("[Benchmarks](benchmarks.md) has the cost of each loss alone, on a machine without other work."),
        ]
    )


def _calibration(cells: Sequence[Cell]) -> str:
    head = "## 7. Calibrated or not"
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
            row.append(_nll(difference.value, difference.low, difference.high))
            lower[group] += difference.high < 0
            higher[group] += difference.low > 0
        rows.append(row)
    sentence = " ".join(
        f"With {group}, the scaled NLL is lower than {BASELINE}'s for {lower[group]} losses and higher for "
        f"{higher[group]} (interval of the median over {len(results)} studies)."
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
            _fill(lead + (sentence or "An interval of a median takes six studies.")),
            _caption(
                "Table 8. Calibration on test: ECE by the loss's own map from outputs to probabilities and after "
                "temperature scaling (medians over the studies with correct labels), and scaled NLL minus "
                f"{BASELINE}'s in nats (medians over studies, with the exact 95% interval of the median; not corrected "
                "for the number of losses). Lower is better."
            ),
            _table(
                ("loss", "ECE, own map", "ECE, scaled", "scaled NLL, correct labels", "scaled NLL, wrong labels"), rows
            ),
        ]
    )


def _noise_floor(cells: Sequence[Cell]) -> str:
    head = "## 8. The noise floor, and published differences"
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
                    f"±{_points(median)} [{_points(lower)}, {_points(upper)}]",
                    f"{100 * float(np.mean(np.array(widths) > 0.01)):.0f}%",
                    _points(float(np.median(same))),
                    _points(max(same)),
                )
            )
    if not rows:
        return f"{head}\n\nNo study has run yet."
    clean = findings.half_widths(findings.results_of(cells, CLEAN))
    resolved = (
        f"With correct labels, the median half-width is ±{_points(float(np.median(clean)))} points. A published "
        "difference of that size or less would not show in these studies, which spend hundreds of trainings on each "
        "question. A comparison of one search and one seed for each loss shows less. "
        if clean
        else ""
    )
    return "\n\n".join(
        [
            head,
            _fill(
                resolved + "Two names of one loss, each searched for itself, differ by the last two columns of table "
                "9: a difference of that size says nothing about a loss."
            ),
            _caption(
                "Table 9. What the studies can resolve, in points of test accuracy: half-width of a comparison's 95% "
                "interval (median, and quartiles over losses and studies), the share wider than ±1 point, and the "
                f"difference between {BASELINE} and the identical {KL} (A/A; median and largest over studies)."
            ),
            _table(("labels", "comparisons", "half-width", "wider than ±1", "A/A median", "A/A largest"), rows),
            _fill(
                "How large published differences are is not repeated here: the sources that losstune checked give "
                "claims in words, and no figure was copied from memory. Hui and Belkin (2021) report a slight edge of "
                "cross-entropy over the square loss on vision; Kornblith et al. (2021) report significant "
                "improvements by many objectives on ImageNet; Dräger and Dunkelau (2022) report that KL divergence can "
                "outperform the usual choice. Whoever knows the figure compares it with table 9. [Study "
                "packs](packs.md) hold these claims as data and judge each by a study."
            ),
        ]
    )


def _verdicts(cells: Sequence[Cell], across: str) -> str:
    rows = []
    for cell in cells:
        results = cell.results
        if results is None:
            rows.append((cell.title, "not run", "", "", ""))
            continue
        better = sorted(
            (loss for loss in findings.candidates(results) if loss.decision == "better" and loss.difference),
            key=lambda loss: -loss.difference.mean if loss.difference else 0.0,
        )
        action = {"use": f"use {results.verdict.loss}", "keep": f"keep {results.verdict.loss}"}
        rows.append(
            (
                cell.title,
                action.get(results.verdict.action, "no verdict"),
                enumeration([loss.loss for loss in better]),
                f"{results.rounds.num_trainings:,}" if results.rounds else "",
                f"`{results.protocol[:12]}`",
            )
        )
    return "\n\n".join(
        [
            "## All verdicts",
            _caption("Table 10. The verdict of each study, the losses it found better, and its registration."),
            _table(("study", "verdict", "better", "trainings", "registered as"), rows),
            *(
                [_fill(f"By ranks over all studies, whatever their labels (`losstune across`): {across}")]
                if across
                else []
            ),
        ]
    )


def _again(facts: Mapping[str, Any]) -> str:
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
            _fill(
                f"{trained}Registrations and results are in `studies/real/studies/<study>-<model>/`. `make study-real` "
                "also writes a report for each study (`report/report.html` in its folder) and a comparison of all "
                "losses by ranks (`studies/real/across/across.html`). This page is written by "
                "`studies/real/page.py`; do not edit it."
            ),
        ]
    )


def _won(run: Iterable[Results]) -> tuple[int, int]:
    total: Counter[str] = sum(findings.decisions(run).values(), Counter())
    return total["better"], total.total()


def _most_often(run: Sequence[Results], number: int) -> str:
    """Return the losses that are better in most studies, with the numbers of these and of those that have the loss.

    Args:
        run: The studies.
        number: Losses to name at most, but all with the same number of studies as the last one.
    """
    found = findings.decisions(run)
    wins = sorted(((-one["better"], -one["better"] / one.total(), name) for name, one in found.items()))
    named = [win for win in wins if win[0] < 0 and win[0] <= wins[min(number, len(wins)) - 1][0]]
    return enumeration([f"{name} ({-won} of {found[name].total()})" for won, _, name in named])


def _difference(difference: Any) -> str:
    return UNITS.with_interval(difference.mean, difference.low, difference.high) if difference else "-"


def _interval(one: Pooled) -> str:
    return UNITS.with_interval(one.mean, one.low, one.high)


def _points(value: float) -> str:
    return f"{100 * value:.2f}"


def _ratio(estimate: Any) -> str:
    bounds = f" [{estimate.low:.2f}, {estimate.high:.2f}]" if np.isfinite([estimate.low, estimate.high]).all() else ""
    return f"{estimate.value:.2f}{bounds}"


def _nll(value: float, low: float, high: float) -> str:
    return f"{value:+.3f}" + (f" [{low:+.3f}, {high:+.3f}]" if np.isfinite([low, high]).all() else "")


def _fill(text: str) -> str:
    return textwrap.fill(text, 120, break_on_hyphens=False, break_long_words=False)


def _quote(text: str) -> str:
    return textwrap.fill(text, 120, initial_indent="> ", subsequent_indent="> ", break_on_hyphens=False)


def _caption(text: str) -> str:
    label, _, rest = text.partition(". ")
    return _fill(f"**{label}.** {rest}")


def _figure(name: str, label: str, caption: str) -> str:
    return f"![{label}]({name})\n\n{_caption(caption)}"


def _table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heading, ["-"] * len(heading), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


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
