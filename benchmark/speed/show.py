"""Turns a speed report into text and JSON."""

from dataclasses import asdict
from typing import Any

from benchmark.speed.measure import Report
from benchmark.speed.plain import WORKERS

Row = tuple[str, str, str, str]


def as_json(report: Report) -> dict[str, Any]:
    """Returns the report as plain JSON values, with the ratios, FLOP/s and utilization that follow from it."""
    ratios = None
    if report.plain:
        ratios = {name: getattr(report.ours, name) / getattr(report.plain, name) for name in _RATES}
    return {
        **asdict(report),
        "ratios": ratios,
        "flops_per_second": report.flops_per_second,
        "utilization": report.utilization,
    }


_RATES = {"data": "data alone", "step": "step alone", "training": "training"}


def as_text(report: Report) -> str:
    """Returns the report as an aligned table."""
    rows: list[Row] = [("", "ours", "plain", "ratio")]
    rows += [_rate_row(report, name, label) for name, label in _RATES.items()]
    plain = report.plain
    rows += [
        ("evaluation (images/s)", _number(report.evaluation), "", ""),
        ("waiting for data", _share(report.ours.waiting), _share(plain.waiting) if plain else "", ""),
        ("arithmetic of steps alone", _flops(report.flops_per_second), "", ""),
        ("peak memory", _bytes(report.memory), _bytes(report.plain_memory) if report.plain_memory else "n/a", ""),
    ]
    return "\n".join([*_head(report), "", *_aligned(rows), "", _utilization_line(report), *_phase_lines(report)])


def _head(report: Report) -> list[str]:
    settings = [f"{report.image_size}×{report.image_size}", f"batch {report.batch_size}", report.precision]
    settings += ["compiled"] if report.compiled else []
    settings += ["deterministic"] if report.deterministic else []
    lines = [report.cell, f"{', '.join(settings)}; {report.device}"]
    if report.files:
        lines.append(
            f"plain: fp32 and torch's defaults; Pillow, scikit-image and a DataLoader with {WORKERS} workers on"
        )
        lines.append(f"       {report.files}")
    return lines


def _rate_row(report: Report, name: str, label: str) -> Row:
    ours = getattr(report.ours, name)
    label = f"{label} (images/s)"
    if report.plain is None:
        return label, _number(ours), "", ""
    plain = getattr(report.plain, name)
    return label, _number(ours), _number(plain), f"{ours / plain:.2f}×"


def _utilization_line(report: Report) -> str:
    if report.utilization is None:
        return f"model FLOP utilization: n/a, {report.peak_note}"
    assert report.peak_flops
    return f"model FLOP utilization of the training: {_share(report.utilization)} of {_flops(report.peak_flops)}"


def _phase_lines(report: Report) -> list[str]:
    """Returns a line on the training of each phase, if a method has several phases."""
    if len(report.phases) == 1:
        return []
    lines = ["training by phase (images/s):"]
    for phase in report.phases:
        beside = f", plain {_number(phase.plain.training)}" if phase.plain else ""
        ratio = f", {phase.ours.training / phase.plain.training:.2f}×" if phase.plain else ""
        lines.append(
            f"  {phase.name} ({_share(phase.share, 0)} of the steps): {_number(phase.ours.training)}{beside}{ratio}"
        )
    return lines


def _aligned(rows: list[Row]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        f"{label:<{widths[0]}}"
        + "".join(f"  {text:>{width}}" for text, width in zip(rest, widths[1:], strict=True)).rstrip()
        for label, *rest in rows
    ]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _share(value: float, digits: int = 1) -> str:
    return f"{100 * value:.{digits}f} %"


def _flops(value: float) -> str:
    return f"{value / 1e12:,.0f} TFLOP/s" if value >= 1e13 else f"{value / 1e9:,.0f} GFLOP/s"


def _bytes(value: int) -> str:
    return f"{value / 1e9:.2f} GB"
