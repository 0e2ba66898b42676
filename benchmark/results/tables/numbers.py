"""Every number of a table, for programs: CSV and JSON, and the few that DVC shows of each row."""

import csv
import io
import json
from collections.abc import Sequence
from itertools import repeat
from typing import Any

from benchmark.results.columns import columns
from benchmark.results.tables.grids import headline, sections
from benchmark.results.tables.table import Row, Table


def csv_text(table: Table) -> str:
    """Every number of the table, one line per method, six significant digits."""
    lines = [_csv_line(row, table) for _, rows in sections(table) for row in rows]
    lines += [{"method": name, "status": f"skipped: {reason}"} for name, reason in table.skipped.items()]
    heads = list(dict.fromkeys(key for line in lines for key in line))
    out = io.StringIO()
    writer = csv.DictWriter(out, heads, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return out.getvalue()


def curves_csv(table: Table) -> str:
    """The validation curves of every training in the table, a line per validation.

    `images` are training images seen by then, a parent's included; `distance` is the judge's where there is one.
    """
    lines = [
        f"{row.name},{seed},{images},{_six(psnr)},{_six(colorfulness)},{_six(distance)}"
        for row in table.all_rows
        for seed, curves in row.curves.items()
        for images, psnr, colorfulness, distance in zip(
            curves.images, curves.psnr, curves.colorfulness, curves.distance or repeat(None), strict=False
        )
    ]
    return "\n".join(["method,seed,images,psnr,colorfulness,distance", *lines, ""])


def metrics_json(row: Row, table: Table) -> str:
    """The row's means under the headline columns, flat, as `dvc metrics` and `dvc exp show` print them."""
    means = {metric.name: row.cells[metric.name].mean for metric in headline(table)}
    return json.dumps({name: float(_six(mean)) for name, mean in means.items() if mean is not None}, indent=1) + "\n"


def _csv_line(row: Row, table: Table) -> dict[str, str]:
    line = {
        "method": row.name,
        "status": "ok",
        "adapter": row.run.adapter,
        "role": row.run.role,
        "kind": row.kind,
        "varies": row.varies or "",
        "external": str(row.run.external).lower(),
        "seeds": " ".join(map(str, row.seeds)),
        "images": str(row.images),
        "mean_rank": _six(row.mean_rank),
        "decided": " of ".join(map(str, table.decided)),
        "not_above_gray": " ".join(row.not_above_floor),
        "bold": " ".join(row.in_bold),
        "data_note": table.note,
    }
    for name, cell in row.cells.items():
        low, high = cell.interval or (None, None)
        line |= {name: _six(cell.mean), f"{name}_low": _six(low), f"{name}_high": _six(high)}
        if columns()[name].direction:
            line[f"{name}_rank"] = str(cell.rank or "")
    return line | {name: value if isinstance(value, str) else _six(value) for name, value in row.cost}


def as_json(tables: Sequence[Table]) -> str:
    """Tables for programs: means, intervals, ranks as numbers."""
    facts = ("data", "preset", "note", "protocol", "data_sha256", "images")
    every = [
        {name: getattr(table, name) for name in facts}
        | {"rows": [_json_row(row) for row in table.all_rows], "skipped": dict(table.skipped)}
        | {"decided": table.decided._asdict()}
        | {"absent": dict(table.absent), "left_out": list(map(str, table.left_out))}
        for table in tables
    ]
    return json.dumps(every, indent=2, allow_nan=False)


def _json_row(row: Row) -> dict[str, Any]:
    metrics = {
        name: {
            "mean": cell.mean,
            "interval": cell.interval,
            "rank": cell.rank,
            "note": cell.note,
            "versus": cell.versus,
        }
        for name, cell in row.cells.items()
    }
    facts = {
        "method": row.name,
        "role": row.run.role,
        "kind": row.kind,
        "varies": row.varies,
        "external": row.run.external,
        "seeds": row.seeds,
    }
    shown = {
        "images": row.images,
        "mean_rank": row.mean_rank,
        "not_above_gray": row.not_above_floor,
        "bold": row.in_bold,
    }
    return facts | shown | {"metrics": metrics, "cost": row.cost.model_dump()}


def _six(value: float | None) -> str:
    if value is None:
        return ""
    return str(value) if isinstance(value, int) else f"{value:.6g}"
