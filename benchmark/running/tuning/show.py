"""The tunings that there are, as text for a terminal."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tabulate import tabulate

from benchmark.contracts.tuning import FIDELITY, Trial, Tuning, read_tuning, score, tuning_path
from benchmark.results.tables.style import duration
from benchmark.scoring.metrics import METRICS

HEADS = ("method", "trials", "setting", "paper's", "chosen", "score", FIDELITY, "realism", "median time")


def tunings_text(root: Path, data: Sequence[str] = (), preset: str | None = None) -> str:
    """A table of every tuning below a results folder, and what keeps tunings of one data set from being equal.

    Each method has two lines or more: what the paper's values score, and what the chosen ones do.

    Raises:
        ResultError: a record is damaged, or does not follow its rule.
    """
    paths = sorted(root.glob(tuning_path(Path(), "*", "*", "*").as_posix()))
    found = [read_tuning(path) for path in paths]
    shown = [one for one in found if one.data in (data or [one.data]) and preset in (None, one.preset)]
    tables: defaultdict[tuple[str, str], list[Tuning]] = defaultdict(list)
    for one in shown:
        tables[one.data, one.preset].append(one)
    return "\n\n".join(_table(*place, tunings) for place, tunings in tables.items()) or "nothing is tuned yet"


def outcome_text(trial: Trial, gray: Mapping[str, float], realism: str) -> str:
    """What was tried and what came of it, in one line."""
    tried = ", ".join(f"{name} {value:g}" for name, value in trial.settings.items())
    if not trial.metrics:
        return f"{tried}: {trial.reason}"
    columns = ", ".join(f"{name} {trial.metrics[name]:.{METRICS[name].digits}f}" for name in (FIDELITY, realism))
    return f"{tried}: {columns}, score {score(trial.metrics, gray, realism):.3f}"


def _table(data: str, preset: str, tunings: Sequence[Tuning]) -> str:
    lines = [line for one in tunings for line in _lines(one)]
    table = tabulate(lines, HEADS, tablefmt="simple", disable_numparse=True)
    gray = ", ".join(sorted({f"{name} {one.gray[name]:.2f}" for one in tunings for name in (FIDELITY, one.realism)}))
    return "\n".join([f"{data}, preset {preset}; gray has {gray}", table, *_inequalities(tunings)])


def _lines(tuning: Tuning) -> Iterable[tuple[str, ...]]:
    paper = tuning.trials[0]
    best = next(one for one in tuning.trials if one.settings == tuning.chosen)
    times = sorted(one.train_seconds for one in tuning.trials if one.train_seconds)
    median = duration(times[len(times) // 2]) if times else ""
    ends = (*_scored(tuning, best), median)
    for number, name in enumerate(tuning.space):
        about = (name, f"{paper.settings[name]:g}", f"{tuning.chosen[name]:g}")
        start = (tuning.method, str(len(tuning.trials))) if number == 0 else ("", "")
        yield (*start, *about, *(ends if number == 0 else ("",) * len(ends)))
    yield ("", "", "(the paper's values)", "", "", *_scored(tuning, paper), "")


def _scored(tuning: Tuning, trial: Trial) -> tuple[str, str, str]:
    value = tuning.score(trial)
    if value is None:
        return "diverged", "", ""
    columns = [f"{trial.metrics[name]:.{METRICS[name].digits}f}" for name in (FIDELITY, tuning.realism)]
    return f"{value:.3f}", columns[0], f"{columns[1]} {tuning.realism}"


def _inequalities(tunings: Sequence[Tuning]) -> list[str]:
    """What differs between tunings of one table and must not."""
    facts = {
        "numbers of trials": {one.method: str(len(one.trials)) for one in tunings},
        "columns for realism": {one.method: one.realism for one in tunings},
        "protocols": {one.method: str(one.protocol) for one in tunings},
        "validation images": {one.method: one.provenance.data_sha256["val"][:8] for one in tunings},
    }
    return [
        f"NOT EQUAL: {what}: {', '.join(f'{method} {value}' for method, value in values.items())}"
        for what, values in facts.items()
        if len(set(values.values())) > 1
    ]
