"""What a metric card says, as rows of its CSV, and what each metric sees by them. No torch is imported."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from benchmark.contracts.result import Record
from benchmark.scoring.metrics import METRICS
from benchmark.support.errors import BenchError, first_fault

FILE = "card.csv"  # in results/<data>/<preset>
Aspect = Literal["saturation", "hue", "place", "other"]  # of color: what a change disturbs
NO_COLOR = ("saturation", 0.0)  # change and strength whose damage is the unit: a picture without any color
PART, PARTS = 1000, 5  # images of the parts on which set metrics are measured again; parts where there are fewer
LEAST_DAMAGE = 0.1  # of no color's: what a change must do to a metric that is said to see it


class CardRow(Record):
    """One metric of the test images under one change at one strength."""

    metric: str
    change: str
    aspect: Aspect
    wrong: bool  # whether the strongest change makes wrong color, which must not score above no color
    strength: float
    value: float
    damage: float | None  # how far the value is from the truth's, that of no color being 1; None: that is 0
    damage_low: float | None  # of the 95 % interval
    damage_high: float | None
    rho: float | None  # Spearman's, of strengths and damages of the whole change; None where it has one strength
    rho_low: float | None
    rho_high: float | None
    images: int
    protocol: int
    test_sha256: str  # of the prepared test split, its first 12 digits


@dataclass(frozen=True)
class Card:
    """The rows of one data set and preset."""

    data: str
    preset: str
    rows: Sequence[CardRow]

    @cached_property
    def metrics(self) -> list[str]:
        """The metrics that were measured, in the order of tables."""
        found = {row.metric for row in self.rows}
        return [name for name in METRICS if name in found]

    @cached_property
    def changes(self) -> list[str]:
        """The changes that were measured, in the order of the card."""
        return list(dict.fromkeys(row.change for row in self.rows))

    @cached_property
    def _by_cell(self) -> dict[tuple[str, str], list[CardRow]]:
        cells: dict[tuple[str, str], list[CardRow]] = {}
        for row in self.rows:
            cells.setdefault((row.metric, row.change), []).append(row)
        return cells

    def cell(self, metric: str, change: str) -> Sequence[CardRow]:
        """Returns the rows of a metric under a change, from the weakest strength to the strongest; none: n/a."""
        return self._by_cell.get((metric, change), [])

    def strongest(self, metric: str, change: str) -> CardRow | None:
        """Returns the row of the strongest change."""
        return next(reversed(self.cell(metric, change)), None)

    def sees(self, metric: str, aspect: Aspect) -> bool:
        """Whether a metric sees an aspect of color in every change that disturbs it.

        It must order the strengths, beyond the chance of the images, and the strongest change must damage it by a
        tenth of what the loss of all color does.
        """
        disturbing = {row.change for row in self.rows if row.aspect == aspect}
        last = [self.strongest(metric, name) for name in sorted(disturbing)]
        return bool(last) and all(
            row is not None and (row.rho_low or 0) > 0 and (row.damage or 0) >= LEAST_DAMAGE for row in last
        )

    def prefers_wrong(self, metric: str) -> list[str]:
        """Returns the changes whose wrong color scores above no color, beyond the chance of the images."""
        last = [self.strongest(metric, name) for name in self.changes]
        return [row.change for row in last if row and row.wrong and row.damage_high is not None and row.damage_high < 1]


def csv_text(rows: Iterable[CardRow]) -> str:
    """Returns the text of a card's CSV, numbers to six digits."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(CardRow.model_fields)
    writer.writerows([_short(value) for value in row.model_dump().values()] for row in rows)
    return out.getvalue()


def read_card(path: Path) -> Card:
    """Reads `results/<data>/<preset>/card.csv`.

    Raises:
        BenchError: it is no card.
    """
    try:
        lines = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
        rows = [CardRow.model_validate({name: text or None for name, text in line.items()}) for line in lines]
    except ValidationError as error:
        raise BenchError(f"{path}: {first_fault(error)}; make it again: bench card --data NAME") from None
    except (OSError, ValueError, csv.Error) as error:
        raise BenchError(f"{path}: {error}; make it again: bench card --data NAME") from None
    return Card(path.parents[1].name, path.parent.name, rows)


def _short(value: object) -> object:
    return f"{value:.6g}" if isinstance(value, float) else "" if value is None else value
