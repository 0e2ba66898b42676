"""Results → a report, one page and its images in a folder, or a site of many; neither needs a server or a network."""

import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment
from markupsafe import Markup

from benchmark import PROTOCOL
from benchmark.contracts.config import Params
from benchmark.contracts.workspace import Workspace
from benchmark.report.chapter import COSTS, Chapter, described, make_chapter
from benchmark.report.gallery import HARM, draw_gallery
from benchmark.report.leaders import decided_text, leaders
from benchmark.report.methods import about_methods
from benchmark.report.pages import HOME, Page, grouped, site_links
from benchmark.report.strip import FOLDER, DrawnStrip, place_strip
from benchmark.report.trained import find_trained
from benchmark.results import tables
from benchmark.results.columns import columns
from benchmark.results.tables import Measured, Table, collect
from benchmark.results.tables.numbers import csv_text
from benchmark.scoring.metrics import METRICS, Metric
from benchmark.support.errors import BenchError, InputError
from benchmark.support.templates import environment

if TYPE_CHECKING:
    from benchmark.running.stages import Context

PAGE, IMAGES, METHODS = "index.html", "images", "Methods"
MARKER = '<meta name="generator" content="colorbench">'  # a folder whose page has it is ours to replace


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
    pages: Sequence[Page] = (),
    site: bool = False,
) -> Report:
    """Writes the report to the folder `out`, whole or not at all; a report that was there before is replaced.

    Args:
        params: the project's.
        workspace: where results, models and prepared data are. Results alone make a report, without pictures.
        out: the folder to write.
        context: makes what models need to run; called only if there is a model to color with.
        data: only this data set's chapters.
        preset: only this preset's chapters.
        pages: what other rooms have to say, after ours.
        site: write a file for each page, where a report has one file for all.

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
        newest = max(dates, default="")
        for chapter in chapters:
            (fresh / f"{chapter.id}.csv").write_text(csv_text(chapter.table), encoding="utf-8")
            (fresh / f"{chapter.id}.bib").write_text(_citation(chapter.table, newest), encoding="utf-8")
        strip, said = place_strip(workspace.root, made, fresh / IMAGES / FOLDER.name)
        metrics = [metric for metric in columns().values() if any(metric in table.metrics for table in made)]
        every = [*_pages(chapters, params, strip, newest, metrics, pages), *pages]
        _write(fresh, every, metrics, site)
    told = [message for chapter in chapters for message in _messages(chapter)]
    return Report(out / PAGE, [*told, *filter(None, [said])])


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


def _pages(
    chapters: Sequence[Chapter],
    params: Params,
    strip: DrawnStrip | None,
    newest: str,
    metrics: Sequence[Metric],
    others: Sequence[Page],
) -> list[Page]:
    """Our own pages: the first, one per table, one per method, and the metrics."""

    def body(template: str, **content: object) -> Markup:
        return Markup(_environment().get_template(template).render(**content))

    made = [Page(one.id, one.title, "Data sets", body("chapter.html.j2", chapter=one)) for one in chapters]
    made += [
        Page(one.id, one.name, METHODS, body("method.html.j2", about=one), inner=one.kind == "ablation")
        for one in about_methods(chapters, params)
    ]
    made.append(Page("metrics", "Definitions", "Metrics", body("metrics.html.j2", metrics=metrics)))
    verdicts = Counter(page.mark for page in others if page.mark)
    told = {"newest": newest, "verdicts": verdicts, "protocol": PROTOCOL}
    further = [page for page in others if not page.mark]
    first = body("home.html.j2", chapters=chapters, strip=strip, further=further, **told)
    return [Page(HOME, "Overview", "", first), *made]


def _write(folder: Path, pages: Sequence[Page], metrics: Sequence[Metric], site: bool) -> None:
    """One file for all pages, or a file for each and one for the style and one for the script."""
    sources = {name: _source(name) for name in ("report.css", "report.js")}
    template = _environment().get_template("page.html.j2")
    methods = [page.title for page in pages if page.group == METHODS]
    common = {"site": site, "contents": grouped(pages), "methods": methods, "metrics": metrics}

    def html(shown: Sequence[Page]) -> str:
        return template.render(pages=shown, sources=sources, marker=Markup(MARKER), **common)

    contents = {page.file: site_links(html([page]), page, pages) for page in pages} if site else {PAGE: html(pages)}
    for name, text in (contents | sources if site else contents).items():
        (folder / name).write_text(text, encoding="utf-8")


def headline_of(chapters: Sequence[Chapter]) -> list[Metric]:
    """The metrics that are looked at first in any of these tables."""
    return [metric for metric in columns().values() if any(metric in chapter.headline for chapter in chapters)]


def _citation(table: Table, newest: str) -> str:
    """A BibTeX entry of one table."""
    template = _environment().get_template("citation.bib.j2")
    return template.render(table=table, newest=newest, version=version("colorbench"))


@cache
def _environment() -> Environment:
    """The templates of a report, with what they call."""
    templates = environment("benchmark.report").overlay()
    called = (
        *(tables.caption, tables.commands, tables.cost_texts, tables.footnotes, tables.gray_text),
        *(tables.number, tables.sections, tables.seeds_text),
        *(decided_text, described, headline_of, leaders),
    )
    templates.globals = {
        **templates.globals,  # an overlay shares the dictionary: it must not be changed
        **{function.__name__: function for function in called},
        "cost_heads": tables.COST_HEADS,
        "costs": COSTS,
        "interval": tables.interval_text,
        "labels": METRICS,
    }
    return templates


def _source(name: str) -> Markup:
    """A file that is put into the page as it is."""
    return Markup(files("benchmark.report").joinpath("templates", name).read_text(encoding="utf-8"))


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
