"""What docs/findings.md says of `gray`, a picture without any color: its scores, and who is above or below them."""

from collections.abc import Iterator, Sequence

import numpy as np

from benchmark.contracts.tuning import FIDELITY
from benchmark.paper.claims import families, span_text
from benchmark.paper.findings.facts import DATA, GRAY, Facts, name_of, seen_imagenet, value
from benchmark.paper.published import Published
from benchmark.results.statistics import Estimate, against, compare, shown
from benchmark.results.tables import FLOOR_TEST, NOTHING, Row, Table, cell_text, markdown_grid
from benchmark.scoring.metrics import METRICS

SIDE = 224  # of images, at least, against which sources' photographs of 256² are held


def reported_beside_gray(facts: Facts) -> str:
    """Returns a table of what sources print, and what a picture without any color scores in each of our tables."""
    lines = [
        [
            f"{row.source}, {row.system}",
            row.reported_on,
            *[f"{row.metrics[m]:g}" if m in row.metrics else NOTHING for m in FLOOR_TEST],
        ]
        for row in facts.published
        if row.metrics.keys() & set(FLOOR_TEST)
    ]
    for table, gray in _grays(facts):
        cells = [cell_text(gray.cells[name], METRICS[name].digits) for name in FLOOR_TEST]
        lines.append([f"**`{GRAY}`, no color at all**", name_of(table), *cells])
    return markdown_grid(("system", "data", *FLOOR_TEST), lines, left=2)


def mean_color_less_gray(facts: Facts, metric: str = "psnr") -> str:
    """Returns `+0.05 on cifar10/quick, …`: what the training split's mean color scores beyond gray, table by table."""
    told = []
    for table, gray in _grays(facts):
        mean, floor = _mean(table.row("mean-color"), metric), gray.cells[metric].mean
        if mean is not None and floor is not None:
            told.append(f"{mean - floor:+.{METRICS[metric].digits}f} on {name_of(table)}")
    return ", ".join(told)


def gray_figures(table: Table) -> str:
    """Returns the scores of `gray`, like `psnr 23.97, ssim 0.9313, auc 90.06`."""
    return ", ".join(value(table, GRAY, name) for name in FLOOR_TEST)


def not_above_gray(facts: Facts) -> str:
    """Returns `1 of 3 for psnr, …`: how many figures `gray` reaches in every table of images like theirs, or ""."""
    counts = []
    for name in FLOOR_TEST:
        pairs = [(row.metrics[name], _like_theirs(row, facts, name)) for row in facts.published if name in row.metrics]
        known = [(value, round(min(grays), METRICS[name].digits)) for value, grays in pairs if grays]
        if known:
            counts.append(f"{sum(value <= gray for value, gray in known)} of {len(known)} for `{name}`")
    return ", ".join(counts)


def alike(facts: Facts) -> list[str]:
    """Returns the tables that sources' figures are held against, like `imagenette/paper`."""
    return [name_of(one) for one in facts.tables if one.floor and any(_is_like(one, row) for row in facts.published)]


def below_gray(facts: Facts) -> list[str]:
    """Returns the published systems below `gray` on images like theirs, in all of `FLOOR_TEST` that they report."""
    found = []
    for row in facts.published:
        floors = {name: _like_theirs(row, facts, name) for name in FLOOR_TEST if name in row.metrics}
        if floors and all(grays and row.metrics[name] < min(grays) for name, grays in floors.items()):
            found.append(f"{row.system} ({row.source})")
    return found


def gray_span(facts: Facts, metric: str = "psnr") -> tuple[float, float] | None:
    """Returns the least and the greatest score of `gray` in our tables, or None if fewer than two tables have one."""
    means = _gray_means(facts).get(metric, [])
    return (min(means), max(means)) if len(means) > 1 else None


def against_gray(table: Table) -> str:
    """Returns a table of each family's distance to `gray`, with what the corrected test and the interval say of it."""
    found = {name: _from_gray(table, name) for name in FLOOR_TEST}
    lines = [[f"`{row.name}`", *[found[name].get(row.name, "n/a") for name in FLOOR_TEST]] for row in families(table)]
    return markdown_grid(("method", *FLOOR_TEST), lines)


def above_gray(table: Table) -> list[str]:
    """Returns the families that are shown to beat `gray` in each metric of `FLOOR_TEST`."""
    return [row.name for row in families(table) if table.floor and not row.not_above_floor]


def elsewhere(facts: Facts) -> list[str]:
    """Returns a sentence for each table but the main one: how many of its families are shown to beat `gray`."""
    tables = [table for table in facts.with_methods if table is not facts.main and table.floor and families(table)]
    return [f"On {_beaten(table, 'that picture')}{_and_mean_color(table)}." for table in tables]


def transferred(facts: Facts) -> list[str]:
    """Returns the same of each table of images that are of no training split, with their number and the baseline."""
    tables = [table for table in facts.transfers if table.floor and families(table)]
    return [
        f"On {_beaten(table, '`gray`')} on {table.images:,} photographs, by {_seeds(table)}{_mean_color(table)}."
        for table in tables
    ]


def _seeds(table: Table) -> str:
    counts = sorted({len(row.seeds) for row in families(table)})
    span = " to ".join(map(str, dict.fromkeys((counts[0], counts[-1]))))
    return f"{span} training{'s' if counts[-1] > 1 else ''} of each"


def _beaten(table: Table, gray: str) -> str:
    if all(len(row.seeds) == 1 for row in families(table)):
        return f"{name_of(table)} {_in_the_mean(table, gray)}"
    above, of = above_gray(table), f"{len(families(table))} families{untested(table)}"
    verb = "is" if len(above) == 1 else "are"
    return f"{name_of(table)} {len(above)} of {of} {verb} shown to beat {gray} in all three{named(table, above)}"


def _and_mean_color(table: Table) -> str:
    """Returns which of the families above `gray` are shown to beat the training split's mean color, too, or ""."""
    above, baseline = above_gray(table), table.row("mean-color")
    if not (above and baseline):
        return ""
    beaten = [_above(table, baseline, metric) for metric in FLOOR_TEST]
    both = [name for name in above if all(name in names for names in beaten)]
    if both == above:
        return f", and {'each of these ' if len(above) > 1 else ''}the mean color of the training split, too"
    verb = "is" if len(both) == 1 else "are"
    return f"; of these, {len(both)} {verb} shown to beat the mean color of the training split, too{named(table, both)}"


def _above(table: Table, baseline: Row, metric: str) -> list[str]:
    """Returns the families that are shown to beat a baseline, corrected for their number."""
    if (standard := baseline.cells[metric].estimate) is None:
        return []
    tests = against(_measured(table, metric), standard)
    return [name for name, found in tests.items() if shown(found) and found.effect > 0]


def _measured(table: Table, metric: str) -> dict[str, Estimate]:
    """Returns the families that have a metric, and what is known of it."""
    return {row.name: one for row in families(table) if (one := row.cells[metric].estimate)}


def _in_the_mean(table: Table, gray: str) -> str:
    """Returns which families' means are above gray's, and the mean color's, where each was trained once."""
    rows, baseline = families(table), table.row("mean-color")
    above = [row.name for row in rows if table.floor and _ahead(row, table.floor)]
    told = (
        f"each of {len(rows)} families was trained once, and so is not tested; in the means of all three, "
        f"{len(above)} of them {'is' if len(above) == 1 else 'are'} above {gray}{named(table, above)}"
    )
    if not (above and baseline):
        return told
    both = [row.name for row in rows if row.name in above and _ahead(row, baseline)]
    return f"{told}, {len(both)} also above the mean color of the training split{named(table, both)}"


def _ahead(row: Row, other: Row) -> bool:
    pairs = [(row.cells[name].mean, other.cells[name].mean) for name in FLOOR_TEST]
    return all(mean is not None and floor is not None and mean > floor for mean, floor in pairs)


def _mean_color(table: Table, metric: str = "psnr") -> str:
    """Returns the highest mean of a family beside gray's and that of the training split's mean color, or ""."""
    mean, gray = _mean(table.row("mean-color"), metric), _mean(table.floor, metric)
    best = max(
        ((one, row.name) for row in families(table) if (one := row.cells[metric].mean) is not None), default=None
    )
    if mean is None or gray is None or best is None:
        return ""
    return (
        f"; the highest mean {metric} of a family is that of `{best[1]}`, {best[0]:.2f} dB; `{GRAY}` has {gray:.2f},"
        f" the mean color of the training split {mean:.2f} (means, whose order is no test)"
    )


def _mean(row: Row | None, metric: str) -> float | None:
    return row.cells[metric].mean if row else None


def untested(table: Table) -> str:
    """Returns which of a table's families have one training there, in brackets behind a space, or nothing."""
    once = [f"`{row.name}`" for row in families(table) if len(row.seeds) == 1]
    return f" (not tested, as of one training: {', '.join(once)})" if once else ""


def named(table: Table, names: Sequence[str]) -> str:
    """Returns families in brackets behind a space, those that have seen ImageNet marked, or nothing."""
    rows = [row for row in families(table) if row.name in names]
    told = [f"`{row.name}`{', which has seen ImageNet' if seen_imagenet(row) else ''}" for row in rows]
    return f" ({'; '.join(told) if any(map(seen_imagenet, rows)) else ', '.join(told)})" if told else ""


def ablations_above_gray(table: Table) -> list[str]:
    """Returns the ablations that are."""
    return [row.name for row in table.ablations if table.floor and not row.not_above_floor]


def never_above_gray(facts: Facts) -> list[str]:
    """Returns the tuned methods of which no trial scored above `gray` on the validation images."""
    return [
        one.method
        for one in facts.searched
        if all(trial.metrics.get(FIDELITY, -np.inf) <= one.gray[FIDELITY] for trial in one.trials)
    ]


def lead(table: Table, metric: str = "psnr") -> tuple[str, str, str] | None:
    """Returns the family of the highest mean, how far above `gray` it is, and that figure's interval.

    Families that were trained once are left out, unless all were; the interval is then "".
    """
    gray = table.floor
    floor = gray.cells[metric].estimate if gray else None
    measured = [(one.mean, row.name, one) for row in families(table) if (one := row.cells[metric].estimate)]
    if floor is None or not measured:
        return None
    several = [one for one in measured if one[2].testable]
    _, name, estimate = max(several or measured, key=lambda one: one[:2])
    effect, low, high, _ = compare(estimate, floor)
    return name, f"{effect:+.2f}", span_text(low, high, 2) if several else ""


def ahead_once(table: Table, metric: str = "psnr") -> str:
    """Returns the families that were trained once and are ahead of `lead`, each with its distance to `gray`, or ""."""
    first = lead(table, metric)
    gray = _mean(table.floor, metric)
    means = {row.name: (row.cells[metric].mean, len(row.seeds)) for row in families(table)}
    if first is None or gray is None or (best := means[first[0]][0]) is None:
        return ""
    once = {
        name: mean - gray for name, (mean, seeds) in means.items() if mean is not None and seeds == 1 and mean > best
    }
    return ", ".join(f"`{name}` ({distance:+.2f} dB)" for name, distance in once.items())


def _from_gray(table: Table, metric: str) -> dict[str, str]:
    """Returns family → its distance to `gray`, and which side the test shows, corrected for the number of families."""
    gray, measured = table.floor, _measured(table, metric)
    if (floor := gray.cells[metric].estimate if gray else None) is None:
        return {}
    digits, told = METRICS[metric].digits, {}
    for name, found in against(measured, floor).items():
        alone = compare(measured[name], floor)  # whose interval, in no family of tests, is also that of the claims
        side = "not told apart" if not shown(found) else "above" if found.effect > 0 else "below"
        judged = f"{span_text(alone.low, alone.high, digits)} {side}"
        told[name] = f"{alone.effect:+.{digits}f} {judged if measured[name].testable else '(one training, not tested)'}"
    return told


def _is_like(table: Table, row: Published) -> bool:
    """Whether a table has images like a source's: of such a data set, and photographs of about their size."""
    size = table.origin.image_size or 0
    return bool(row.metrics) and table.data in (row.data, *row.like) and (table.data == DATA[0] or size >= SIDE)


def _like_theirs(row: Published, facts: Facts, metric: str) -> list[float]:
    """Returns what `gray` scores on images like a source's, table by table."""
    means = [gray.cells[metric].mean for table, gray in _grays(facts) if _is_like(table, row)]
    return [mean for mean in means if mean is not None]


def _grays(facts: Facts) -> Iterator[tuple[Table, Row]]:
    """Yields `gray` of each set of test images once: two presets may have the same."""
    seen: set[tuple[str, str]] = set()
    for table in facts.tables:
        images = table.data, table.data_sha256
        if (gray := table.floor) and images not in seen:
            seen.add(images)
            yield table, gray


def _gray_means(facts: Facts) -> dict[str, list[float]]:
    """Returns metric → scores of `gray` in our tables, for each metric of `FLOOR_TEST` with any."""
    means = {name: [gray.cells[name].mean for _, gray in _grays(facts)] for name in FLOOR_TEST}
    known = {name: [mean for mean in found if mean is not None] for name, found in means.items()}
    return {name: found for name, found in known.items() if found}
