"""What docs/findings.md says of the course of trainings: whether the last weights are the best on validation images."""

from collections.abc import Sequence

from benchmark.paper.claims import families
from benchmark.paper.findings.facts import Facts, name_of
from benchmark.paper.findings.longer import longer
from benchmark.results.tables import NOTHING, Row, Table, markdown_grid


def ends(facts: Facts) -> str:
    """Returns a table of how far each family's mean curve ends below its highest point; "" where there is no curve."""
    tables = _with_curves(facts)
    names = dict.fromkeys(row.name for table in tables for row in families(table))
    lines = [[f"`{name}`", *[_end(table.row(name)) for table in tables]] for name in names]
    return markdown_grid(("method", *map(name_of, tables)), lines) if tables else ""


def validation_images(facts: Facts) -> str:
    """Returns on how many images each table's curves are measured, like `256 on cifar10/quick, 64 on coco/quick`."""
    return ", ".join(
        f"{' or '.join(f'{count:,}' for count in sorted(counts))} on {name_of(table)}"
        for table in _with_curves(facts)
        if (counts := {one.validation_images for row in families(table) for one in row.curves.values()})
    )


def _with_curves(facts: Facts) -> Sequence[Table]:
    """Returns the page's table of each data set, and its longer trainings."""
    chosen = [*facts.with_methods, *(table for pair in longer(facts) for table in pair)]
    tables = [table for table in facts.tables if any(table is one for one in chosen)]
    return [table for table in tables if any(row.curves for row in families(table))]


def _end(row: Row | None) -> str:
    """Returns `-0.43 (after 12.5 %)`, or `0.00` where the last point is the highest."""
    means = row.mean_curve if row else {}
    if not means:
        return NOTHING
    last, highest = max(means), max(means, key=lambda images: means[images])
    if last == highest:
        return "0.00"
    return f"{means[last] - means[highest]:.2f} (after {100 * highest / last:.3g} %)"
