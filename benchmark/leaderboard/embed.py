"""Keeps a table inside a page of prose, the README say, equal to the results that it is made of."""

import re
from collections.abc import Sequence

from benchmark.errors import BenchError
from benchmark.leaderboard.render import MARKDOWN, caption, footnotes, main_grid, markdown_grid
from benchmark.leaderboard.table import Table

OPENING = "<!-- table: results/"
BLOCK = re.compile(r"(<!-- table: results/([^/ ]+)/([^/ ]+) -->\n).*?(<!-- end of table -->)", re.DOTALL)


def embed(page: str, tables: Sequence[Table]) -> str:
    """The page with the first table of each `<!-- table: results/<data>/<preset> -->` block made anew.

    A block whose table was not asked for is left as it is.

    Raises:
        BenchError: a block without its end: the table in it would never be renewed.
    """
    if page.count(OPENING) != len(BLOCK.findall(page)):
        raise BenchError(f"a page has {OPENING!r} without '<!-- end of table -->' after it; put that line back")
    by_name = {(table.data, table.preset): table for table in tables}

    def fill(block: re.Match[str]) -> str:
        table = by_name.get((block[2], block[3]))
        return block[0] if table is None else f"{block[1]}{_text(table)}{block[4]}"

    return BLOCK.sub(fill, page)


def _text(table: Table) -> str:
    notes = [*([table.note] if table.note else []), *caption(table)[:1], *footnotes(table)]
    return f"\n{markdown_grid(*main_grid(table, MARKDOWN))}\n\n{chr(10).join(f'- {note}' for note in notes)}\n"
