"""What a table says beside its numbers: lines with `code` in backticks, which each format turns into its own."""

import re
from collections import defaultdict
from collections.abc import Iterable

from benchmark.results.columns import TableCell, columns
from benchmark.results.curves import passings
from benchmark.results.tables.style import cell_text, duration
from benchmark.results.tables.table import Table
from benchmark.results.tables.verdicts import FLOOR_TEST, SEEDS_WANTED
from benchmark.scoring.metrics import METRICS

NAMES_SHOWN = 6  # files, of those left out for one reason
FEW_SEEDS = {
    True: "with one, the interval is over images alone and speaks of that training, and there is no test and no rank.",
    False: "power comes from seeds, and intervals are wide with few.",
}
ABLATION_MARKS = "▲, ▼: an ablation is shown to be better, worse than the entry that it varies."
HISTORY = "docs/history/protocol-1.md"  # tables of results that are current no more


def caption(table: Table) -> list[str]:
    """What a table must say of itself; `code` in backticks, which each format turns into its own."""
    precisions = " / ".join(table.origin.precisions)
    trained = f" Trained in {precisions}; no table mixes precisions." if precisions else ""
    floor = f"; never a method whose `psnr` is below that of `{table.floor.name}`" if table.floor else ""
    return [
        f"Protocol {table.protocol}; test split of `{table.data}`, preset `{table.preset}`: {table.images:,} images, "
        f"SHA-256 `{table.data_sha256[:12]}`.",
        "Mean over seeds with a 95 % interval by hierarchical bootstrap (seeds, then images); ↑ higher is better, "
        "↓ lower is. Bold: by paired tests, corrected for their number, none is better and the method is in the better "
        f"half{floor}. Rows stand in the order of the mean rank of their means in the columns of this table. "
        f"{_decided(table)}",
        f"Measured on: {_machines(table)}.{trained}",
    ]


def _decided(table: Table) -> str:
    """The decided share, and how ablations are marked."""
    decided, pairs = table.decided
    share = f" ({decided / pairs:.0%})" if pairs else ""
    marks = f" {ABLATION_MARKS}" if table.ablations else ""
    return f"Decided: {decided} of {pairs}{share} pairs of methods × headline columns.{marks}"


def _machines(table: Table) -> str:
    """The machine of all rows, or which rows ran on which: then their times do not compare."""
    devices = table.origin.devices
    if len(devices) < 2:
        return next(iter(devices), "not recorded")
    parts = "; ".join(f"{device}: {_names(rows)}" for device, rows in devices.items())
    return f"{parts}. Times of different machines or numbers of threads do not compare"


def _names(rows: Iterable[str]) -> str:
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
    trained = f"{duration(origin.train_seconds)} of training" if origin.train_seconds else "no training"
    longest = f" (the longest {duration(origin.longest[1])}: {origin.longest[0]})" if origin.longest else ""
    colored = f" and {duration(origin.color_seconds)} of coloring the test images" if origin.color_seconds else ""
    cells = f"{origin.cells} cell{'s' if origin.cells > 1 else ''}"
    return f"{cells}, {trained}{longest}{colored}; preparing the data and scoring not counted"


def seeds_of(table: Table) -> str:
    """The seeds of all methods, or which methods have which."""
    methods = {row.name for row in (*table.rows, *table.ablations) if not row.run.external}
    found = {seeds: [name for name in rows if name in methods] for seeds, rows in table.origin.seeds.items()}
    parts = {", ".join(map(str, seeds)): _names(rows) for seeds, rows in found.items() if rows}
    told = parts if len(parts) == 1 else (f"{seeds}: {rows}" for seeds, rows in parts.items())
    return "; ".join(told) or "none, as nothing here was trained"


def _code(table: Table) -> str:
    commits, dirty = table.origin.commits, table.origin.dirty
    told = f"commit{'s' if len(commits) > 1 else ''} {_names(commits)}" if commits else "commit not recorded"
    if not dirty:
        return told
    return f"{told}, with changes not committed then{'' if len(dirty) == len(table.all_rows) else f': {_names(dirty)}'}"


def footnotes(table: Table, *, marked: bool = True) -> list[str]:
    """What a reader must know beside the numbers, whose column of seeds may be marked; `code` in backticks."""
    notes = []
    if table.floor and any(row.not_above_floor for row in table.all_rows):
        tested = f"{', '.join(FLOOR_TEST)} alone are tested so"
        notes.append(f"†: not shown to beat `{table.floor.name}`, no color at all, in this column; {tested}.")
    if table.rows and table.floor is None:
        notes.append("Whether a method beats a picture without any color is not known: the floor has no row.")
    if few := [row for row in table.all_rows if row.few_seeds]:
        single = any(len(row.seeds) == 1 for row in few)
        fewer = f" of a method or {SEEDS_WANTED} of an ablation" if table.seeds_wanted > SEEDS_WANTED else ""
        wanted = f"{table.seeds_wanted} seeds{fewer}"
        mark = "‡ fewer" if marked else "Fewer"
        notes.append(f"{mark} than {wanted} ({_names(row.name for row in few)}): {FEW_SEEDS[single]}")
    if alone := [row.name for row in table.rows if row.run.external and len(row.seeds) == 1]:
        notes.append(f"{_names(alone)}: images of another program, compared on the images alone, without a rank.")
    for name, seeds in table.missing_seeds.items():
        [run] = [row.run.model_copy(update={"seed": seeds[0]}) for row in table.all_rows if row.name == name]
        lacking = ", ".join(map(str, seeds))
        notes.append(f"`{name}` lacks seeds that other methods have: {lacking}. Run: `{run.command}`.")
    knowing = ((row.name, row.run.pretrained_on) for row in table.all_rows if row.run.pretrained_on)
    notes += [f"Has seen {seen} beside its training split: {_names(names)}." for seen, names in _alike(knowing).items()]
    partial = [row for row in table.all_rows if row.images != table.images]
    notes += [f"`{row.name}` was scored on {row.images:,} of {table.images:,} images: not ranked." for row in partial]
    notes += [f"`{name}` is not in the table: {reason}." for name, reason in table.skipped.items()]
    absent = {name: re.sub(r"n/a \(([^()]*)\)", r"\1", reason) for name, reason in table.absent.items()}
    notes += [f"n/a: {_names(names)} ({reason})." for reason, names in _alike(absent.items()).items()]
    for name, truth in table.truth.items():
        notes.append(f"`{name}` of the true images: {cell_text(TableCell(truth), columns()[name].digits)}.")
    if improving := [f"`{row.name}` ({', '.join(row.improving)})" for row in table.all_rows if row.improving]:
        notes.append(f"Still improving on validation images when the budget ended: {', '.join(improving)}.")
    if falling := [f"`{row.name}`" for row in table.all_rows if row.falling]:
        notes.append(f"Mean psnr on validation images was falling when the budget ended: {', '.join(falling)}.")
    families = {row.name: list(row.curves.values()) for row in table.rows if row.curves}
    if met := [f"`{one}` passes `{other}` at {images:,}" for one, other, images in passings(families)]:
        read = "Mean psnr on validation images, by training images, a parent's counted; no test"
        notes.append(f"{read}: {', '.join(met)}.")
    if whole := [metric.name for metric in table.metrics if not metric.columns and metric.name in METRICS]:
        without = "interval and test over seeds alone, without the choice of images"
        notes.append(f"{_names(whole)}: scores of the whole set; {without}.")
    for metric in table.metrics:  # what is said alike in every row that has a value
        said = {row.cells[metric.name].note for row in table.all_rows if row.cells[metric.name].estimate}
        notes += [f"`{metric.name}`: {note}." for note in said if note and len(said) == 1]
    shown = {metric.name for metric in table.metrics}
    told = [
        f"{what} {_names(n for n in names if n in shown) or 'no column here'}" for what, names in table.remarks.items()
    ]
    notes += [f"{'; '.join(told)}."] if told else []
    if table.own:
        rows = ", ".join(f"`{name}` (seed {', '.join(map(str, seeds))})" for name, seeds in table.own.items())
        notes.append(f"Measured on this machine, marked * in the terminal: {rows}; all else: committed references.")
    return notes + left_out(table)


def left_out(table: Table) -> list[str]:
    """Which results of the table's folder do not stand in it, a line per reason."""
    notes = []
    for reason, files in _alike((one.name, one.reason) for one in table.left_out).items():
        more = f" and {len(files) - NAMES_SHOWN} more" if files[NAMES_SHOWN:] else ""
        notes.append(f"Left out, {reason}: {_names(files[:NAMES_SHOWN])}{more}.")
    return notes


def _alike(reasons: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Reason → the names that have it."""
    found: dict[str, list[str]] = defaultdict(list)
    for name, reason in reasons:
        found[reason].append(name)
    return found


def nothing_current(root: str) -> str:
    """What stands in a table's place when no result may stand in it; `root`: the project's, seen from the page."""
    return f"No current rows; protocol 1's tables: [{HISTORY}]({root}{HISTORY})."


def commands(table: Table) -> list[str]:
    """What repeats each row: a line per row, or more where its seeds ran on different devices or threads."""
    return [line for row in table.all_rows for line in table.origin.commands[row.name]]
