"""The form of `claims.yaml`: what a claim compares, how its arms differ, and what its control is."""

from importlib.resources import files
from typing import Literal, Self

from pydantic import Field, ValidationError, model_validator

from benchmark.contracts.result import Record
from benchmark.results.tables import Row, Table
from benchmark.scoring.metrics import METRICS
from benchmark.support import yaml
from benchmark.support.errors import BenchError, first_fault

TRUTH, EVERY_FAMILY = "truth", "every-family"


class Check(Record):
    """One comparison, in one or more metrics; the fields are explained in `claims.yaml`."""

    expect: Literal["better", "higher", "lower", "within"]
    method: str
    metrics: tuple[str, ...]
    than: str | None = None
    than_metric: str | None = None
    share_of: str | None = None
    margin: float | None = None
    where_measured: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.than is None) == (self.than_metric is None):
            raise ValueError("needs one of than and than_metric")
        if self.share_of and not self.than_metric:
            raise ValueError("share_of belongs to than_metric, and to nothing else")
        if (self.expect == "within") != (self.margin is not None):
            raise ValueError("margin belongs to expect: within, and to nothing else")
        for name in (*self.metrics, *([self.than_metric] if self.than_metric else [])):
            if name not in METRICS or (self.expect == "better" and METRICS[name].direction is None):
                raise ValueError(f"{name!r} is no metric, or one of which no side is better")
        return self

    def methods(self, table: Table | None) -> list[str]:
        """Returns the methods that `method` stands for, or the placeholder itself where there is no table."""
        if self.method == EVERY_FAMILY and table is not None:
            return [row.name for row in families(table) if row.images == table.images]
        return [self.method]

    def text(self, method: str, metric: str) -> str:
        """Returns the comparison in words: `cgan better than l2 in psnr`."""
        if self.than_metric:
            whole = f" (as shares of those of {self.share_of})" if self.share_of else ""
            return f"{method}: {metric} {self.expect} than {self.than_metric}{whole}"
        relation = f"within ±{self.margin} of" if self.margin else f"{self.expect} than"
        return f"{method} {relation} {self.than} in {metric}"


class Claim(Record):
    """A statement, the comparisons that decide it, and what must be known of its arms."""

    id: str
    source: str
    statement: str
    differs: str = Field(description="in what the arms differ, and what they have in common")
    control: str = Field(description="what shows that the difference is due to what the claim names")
    controls: tuple[str, ...] = Field((), description="which does: other claims, or arms of this one")
    note: str = ""
    data: tuple[str, ...]
    checks: tuple[Check, ...] = Field(min_length=1)
    beside: tuple[Check, ...] = Field((), description="comparisons that are shown and decide nothing")

    @property
    def reported(self) -> bool:
        """Whether a report states it; a word at the end of its id makes it a variant of ours."""
        return "-" not in self.id and self.source.startswith("seed")

    @property
    def origin(self) -> str:
        """Who states it: `seed 002`, `ours, after seed 002`, or `ours`."""
        varied = self.source.startswith("seed") and not self.reported
        return f"ours, after {self.source}" if varied else self.source

    def cells(self, table: Table | None) -> list[str]:
        """Returns every method that must be measured, baselines included."""
        return _named(self.checks, table)

    def arms(self, table: Table | None) -> list[str]:
        """Returns every method that is compared, those beside included."""
        return _named((*self.checks, *self.beside), table)


def families(table: Table) -> list[Row]:
    """Returns the rows that are ranked and were trained here: no ablations, and no images of other programs."""
    return [row for row in table.all_rows if row.kind == "family" and not row.run.external]


def _named(checks: tuple[Check, ...], table: Table | None) -> list[str]:
    named = [name for one in checks for name in (*one.methods(table), one.than, one.share_of) if name]
    return [name for name in dict.fromkeys(named) if name not in (TRUTH, EVERY_FAMILY)]


def load_claims(text: str | None = None) -> list[Claim]:
    """Reads `claims.yaml`, or a text of its form.

    Raises:
        BenchError: a claim does not have the required form, or its controls are neither claims nor arms; the message
            names the claim.
    """
    committed = files("benchmark.paper").joinpath("claims.yaml").read_text(encoding="utf-8")
    entries = yaml.load(text or committed, "claims.yaml")
    claims = []
    for entry in entries:
        try:
            claims.append(Claim.model_validate(entry))
        except ValidationError as error:
            raise BenchError(f"claims.yaml: {entry.get('id', '?')}: {first_fault(error)}") from None
    for claim in claims:
        legal = {other.id for other in claims if other is not claim} | set(claim.arms(None))
        if strange := [name for name in claim.controls if name not in legal]:
            raise BenchError(
                f"claims.yaml: {claim.id}: controls: {strange[0]!r} is no other claim and none of its arms"
            )
    return claims
