"""Studies have fair forms, a page that does not tell, rates that are found again, and a server that loses nothing."""

import base64
import io
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
from click.testing import CliRunner, Result
from fake_results import SHA, write_params, write_suite
from PIL import Image
from scipy import stats
from study_data import METHODS, SMALL, make_key, make_pictures, take_part

from benchmark.cli import main
from benchmark.contracts.config import read_params
from benchmark.contracts.result import read_result
from benchmark.contracts.workspace import Workspace
from benchmark.report import build_report
from benchmark.results.columns import announce
from benchmark.results.tables import build
from benchmark.study.analysis import analyse, design_effect, krippendorffs_alpha, rate_interval, split, wilson
from benchmark.study.build import render
from benchmark.study.design import Design, make_plan
from benchmark.study.schema import (
    CHECK,
    DAY,
    KEY_FILE,
    PAGE_FILE,
    TRUTH,
    Answer,
    Judgments,
    Key,
    Participant,
    StudyError,
    StudyResult,
    fault,
    read,
    write,
)
from benchmark.study.score import publish, read_answers, report, score
from benchmark.study.serve import RateLimit, StudyServer, open_server
from benchmark.study.store import AnswerStore, read_store
from benchmark.support.errors import BenchError, InputError
from projects import bench, make_project

announce("benchmark.study.people:PEOPLE")  # the command line does the same

LARGE = Design({"pair": 20, "single": 20, "pick": 10, "rate": 12}, checks=4, forms=60)
RATES = {"cgan": 0.45, "l2": 0.05, "eccv16": 0.25}


@pytest.fixture(scope="module")
def key() -> Key:
    return make_key(LARGE)


# design ---------------------------------------------------------------------------------------------------------------


def test_a_form_shows_each_photograph_once_and_every_method_equally_often(key: Key) -> None:
    for form in key.forms:
        shown = [{key.pictures[number].photograph for number in trial.pictures} for trial in form]
        assert all(len(photographs) == 1 for photographs in shown)
        assert len(set.union(*shown)) == len(form) == LARGE.photographs
        colored = [key.sources(trial) for trial in form if trial.task == "pair" and not key.is_check(trial)]
        assert all(sorted(sources) != sorted([TRUTH, TRUTH]) and TRUTH in sources for sources in colored)
        counts = Counter(source for sources in colored for source in sources if source != TRUTH)
        assert max(counts.values()) - min(counts.values()) <= 1
        alone = Counter(key.sources(t)[0] for t in form if t.task == "single" and not key.is_check(t))
        assert alone[TRUTH] == 10
        assert sum(map(key.is_check, form)) == 4


def test_the_real_one_stands_on_either_side_equally_often(key: Key) -> None:
    sides = [key.sources(t).index(TRUTH) for form in key.forms for t in form if t.task == "pair"]
    assert stats.binomtest(sum(sides), len(sides)).pvalue > 0.001


def test_the_same_seed_gives_the_same_study_and_another_seed_another() -> None:
    assert make_key(SMALL) == make_key(SMALL)
    assert make_key(SMALL).forms != make_key(Design(SMALL.trials, 3, forms=8, seed=1)).forms


def test_fewer_alternatives_than_methods_take_turns() -> None:
    design = Design({"pair": 0, "single": 0, "pick": 9, "rate": 0}, checks=0, alternatives=3, forms=4)
    key = make_key(design)
    for form in key.forms:
        counts = Counter(source for trial in form for source in key.sources(trial))
        assert counts == {TRUTH: 9, "cgan": 6, "l2": 6, "eccv16": 6}
        assert all(len(set(key.sources(trial))) == 3 for trial in form)


@pytest.mark.parametrize(
    ("changes", "methods", "words"),
    [
        ({"trials": {"pair": 0}}, METHODS, "a study without a question; give one of --pair N"),
        (
            {"trials": {"pair": 50}},
            METHODS,
            "50 photographs wanted (one for each trial and check), the test split has 20",
        ),
        ({"trials": {"pick": 5}, "alternatives": 5}, METHODS, "5 alternatives are not possible with 3 methods: 2 to 4"),
        ({"trials": {"pair": 5}}, (), "without methods"),
        ({"trials": {"pair": 5}}, ("truth",), "a method named 'truth' cannot be in a study"),
    ],
)
def test_what_cannot_be_asked_is_refused(changes: dict[str, Any], methods: tuple[str, ...], words: str) -> None:
    with pytest.raises(InputError) as caught:
        make_plan(Design(checks=0, **changes) if "checks" not in changes else Design(**changes), methods, ["p"] * 20)
    assert words in str(caught.value)


# the page -------------------------------------------------------------------------------------------------------------


def page_content(page: bytes) -> dict[str, Any]:
    found = re.search(rb'<script type="application/json" id="study">(.*?)</script>', page, re.DOTALL)
    assert found
    return json.loads(found[1])


def test_the_page_does_not_tell_the_truth() -> None:
    key = make_key()
    page = render(key, make_pictures(key))
    content = page_content(page)
    assert {len(encoded) for encoded in content["pictures"]} == {len(content["pictures"][0])}  # all have one size
    outside = page.replace(json.dumps(content).encode(), b"").decode()
    for word in (*METHODS, "photo-", "models", key.data_sha256):
        assert word not in outside
        assert word not in json.dumps({name: value for name, value in content.items() if name != "pictures"})
    decoded = [Image.open(io.BytesIO(base64.b64decode(encoded))) for encoded in content["pictures"]]
    assert {(image.format, image.mode, image.size) for image in decoded} == {("PNG", "RGB", (16, 16))}
    assert all(not image.info for image in decoded)
    assert content["forms"][2][0] == [key.forms[2][0].task, *key.forms[2][0].pictures]


def test_the_page_asks_for_nothing_from_anywhere() -> None:
    key = make_key()
    page = render(key, make_pictures(key)).decode()
    addresses = re.findall(r"<[^>]*\s(?:src|href|action)=[\"']?([^\"'\s>]+)", page)
    assert addresses == ["data:,"]
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page
    assert "default-src 'none'" in page


def test_pictures_of_another_kind_stand_at_no_place_of_their_own(key: Key) -> None:
    """A picture's number is no hint, because real pictures are spread like the others."""
    real = [k for k, picture in enumerate(key.pictures) if picture.source == TRUTH]
    others = [k for k, picture in enumerate(key.pictures) if picture.source not in (TRUTH, CHECK)]
    assert stats.mannwhitneyu(real, others).pvalue > 0.001


# scoring --------------------------------------------------------------------------------------------------------------


def people(key: Key, count: int, seed: int = 0, spread: float = 0.5) -> list[Participant]:
    rng = np.random.default_rng(seed)
    return [take_part(key, f"p{k}", RATES, rng, credulity=float(rng.normal(0, spread))) for k in range(count)]


def test_known_rates_are_found_again(key: Key) -> None:
    columns = analyse(score(people(key, 60, spread=0.0), key))
    for name, rate in RATES.items():
        for column, expected in (("fooled", rate), ("fooled_single", rate), ("fooled_pick", rate / 3)):
            found = columns[column].opinions[name]
            assert found.low < 100 * expected < found.high, (column, name)
        found = columns["realism"].opinions[name]
        assert found.low < 1 + 4 * rate < found.high
    assert columns["fooled_single"].opinions[TRUTH].mean == pytest.approx(90, abs=4)
    assert columns["realism"].opinions[TRUTH].mean == pytest.approx(4.5, abs=0.2)
    assert columns["fooled"].chance == 50
    assert columns["fooled_pick"].chance == 25
    for column in ("fooled", "fooled_single", "realism"):
        assert {name: str(rank) for name, rank in columns[column].ranks.items()} == {
            "cgan": "1",
            "eccv16": "2",
            "l2": "3",
        }
        assert columns[column].differences["cgan", "l2"].p < 0.001
    above = {name: opinion.above_chance for name, opinion in columns["fooled"].opinions.items()}
    assert above["l2"] is not None
    assert above["l2"] < 0.001


def test_equal_methods_share_their_rank(key: Key) -> None:
    rng = np.random.default_rng(3)
    answers = [take_part(key, f"p{k}", dict.fromkeys(METHODS, 0.3), rng) for k in range(16)]
    assert set(analyse(score(answers, key))["fooled"].ranks.values()) == {(1, 3)}


def test_people_who_differ_widen_the_interval(key: Key) -> None:
    def width(spread: float) -> float:
        result = score(people(key, 24, seed=5, spread=spread), key)
        samples = split(result.judgments["fooled"], result.sources)
        low, high = rate_interval(samples["cgan"], design_effect(list(samples.values())))
        return high - low

    assert width(2.0) > 1.2 * width(0.0)


@pytest.mark.parametrize(("successes", "trials"), [(0, 10), (3, 20), (50, 100), (7, 7), (193, 640)])
def test_wilson_is_scipys(successes: int, trials: int) -> None:
    expected = stats.binomtest(successes, trials).proportion_ci(0.95, "wilson")
    assert wilson(successes / trials, trials) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_agreement_is_krippendorffs_own_example() -> None:
    """The example is part C of "Computing Krippendorff's Alpha-Reliability" (2011): four observers, twelve units."""
    observers = [
        "1 2 3 3 2 1 4 1 2 . . .",
        "1 2 3 3 2 2 4 1 2 5 . 3",
        ". 3 3 3 2 3 4 2 2 5 1 .",
        "1 2 3 3 2 4 4 1 2 5 1 .",
    ]
    judged = [(unit, int(v)) for row in observers for unit, v in enumerate(row.split()) if v != "."]
    units, values = (np.array(column) for column in zip(*judged, strict=True))
    assert krippendorffs_alpha(units, values) == pytest.approx(0.743, abs=5e-4)
    assert krippendorffs_alpha(units, values, ordinal=True) == pytest.approx(0.815, abs=5e-4)
    assert krippendorffs_alpha(np.arange(4), np.array([1, 2, 1, 2])) is None  # nothing was judged twice
    assert krippendorffs_alpha(np.array([0, 0, 1, 1]), np.array([1, 1, 2, 2])) == 1


def test_who_did_not_look_does_not_count(key: Key) -> None:
    rng = np.random.default_rng(0)
    honest = [take_part(key, f"p{k}", RATES, rng) for k in range(4)]
    careless = take_part(key, "careless", RATES, rng, attentive=False)
    gone = Participant(study=key.study, participant="gone", form=0, answers=())
    result = score([*honest, careless, gone], key)
    assert result.participants == 4
    assert result.excluded == ["answered nothing", "passed 0 of 4 attention checks"]
    assert result.judgments == score(honest, key).judgments
    assert "2 not counted" in report(result)
    with pytest.raises(InputError, match=r"no participant counts: passed 0 of 4 attention checks \(1\)"):
        score([careless], key)


def test_the_report_names_everything(key: Key) -> None:
    text = report(score(people(key, 12), key))
    for words in (
        "fooled: colored picture",
        "chance 50.0 %",
        "chance 25.0 %",
        "cgan − l2",
        "(Holm)",
        "Krippendorff",
        "truth",
    ):
        assert words in text


def test_a_single_participant_is_scored_too(key: Key) -> None:
    columns = analyse(score(people(key, 1), key))
    assert columns["fooled"].agreement is None
    for column in columns.values():
        for opinion in column.opinions.values():
            assert np.isfinite([opinion.low, opinion.high]).all()
            assert opinion.low <= opinion.mean <= opinion.high


# files of answers -----------------------------------------------------------------------------------------------------


def save(path: Path, record: Participant | dict[str, Any]) -> Path:
    content = record if isinstance(record, dict) else record.model_dump(mode="json", by_alias=True, exclude_none=True)
    path.write_text(json.dumps(content))
    return path


def test_answers_come_back_from_both_kinds_of_files(tmp_path: Path, key: Key) -> None:
    first, second = people(key, 2)
    store = AnswerStore(tmp_path / "answers.sqlite", key)
    served = store.start(None, second.form)
    for answer in second.answers:
        store.add(served.participant, answer)
    found = read_answers([save(tmp_path / "a.json", first), tmp_path / "answers.sqlite"], key)  # the store is open
    assert found[0] == first
    assert found[1].answers == second.answers
    store.close()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"study": "another"}, "answers to study another, but the key is of study-of-tests"),
        ({"form": 999}, "form 999 is not one of the 60 of this study"),
        ({"answers": [{"trial": 0, "choice": 0, "milliseconds": 1}] * 2}, "trial 0 is answered twice"),
        ({"answers": [{"trial": 0, "choice": 2, "milliseconds": 1}]}, "trial 0 has no choice 2"),
        ({"answers": [{"trial": 0, "realism": 2, "quality": 2, "milliseconds": 1}]}, "trial 0 asks for a choice"),
        ({"answers": [{"trial": 900, "choice": 0, "milliseconds": 1}]}, "trial 900 is not one of the 66 of form"),
        ({"answers": [{"trial": 0, "realism": 6, "milliseconds": 1}]}, "answers.0.realism"),
        ({"answers": [{"trial": 0, "choice": 0.5, "milliseconds": 1}]}, "answers.0.choice"),
        ({"participant": "../../x"}, "participant"),
        ({"cheat": 1}, "cheat"),
        ({"schema": 2}, "schema"),
    ],
)
def test_answers_that_are_none_are_named(tmp_path: Path, key: Key, change: dict[str, Any], words: str) -> None:
    content = people(key, 1)[0].model_dump(mode="json", by_alias=True, exclude_none=True)
    with pytest.raises(StudyError) as caught:
        read_answers([save(tmp_path / "a.json", content | change)], key)
    assert words in str(caught.value)
    assert str(tmp_path / "a.json") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_ratings_are_asked_for_where_there_are_ratings(key: Key) -> None:
    place = next(k for k, trial in enumerate(key.forms[0]) if trial.task == "rate")
    assert fault(key, 0, Answer(trial=place, choice=0, milliseconds=1)) == f"trial {place} asks for two ratings"
    assert fault(key, 0, Answer(trial=place, realism=3, milliseconds=1)) == f"trial {place} asks for two ratings"
    assert fault(key, 0, Answer(trial=place, realism=3, quality=5, milliseconds=1)) is None


def test_damaged_and_doubled_files_are_named(tmp_path: Path, key: Key) -> None:
    whole = save(tmp_path / "a.json", people(key, 1)[0])
    twin = tmp_path / "b.json"
    twin.write_bytes(whole.read_bytes())
    with pytest.raises(InputError, match="hold the same participant; leave one out"):
        read_answers([whole, twin], key)
    twin.write_bytes(whole.read_bytes()[:-20])
    with pytest.raises(StudyError, match="not valid JSON, cut off perhaps"):
        read_answers([twin], key)
    twin.write_bytes(b"SQLite format 3\0" + b"garbage" * 100)
    with pytest.raises(StudyError, match="not a whole file of answers"):
        read_answers([twin], key)
    with pytest.raises(InputError, match="No such file"):
        read_answers([tmp_path / "nowhere.json"], key)


# the table ------------------------------------------------------------------------------------------------------------


def scored_for(root: Path, key: Key, count: int = 24) -> StudyResult:
    """Makes a study of the models that the results in `root` name."""
    models = {
        name: read_result(root / f"cifar10/quick/{name}/seed0.json").provenance.config["model_sha256"]
        for name in key.models
    }
    return score(people(key, count), key).model_copy(
        update={"data": "cifar10", "preset": "quick", "data_sha256": SHA, "models": models}
    )


@pytest.fixture
def results(tmp_path: Path) -> Path:
    write_suite(tmp_path, config={"model_sha256": "cd" * 32})
    return tmp_path


def test_the_leaderboard_gets_a_column(results: Path, key: Key) -> None:
    before = {row.name: row.mean_rank for row in build(results).tables[0].rows}
    publish(scored_for(results, key), results, replace=False)
    built = build(results)
    table = built.tables[0]
    assert not built.messages
    row = table.row("cgan")
    assert row
    assert row.cells["fooled"].mean == pytest.approx(45, abs=12)
    assert row.cells["fooled"].best
    assert str(table.row("l2").cells["fooled"].rank) == "3"  # type: ignore[union-attr]
    assert table.row("gray").cells["fooled"].note == "not in the study"  # type: ignore[union-attr]
    assert {row.name: row.mean_rank for row in table.rows} == before
    folder = results / "cifar10/quick"
    page = (folder / "leaderboard.md").read_text()
    assert "fooled ↑" in page
    assert "`fooled`: 24 people on the models of seed 0" in page
    assert "`realism` of the true images: 4." in page
    assert "fooled_rank" in (folder / "leaderboard.csv").read_text().splitlines()[0]
    assert "fooled" in (results / "README.md").read_text()
    assert not build(results, check=True).stale


def test_the_report_has_it_too_and_filters_by_it(tmp_path: Path, key: Key) -> None:
    project = write_params(tmp_path)
    write_suite(project / "results", config={"model_sha256": "cd" * 32})
    publish(scored_for(project / "results", key), project / "results", replace=False)
    params = read_params(project)
    page = build_report(params, Workspace(project), tmp_path / "report", never).page.read_text(encoding="utf-8")
    assert '<option value="fooled">Fooled</option>' in page
    assert re.search(r'<figure id="[^"]*-fooled" data-metric="fooled">', page)
    assert re.search(r'<td class="number best" [^>]*data-metric="fooled" data-value="[45]\d\.', page)


def never() -> NoReturn:
    """Fails if a report without models asks for a context to color with."""
    raise AssertionError("nothing is colored")


def test_a_study_of_other_models_or_images_stays_out(results: Path, key: Key) -> None:
    result = scored_for(results, key)
    publish(result.model_copy(update={"models": {**result.models, "l2": "0" * 64}}), results, replace=False)
    built = build(results)
    assert any("l2 was judged by another model than the table's" in message for message in built.messages)
    assert built.tables[0].row("l2").cells["fooled"].mean is None  # type: ignore[union-attr]
    assert built.tables[0].row("cgan").cells["fooled"].mean is not None  # type: ignore[union-attr]
    publish(result.model_copy(update={"data_sha256": "0" * 64}), results, replace=True)
    built = build(results)
    assert any("its test images are not those of the results" in message for message in built.messages)
    assert "fooled" not in {metric.name for metric in built.tables[0].metrics}


def test_a_damaged_result_is_left_out_and_named(results: Path, key: Key) -> None:
    path = publish(scored_for(results, key), results, replace=False)
    whole = json.loads(path.read_text())
    assert read(StudyResult, path).judgments
    for change in (
        {"schema": 2},
        {"participants": 1},
        {"judgments": {"fooled": {**whole["judgments"]["fooled"], "values": []}}},
    ):
        path.write_text(json.dumps(whole | change))
        assert any(str(path) in message for message in build(results).messages)
    path.write_text(json.dumps(whole)[:-9])
    assert any("not valid JSON" in message for message in build(results).messages)


def test_another_studys_result_is_not_replaced_unasked(results: Path, key: Key) -> None:
    result = scored_for(results, key)
    publish(result, results, replace=False)
    publish(result, results, replace=False)  # the same study with more answers is not another study
    other = result.model_copy(update={"study": "another"})
    with pytest.raises(InputError, match=r"holds another study \(study-of-tests\); say --replace"):
        publish(other, results, replace=False)
    publish(other, results, replace=True)
    assert read(StudyResult, results / "cifar10/quick/study.json").study == "another"


def test_values_that_nobody_can_have_said_are_refused(key: Key) -> None:
    content = score(people(key, 2), key).model_dump(mode="json", by_alias=True)
    judged = Judgments(participants=[0], photographs=[0], sources=[1], values=[6])
    for name, value in (("realism", 6), ("fooled", 2), ("charm", 1)):
        judged = Judgments(participants=[0], photographs=[0], sources=[1], values=[value])
        with pytest.raises(ValueError, match=name):
            StudyResult.model_validate(content | {"judgments": {name: judged.model_dump()}})


# the server -----------------------------------------------------------------------------------------------------------


def make_folder(folder: Path, key: Key) -> Path:
    """Writes the folder that `bench study build` writes."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / PAGE_FILE).write_bytes(render(key, make_pictures(key)))
    write(key, folder / KEY_FILE)
    return folder


@pytest.fixture
def server(tmp_path: Path) -> Iterator[StudyServer]:
    server = open_server(make_folder(tmp_path, make_key()), None, "127.0.0.1", 0)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()
    server.store.close()


def ask(port: int, path: str, content: Any, **headers: str) -> tuple[int, dict[str, Any]]:
    """POSTs JSON, and returns status and reply."""
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    connection.request(
        "POST", path, body, {"Content-Type": "application/json"} | {k.replace("_", "-"): v for k, v in headers.items()}
    )
    reply = connection.getresponse()
    found = reply.status, json.loads(reply.read())
    connection.close()
    return found


def choice(trial: int, chosen: int = 0) -> dict[str, int]:
    return {"trial": trial, "choice": chosen, "milliseconds": 700}


def test_the_server_hands_out_the_page_and_nothing_else(server: StudyServer, tmp_path: Path) -> None:
    connection = HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    for path, status in (
        ("/", 200),
        ("/study.html", 200),
        ("/key.json", 404),
        ("/../key.json", 404),
        ("/answers.sqlite", 404),
    ):
        connection.request("GET", path)
        reply = connection.getresponse()
        body = reply.read()
        assert reply.status == status
        assert b'"models"' not in body
        if status == 200:
            assert body == (tmp_path / PAGE_FILE).read_bytes()
    connection.close()


def test_answers_are_stored_once(server: StudyServer) -> None:
    port, study = server.server_port, server.store.key.study
    status, begun = ask(port, "/start", {"study": study, "participant": None, "number": 11})
    assert (status, begun["form"], begun["answers"]) == (200, 11 % 8, [])
    who = {"study": study, "participant": begun["participant"]}
    assert ask(port, "/answer", {**who, "answer": choice(0)}) == (200, {"stored": 0})
    assert ask(port, "/answer", {**who, "answer": choice(0, 1)})[0] == 409  # the first answer stands
    status, again = ask(port, "/start", {"study": study, "participant": begun["participant"]})
    assert (again["participant"], again["answers"]) == (begun["participant"], [choice(0)])
    assert server.store.count() == (1, 1)


def test_forms_are_dealt_in_turn(server: StudyServer) -> None:
    started = [ask(server.server_port, "/start", {"study": server.store.key.study})[1] for _ in range(10)]
    assert [begun["form"] for begun in started] == [0, 1, 2, 3, 4, 5, 6, 7, 0, 1]
    assert len({begun["participant"] for begun in started}) == 10


@pytest.mark.parametrize(
    ("path", "change", "status", "words"),
    [
        ("/answer", {"answer": {"trial": 0, "choice": 7, "milliseconds": 1}}, 400, "no choice 7"),
        ("/answer", {"answer": {"trial": 99, "choice": 0, "milliseconds": 1}}, 400, "trial 99 is not one of"),
        ("/answer", {"answer": {"trial": 0, "milliseconds": 1}}, 400, "asks for a choice"),
        ("/answer", {"answer": {"trial": 0, "choice": 0, "milliseconds": -1}}, 400, "milliseconds"),
        ("/answer", {"answer": choice(0), "participant": "stranger"}, 400, "unknown participant"),
        ("/answer", {"answer": choice(0), "participant": "x' OR '1'='1"}, 400, "participant"),
        ("/answer", {"answer": choice(0), "study": "another"}, 400, "another study's page"),
        ("/answer", {"answer": choice(0), "extra": 1}, 400, "extra"),
        ("/start", {"number": -1}, 400, "number"),
        ("/key.json", {}, 404, "only /start and /answer"),
    ],
)
def test_bad_submissions_are_refused(
    server: StudyServer, path: str, change: dict[str, Any], status: int, words: str
) -> None:
    begun = server.store.start(None, None)
    whole = {"study": server.store.key.study, "participant": begun.participant}
    answered = ask(server.server_port, path, whole | change)
    assert answered[0] == status
    assert words in answered[1]["error"]
    assert server.store.count()[1] == 0


def test_bodies_and_hosts_that_are_not_ours_are_refused(server: StudyServer) -> None:
    port = server.server_port
    assert ask(port, "/start", b"{not json")[0] == 400
    assert ask(port, "/start", b"[" * 4000)[0] == 400
    assert ask(port, "/start", b"x" * 5000)[0] == 413
    assert ask(port, "/start", {}, Content_Type="text/plain")[0] == 415
    assert ask(port, "/start", {}, Host="evil.example")[0] == 403
    assert ask(port, "/start", {}, Origin="http://evil.example")[0] == 403
    assert ask(port, "/start", {"study": server.store.key.study}, Origin=f"http://127.0.0.1:{port}")[0] == 200


@pytest.mark.parametrize(
    ("length", "status"), [("abc", 400), ("-1", 400), ("1" * 5000, 413), ("²", 400), ("1e3", 400), ("", 411)]
)
def test_a_length_that_is_none_is_refused_in_words(server: StudyServer, length: str, status: int) -> None:
    assert ask(server.server_port, "/start", b"{}", Content_Length=length)[0] == status


@pytest.mark.parametrize("field", ["milliseconds", "trial", "choice", "number"])
def test_no_number_larger_than_a_day_is_taken(server: StudyServer, field: str) -> None:
    begun = server.store.start(None, None)
    who = {"study": server.store.key.study, "participant": begun.participant}
    for number, words in ((DAY, ""), (DAY + 1, "less than or equal to 86400000"), (10**400, "less than or equal")):
        if field == "number":
            status, reply = ask(server.server_port, "/start", {**who, "number": number})
        else:
            answer = {"trial": 0, "choice": 0, "milliseconds": 1, field: number}
            status, reply = ask(server.server_port, "/answer", {**who, "answer": answer})
        assert words in reply.get("error", "")
        assert status == 400 if words else True


def test_a_client_that_asks_without_end_is_slowed_and_others_are_not(server: StudyServer) -> None:
    limit = RateLimit(rate=10, burst=20)
    assert sum(limit.allows("a", 0.0) for _ in range(100)) == 20
    assert limit.allows("b", 0.0)
    assert sum(limit.allows("a", 1.0) for _ in range(100)) == 10
    server.limit = RateLimit(rate=0, burst=2)
    assert [ask(server.server_port, "/start", {"study": server.store.key.study})[0] for _ in range(3)] == [
        200,
        200,
        429,
    ]


def test_fifty_connections_at_once_are_all_answered(tmp_path: Path) -> None:
    server = open_server(make_folder(tmp_path, make_key()), None, "127.0.0.1", 0)
    waiting = [socket.create_connection(("127.0.0.1", server.server_port), timeout=10) for _ in range(50)]
    for connection in waiting:  # nobody accepts them yet, so the system must queue them all
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        assert [connection.recv(15) for connection in waiting] == [b"HTTP/1.1 200 OK"] * 50
    finally:
        server.shutdown()
        thread.join()
        for connection in waiting:
            connection.close()
        server.server_close()
        server.store.close()


def test_many_at_once_lose_nothing(server: StudyServer) -> None:
    key, statuses = server.store.key, []

    def take_all() -> None:
        _, begun = ask(server.server_port, "/start", {"study": key.study})
        who = {"study": key.study, "participant": begun["participant"]}
        for number, trial in enumerate(key.forms[begun["form"]]):
            rating = {"trial": number, "realism": 3, "quality": 3, "milliseconds": 9}
            content = rating if trial.task == "rate" else choice(number)
            statuses.append(ask(server.server_port, "/answer", {**who, "answer": content})[0])

    threads = [threading.Thread(target=take_all) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    trials = len(key.forms[0])
    assert statuses == [200] * 12 * trials
    assert server.store.count() == (12, 12 * trials)


@pytest.mark.slow
@pytest.mark.pipeline
def test_kill_9_loses_no_acknowledged_answer(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "study", make_key(LARGE))
    command = [sys.executable, "-m", "benchmark.cli", "study", "serve", str(folder), "--port", "0"]
    acknowledged: list[int] = []
    participant = None
    for _ in range(3):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout
        port = int(process.stdout.readline().rstrip("/\n").rpartition(":")[2])
        _, begun = ask(port, "/start", {"study": "study-of-tests", "participant": participant, "number": 0})
        participant = begun["participant"]
        assert [answer["trial"] for answer in begun["answers"]] == acknowledged
        killer = threading.Timer(0.15, process.send_signal, [signal.SIGKILL])
        killer.start()
        try:
            while len(acknowledged) < 40:
                answer = {"study": "study-of-tests", "participant": participant, "answer": choice(len(acknowledged))}
                assert ask(port, "/answer", answer)[0] == 200
                acknowledged.append(len(acknowledged))
                time.sleep(0.01)
        except (OSError, HTTPException):  # the server is gone, perhaps in the middle of a reply
            pass
        killer.join()
        assert process.wait() == -signal.SIGKILL
        (found,) = read_store(folder / "answers.sqlite")
        trials = [answer.trial for answer in found.answers]
        assert trials[: len(acknowledged)] == acknowledged
        assert len(trials) - len(acknowledged) in (0, 1)  # the server may be killed between storing and replying
        acknowledged = trials
    assert acknowledged


def test_a_file_of_another_study_is_not_mixed_in(tmp_path: Path) -> None:
    AnswerStore(tmp_path / "answers.sqlite", make_key()).close()
    with pytest.raises(BenchError, match="holds the answers of another study"):
        AnswerStore(tmp_path / "answers.sqlite", make_key(study="another"))
    (tmp_path / "text.sqlite").write_text("no database, but long enough to be looked at as one" * 30)
    with pytest.raises(BenchError, match="not a database"):
        AnswerStore(tmp_path / "text.sqlite", make_key())


def test_what_cannot_be_served_is_named(tmp_path: Path, server: StudyServer) -> None:
    folder = make_folder(tmp_path / "other", make_key(study="other"))
    with pytest.raises(InputError, match="an IP address is wanted"):
        open_server(folder, None, "all", 0)
    with pytest.raises(InputError, match="try another --port"):
        open_server(folder, None, "127.0.0.1", server.server_port)
    (folder / PAGE_FILE).write_bytes(server.page)
    with pytest.raises(InputError, match="is not the page of"):
        open_server(folder, None, "127.0.0.1", 0)
    for empty in (tmp_path / "nowhere", tmp_path):
        (tmp_path / KEY_FILE).unlink(missing_ok=True)
        with pytest.raises(InputError, match=r"no study in .*; make one: bench study build --data … -o"):
            open_server(empty, None, "127.0.0.1", 0)


# the commands ---------------------------------------------------------------------------------------------------------


def run(*arguments: str) -> Result:
    """Runs the command in this process."""
    return CliRunner().invoke(main, list(arguments))


@pytest.mark.pipeline
def test_from_trained_models_to_a_column_of_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = make_project(tmp_path / "project")
    done = bench("run", "--method", "l2", "--data", "sample", cwd=project)
    assert done.returncode == 0, done.stderr
    monkeypatch.chdir(project)
    few = ("--pair", "4", "--pick", "2", "--rate", "2", "--checks", "2")
    assert run("study", "build", "--data", "sample", *few, "-o", "study").exit_code == 0
    refused = run("study", "build", "--data", "sample", "-o", "study")
    assert refused.exit_code == 2
    assert "answers need their key; choose another -o" in refused.stderr
    key = read(Key, project / "study/key.json")
    assert set(key.models) == {"l2"}
    rng = np.random.default_rng(0)
    files = [save(project / f"a{k}.json", take_part(key, f"p{k}", {"l2": 0.4}, rng)) for k in range(8)]
    scored = run("study", "score", *(path.name for path in files), "--key", "study/key.json")
    assert scored.exit_code == 0, scored.stderr
    assert "fooled: colored picture" in scored.stdout
    assert "8 participants" in scored.stdout
    assert not (project / "results").exists()
    table = run("leaderboard", "--own")
    assert table.exit_code == 0, table.stderr
    assert "fooled ↑" in table.stdout
    refused = run("study", "score", "a0.json")
    assert refused.exit_code == 2
    assert "key.json: No such file" in refused.stderr
    shutil.copytree(project / "models/sample", project / "models/folder-photos")
    shutil.copytree(project / "data/sample-tiny", project / "data/folder-photos-tiny")
    built = run("study", "build", "--data", f"folder:{tmp_path}/photos", *few, "-o", "own")
    assert built.exit_code == 0, built.stderr
    assert read(Key, project / "own/key.json").data == "folder-photos"
