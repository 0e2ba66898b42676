"""Results → `report/index.html` and its images: everything in one folder, which opens without a server or a network."""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment
from markupsafe import Markup

from benchmark import PROTOCOL
from benchmark.contracts.config import Params
from benchmark.contracts.workspace import Workspace
from benchmark.report.chapter import COSTS, Chapter, make_chapter
from benchmark.report.gallery import HARM, draw_gallery
from benchmark.report.trained import find_trained
from benchmark.results import tables
from benchmark.results.columns import columns
from benchmark.results.tables import Measured, Table, collect
from benchmark.scoring.metrics import METRICS
from benchmark.support.errors import BenchError, InputError
from benchmark.support.templates import environment

if TYPE_CHECKING:
    from benchmark.running.stages import Context

PAGE, IMAGES = "index.html", "images"
MARKER = '<meta name="generator" content="colorbench">'  # a folder whose page has it is ours to replace
LEADERS_SHOWN = 3


@dataclass(frozen=True)
class Section:
    """A part of the page that is not ours: of a room that knows more than tables do."""

    id: str
    link: str  # words of the link at the top of the page
    body: Markup  # a `<section>`


@dataclass(frozen=True)
class Report:
    """What `build_report` did."""

    page: Path
    messages: Sequence[str]  # results that were left out, pictures that are missing, and why


def build_report(
    params: Params,
    workspace: Workspace,
    out: Path,
    context: "Callable[[], Context]",
    data: str | None = None,
    preset: str | None = None,
    sections: Sequence[Section] = (),
) -> Report:
    """Writes the report to the folder `out`, whole or not at all; a report that was there before is replaced.

    Args:
        params: the project's.
        workspace: where results, models and prepared data are. Results alone make a report, without pictures.
        out: the folder to write.
        context: makes what models need to run; called only if there is a model to color with.
        data: only this data set's chapters.
        preset: only this preset's chapters.
        sections: what other rooms have to say, after the chapters.

    Raises:
        InputError: there are no results of that name, or `out` is something else than a report.
    """
    own, references = workspace.own, workspace.references
    made = tables.merged(own, references, data, preset)
    places = [Path(table.data) / table.preset for table in made]
    measured = [collect(own / place, references / place).measured for place in places]
    context = cache(context)
    with _replacing(out) as fresh:
        chapters = [
            _chapter(table, results, params, workspace, fresh, context)
            for table, results in zip(made, measured, strict=True)
        ]
        dates = [one.result.provenance.date[:10] for results in measured for one in results]
        (fresh / PAGE).write_text(_page(chapters, sections, max(dates, default="")), encoding="utf-8")
    return Report(out / PAGE, [message for chapter in chapters for message in _messages(chapter)])


def _chapter(
    table: Table,
    measured: Sequence[Measured],
    params: Params,
    workspace: Workspace,
    fresh: Path,
    context: "Callable[[], Context]",
) -> Chapter:
    order = [row.name for row in table.all_rows]
    colored = [one for one in measured if one.result.run.role != "floor"]  # which is shown as what methods are given
    found = find_trained(sorted(colored, key=lambda one: order.index(one.result.run.method)), params, workspace)
    folder = fresh / IMAGES / f"{table.data}-{table.preset}"
    gray = next((one.columns.get(HARM) for one in measured if one.result.run.role == "floor"), None)
    whole = gray if gray is not None and len(gray) == table.images else None
    gallery = draw_gallery(found, folder, context, table.data_sha256, table.images, whole)
    return make_chapter(table, measured, found, gallery)


def _messages(chapter: Chapter) -> Iterator[str]:
    yield from map(str, chapter.table.left_out)
    for reason, methods in chapter.gallery.reasons.items():
        yield f"{chapter.table.data}/{chapter.table.preset}: no pictures of {', '.join(methods)}: {reason}"


def _page(chapters: Sequence[Chapter], sections: Sequence[Section], newest: str) -> str:
    template = _environment().get_template("report.html.j2")
    return template.render(
        marker=Markup(MARKER),
        css=_source("report.css"),
        js=_source("report.js"),
        protocol=PROTOCOL,
        chapters=chapters,
        methods=list(dict.fromkeys(row.name for chapter in chapters for row in chapter.table.all_rows)),
        metrics=[
            metric for metric in columns().values() if any(metric in chapter.table.metrics for chapter in chapters)
        ],
        newest=newest,
        sections_after=sections,
    )


@cache
def _environment() -> Environment:
    """The templates of a report, with what they call."""
    templates = environment("benchmark.report").overlay()
    called = (
        *(tables.caption, tables.commands, tables.cost_texts, tables.device_text, tables.footnotes, tables.gray_text),
        *(tables.head, tables.number, tables.sections, tables.seeds_text),
    )
    templates.globals = {
        **templates.globals,  # an overlay shares the dictionary: it must not be changed
        **{function.__name__: function for function in called},
        "cost_heads": tables.COST_HEADS,
        "costs": COSTS,
        "headline": tables.HEADLINE,
        "interval": tables.interval_text,
        "labels": METRICS,
        "leaders": _leaders,
    }
    return templates


def _source(name: str) -> Markup:
    """A file that is put into the page as it is."""
    return Markup(files("benchmark.report").joinpath("templates", name).read_text(encoding="utf-8"))


def _leaders(table: Table, metric: str) -> str:
    """The methods that nothing is shown to be better than."""
    names = [row.name for row in table.rows if row.cells[metric].best]
    more = f", {len(names) - LEADERS_SHOWN} more" if len(names) > LEADERS_SHOWN else ""
    return ", ".join(names[:LEADERS_SHOWN]) + more or tables.NOTHING


@contextmanager
def _replacing(out: Path) -> Iterator[Path]:
    """A fresh folder beside `out` that takes its place when all is written."""
    if out.exists() and not (out.is_dir() and _is_ours(out)):
        raise InputError(f"{out} is there and is no report; choose another place with -o")
    fresh, old = (out.with_name(f"{out.name}.{os.getpid()}.{state}") for state in ("part", "old"))
    try:
        fresh.mkdir(parents=True)
        yield fresh
        if out.exists():
            out.rename(old)
        fresh.rename(out)
    except OSError as error:
        raise BenchError(f"cannot write {out}: {error.strerror}; what was there before is kept") from None
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        if out.exists():
            shutil.rmtree(old, ignore_errors=True)
        elif old.exists():
            old.rename(out)


def _is_ours(folder: Path) -> bool:
    page = folder / PAGE
    return not any(folder.iterdir()) or (
        page.is_file() and MARKER in page.read_text(encoding="utf-8", errors="replace")
    )
