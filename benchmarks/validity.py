"""How often is the verdict wrong, and what does it cost? Studies whose truth is known, judged by both protocols.

    python benchmarks/validity.py            # writes docs/validity.md and docs/validity.svg
    python benchmarks/validity.py --quick    # few studies, printed only

The studies are drawn from three banks of real trainings (`benchmarks/banks/`, made by bank.py), see validity_worlds.py,
and judged by :mod:`losstune.verdict.rounds` and :mod:`losstune.verdict.comparison`, the report's code.
validity_kinds.py has the kinds of studies, validity_power.py the search for the cheapest design, validity_page.py the
page.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from pathlib import Path

from losstune.core.files import write_atomically
from losstune.core.git import commit_of
from losstune.verdict.forecast import forecast, spread_of
from validity_judges import Design, prepare, rules_of
from validity_kinds import DIFFERENCES, EFFECTS, EQUAL, NUM_BLOCKS, NUM_CANDIDATES, PRICED, REAL, SEARCHES, SIZES, Kind
from validity_page import Level, Price, Promise, Sizes, figure, page
from validity_power import cheapest, outcomes
from validity_worlds import copies

ROOT = Path(__file__).resolve().parent.parent


def levels(pool: Executor, kinds: Sequence[Kind], num_studies: int, num_replicated: int) -> list[Level]:
    """Judge studies of each kind, equally many for each size of a search."""
    found = []
    for kind in kinds:
        level = Level(kind.name)
        for protocol in ("pooled", "replicated") if kind.pooled else ("replicated",):
            for size in SIZES:
                world, design = kind.world(size), kind.design(protocol, size)
                is_main = protocol == "pooled" or not kind.pooled
                numbers = range((num_studies if is_main else num_replicated) // len(SIZES))
                judged = outcomes(pool, world, design, f"{kind.name} {size}", numbers)
                level.add(protocol, size, world.differences, judged, kind.rope)
        found.append(level)
        print(level, flush=True)
    return found


def prices(pool: Executor, num_studies: int, sizes: Sequence[int]) -> list[Price]:
    """Find the cheapest designs of both protocols."""
    found = []
    for effect in EFFECTS:
        for size in sizes:
            for difference in DIFFERENCES:
                world = effect.world(size, difference)
                stream = f"{effect.name} {size} {difference}"
                designs = {
                    protocol: cheapest(pool, world, protocol, effect.loss, stream, num_studies=num_studies)
                    for protocol in ("replicated", "pooled")
                }
                found.append(Price(effect.name, size, difference, effect.epochs, designs))
                print(found[-1], flush=True)
    return found


def promises(pool: Executor, num_studies: int) -> list[Promise]:
    """Compare the power that the protocol promises for a difference with the share of studies that find it.

    The variances are those of A/A studies of the same numbers, as ``losstune cost`` has them of one study. The
    difference is the one promised to be found.
    """
    found = []
    for size in SIZES:
        design = Design(protocol="pooled", searches=SEARCHES[size], blocks=NUM_BLOCKS)
        equal = copies("digits", size, NUM_CANDIDATES)
        studies = outcomes(pool, equal, design, f"promise {size}", range(100))
        spreads = [
            spread_of(difference, study.sizes[loss])
            for study in studies
            for loss, difference in study.differences.items()
        ]
        for power in (0.5, 0.8):
            reach = forecast(rules_of(equal, design), None, spreads, power=power, alone=True)
            assert reach is not None and reach.difference is not None, "the design is large enough"  # noqa: PT018
            difference = reach.difference
            world = copies("digits", size, NUM_CANDIDATES, effect=difference)
            judged = outcomes(pool, world, design, f"promised {size}", range(num_studies))
            hits = sum(outcome.decisions["candidate 1"] == "better" for outcome in judged)
            found.append(Promise(size, power, difference, (hits, num_studies)))
            print(found[-1], flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--studies", type=int, default=2000, help="studies of each kind")
    parser.add_argument("--replicated", type=int, default=400, help="of each kind by the protocol that isn't default")
    parser.add_argument("--real", type=int, default=400, help="studies of real losses of each bank")
    parser.add_argument("--search", type=int, default=30, help="studies of each design in the search for the cheapest")
    parser.add_argument("--promised", type=int, default=200, help="studies of each promise of a power")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="few studies; nothing is written")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "validity.md")
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # a study's matrices are small; workers inherit it
    if options.quick:
        options.studies, options.replicated, options.real, options.search, options.promised = 8, 8, 8, 4, 4
    with ProcessPoolExecutor(options.workers, initializer=prepare) as pool:
        equal = levels(pool, EQUAL, options.studies, options.replicated)
        real = levels(pool, REAL, options.real, options.real)
        kept = promises(pool, options.promised)
        costs = prices(pool, options.search, PRICED[:1] if options.quick else PRICED)
    sizes = Sizes(options.studies, options.replicated, options.real, options.search, options.promised)
    text = page(equal, real, costs, kept, sizes, (commit_of(ROOT, "HEAD") or "")[:7])
    if options.quick:
        print(text)
        return
    write_atomically(options.output, text)
    write_atomically(options.output.with_suffix(".svg"), figure([*equal, *real], costs))
    print(f"wrote {options.output}")


if __name__ == "__main__":
    main()
