"""What there is and what is ready on this machine: `bench list`. Imports no adapter and no torch."""

import ast
import sys
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmark.contracts import registry
from benchmark.contracts.config import Params, find_root, read_params
from benchmark.scoring.metrics import METRICS
from benchmark.support.weights import WEIGHTS, state_of

PIPED_WIDTH = 250  # columns where no terminal says how many it has: a line per row, for grep


def first_line(kind: registry.Kind, adapter: str) -> str:
    """The first line of an adapter file's docstring, read without importing it; of another package with its version."""
    path = registry.source_file(kind, adapter) or registry.plugin_file(kind, adapter)
    package = registry.plugin_version(kind, adapter)
    docstring = path and ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    said = (docstring or "").partition("\n")[0]
    return f"{said} ({package})".lstrip() if package else said


def inventory() -> dict[str, list[dict[str, Any]]]:
    """Methods, data sets, presets, metrics and weights, with what is ready here; plain JSON values."""
    root = find_root()
    params = read_params(root)
    ready = [name for name in WEIGHTS if state_of(name)[0] == "ready"]  # here, and the right file
    return {
        "methods": _methods(params),
        "data": [
            {
                "name": name,
                "prepared": sorted(path.parent.name for path in root.glob(f"data/{name}-*/meta.json")),
                "about": first_line("dataset", name),
            }
            for name in registry.names("dataset")
        ],
        "presets": [{"name": name, "default": name == params.suite.preset} for name in params.presets],
        "metrics": [
            {
                "name": metric.name,
                "better": metric.direction or "–",
                "about": f"{metric.description} (with --also alone)" if metric.optional else metric.description,
                "missing": [name for name in metric.needs if name not in ready],
            }
            for metric in METRICS.values()
        ],
        "weights": [{"name": name, "ready": name in ready} for name in WEIGHTS],
    }


def _methods(params: Params) -> list[dict[str, Any]]:
    entries = {name: params.entry(name) for name in {*params.entries, *registry.names("method")}}
    return [
        {
            "name": name,
            "adapter": entry.get("adapter", name),
            "departures": {key: value for key, value in entry.items() if key != "adapter"},
            "about": first_line("method", entry.get("adapter", name)),
        }
        for name, entry in sorted(entries.items())
    ]


def print_inventory(found: dict[str, list[dict[str, Any]]]) -> None:
    """The inventory as tables for people."""
    console = Console(width=None if sys.stdout.isatty() else PIPED_WIDTH)
    rows: dict[str, list[tuple[str, ...]]] = {
        "methods": [(row["name"], _departures(row), row["about"]) for row in found["methods"]],
        "data": [(row["name"], ", ".join(row["prepared"]) or "not prepared", row["about"]) for row in found["data"]],
        "presets": [(row["name"], "the suite's" if row["default"] else "") for row in found["presets"]],
        "metrics": [(row["name"], _readiness(row["missing"]), row["about"]) for row in found["metrics"]],
        "weights": [(row["name"], "ready" if row["ready"] else "missing") for row in found["weights"]],
    }
    for title, lines in rows.items():
        table = Table(
            title=title, title_justify="left", title_style="bold", show_header=False, box=None, padding=(0, 2)
        )
        table.add_column(no_wrap=True)  # names are typed again: they must stay whole
        for line in lines:
            table.add_row(*line)
        console.print(table, "", highlight=False, sep="\n")


def _departures(row: dict[str, Any]) -> str:
    adapter = [] if row["adapter"] == row["name"] else [row["adapter"]]
    changed = [f"{key}={value}" for key, value in row["departures"].items()]
    return " ".join([*adapter, ", ".join(changed)]).strip()


def _readiness(missing: list[str]) -> str:
    return f"needs: bench weights fetch {' '.join(missing)}" if missing else "ready"
