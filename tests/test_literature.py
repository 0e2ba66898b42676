"""docs/published.md says what published.csv says, and every contradiction that it names is in the data."""

import pytest

from benchmark.paper.literature import SCORES, Figure, build_literature, load_contradictions, load_figures, page
from projects import REPOSITORY


def test_the_data_are_whole() -> None:
    figures = load_figures()
    assert len(figures) == 81
    assert len({one.method for one in figures}) == 36
    assert all(one.source and one.reported_by and one.kind for one in figures)
    for one in figures:
        for name in SCORES:
            assert not getattr(one, name) or float(getattr(one, name)) >= 0, one


def test_every_side_of_a_contradiction_is_in_the_data() -> None:
    figures = load_figures()
    for contradiction in load_contradictions():
        assert contradiction.cause
        for side in contradiction.figures:
            assert side.scores
            mine = [one for one in figures if one.reported_by == side.reported_by]
            assert any(_says(one, contradiction.system, side.scores) for one in mine), (contradiction.system, side)


def _says(one: Figure, system: str, scores: dict[str, float]) -> bool:
    is_it = one.system in (system, system.partition(" (")[0], system.partition(" + ")[0])
    return is_it and all(getattr(one, name) and float(getattr(one, name)) == value for name, value in scores.items())


def test_the_committed_page_is_that_of_the_data() -> None:
    assert build_literature(REPOSITORY, check=True) == []


def test_a_matrix_has_the_systems_that_two_report() -> None:
    def row(method: str, by: str, kind: str, fid: str) -> Figure:
        empty = dict.fromkeys(Figure.model_fields, "")
        told = {"method": method, "data": "ImageNet val5k", "reported_by": by, "kind": kind, "fid": fid, "source": "s"}
        return Figure.model_validate(empty | told)

    figures = [row("A (large)", "A's paper", "own", "3.10"), row("A", "B's paper", "re-run by others", "9.1")]
    text = page([*figures, row("B", "B's paper", "own", "2")], [])
    (line,) = [line for line in text.splitlines() if line.startswith("| A ") and "3.10" in line and "9.1" in line]
    assert line.count("(val5k)") == 2
    assert not [line for line in text.splitlines() if line.startswith("| B ") and "(val5k)" in line]
    with pytest.raises(ValueError, match="n_images"):
        Figure.model_validate({**dict.fromkeys(Figure.model_fields, ""), "n_images": "many"})
