"""The page of validity.py: two tables, a figure, and what they mean."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from scipy import stats

from losstune.core.drawing import COLOURS, drawing_style, svg_of
from validity_judges import ALPHA, Outcome
from validity_kinds import NUM_BLOCKS, ROPE, SEARCHES, SIZES
from validity_power import POWER, Found

Counts = tuple[int, int]


class Sizes(NamedTuple):
    """Numbers of studies."""

    studies: int
    replicated: int
    real: int
    search: int
    promised: int


@dataclass
class Level:
    """What was said of the studies of a kind.

    Attributes:
        name: Of the kind.
        wrong: False claims by protocol and size of a search, of how many studies.
        covered: Intervals that cover the truth, by protocol and loss.
        settled: Decisions of the pooled protocol: right, of how many settled, and opposite ones, of all.
    """

    name: str
    wrong: dict[str, dict[int, Counts]] = field(default_factory=dict)
    covered: dict[str, dict[str, list[bool]]] = field(default_factory=dict)
    settled: dict[str, list[int]] = field(default_factory=dict)

    def add(self, protocol: str, size: int, truth: Mapping[str, float], judged: Sequence[Outcome], rope: float) -> None:
        """Count what was said of these studies."""
        wrong = sum(any(_is_false(d, truth[loss], rope) for loss, d in o.decisions.items()) for o in judged)
        self.wrong.setdefault(protocol, {})[size] = wrong, len(judged)
        covered = self.covered.setdefault(protocol, {})
        for outcome in judged:
            for loss, (low, high) in outcome.intervals.items():
                covered.setdefault(loss, []).append(low <= truth[loss] <= high)
        same, decided, opposite, number = self.settled.setdefault(protocol, [0, 0, 0, 0])
        for outcome in judged:
            for loss, decision in outcome.decisions.items():
                number += 1
                if decision != "undecided":
                    decided += 1
                    same += decision == _exhaustive(truth[loss], rope)
                    opposite += _is_false(decision, truth[loss], rope)
        self.settled[protocol] = [same, decided, opposite, number]

    def total(self, protocol: str) -> Counts | None:
        """Return the false claims over all sizes."""
        if protocol not in self.wrong:
            return None
        counts = self.wrong[protocol].values()
        return sum(count for count, _ in counts), sum(number for _, number in counts)

    def coverage(self, protocol: str) -> tuple[float, float, str] | None:
        """Return the coverage of all intervals, and that of the loss with the lowest, with its name."""
        if not self.covered.get(protocol):
            return None
        by_loss = {loss: float(np.mean(values)) for loss, values in self.covered[protocol].items()}
        worst = min(by_loss, key=lambda loss: by_loss[loss])
        every = [value for values in self.covered[protocol].values() for value in values]
        return float(np.mean(every)), by_loss[worst], worst

    def __str__(self) -> str:
        cells = [f"{self.name:36}"]
        for protocol in ("pooled", "replicated"):
            if total := self.total(protocol):
                cover = self.coverage(protocol) or (1.0, 1.0, "none")
                worst = max(c / n for c, n in self.wrong[protocol].values())
                cells.append(
                    f"{protocol}: wrong {shown(total)} worst {100 * worst:.1f} cover {100 * cover[0]:.1f} "
                    f"({100 * cover[1]:.1f} {cover[2]}) same {self.settled[protocol]}"
                )
        return " | ".join(cells)


class Price(NamedTuple):
    """The cheapest design of each protocol that finds a difference."""

    name: str
    size: int
    difference: float
    epochs: int
    designs: Mapping[str, Found | None]

    @property
    def ratio(self) -> float | None:
        """Trainings of the pooled protocol as a share of the replicated one's."""
        pooled, replicated = self.designs["pooled"], self.designs["replicated"]
        return None if pooled is None or replicated is None else pooled.trainings / replicated.trainings

    def __str__(self) -> str:
        parts = [f"{self.name} k={self.size} {100 * self.difference:g}"]
        for protocol, found in self.designs.items():
            if found is not None:
                parts.append(f"{protocol} {found.design} {found.trainings:.0f}")
        return "  ".join(parts) + (f"  ratio {self.ratio:.2f}" if self.ratio else "")


class Promise(NamedTuple):
    """A promised power and the share of studies that kept it."""

    size: int
    power: float
    difference: float
    kept: Counts


def _is_false(decision: str, truth: float, rope: float) -> bool:
    """Whether a decision is false: a sign that is not the true one, or equivalence of a loss outside the ROPE."""
    if decision == "equivalent":
        return abs(truth) >= rope
    return (decision == "better" and truth <= 0.0) or (decision == "worse" and truth >= 0.0)


def _exhaustive(truth: float, rope: float) -> str:
    """Return the decision of a study without errors."""
    if abs(truth) < rope:
        return "equivalent"
    return "better" if truth > 0.0 else "worse"


def shown(counts: Counts | None) -> str:
    """Return a share in percent with its Clopper-Pearson interval at 95%."""
    if counts is None:
        return ""
    interval = stats.binomtest(*counts).proportion_ci(0.95, method="exact")
    return f"{100 * counts[0] / counts[1]:.1f} [{100 * interval.low:.1f}, {100 * interval.high:.1f}]"


PAGE = """# Validity: how often is the verdict wrong, and what does it cost?

`benchmarks/validity.py` draws studies whose truth is known and judges them by both protocols, with the code of the
report. `protocol: pooled` is the default; `protocol: replicated` was the only one before. The studies come from three
banks of real trainings: clean digits (cross_entropy alone: 64 configurations x 40 seeds), digits with 40% wrong
training labels (8 losses x 48 configurations), and features of a frozen backbone (6 losses x 48 configurations x 24
seeds). Draws take configurations with replacement and one of the tuning seeds, blocks take one of the other seeds. So
the true expected result of a search of k trials is a number, computed exactly.

![False claims of both protocols, and the share of trainings that the pooled one needs](validity.svg)

## How often is it wrong?

A *false claim* is a loss called better or worse that is not, or called equivalent with a difference outside the ROPE.
A row of equal losses has {studies} studies by the protocol that judges them, and {replicated} by the replicated one for
comparison; a row of real losses has {real} by each. A quarter of them is for each k in {sizes}. The share is in
percent, with its Clopper-Pearson interval at 95%; it should be at most {alpha:g}. *Worst k* is the largest of the four
shares. *Coverage* is the share of reported intervals that cover the truth, nominally {nominal:g}% over all looks of a
study: of all losses, and of the loss with the lowest share.

| losses | pooled: false claims | worst k | coverage | lowest | replicated: false claims | worst k |
|-|-|-|-|-|-|-|
{levels}

- Every loss of the first ten rows is cross_entropy with draws of its own, or shares its points (*shared points*). A
  *gamble* has a test score that its validation score does not show; its expected result is the same. Seeds *fail* by 8
  points in 30% of trainings; *heavy tails* are t with 3 degrees of freedom and 0.3 points.
- Studies have {designs} searches for k = {sizes}, and {blocks} blocks of each loss; *by budget* spends as many
  trainings as it likes.
- Searches that adapt have no independent draws. losstune judges them by the replicated protocol.
- Real losses have a ROPE of {rope:g} points. {agreement}

## What does it cost?

Mean trainings of a whole study that finds one better loss with {power:.0%} power, by the cheapest design of each
protocol: searches x blocks of a loss, or a budget. Bisection with {search} studies of each design searched for it; the
price is read from a probit line through them. The loss's test scores are shifted, so that it is better by exactly
that difference; its response to the configurations stays its own. With so few studies a price may be off by a sixth.

| one better loss | k | points | replicated: about | trainings | pooled: about | trainings | share |
|-|-|-|-|-|-|-|-|
{prices}

A training has {epochs} epochs, so the shares hold for epochs, too. The median share is {median:.2f}, the largest
{largest:.2f}; the aims are 0.25 and 0.5. {missed}

## Promised power

{promises}

## What was tried

The numbers of this section come from smaller runs on the way, not from the command below. The constants of the rounds
and of the statistics were chosen on these banks and not confirmed on others, so false claims elsewhere may be more
frequent. A study of made-up scores, where 12% of the draws are 2 points better and a small pool may hold none of them,
made false claims in 10 of 100 cases.

- A pool's own variance counted with as many degrees of freedom as its jackknife has. Losses whose searches rarely fail
  (`mae` on noisy digits, `square` on features) then had intervals at 95% that covered 84% of truths with two searches.
  The limit is now the number of disjoint searches minus one; borrowed degrees of freedom follow Satterthwaite's
  formula. Losses that are alike borrow from each other and lose nothing.
- A look that is not the last one spent 30% of the level that was left. With 10% more of the small differences are
  found, because the last look has the most trainings. Doubling the trainings from look to look, for fewer looks, found
  fewer.
- Losses that are out of the race keep lending their variances to those that are in it. Before, the last loss had
  nobody to borrow degrees of freedom from: at k = 8, 3 searches and 16 blocks, a difference of 0.84 points was found
  in 46% of 90 studies, and with it in 68%, for the same trainings.
- A loss leaves the race if even one standard error more would not settle it. With two standard errors, studies of the
  same numbers take 20 to 40% more trainings, and studies with a budget find less.
- Pooling removes the luck of which trials met in one search, not that of which configurations were drawn. On clean
  digits with points of their own, where a loss differs from itself only by its draws, there is little to gain.
- The jackknife overestimates the variance on clean digits, where configurations near the top are equally good: the
  variance of a difference of equal losses is estimated at 1.3 to 2.2 times the true one, so that false claims are far
  below the level and power is lost. A smaller factor is wrong for losses with a steep response to the learning rate.
- How much a better estimate of the variance could save: with half of the search's variance and with normal quantiles in
  place of Student's, which no honest rule has, the median share of the table is 0.34 and the largest 1.25. So the
  aims are out of reach of any estimate of the variance. On clean digits the floor is what both protocols need before
  they may claim anything: at k = 12 and 1 point, the replicated protocol's cheapest study has 2 searches and 10 blocks
  of each loss, and no pooled study with a second search of every loss is smaller.
- Whether a loss goes on, by the probability that what is left settles it: with 3, 10 or 20% as the least, and with all
  that is left for one loss or an even share for each, the median share was 0.42 to 0.49 and the largest 0.99 to 1.16.
  Dropping more losses (half a standard error, an even share) saves a third on clean digits; on noisy digits, js then
  is dropped in too many studies to reach 80% at any price.
- The promised power was that of the median error. It was too high by up to 16 percentage points, because power falls
  more with a large error than it grows with a small one. It is now the mean over the errors of all losses.

`python benchmarks/validity.py --studies {studies} --replicated {replicated} --real {real} --search {search} --promised
{promised}` made this page at `{commit}`. `dvc repro benchmarks/dvc.yaml` makes the banks.
"""


def page(
    equal: Sequence[Level],
    real: Sequence[Level],
    prices: Sequence[Price],
    promises: Sequence[Promise],
    sizes: Sizes,
    commit: str,
) -> str:
    """Return docs/validity.md, made by the code of a commit."""
    ratios = [price.ratio for price in prices if price.ratio is not None]
    over = [price for price in prices if price.ratio is not None and price.ratio > 0.5]
    text = PAGE.format(
        **sizes._asdict(),
        commit=commit,
        sizes=", ".join(map(str, SIZES)),
        alpha=100 * ALPHA,
        nominal=100 * (1 - ALPHA),
        designs=", ".join(str(SEARCHES[size]) for size in SIZES),
        blocks=NUM_BLOCKS,
        rope=100 * ROPE,
        power=POWER,
        epochs=prices[0].epochs,
        levels="\n".join(map(_level_row, [*equal, *real])),
        agreement=" ".join(map(_agreement, real)),
        prices="\n".join(map(_price_row, prices)),
        median=np.median(ratios or [np.nan]),
        largest=max(ratios, default=np.nan),
        missed=f"Above one half: {'; '.join(f'{p.name}, k = {p.size}, {100 * p.difference:g} points' for p in over)}."
        if over
        else "",
        promises=_kept(promises),
    )
    return "\n".join(map(_wrapped, text.split("\n")))


def _wrapped(line: str) -> str:
    """Return a line of prose in lines of at most 120 characters; rows of a table stay."""
    if len(line) <= 120 or line.startswith(("|", "!")):
        return line
    return textwrap.fill(
        line,
        120,
        subsequent_indent="  " if line.startswith("- ") else "",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _level_row(level: Level) -> str:
    cells = [level.name]
    for protocol in ("pooled", "replicated"):
        cells.append(shown(level.total(protocol)))
        cells.append(
            f"{max(100 * c / n for c, n in level.wrong[protocol].values()):.1f}" if protocol in level.wrong else ""
        )
        if protocol == "pooled":
            cover = level.coverage(protocol)
            cells += [f"{100 * cover[0]:.1f}", f"{100 * cover[1]:.1f} ({cover[2]})"] if cover else ["", ""]
    return f"| {' | '.join(cells)} |"


def _agreement(level: Level) -> str:
    parts = []
    for protocol in ("pooled", "replicated"):
        same, decided, opposite, number = level.settled[protocol]
        parts.append(
            f"the {protocol} protocol settles {decided / number:.0%}, {same / max(decided, 1):.1%} of these like the "
            f"truth, {opposite} falsely"
        )
    return f"Of the comparisons of {level.name}, {'; '.join(parts)}."


def _price_row(price: Price) -> str:
    cells = [price.name, str(price.size), f"{100 * price.difference:.1f}"]
    for protocol in ("replicated", "pooled"):
        found = price.designs[protocol]
        cells += ["none found", ""] if found is None else [str(found.design), f"{found.trainings:,.0f}"]
    return f"| {' | '.join([*cells, '' if price.ratio is None else f'{price.ratio:.2f}'])} |"


def _kept(promises: Sequence[Promise]) -> str:
    parts = [
        f"{100 * p.difference:.2f} points at k = {p.size}: promised {p.power:.0%}, found in {p.kept[0] / p.kept[1]:.0%}"
        for p in promises
    ]
    worst = max(abs(p.kept[0] / p.kept[1] - p.power) for p in promises)
    return (
        "The protocol promises a power from the variances of a difference. On clean digits, with the numbers above: "
        f"{'; '.join(parts)}. The largest gap is {100 * worst:.0f} points; the aim is 5."
    )


def figure(levels: Sequence[Level], prices: Sequence[Price]) -> str:
    """Draw the false claims of each kind by both protocols, and the share of trainings of each priced kind."""
    with drawing_style("validity"):
        drawing = Figure(figsize=(10.0, 0.9 + 0.34 * len(levels)))
        height = drawing.get_figheight()
        box = 0.5 / height, 1 - 0.85 / height
        left = drawing.add_axes((0.24, box[0], 0.33, box[1]))
        right = drawing.add_axes((0.76, box[0], 0.22, box[1]))
        for row, level in enumerate(reversed(levels)):
            for offset, colour, marker, protocol in (
                (0.13, "better", "o", "pooled"),
                (-0.13, "worse", "s", "replicated"),
            ):
                counts = level.total(protocol)
                if counts is None:
                    continue
                interval = stats.binomtest(*counts).proportion_ci(0.95, method="exact")
                at = row + offset
                left.plot([100 * interval.low, 100 * interval.high], [at, at], color=COLOURS[colour], linewidth=1.6)
                left.plot([100 * counts[0] / counts[1]], [at], marker, color=COLOURS[colour], markersize=5)
        left.axvline(100 * ALPHA, color=COLOURS["ink"], linewidth=0.9, linestyle=(0, (2, 2)))
        left.set_yticks(range(len(levels)), [level.name for level in reversed(levels)])
        left.set_xlabel("studies with a false claim, % (dashed: alpha)")
        names = list(dict.fromkeys(price.name for price in prices))
        for price in prices:
            if price.ratio is not None:
                place = len(names) - 1 - names.index(price.name)
                at = place + 0.11 * (SIZES.index(price.size) - 1.5)
                filled = price.difference == max(p.difference for p in prices)
                right.plot(
                    [price.ratio],
                    [at],
                    "o",
                    markersize=5,
                    color=COLOURS["better"],
                    markerfacecolor=COLOURS["better"] if filled else COLOURS["card"],
                )
        for aim in (0.25, 0.5):
            right.axvline(aim, color=COLOURS["ink"], linewidth=0.9, linestyle=(0, (2, 2)))
        right.set_xscale("log")
        right.set_xticks([0.0625, 0.125, 0.25, 0.5, 1.0], ["1/16", "1/8", "1/4", "1/2", "1"])
        right.minorticks_off()
        right.set_yticks(range(len(names)), [name.replace(", ", ",\n") for name in reversed(names)])
        right.set_ylim(-0.6, len(names) - 0.4)
        right.set_xlabel("trainings, pooled : replicated")
        for axes, legend in (
            (left, (("better", "● pooled"), ("worse", "■ replicated"))),
            (right, (("better", "● 1 point   ○ 0.6 points"),)),
        ):
            axes.tick_params(axis="y", labelcolor=COLOURS["ink"])
            axes.grid(axis="x", color=COLOURS["line"], linewidth=0.7)
            for place, (colour, text) in enumerate(legend):
                axes.annotate(
                    text,
                    (0.3 * place, 1.0),
                    xycoords="axes fraction",
                    xytext=(0, 5),
                    textcoords="offset points",
                    fontsize=9,
                    color=COLOURS[colour],
                )
        left.set_xlim(left=0.0)
        return svg_of(drawing)
