"""The sections of docs/study.md on what the studies decide."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import findings
import markup
from findings import ASYMMETRIC, BASELINE, CLEAN, CONDITIONS, KERAS, KL, SYMMETRIC, TAIL, Cell, Pooled

from losstune.verdict.results import Results
from losstune.verdict.wording import count, enumeration, p_value

Losses = Mapping[str, tuple[Pooled, float]]
MOST_NAMED = 7
"""Claims that are named one by one."""
KINDS = ("better", "equivalent", "worse", "undecided")


def clean(cells: Sequence[Cell], pooled: Losses) -> str:
    """Return the section on correct labels."""
    run = findings.results_of(cells, CLEAN, with_verdict=True)
    parts = ["## 1. With correct labels", markup.fill(_summary(cells, (CLEAN,), pooled))]
    if run:
        parts += [
            markup.caption(
                f"Table 1. Each loss against {BASELINE} with correct labels: in how many studies it is better, "
                "equivalent, worse or undecided, and its mean difference in points over the studies (random effects, "
                "95% interval; p-value after Holm's correction over the losses)."
            ),
            _decision_table(cells, (CLEAN,), {CLEAN: pooled}),
            markup.figure(
                "study_losses.svg",
                "The mean difference of each loss from cross-entropy, by condition",
                f"Figure 1. Each loss against {BASELINE}, by what is wrong with the training labels. Diamond and bar: "
                "mean difference over the studies and its 95% interval, not corrected for the number of losses; blue "
                "excludes zero above, orange below. Dots: the single studies. Shaded: ±0.5 points. What lies beyond "
                "an axis is drawn at its end.",
            ),
            markup.fill(
                "The mean is that of a random-effects model with the variance between studies of Paule and Mandel, "
                "and Hartung and Knapp's interval, which is never made narrower than the usual one. It speaks for "
                "studies like these seven. MNIST and CIFAR-10 are in two of them each, with other samples and another "
                "model."
            ),
        ]
    return "\n\n".join(parts)


def noise(cells: Sequence[Cell], pooled: Mapping[str, Losses]) -> str:
    """Return the section on wrong training labels."""
    parts = ["## 2. With wrong training labels"]
    parts += [markup.fill(_summary(cells, (condition,), pooled[condition])) for condition in (SYMMETRIC, ASYMMETRIC)]
    both = findings.pooled_losses(findings.results_of(cells, SYMMETRIC, ASYMMETRIC, with_verdict=True))
    parts += [
        markup.fill(f"Both kinds of noise together, so that most data sets count twice: {_pooled_words(both)}"),
        markup.caption(
            f"Table 2. Each loss against {BASELINE} with 40% wrong training labels, symmetric and asymmetric. Better / "
            "equivalent / worse / undecided: numbers of studies. Mean difference in points over the studies, with its "
            "95% interval and Holm's p-value. Validation and test labels are correct."
        ),
        _decision_table(cells, (SYMMETRIC, ASYMMETRIC), pooled),
        markup.fill("The search selects on correct validation labels, which is more than one has in practice."),
    ]
    return "\n\n".join(parts)


def tail(cells: Sequence[Cell], pooled: Losses) -> str:
    """Return the section on long tails."""
    parts = ["## 3. With a long tail", markup.fill(_summary(cells, (TAIL,), pooled))]
    if findings.results_of(cells, TAIL, with_verdict=True):
        parts += [
            markup.caption(
                f"Table 3. Each loss against {BASELINE} where the largest class has 50 times as many training samples "
                "as the smallest. Columns as in table 1. The test split is balanced, or nearly so."
            ),
            _decision_table(cells, (TAIL,), {TAIL: pooled}),
        ]
    return "\n\n".join(parts)


def repetitions(cells: Sequence[Cell], repeated: Mapping[str, Results]) -> str:
    """Return the section on claims, and on what the same studies find with other seeds."""
    head = "## 4. Claims, repeated"
    claims = {cell.title: [loss.loss for loss in findings.claims(cell)] for cell in cells if findings.claims(cell)}
    if not claims:
        return f"{head}\n\nNo study found a better loss, so there is no claim to repeat."
    pairs = findings.repetitions(cells, repeated)
    missing = [title for title in claims if title not in repeated]
    words = [
        f"{count(len(claims), 'study has', 'studies have')} "
        f"{count(sum(map(len, claims.values())), 'claim', 'claims')} of a better loss."
    ]
    if pairs:
        new = [
            f"{loss.loss} on {cell.title} ({markup.difference(loss.difference)})"
            for cell in cells
            if cell.title in repeated
            for loss in findings.claims(replace(cell, results=repeated[cell.title]))
            if loss.loss not in claims.get(cell.title, [])
        ]
        num_alike = sum(pair.has_same_sign for pair in pairs)
        num_smaller = sum(pair.is_smaller for pair in pairs)
        outcomes = Counter(pair.second.standing for pair in pairs)
        words += [
            f"{count(len(repeated), 'study was', 'studies were')} repeated with other splits, searches and seeds. Of "
            f"{count(len(pairs), 'claim', 'claims')} there: "
            + enumeration([f"{number} {standing}" for standing, number in outcomes.most_common()])
            + f" in the repetition. The sign is the same {count(num_alike, 'time', 'times')}. The second estimate is "
            f"smaller than the first one {num_smaller} of {len(pairs)} times.",
            f"New in the repetitions: {enumeration(new)}." if new else "The repetitions have no other claim.",
        ]
    if missing:
        words.append(f"Not repeated: {enumeration(missing)} (`make study-real AGAIN={missing[0]}`).")
    parts = [head, markup.fill(" ".join(words))]
    if pairs:
        parts += [
            markup.caption(
                "Table 4. Every claim of a better loss in a study that was repeated: the difference in points, the "
                "difference with other seeds for splits, search and trainings, and the decision of the repetition."
            ),
            markup.table(
                ("study", "loss", "difference", "repeated", "decision"),
                [
                    (
                        pair.cell.title,
                        pair.first.loss,
                        markup.difference(pair.first.difference),
                        markup.difference(pair.second.difference),
                        pair.second.standing,
                    )
                    for pair in pairs
                ],
            ),
        ]
    return "\n\n".join(parts)


def kl(cells: Sequence[Cell]) -> str:
    """Return the section on both KL divergences."""
    run = findings.results_of(cells)
    head = "## 5. KL divergence, and clipping"
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
                markup.interval(over_all) if over_all else "-",
                f"{tiny} of {among}",
            )
        )
        words.append((loss, number, among, probability, over_all))
    answers = []
    for loss, number, among, probability, over_all in words:
        claimed = _claimed(cells, loss)
        more = probability <= 0.05
        mean = (
            "" if over_all is None else f" Its mean difference over the studies is {markup.interval(over_all)} points."
        )
        answers.append(
            f"The interval of {loss} excludes zero in {number} of {among} studies, "
            + ("more than" if more else "no more than")
            + f" chance explains by their number ({0.05 * among:.3g} at most).{mean}{claimed}"
        )
    return "\n\n".join(
        [
            head,
            markup.fill(
                f"On hard labels, {KL} and {BASELINE} are the same loss: values and gradients agree to the bit. Here "
                f"{KL} is searched at points of its own, so that its differences show what a search and its seeds do "
                f"by themselves. {KERAS} clips the probabilities as Keras does and is searched at {BASELINE}'s "
                "points, so that its differences show what clipping does."
            ),
            markup.fill(" ".join(answers)),
            markup.caption(
                "Table 5. KL divergence without and with clipping against cross-entropy, over all studies that have "
                "run: intervals that exclude zero, how many chance alone gives on average at most, the probability of "
                "so many or more by chance, the mean difference in points, and the studies in which the difference is "
                "below 0.05 points."
            ),
            markup.table(("loss", "excludes zero", "by chance", "p", "mean difference", "below 0.05 points"), rows),
            markup.figure(
                "study_kl.svg",
                "The difference of both KL divergences from cross-entropy in each study",
                f"Figure 2. {KL} (identical to {BASELINE}, with a search of its own) and {KERAS} (clipped, at the same "
                "points) against cross-entropy in each study, with 95% intervals in points. Orange or blue excludes "
                "zero. Shaded: ±0.5 points. What lies beyond an axis is drawn at its end.",
            ),
        ]
    )


def verdicts(cells: Sequence[Cell], across: str) -> str:
    """Return the table of all verdicts."""
    rows = []
    for cell in cells:
        results = cell.results
        if results is None:
            rows.append((cell.title, "not run", "", "", ""))
            continue
        better = sorted(findings.claims(cell), key=lambda loss: -loss.difference.mean if loss.difference else 0.0)
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
            markup.caption("Table 10. The verdict of each study, the losses it found better, and its registration."),
            markup.table(("study", "verdict", "better", "trainings", "registered as"), rows),
            *(
                [
                    markup.fill(
                        f"By ranks over all studies, whatever their labels (`losstune across`): {across} Each data set "
                        "is in several studies, so that these p-values are too small."
                    )
                ]
                if across
                else []
            ),
        ]
    )


def _claimed(cells: Sequence[Cell], loss: str) -> str:
    """Return in words what single verdicts claim on a loss, which says more than the number of intervals."""
    found = [
        f"{entry.decision} on {cell.title} ({markup.difference(entry.difference)})"
        for cell in cells
        if cell.has_verdict and cell.results is not None
        if (entry := findings.find(cell.results, loss)) and entry.difference
        if entry.decision in {"better", "worse"}
    ]
    if not found:
        return ""
    return f" Single verdicts, each at 5% over all its losses and looks, call it {enumeration(found)}."


def _summary(cells: Sequence[Cell], conditions: Sequence[str], pooled: Losses) -> str:
    """Return counts, claims and the pooled result of some conditions in words."""
    run = findings.results_of(cells, *conditions, with_verdict=True)
    name = enumeration([CONDITIONS[condition] for condition in conditions])
    if not run:
        return f"No study counts yet: {name}."
    total = findings.total(run)
    num_cells = sum(cell.condition in conditions for cell in cells)
    lead = (
        f"{name[0].upper()}{name[1:]}: {len(run)} of {num_cells} studies count, with {total.total()} comparisons: "
        + ", ".join(f"{total[kind]} {kind}" for kind in KINDS)
        + "."
    )
    claims = [
        f"{loss.loss} on {cell.data} ({markup.difference(loss.difference)})"
        for cell in cells
        if cell.condition in conditions
        for loss in findings.claims(cell)
    ]
    if not claims:
        found = "No loss is better in any study."
    elif len(claims) <= MOST_NAMED:
        found = f"Better {'is' if len(claims) == 1 else 'are'} {enumeration(claims)}."
    else:
        found = f"Most often better, with the studies: {most_often(run, 5)}."
    return f"{lead} {found} {_pooled_words(pooled)}"


def _pooled_words(pooled: Losses) -> str:
    if not pooled:
        return f"A mean over studies needs {findings.FEWEST}."
    significant = {name: one for name, (one, p_holm) in pooled.items() if p_holm <= 0.05}
    better = [f"{name} ({markup.interval(one)})" for name, one in significant.items() if one.mean > 0]
    worse = [f"{name} ({markup.interval(one)})" for name, one in significant.items() if one.mean < 0]
    best, (one, p_holm) = next(iter(pooled.items()))
    words = [
        f"On average over the studies, {enumeration(better)} {'is' if len(better) == 1 else 'are'} better."
        if better
        else f"On average over the studies, no loss of {len(pooled)} is better after Holm's correction; the largest "
        f"mean is {best}'s, {markup.interval(one)}, p {p_value(p_holm)}."
    ]
    if worse:
        words.append(f"Worse on average: {enumeration(worse)}.")
    number = findings.num_without_advantage(pooled)
    words.append(f"For {number} of {len(pooled)} losses, the interval rules out a mean advantage of 0.5 points.")
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
            row += [markup.interval(one[0]), p_value(one[1])] if one else ["-", "-"]
        rows.append(row)
    return markup.table(heading, rows)


def most_often(run: Sequence[Results], number: int) -> str:
    """Return the losses that are better in most studies, with the numbers of these and of those that have the loss.

    Args:
        run: The studies.
        number: Losses to name at most, but all with the same number of studies as the last one.
    """
    found = findings.decisions(run)
    wins = sorted(((-one["better"], -one["better"] / one.total(), name) for name, one in found.items()))
    named = [win for win in wins if win[0] < 0 and win[0] <= wins[min(number, len(wins)) - 1][0]]
    return enumeration([f"{name} ({-won} of {found[name].total()})" for won, _, name in named])
