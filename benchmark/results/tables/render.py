"""One table → Markdown, CSV, LaTeX, HTML, JSON, and lines for a terminal. All formatting of numbers is here."""

import csv
import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from tabulate import tabulate

from benchmark.contracts.result import Cost, Run
from benchmark.results.tables.table import GRAY, GRAY_TEST, SEEDS_WANTED, Cell, Row, Table
from benchmark.scoring.metrics import METRICS, Metric
from benchmark.study.people import COLUMNS

HEADLINE = ("psnr", "ssim", "auc", "auc_rebal", "lpips_alex", "fid", "top1", "delta_colorfulness", "fooled")
MORE_PER_TABLE = 6  # metrics side by side, with their intervals, before a page gets too wide
ARROWS = {"higher": " ↑", "lower": " ↓", None: ""}
NOTHING = "–"
LEADERS_SHOWN = 3
ACROSS = ("mean_rank", "psnr", "ssim", "auc", "auc_rebal")  # shown for all tables side by side
ROLES = ("method", "baseline", "ceiling")
COST_HEADS = ("parameters", "multiply-adds", "training", "training images/s", "inference images/s", "peak memory")
INTERVAL = re.compile(r"\[(-?[\d.]+), (-?[\d.]+)\]")
LATEX_SPECIAL = {c: f"\\{c}" for c in "&%$#_{}"} | {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}"} | {
    "\\": r"\textbackslash{}", "↑": r"$\uparrow$", "↓": r"$\downarrow$", "†": r"$\dagger$", "‡": r"$\ddagger$",
    "Δ": r"$\Delta$", "–": "--", "×": r"$\times$", "≤": r"$\leq$", "−": "$-$",
}  # fmt: skip


@dataclass(frozen=True)
class Style:
    """How a format marks text."""

    plain: Callable[[str], str]
    bold: Callable[[str], str]
    name: Callable[[str], str]
    aside: Callable[[str], str]


def _latex(text: str) -> str:
    return "".join(LATEX_SPECIAL.get(character, character) for character in text)


MARKDOWN = Style(str, lambda text: f"**{text}**", lambda text: f"`{text}`", lambda text: f"*{text}*")
LATEX = Style(
    _latex,
    lambda text: rf"\textbf{{{_latex(text)}}}",
    lambda text: rf"\texttt{{{_latex(text)}}}",
    lambda text: rf"\emph{{{_latex(text)}}}",
)
TEXT = Style(str, str, str, lambda text: f"({text})")


@lru_cache
def environment(package: str = "benchmark.results.tables") -> Environment:
    """The templates' environment. HTML templates escape what they print."""
    templates = Environment(
        loader=PackageLoader(package),
        autoescape=lambda name: bool(name and ".html" in name),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    templates.filters |= {"code": _code_html, "latex": _code_latex, "thousands": lambda number: f"{number:,}"}
    return templates


def number(value: float, digits: int) -> str:
    """A number with so many decimals, without a negative zero."""
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text


def interval_text(cell: Cell, digits: int) -> str:
    """`[23.9, 24.1]`, or nothing where no interval is known."""
    return f"[{', '.join(number(end, digits) for end in cell.interval)}]" if cell.interval else ""


def value_text(cell: Cell, digits: int) -> str:
    """The mean, with its mark if it is not shown to beat gray."""
    return NOTHING if cell.mean is None else number(cell.mean, digits) + ("†" if cell.below_gray else "")


def cell_text(cell: Cell, digits: int, style: Style, with_interval: bool = True) -> str:
    """`**24.00** [23.9, 24.1]`, bold where nothing is shown to be better."""
    value = value_text(cell, digits)
    value = style.bold(value) if cell.best else style.plain(value)
    return f"{value} {interval_text(cell, digits)}".rstrip() if with_interval else value


def head(metric: Metric) -> str:
    """`psnr ↑`: the column's name, which stands for its exact variant, and its better side."""
    return metric.name + ARROWS[metric.direction]


def headline(table: Table) -> list[Metric]:
    """The metrics of the first, short table."""
    return [metric for metric in table.metrics if metric.name in HEADLINE]


def row_name(row: Row, style: Style) -> str:
    """The method's name; external ones are marked."""
    return style.name(row.name) + (f" {style.aside('external')}" if row.run.external else "")


def seeds_text(row: Row) -> str:
    """How many seeds; ‡ marks a method that too few stand for."""
    few = row.run.role == "method" and len(row.seeds) < SEEDS_WANTED
    return f"{len(row.seeds)}{'‡' if few else ''}"


def gray_text(row: Row, table: Table) -> str:
    """Whether a method beats `gray`."""
    if row.run.role != "method" or table.row(GRAY) is None:
        return NOTHING
    return f"not in {', '.join(row.not_above_gray)} †" if row.not_above_gray else "yes"


def sections(table: Table) -> list[tuple[str, Sequence[Row]]]:
    """The parts of a table that are set apart."""
    parts = [
        ("methods", table.rows),
        ("baselines", table.baselines),
        ("ceilings, shown the true colors", table.ceilings),
    ]
    return [(title, rows) for title, rows in parts if rows]


def grid(table: Table, heads: Sequence[str], line: Callable[[Row], list[str]], style: Style) -> list[list[str]]:
    """Lines of text cells: one per row, and one with a title above each part but the first."""
    lines: list[list[str]] = []
    for title, rows in sections(table):
        if title != "methods":
            lines.append([style.aside(title), *[""] * (len(heads) - 1)])
        lines += [line(row) for row in rows]
    return lines


def main_grid(table: Table, style: Style) -> tuple[list[str], list[list[str]]]:
    """Heads and lines of the first table."""
    metrics = headline(table)
    heads = ["method", "mean rank", *[style.plain(head(metric)) for metric in metrics], "beats gray", "seeds", "N"]

    def line(row: Row) -> list[str]:
        cells = [cell_text(row.cells[metric.name], metric.digits, style) for metric in metrics]
        mean_rank = NOTHING if row.mean_rank is None else number(row.mean_rank, 1)
        facts = [gray_text(row, table), seeds_text(row), f"{row.images:,}"]
        return [row_name(row, style), style.plain(mean_rank), *cells, *map(style.plain, facts)]

    return heads, grid(table, heads, line, style)


def metric_grid(table: Table, metrics: Sequence[Metric], style: Style) -> tuple[list[str], list[list[str]]]:
    """Heads and lines of a table of some metrics."""
    heads = ["method", *[style.plain(head(metric)) for metric in metrics]]

    def line(row: Row) -> list[str]:
        return [row_name(row, style), *[cell_text(row.cells[m.name], m.digits, style) for m in metrics]]

    return heads, grid(table, heads, line, style)


def rank_grid(table: Table, style: Style) -> tuple[list[str], list[list[str]]]:
    """Heads and lines of the ranks, for the methods that have any."""
    metrics = [metric for metric in table.metrics if any(row.cells[metric.name].rank for row in table.rows)]
    heads = ["method", *[style.plain(metric.name) for metric in metrics]]
    ranked = [row for row in table.rows if row.mean_rank is not None]
    lines = [[row_name(row, style), *[str(row.cells[m.name].rank or NOTHING) for m in metrics]] for row in ranked]
    return heads, lines


def cost_grid(table: Table, style: Style) -> tuple[list[str], list[list[str]]]:
    """Heads and lines of what each row costs."""
    heads = ["method", *COST_HEADS, "device"]

    def line(row: Row) -> list[str]:
        return [
            row_name(row, style),
            *map(style.plain, [*cost_texts(row.cost), device_text(row.cost.device or NOTHING)]),
        ]

    return heads, grid(table, heads, line, style)


def cost_texts(cost: Cost) -> list[str]:
    """The figures of a cost in the order of `COST_HEADS`, to three digits, in readable units."""
    return [
        _scaled(cost.parameters),
        _scaled(cost.macs),
        NOTHING if cost.train_seconds is None else _duration(cost.train_seconds),
        _scaled(cost.train_images_per_second),
        _scaled(cost.inference_images_per_second),
        NOTHING if cost.peak_memory_bytes is None else f"{_three_digits(cost.peak_memory_bytes / 2**30)} GiB",
    ]


def caption(table: Table) -> list[str]:
    """What a table must say of itself; `code` in backticks, which each format turns into its own."""
    return [
        f"Protocol {table.protocol}; test split of `{table.data}`, preset `{table.preset}`: {table.images:,} images, "
        f"SHA-256 `{table.data_sha256[:12]}`.",
        "Mean over seeds with a 95 % interval by hierarchical bootstrap (seeds, then images); ↑ higher is better, "
        "↓ lower is. Bold: no method is shown to be better, by paired tests after Holm's correction; "
        "methods that the tests cannot tell from the best share rank 1. Rows stand in the order of their mean rank.",
        f"Measured on: {_machines(table)}.",
    ]


def _machines(table: Table) -> str:
    """The machine of all rows, or which rows ran on which: then their times do not compare."""
    devices = table.origin.devices
    if len(devices) < 2:
        return next(map(device_text, devices), "not recorded")
    parts = "; ".join(f"{device_text(device)}: {_names(rows)}" for device, rows in devices.items())
    return f"{parts}. Times of different machines or numbers of threads do not compare"


def device_text(name: str) -> str:
    """A device's name as it is recorded, in the singular for one thread."""
    return re.sub(r"\b1 threads$", "1 thread", name)


def _names(rows: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in rows)


def origins(table: Table) -> list[str]:
    """Where the numbers come from: time, seeds, software, code, data; `code` in backticks."""
    origin = table.origin
    size = f" of {origin.image_size}×{origin.image_size} pixels" if origin.image_size else ""
    arrays = ", ".join(f"{split} `{sha256[:12]}`" for split, sha256 in origin.arrays.items())
    packages = ", ".join(f"{name} {' / '.join(found)}" for name, found in origin.packages.items() if found)
    lines = [
        f"Time: {_time_spent(table)}.",
        f"Seeds: {seeds_of(table)}.",
        f"Images: {table.images:,} test images{size}; SHA-256 of the prepared arrays: {arrays}.",
        f"Software: {packages or 'not recorded'}.",
        f"Code: {_code(table)}.",
    ]
    return lines if origin.cells else []


def _time_spent(table: Table) -> str:
    origin = table.origin
    trained = f"{_duration(origin.train_seconds)} of training" if origin.train_seconds else "no training"
    longest = f" (the longest {_duration(origin.longest[1])}: {origin.longest[0]})" if origin.longest else ""
    colored = f" and {_duration(origin.color_seconds)} of coloring the test images" if origin.color_seconds else ""
    return f"{origin.cells} cells, {trained}{longest}{colored}; preparing the data and scoring not counted"


def seeds_of(table: Table) -> str:
    """The seeds of all methods, or which methods have which."""
    methods = {row.name for row in table.rows if not row.run.external}
    seeds = {seeds: [name for name in rows if name in methods] for seeds, rows in table.origin.seeds.items()}
    parts = [(", ".join(map(str, found)), rows) for found, rows in seeds.items() if rows]
    if len(parts) == 1:
        return parts[0][0]
    return "; ".join(f"{found}: {_names(rows)}" for found, rows in parts) or "none, as nothing here was trained"


def _code(table: Table) -> str:
    commits, dirty = table.origin.commits, table.origin.dirty
    told = f"commit{'s' if len(commits) > 1 else ''} {_names(commits)}" if commits else "commit not recorded"
    if not dirty:
        return told
    return f"{told}, with changes not committed then{'' if len(dirty) == len(table.all_rows) else f': {_names(dirty)}'}"


def footnotes(table: Table) -> list[str]:
    """What a reader must know beside the numbers; `code` in backticks."""
    notes = []
    if table.own:
        rows = ", ".join(f"`{name}` (seed {', '.join(map(str, seeds))})" for name, seeds in table.own.items())
        notes.append(f"Measured on this machine, marked * in the terminal: {rows}; all else: committed references.")
    if any(row.not_above_gray for row in table.rows):
        notes.append(f"† not shown to beat `{GRAY}`, a picture without any color, in {', '.join(GRAY_TEST)}.")
    if table.rows and table.row(GRAY) is None:
        notes.append(f"Whether a method beats `{GRAY}` is not known: that baseline is missing. {_run(table, GRAY)}")
    few = [row for row in table.rows if len(row.seeds) < SEEDS_WANTED]
    if few:
        names = _names([row.name for row in few])
        notes.append(f"‡ fewer than {SEEDS_WANTED} seeds ({names}): {_few_seeds(few)}")
    notes += [
        f"`{name}` lacks seeds that other methods have: {', '.join(map(str, seeds))}. {_run(table, name, seeds[0])}"
        for name, seeds in table.missing_seeds.items()
    ]
    partial = [row for row in table.all_rows if row.images != table.images]
    notes += [f"`{row.name}` was scored on {row.images:,} of {table.images:,} images: not ranked." for row in partial]
    notes += [f"`{name}` is not in the table: {reason}." for name, reason in table.skipped.items()]
    notes += [
        f"n/a: {', '.join(f'`{name}`' for name in names)} ({reason})." for reason, names in _absent(table).items()
    ]
    for name, truth in table.truth.items():
        notes.append(f"`{name}` of the true images: {cell_text(Cell(truth), COLUMNS[name].digits, TEXT)}.")
    unresampled = [metric for metric in table.metrics if not metric.columns and metric.name in METRICS]
    if unresampled:
        names = ", ".join(f"`{metric.name}`" for metric in unresampled)
        notes.append(f"{names}: scores of the whole set; interval and test over seeds alone.")
    return notes + [f"`{name}`: {note}." for name, note in _shared_notes(table).items()]


def _few_seeds(rows: Sequence[Row]) -> str:
    if any(len(row.seeds) == 1 for row in rows):
        return "with one, interval and test are over images alone and speak of that training, not of the method."
    return "the interval is wide, as two values say little of their spread."


def _run(table: Table, method: str, seed: int = 0) -> str:
    run = Run(method=method, adapter=method, data=table.data, preset=table.preset, seed=seed)
    return f"Run: `{run.command}`."


def _absent(table: Table) -> dict[str, list[str]]:
    """Reason → metrics without any value for it."""
    reasons: dict[str, list[str]] = {}
    for name, reason in table.absent.items():
        reasons.setdefault(re.sub(r"n/a \(([^()]*)\)", r"\1", reason), []).append(name)
    return reasons


def _shared_notes(table: Table) -> dict[str, str]:
    """Metric → what is said of it alike in every row that has it."""
    shared = {}
    for metric in table.metrics:
        said = {row.cells[metric.name].note for row in table.all_rows if row.cells[metric.name].estimate}
        if len(said) == 1 and (note := said.pop()):
            shared[metric.name] = note
    return shared


def markdown(table: Table) -> str:
    """The table as a Markdown document."""
    further = [metric for metric in table.metrics if metric.name not in HEADLINE]
    chunks = [further[start : start + MORE_PER_TABLE] for start in range(0, len(further), MORE_PER_TABLE)]
    return _render(
        "leaderboard.md.j2",
        table=table,
        main=markdown_grid(*main_grid(table, MARKDOWN)),
        further=[markdown_grid(*metric_grid(table, chunk, MARKDOWN)) for chunk in chunks],
        ranks=markdown_grid(*rank_grid(table, MARKDOWN)) if any(row.mean_rank for row in table.rows) else "",
        cost=markdown_grid(*cost_grid(table, MARKDOWN)),
        caption=caption(table),
        footnotes=footnotes(table),
        origins=origins(table),
        commands=commands(table),
    )


def markdown_grid(heads: Sequence[str], lines: Sequence[Sequence[str]], left: int = 1) -> str:
    """A pipe table whose columns line up, so that it is read in an editor too. The first `left` columns are text.

    Intervals do not break in the middle when a page is too narrow.
    """
    align = ["left"] * left + ["right"] * (len(heads) - left)
    lines = [[INTERVAL.sub("[\\1,\u00a0\\2]", text).replace("|", "\\|") for text in line] for line in lines]
    return tabulate(lines, heads, tablefmt="pipe", colalign=align if lines else None, disable_numparse=True)


def commands(table: Table) -> list[str]:
    """What repeats each row: a line per row, or more where its seeds ran on different devices or threads."""
    return [line for row in table.all_rows for line in table.origin.commands[row.name]]


def latex(table: Table) -> str:
    """The first table as LaTeX (package booktabs)."""
    heads, lines = main_grid(table, LATEX)
    return _render("leaderboard.tex.j2", heads=heads, lines=lines, caption=caption(table), footnotes=footnotes(table))


def html(table: Table) -> str:
    """The whole table as one HTML page without any outside file."""
    return _render(
        "leaderboard.html.j2",
        table=table,
        parts=sections(table),
        head=head,
        value=value_text,
        interval=interval_text,
        gray=gray_text,
        seeds=seeds_text,
        number=number,
        cost_heads=COST_HEADS,
        cost_texts=cost_texts,
        device=device_text,
        caption=caption(table),
        footnotes=footnotes(table),
        origins=origins(table),
        commands=commands(table),
    )


def csv_text(table: Table) -> str:
    """Every number of the table, one line per method, six significant digits."""
    lines = [_csv_line(row) for _, rows in sections(table) for row in rows]
    lines += [{"method": name, "status": f"skipped: {reason}"} for name, reason in table.skipped.items()]
    heads = list(dict.fromkeys(key for line in lines for key in line))
    out = io.StringIO()
    writer = csv.DictWriter(out, heads, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return out.getvalue()


def _csv_line(row: Row) -> dict[str, str]:
    line = {
        "method": row.name,
        "status": "ok",
        "adapter": row.run.adapter,
        "role": row.run.role,
        "external": str(row.run.external).lower(),
        "seeds": " ".join(map(str, row.seeds)),
        "images": str(row.images),
        "mean_rank": _six(row.mean_rank),
        "not_above_gray": " ".join(row.not_above_gray),
    }
    for name, cell in row.cells.items():
        low, high = cell.interval or (None, None)
        line |= {name: _six(cell.mean), f"{name}_low": _six(low), f"{name}_high": _six(high)}
        if COLUMNS[name].direction:
            line[f"{name}_rank"] = str(cell.rank or "")
    return line | {name: value if isinstance(value, str) else _six(value) for name, value in row.cost}


def as_json(tables: Sequence[Table]) -> str:
    """Tables for programs: means, intervals, ranks as numbers."""
    return json.dumps([_json_table(table) for table in tables], indent=2, allow_nan=False)


def _json_table(table: Table) -> dict[str, Any]:
    return {
        "data": table.data,
        "preset": table.preset,
        "note": table.note,
        "protocol": table.protocol,
        "data_sha256": table.data_sha256,
        "images": table.images,
        "rows": [_json_row(row) for row in table.all_rows],
        "skipped": dict(table.skipped),
        "absent": dict(table.absent),
        "left_out": list(table.left_out),
    }


def _json_row(row: Row) -> dict[str, Any]:
    metrics = {
        name: {"mean": cell.mean, "interval": cell.interval, "rank": cell.rank, "note": cell.note}
        for name, cell in row.cells.items()
    }
    facts = {"method": row.name, "role": row.run.role, "external": row.run.external, "seeds": row.seeds}
    shown = {"images": row.images, "mean_rank": row.mean_rank, "not_above_gray": row.not_above_gray}
    return facts | shown | {"metrics": metrics, "cost": row.cost.model_dump()}


def print_table(table: Table, highlight: str | None = None, console: Any = None) -> None:
    """Prints the first table: with colors and lines to a terminal, else as plain text.

    Args:
        table: what to print.
        highlight: the row to mark with an arrow.
        console: a `rich.console.Console`; default: standard output.
    """
    from rich.console import Console

    console = console or Console()
    if console.is_terminal:
        console.print(_rich_table(table, highlight, max(3, (console.width - 45) // 19)))
    else:
        heads, lines = main_grid(table, TEXT)
        lines = [[f"{_mark(line[0], table, highlight)} {line[0]}", *line[1:]] for line in lines]
        print(tabulate(lines, heads, tablefmt="simple", disable_numparse=True), file=console.file)
    notes = [*filter(None, [table.note]), *caption(table)[:1], *footnotes(table)]
    console.print("\n".join(note.replace("`", "") for note in notes), markup=False, highlight=False, soft_wrap=True)


def _rich_table(table: Table, highlight: str | None, columns: int) -> Any:
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    metrics = headline(table)[:columns]  # as many as fit, with their intervals
    drawn = RichTable(title=f"{table.data}, preset {table.preset}", box=box.SIMPLE_HEAD, title_justify="left")
    for title in ("method", *map(head, metrics), "beats gray", "seeds"):
        drawn.add_column(title, justify="left" if title == "method" else "right", no_wrap=title != "beats gray")
    for _, rows in sections(table):
        for row in rows:
            marked = row.name == highlight
            cells = [_rich_cell(row.cells[metric.name], metric.digits) for metric in metrics]
            name = Text(f"{_mark(row.name, table, highlight)} {row_name(row, TEXT)}", style="bold" if marked else "")
            drawn.add_row(name, *cells, gray_text(row, table), seeds_text(row), style="on grey19" if marked else "")
        drawn.add_section()
    return drawn


def _mark(name: str, table: Table, highlight: str | None) -> str:
    return ">" if name == highlight else "*" if name in table.own else " "


def _rich_cell(cell: Cell, digits: int) -> Any:
    from rich.text import Text

    value = Text(value_text(cell, digits), style="bold green" if cell.best else "")
    return value.append(f"\n{interval_text(cell, digits)}", style="dim") if cell.interval else value


def overview(tables: Mapping[Path, Sequence[Mapping[str, str]]]) -> str:
    """`results/README.md`: every table, who leads it, and how each method fares across the tables.

    Args:
        tables: folder `<data>/<preset>` → the lines of its CSV file.
    """
    metrics = [COLUMNS[name] for name in HEADLINE if any(line.get(name) for lines in tables.values() for line in lines)]
    heads = ["data, preset", "images", "methods", *map(head, metrics)]
    rows = [_overview_line(folder, lines, metrics) for folder, lines in tables.items()]
    across = {name: grid for name in ACROSS if (grid := _across(name, tables))} if len(tables) > 1 else {}
    return _render("overview.md.j2", tables=markdown_grid(heads, rows), across=across)


def _across(column: str, tables: Mapping[Path, Sequence[Mapping[str, str]]]) -> str:
    """One column of every table side by side, in the order of the first; nothing if no table has it."""
    order = {line["method"]: line["role"] for lines in tables.values() for line in lines if line["status"] == "ok"}
    names = sorted(order, key=lambda name: ROLES.index(order[name]))  # methods first; a stable sort
    cells = {folder: {line["method"]: _cell_across(line, column) for line in lines} for folder, lines in tables.items()}
    held = [folder for folder, found in cells.items() if any(text != NOTHING for text in found.values())]
    lines = [[f"`{name}`", *[cells[folder].get(name, NOTHING) for folder in held]] for name in names]
    shown = [line for line in lines if any(text != NOTHING for text in line[1:])]
    return (
        markdown_grid(["method", *[f"{folder.parent.name}/{folder.name}" for folder in held]], shown) if shown else ""
    )


def _cell_across(line: Mapping[str, str], column: str) -> str:
    """Value, in bold for rank 1, and the mark of not being shown to beat gray; other ranks in brackets."""
    if not line.get(column):
        return NOTHING
    digits = COLUMNS[column].digits if column in COLUMNS else 1
    value = number(float(line[column]), digits) + ("†" if column in line["not_above_gray"].split() else "")
    rank = line.get(f"{column}_rank")
    return f"**{value}**" if rank == "1" else f"{value} ({rank})" if rank else value


def _overview_line(folder: Path, lines: Sequence[Mapping[str, str]], metrics: Sequence[Metric]) -> list[str]:
    name = f"{folder.parent.name}/{folder.name}"
    methods = [line for line in lines if line.get("role") == "method"]
    images = max((int(line["images"]) for line in lines if line.get("images")), default=0)
    leaders = [_leaders(methods, metric) for metric in metrics]
    return [f"[{name}]({name}/leaderboard.md)", f"{images:,}", str(len(methods)), *leaders]


def _leaders(methods: Sequence[Mapping[str, str]], metric: Metric) -> str:
    """The methods of rank 1, the best mean first, with that mean."""
    first = [line for line in methods if line.get(f"{metric.name}_rank") == "1"]
    first.sort(key=lambda line: float(line[metric.name]), reverse=metric.direction == "higher")
    names = [f"`{line['method']}`" for line in first]
    shown = ", ".join(names[:LEADERS_SHOWN]) + (f", {len(names) - LEADERS_SHOWN} more" if names[LEADERS_SHOWN:] else "")
    return f"{number(float(first[0][metric.name]), metric.digits)} {shown}" if first else NOTHING


def _render(template: str, **values: Any) -> str:
    return environment().get_template(template).render(**values)


def _code_html(text: str) -> Markup:
    return Markup(re.sub(r"`([^`]*)`", r"<code>\1</code>", str(escape(text))))


def _code_latex(text: str) -> str:
    parts = text.split("`")  # every second one is code
    return "".join(LATEX.name(part) if k % 2 else _latex(part) for k, part in enumerate(parts))


def _six(value: float | None) -> str:
    if value is None:
        return ""
    return str(value) if isinstance(value, int) else f"{value:.6g}"


def _three_digits(value: float) -> str:
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"


def _scaled(value: float | None) -> str:
    """1234567 → `1.23 M`."""
    if value is None:
        return NOTHING
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{_three_digits(value / size)} {unit}"
    return _three_digits(value)


def _duration(seconds: float) -> str:
    """75 → `1.25 min`."""
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{_three_digits(seconds / size)} {unit}"
    return f"{_three_digits(seconds)} s"
