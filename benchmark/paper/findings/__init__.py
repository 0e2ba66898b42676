"""Makes docs/findings.md and its figures from the committed result files alone, for `bench findings`.

The template `benchmark/paper/templates/findings.md.j2` holds the prose; every number and figure in it follows from
results.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.contracts.tuning import read_tuning
from benchmark.paper.card.surprises import headlines
from benchmark.paper.claims import decide_all
from benchmark.paper.findings import colorless, figures, longer, verdicts, within
from benchmark.paper.findings import facts as pieces
from benchmark.paper.findings.facts import Facts
from benchmark.paper.published import load_published
from benchmark.results.tables import build_table, cell_text, nothing_current, number, part, tables_in, update_files
from benchmark.scoring.metrics import METRICS
from benchmark.support.templates import environment

__all__ = ["BuiltFindings", "build_findings"]

PAGE = "findings.md"
TRADE, BESIDE_COST = ("psnr", "auc_rebal"), ("psnr", "auc_rebal")


@dataclass(frozen=True)
class BuiltFindings:
    """The outcome of `build_findings`."""

    page: Path
    stale: Sequence[Path]  # files that differed from the results; they are rewritten unless only checked


def build_findings(root: Path, check: bool = False) -> BuiltFindings:
    """Writes `docs/findings.md` and its figures.

    Args:
        root: the project's folder, which holds `results/` and `docs/`.
        check: whether to write nothing and only say which files are out of date.
    """
    tables = [build_table(folder) for data in pieces.DATA for folder in tables_in(root / "results", data)]
    tunings = [read_tuning(path) for path in sorted((root / "results" / pieces.DATA[0]).glob("*/tuning/*.json"))]
    transfers = [build_table(folder) for data in pieces.TRANSFERS for folder in tables_in(root / "results", data)]
    facts = Facts(tables, decide_all(tables), load_published(), tunings, transfers)
    drawn = {f"findings-{name}.svg": figure for name, figure in _figures(facts).items()}
    docs = root / "docs"
    contents = {docs / name: figure for name, figure in drawn.items()} | {
        docs / PAGE: _page(facts, drawn, headlines(root / "results"))
    }
    left = [path for path in sorted(docs.glob("findings-*.svg")) if path not in contents]
    return BuiltFindings(docs / PAGE, [*update_files(contents, check), *_removed(left, check)])


def _figures(facts: Facts) -> dict[str, str]:
    """Returns name → SVG of the figures for which there are results."""
    main = facts.main
    if main is None:
        return {}
    drawn = {"gray": figures.gray_line(main, pieces.FLOOR_TEST)}
    if any(row.cells["colorfulness"].mean is not None for row in pieces.families(main)):
        drawn["color"] = figures.color_against_score(main, TRADE)
    if any(row.cost.train_seconds for row in main.rows):
        drawn["cost"] = figures.cost(main, BESIDE_COST)
    if len(facts.with_methods) > 1:
        drawn["data"] = figures.across(facts.with_methods, "psnr")
    return drawn


def _page(facts: Facts, drawn: dict[str, str], of_metrics: Sequence[str]) -> str:
    template = environment("benchmark.paper").get_template("findings.md.j2")
    return template.render(
        facts=facts,
        verdicts=verdicts,
        main=facts.main,
        pieces=pieces,
        colorless=colorless,
        longer=longer,
        within=within,
        figures=drawn,
        of_metrics=of_metrics,
        part=part,
        nothing_current=nothing_current,
        cell=cell_text,
        number=number,
        metrics=METRICS,
    )


def _removed(paths: Sequence[Path], check: bool) -> Sequence[Path]:
    """Removes figures whose results are no longer there, unless only checked, and returns them."""
    for path in [] if check else paths:
        path.unlink()
    return paths
