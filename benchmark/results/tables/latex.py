"""The first table as LaTeX (package booktabs)."""

from benchmark.results.tables.grids import main_grid
from benchmark.results.tables.notes import caption, footnotes
from benchmark.results.tables.style import Style
from benchmark.results.tables.table import Table
from benchmark.support.templates import environment

LATEX_SPECIAL = {c: f"\\{c}" for c in "&%$#_{}"} | {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}"} | {
    "\\": r"\textbackslash{}", "↑": r"$\uparrow$", "↓": r"$\downarrow$", "†": r"$\dagger$", "‡": r"$\ddagger$",
    "Δ": r"$\Delta$", "▲": r"$\triangle$", "▼": r"$\nabla$", "–": "--", "×": r"$\times$", "≤": r"$\leq$", "−": "$-$",
}  # fmt: skip


def _latex(text: str) -> str:
    return "".join(LATEX_SPECIAL.get(character, character) for character in text)


LATEX = Style(
    _latex,
    lambda text: rf"\textbf{{{_latex(text)}}}",
    lambda text: rf"\texttt{{{_latex(text)}}}",
    lambda text: rf"\emph{{{_latex(text)}}}",
)


def latex(table: Table) -> str:
    """The first table as LaTeX (package booktabs)."""
    heads, lines = main_grid(table, LATEX)
    told = " ".join(map(_code, [*caption(table), *footnotes(table)])) if table.all_rows else _latex("No current rows.")
    template = environment("benchmark.results.tables").get_template("leaderboard.tex.j2")
    return template.render(heads=heads, lines=lines, told=told)


def _code(text: str) -> str:
    parts = text.split("`")  # every second one is code
    return "".join(LATEX.name(part) if k % 2 else _latex(part) for k, part in enumerate(parts))
