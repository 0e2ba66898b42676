"""Stores answers in one SQLite file, each committed as it comes, so that acknowledged answers survive any crash."""

import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock

from benchmark.study.schema import Answer, Key, Participant, StudyError, fault, parse
from benchmark.support.errors import BenchError

MAGIC = b"SQLite format 3\0"
MAX_PARTICIPANTS = 10_000  # more than any room holds; the limit stops a program that runs wild
LAYOUT = """
CREATE TABLE IF NOT EXISTS study (study TEXT PRIMARY KEY) STRICT;
CREATE TABLE IF NOT EXISTS participants (
  participant TEXT PRIMARY KEY, form INTEGER NOT NULL, started TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS answers (
  participant TEXT NOT NULL REFERENCES participants, trial INTEGER NOT NULL, answer TEXT NOT NULL, stored TEXT NOT NULL,
  PRIMARY KEY (participant, trial)
) STRICT;
"""


class DuplicateError(StudyError):
    """A trial was answered before; the first answer stands."""


class StorageError(BenchError):
    """The file of answers cannot be written now."""


class AnswerStore:
    """The answers of one study. Safe to use from several threads."""

    def __init__(self, path: Path, key: Key) -> None:
        """Opens the file, or makes it.

        Raises:
            BenchError: the file cannot be opened, or holds the answers of another study.
        """
        self.key = key
        self._lock = Lock()
        try:
            self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = FULL")  # an answer is on the disk before it is acknowledged
            self._database.execute("PRAGMA foreign_keys = ON")
            self._database.executescript(LAYOUT)
            with self._transaction():
                if self._database.execute("SELECT count(*) FROM study").fetchone() == (0,):
                    self._database.execute("INSERT INTO study VALUES (?)", (key.study,))
                (study,) = self._database.execute("SELECT study FROM study").fetchone()
        except sqlite3.Error as error:
            raise BenchError(f"{path}: {error}") from None
        if study != key.study:
            raise BenchError(f"{path} holds the answers of another study; give --answers another file")

    def close(self) -> None:
        """Closes the file."""
        self._database.close()

    def start(self, participant: str | None, number: int | None) -> Participant:
        """Returns a participant, new or known, with the answers so far.

        Args:
            participant: the token that was given out before; an unknown token counts as new.
            number: the number that decides the form; with None forms are dealt in turn.

        Raises:
            StudyError: there are too many participants.
        """
        with self._transaction():
            row = self._database.execute(
                "SELECT form FROM participants WHERE participant = ?", (participant,)
            ).fetchone()
            if participant is None or row is None:
                (count,) = self._database.execute("SELECT count(*) FROM participants").fetchone()
                if count >= MAX_PARTICIPANTS:
                    raise StudyError(f"more than {MAX_PARTICIPANTS:,} participants: no more are taken")
                participant, form = secrets.token_hex(8), (count if number is None else number) % len(self.key.forms)
                self._database.execute("INSERT INTO participants VALUES (?, ?, ?)", (participant, form, _now()))
            else:
                form = row[0]
            return Participant(
                study=self.key.study, participant=participant, form=form, answers=self._answers(participant)
            )

    def add(self, participant: str, answer: Answer) -> None:
        """Stores an answer; it is on the disk when this returns.

        Raises:
            DuplicateError: the trial was answered before.
            StudyError: the participant is unknown, or the answer does not fit the form.
        """
        with self._transaction():
            row = self._database.execute(
                "SELECT form FROM participants WHERE participant = ?", (participant,)
            ).fetchone()
            if row is None:
                raise StudyError("unknown participant; reload the page and begin")
            if reason := fault(self.key, row[0], answer):
                raise StudyError(reason)
            content = (participant, answer.trial, answer.model_dump_json(exclude_none=True), _now())
            try:
                self._database.execute("INSERT INTO answers VALUES (?, ?, ?, ?)", content)
            except sqlite3.IntegrityError:
                raise DuplicateError(f"trial {answer.trial} was answered before") from None

    def count(self) -> tuple[int, int]:
        """Returns the number of participants and the number of answers."""
        with self._transaction():
            counts = [
                self._database.execute(f"SELECT count(*) FROM {t}").fetchone()[0] for t in ("participants", "answers")
            ]
        return counts[0], counts[1]

    def _answers(self, participant: str) -> tuple[Answer, ...]:
        rows = self._database.execute(
            "SELECT answer FROM answers WHERE participant = ? ORDER BY trial", (participant,)
        ).fetchall()
        return tuple(Answer.model_validate_json(row[0]) for row in rows)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Lets one writer work at a time, and keeps all of its changes or none.

        Raises:
            StorageError: the file cannot be written now, for instance because the disk is full.
        """
        with self._lock:
            try:
                self._database.execute("BEGIN IMMEDIATE")
                try:
                    yield
                except BaseException:
                    self._database.execute("ROLLBACK")
                    raise
                self._database.execute("COMMIT")
            except sqlite3.Error as error:
                raise StorageError(f"answers cannot be stored: {error}") from None


def is_store(path: Path) -> bool:
    """Returns whether a file is an SQLite database."""
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def read_store(path: Path) -> list[Participant]:
    """Returns everyone's answers from a file of `AnswerStore`, even while a server writes to it.

    Raises:
        StudyError: the file is damaged or no file of `AnswerStore`.
    """
    try:
        with closing(sqlite3.connect(f"file:{path.resolve()}?mode=ro", uri=True)) as database:
            (study,) = database.execute("SELECT study FROM study").fetchone()
            people = database.execute(
                "SELECT participant, form FROM participants ORDER BY started, participant"
            ).fetchall()
            rows = database.execute("SELECT participant, answer FROM answers ORDER BY participant, trial").fetchall()
    except (sqlite3.Error, TypeError) as error:
        raise StudyError(f"{path} is not a whole file of answers ({error})") from None
    given: dict[str, list[Answer]] = {}
    for participant, answer in rows:
        given.setdefault(participant, []).append(parse(Answer, answer, f"{path}, {participant}"))
    return [
        Participant(study=study, participant=name, form=form, answers=tuple(given.get(name, ())))
        for name, form in people
    ]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
