"""Joins answers with the key, leaves out people who paid no attention, and reports what the judgments say."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from tabulate import tabulate

from benchmark.contracts import registry
from benchmark.contracts.config import find_root
from benchmark.contracts.workspace import Workspace
from benchmark.results.statistics import Rank
from benchmark.study.analysis import Column, Opinion, analyse
from benchmark.study.schema import (
    KEY_FILE,
    RESULT_FILE,
    STUDY_METRICS,
    TASK_COLUMNS,
    TRUTH,
    Answer,
    Judgments,
    Key,
    Participant,
    StudyError,
    StudyResult,
    Trial,
    fault,
    read,
    validated,
    write,
)
from benchmark.study.store import is_store, read_store
from benchmark.support.errors import InputError

CHECKS_NEEDED = 0.75  # share of attention checks that a participant must pass to count
REAL_AT_MOST = 3  # best rating for a garish picture's colors from someone who looked


def find_key(files: Sequence[Path], key: Path | None) -> Key:
    """Returns the study's key from the given file, or from the one beside the first file of answers."""
    return read(Key, key or files[0].parent / KEY_FILE)


def read_answers(files: Sequence[Path], key: Key) -> list[Participant]:
    """Returns everyone who answered, from files that the page gave out and files that the server wrote.

    Raises:
        InputError: a file cannot be read, or someone is in two of them.
        StudyError: a file is damaged or of another study, or an answer in it is invalid or comes twice.
    """
    people: list[Participant] = []
    first: dict[str, Path] = {}
    for path in files:
        try:
            found = read_store(path) if is_store(path) else [read(Participant, path)]
        except OSError as error:
            raise InputError(f"{path}: {error.strerror}") from None
        for person in found:
            if person.participant in first:
                raise InputError(f"{first[person.participant]} and {path} hold the same participant; leave one out")
            first[person.participant] = path
            if reason := _fault(person, key):
                raise StudyError(f"{path}: {reason}")
        people += found
    return people


def _fault(person: Participant, key: Key) -> str | None:
    if person.study != key.study:
        return f"answers to study {person.study}, but the key is of {key.study}; give --key"
    twice = [trial for trial, count in Counter(answer.trial for answer in person.answers).items() if count > 1]
    if twice:
        return f"trial {twice[0]} is answered twice"
    return next(filter(None, (fault(key, person.form, answer) for answer in person.answers)), None)


def score(people: Sequence[Participant], key: Key) -> StudyResult:
    """Returns the judgments of everyone who paid attention.

    Raises:
        InputError: nobody paid attention.
    """
    excluded = {person.participant: reason for person in people if (reason := why_excluded(person, key))}
    counted = [person for person in people if person.participant not in excluded]
    if not counted:
        reasons = "; ".join(f"{reason} ({n})" for reason, n in Counter(excluded.values()).items())
        raise InputError(f"no participant counts: {reasons or 'there is none'}")
    sources = [TRUTH, *key.models]
    photographs = {name: k for k, name in enumerate(dict.fromkeys(picture.photograph for picture in key.pictures))}
    judgments: dict[str, Judgments] = {}
    for number, person in enumerate(counted):
        for column, photograph, source, value in _judgments(person, key):
            judged = judgments.setdefault(column, Judgments(participants=[], photographs=[], sources=[], values=[]))
            judged.participants.append(number)
            judged.photographs.append(photographs[photograph])
            judged.sources.append(sources.index(source))
            judged.values.append(value)
    picks = {len(trial.pictures) for form in key.forms for trial in form if trial.task == "pick"}
    content = {
        **key.model_dump(include={"protocol", "study", "data", "preset", "seed", "data_sha256", "models", "exposure"}),
        "participants": len(counted),
        "excluded": sorted(excluded.values()),
        "alternatives": next(iter(picks), None),
        "sources": sources,
        "judgments": {name: judgments[name] for name in STUDY_METRICS if name in judgments},
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    return validated(StudyResult, content, "the result")


def why_excluded(person: Participant, key: Key) -> str | None:
    """Returns why someone's answers do not count, or None; the rule is fixed before anyone answers."""
    form = key.forms[person.form]
    checks = [(form[answer.trial], answer) for answer in person.answers if key.is_check(form[answer.trial])]
    if not person.answers:
        return "answered nothing"
    if not checks:
        return None if not any(map(key.is_check, form)) else "answered no attention check"
    passed = sum(_passes(trial, answer, key) for trial, answer in checks)
    if passed < CHECKS_NEEDED * len(checks):
        return f"passed {passed} of {len(checks)} attention checks"
    return None


def _passes(trial: Trial, answer: Answer, key: Key) -> bool:
    if trial.task == "rate":
        return answer.realism is not None and answer.realism <= REAL_AT_MOST
    if trial.task == "single":
        return answer.choice == 1
    return answer.choice is not None and key.sources(trial)[answer.choice] == TRUTH


def _judgments(person: Participant, key: Key) -> Iterator[tuple[str, str, str, int]]:
    """Yields column, photograph, source and value of each of someone's judgments."""
    for answer in person.answers:
        trial = key.forms[person.form][answer.trial]
        if key.is_check(trial):
            continue
        columns = TASK_COLUMNS[trial.task]
        for place, number in enumerate(trial.pictures):
            picture = key.pictures[number]
            if trial.task == "rate":
                values = (answer.realism, answer.quality)
                yield from (
                    (c, picture.photograph, picture.source, v) for c, v in zip(columns, values, strict=True) if v
                )
            elif trial.task == "single" or picture.source != TRUTH:
                real = answer.choice == (0 if trial.task == "single" else place)
                yield columns[0], picture.photograph, picture.source, int(real)


def publish(result: StudyResult, results: Path, replace: bool) -> Path:
    """Writes a scored study among the results, for the tables to show.

    Raises:
        InputError: another study's result is there, and `replace` is false.
    """
    path = results / result.data / result.preset / RESULT_FILE
    if path.exists() and not replace:
        before = read(StudyResult, path)
        if before.study != result.study:
            raise InputError(f"{path} holds another study ({before.study}); say --replace, or --no-table to only see")
    write(result, path)
    return path


def score_files(
    files: Sequence[Path], key_file: Path | None, table: bool, replace: bool, record: bool = False
) -> tuple[str, Path | None]:
    """Scores files of answers for `bench study score`.

    Returns:
        The report as text, and the result file if one was written: an own result, or a reference with `record`.

    Raises:
        InputError: a study of private photographs is to be recorded.
    """
    key, space = find_key(files, key_file), Workspace(find_root())
    result = score(read_answers(files, key), key)
    if record and result.data not in registry.names("dataset"):
        raise InputError(
            f"--record: {result.data} is no data set of the project; what is private stays out of results/"
        )
    return report(result), publish(result, space.references if record else space.own, replace) if table else None


# the report -----------------------------------------------------------------------------------------------------------


def report(result: StudyResult) -> str:
    """Returns what a study found, as plain text."""
    people = f"{result.participants} participants" + (
        f", {len(result.excluded)} not counted" if result.excluded else ""
    )
    lines = [f"study {result.study}: {result.data}, preset {result.preset}, models of seed {result.seed}; {people}"]
    lines += [f"  not counted: {reason} ({count}×)" for reason, count in Counter(result.excluded).items()]
    for column in analyse(result).values():
        lines += ["", *_section(column)]
    return "\n".join(lines)


def _section(column: Column) -> Iterator[str]:
    metric = STUDY_METRICS[column.name]
    chance = "" if column.chance is None else f"; chance {column.chance:.1f} %"
    yield f"{column.name}: {metric.description}{chance}"
    order = sorted(column.opinions, key=lambda name: (name == TRUTH, -column.opinions[name].mean))
    rows = [_row(name, column.opinions[name], column.ranks.get(name), metric.digits) for name in order]
    heads = ["", "mean", "95 % interval", "judgments", "p against chance", "rank"]
    yield tabulate(rows, heads, tablefmt="simple", disable_numparse=True, colalign=("left", *["right"] * 5))
    for (a, b), found in column.differences.items():
        if order.index(a) < order.index(b):
            interval = f"[{found.low:.{metric.digits}f}, {found.high:.{metric.digits}f}]"
            yield f"{a} − {b}: {found.effect:.{metric.digits}f} {interval}, p {_p(found.p)} (Holm)"
    alpha = "not known, no picture was judged twice" if column.agreement is None else f"{column.agreement:.2f}"
    effect = "" if column.chance is None else f"; design effect {column.design_effect:.2f}"
    yield f"agreement (Krippendorff's α): {alpha}{effect}"


def _row(name: str, opinion: Opinion, rank: Rank | None, digits: int) -> list[str]:
    interval = f"[{opinion.low:.{digits}f}, {opinion.high:.{digits}f}]"
    p = "–" if opinion.above_chance is None else _p(opinion.above_chance)
    return [name, f"{opinion.mean:.{digits}f}", interval, str(opinion.judgments), p, str(rank or "–")]


def _p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
