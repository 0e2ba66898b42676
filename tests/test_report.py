"""The report shows the leaderboard's numbers and the models' own pictures, and says what it lacks."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from fake_results import fake_result
from PIL import Image
from report_project import make_context, make_report_project, model_sha256, report_on, write_strip

from benchmark.cli import main
from benchmark.contracts.config import resolve
from benchmark.contracts.result import write_result
from benchmark.data.prepared import Prepared, write_meta
from benchmark.paper import claims
from benchmark.report import build
from benchmark.report.chapter import short_names
from benchmark.report.gallery import EXTREMES, FAILURES, choose
from benchmark.report.leaders import leaders
from benchmark.report.svg import Drawing, Scale, spread
from benchmark.report.trained import POINTS, find_trained, read_history
from benchmark.results.tables import as_json, build_table
from benchmark.results.tables.collect import collect
from benchmark.results.tables.style import number
from benchmark.running.stages import load_trained
from benchmark.scoring.evaluate import colorize
from benchmark.scoring.metrics import METRICS
from benchmark.support.errors import BenchError, InputError

METHODS = ("l2", "cgan", "classification-rebalance")
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a report in `report/`, which no test may change."""
    folder = make_report_project(tmp_path_factory.mktemp("project"), METHODS, ("first",), image_size=16)
    report_on(folder, folder / "report")
    return folder


@pytest.fixture
def copy(project: Path, tmp_path: Path) -> Path:
    """A copy of the project that a test may change."""
    return Path(shutil.copytree(project, tmp_path / "project"))


@pytest.fixture(scope="module")
def page(project: Path) -> str:
    return (project / "report/index.html").read_text()


class Reader(HTMLParser):
    """Collects start tags with their attributes, and the text of table cells by chapter, method and metric."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.cells: dict[tuple[str, str, str], tuple[str, str]] = {}  # → (data-value, text)
        self._chapter = self._method = ""
        self._open: tuple[str, str, str] | None = None
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.tags.append((tag, values))
        if tag == "article":
            self._chapter = values.get("id", "")
        elif tag == "tr":
            self._method = values.get("data-method", "")
        elif tag == "td" and self._method and "data-metric" in values:
            self._open = (self._chapter, self._method, values["data-metric"])
            self.cells[self._open] = (values["data-value"], "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "td":
            self._open = None

    def handle_data(self, data: str) -> None:
        if self._open:
            value, text = self.cells[self._open]
            self.cells[self._open] = (value, text + data)

    def all(self, tag: str) -> list[dict[str, str]]:
        return [values for name, values in self.tags if name == tag]


# What it says


@pytest.mark.parametrize("folder", ["cifar10/quick", "sample/first"])
def test_every_number_is_the_leaderboards(project: Path, page: str, folder: str) -> None:
    table = json.loads(as_json([build_table(project / "results" / folder)]))[0]
    cells = Reader(page).cells
    compared = 0
    for row in table["rows"]:
        for name, expected in row["metrics"].items():
            if expected["mean"] is None:
                continue
            value, text = cells[folder.replace("/", "-"), row["method"], name]
            digits = METRICS[name].digits
            ends = ", ".join(number(end, digits) for end in expected["interval"])
            assert float(value) == expected["mean"]
            assert re.sub("[†‡]", "", text) == f"{number(expected['mean'], digits)}[{ends}]"
            assert ("†" in text) == (name in row["not_above_gray"])
            compared += 1
    assert compared == len(table["rows"]) * 14


def test_claims_have_the_verdicts_of_bench_claims(project: Path, page: str) -> None:
    decided = claims.build_claims(project / "results", "first", check=True).claims
    listed = re.findall(r'<a class="id" href="#claim-([^"]+)">.*?<p class="verdicts">(.*?)</p>', page, re.DOTALL)
    told = {name: re.findall(r'class="verdict[^"]*" href="#[^"]+">([^<]+)', text) for name, text in listed}
    expected = {one.claim.id: [str(d.verdict) for d in one.decisions] or ["not yet measured"] for one in decided}
    assert told == expected
    assert {"supported", "not yet measured"} <= {verdict for verdicts in told.values() for verdict in verdicts}


def test_every_link_and_badge_leads_somewhere(project: Path, page: str) -> None:
    reader = Reader(page)
    anchors = {values["id"] for _, values in reader.tags if "id" in values}
    links = {values["href"][1:] for values in reader.all("a") if values.get("href", "").startswith("#")}
    assert links <= anchors
    evidence = {"sample-first-psnr", "sample-first-ranks", "sample-first-notes", "cifar10-quick-ssim", "claim-C1"}
    assert evidence <= links


def test_there_is_a_page_per_table_method_and_claim(project: Path, page: str) -> None:
    pages = {values["id"] for values in Reader(page).all("article")}
    ids = {f"claim-{claim.id}" for claim in claims.load_claims()}
    assert {"home", "cifar10-quick", "sample-first", "metrics", "claims"} | ids <= pages
    assert {f"method-{name}" for name in (*METHODS, "gray", "oracle-bins")} <= pages
    told = page[page.index('id="method-cgan"') : page.index('id="method-classification"')]
    assert "bench run --method cgan --data sample --preset first --seed 0" in told
    assert "U-Net" in told  # from the docstring of its file
    assert told.count('<figure data-method="cgan">') == 8


def test_the_first_page_says_who_leads_and_by_how_much(project: Path, page: str) -> None:
    home = page[page.index('id="home"') : page.index('id="cifar10-quick"')]
    table = build_table(project / "results/cifar10/quick")
    means = sorted((row.cells["psnr"].mean or 0 for row in table.rows), reverse=True)
    assert f"leads in PSNR by {number(means[0] - means[1], 2)} dB" in home
    assert " of ".join(map(str, table.decided)) in home
    for one in (table, build_table(project / "results/sample/first")):
        for name, lead in leaders(one).items():
            mark = "†" if name in one.row(lead.name).not_above_floor else ""  # type: ignore[union-attr]
            assert f">{lead.name} {lead.value}{mark}</span>" in home
    assert home.count("<figure") == 2 * (2 + 2)  # the strip: two photographs, gray, two methods, truth


def test_every_kind_of_chart_is_there_with_a_name_and_its_data_in_words(page: str) -> None:
    charts = [ElementTree.fromstring(text) for text in re.findall(r"<svg class.*?</svg>", page, re.DOTALL)]
    titles = [chart.findtext("title") or "" for chart in charts]
    for expected in (
        "PSNR on sample, mean and 95 % interval",
        "PSNR over the test images of sample",
        "Mean absolute error per color channel on sample",
        "PSNR against multiply-adds per image on sample",
        "Validation PSNR while training",
        "l2: discriminator accuracy",
    ):
        assert expected in titles
    described = [chart.findtext("desc") or "" for chart in charts if "class" in chart.attrib]
    assert all(titles)
    assert sum(map(bool, described)) > len(titles) / 2
    whiskers = charts[titles.index("PSNR on sample, mean and 95 % interval")]
    assert {group.get("data-method") for group in whiskers.iter("g")} == {*METHODS, "gray"}


def test_a_rate_that_changes_is_a_curve_and_one_that_does_not_a_number(page: str) -> None:
    assert "l2: discriminator learning rate" in page
    assert "l2: generator learning rate" not in page
    assert "Constant: generator learning rate 0.0002." in page


# What it needs


def test_it_needs_nothing_from_outside_its_folder(project: Path, page: str) -> None:
    reader = Reader(page)
    links = [values.get("href", "") + values.get("src", "") for _, values in reader.tags]
    outside = [link for link in links if "//" in link or link.startswith("/")]
    assert not outside
    assert not re.findall(r"url\(|@import", page)
    assert "default-src 'none'" in page
    for link in filter(None, links):
        if not link.startswith("#"):
            assert (project / "report" / link).is_file()


def test_images_are_lazy_described_and_bounded(project: Path, page: str) -> None:
    images = [values for values in Reader(page).all("img") if "src" in values]
    assert len(images) > 5 * (len(METHODS) + 2)
    for image in images:
        side, start = ("256", "Photograph ") if "/strip/" in image["src"] else ("16", "Test image ")
        assert image["loading"] == "lazy"
        assert image["alt"].startswith(start)
        assert image["width"] == image["height"] == side
        assert (project / "report" / image["src"]).stat().st_size < 16 * 16 * 3 + 200
    named = {values["href"] for values in Reader(page).all("a") if values.get("href", "").startswith("images/")}
    written = {path.relative_to(project / "report").as_posix() for path in (project / "report/images").rglob("*.webp")}
    assert named == written


def test_pictures_are_the_models_outputs_to_the_bit(project: Path, page: str) -> None:
    context = make_context(project)
    cell = resolve(context.params, method="cgan", data="sample", preset="first")
    prepared = Prepared.open(context.workspace.data(cell))
    method = load_trained(cell, prepared, context)
    for folder in sorted((project / "report/images/sample-first").iterdir())[:6]:
        truth = prepared.images("test")[int(folder.name)]
        output = colorize(method, torch.from_numpy(truth[None].copy())).predicted[0].numpy()
        assert (np.array(Image.open(folder / "_truth.webp")) == truth).all()
        assert (np.array(Image.open(folder / "cgan.webp")) == output).all()
        gray = np.array(Image.open(folder / "_gray.webp")).astype(int)
        assert np.ptp(gray, axis=2).max() <= 1


def test_the_gallery_has_the_tables_order_and_says_why_an_image_is_there(project: Path, page: str) -> None:
    ranked = [row.name for row in build_table(project / "results/sample/first").rows]
    strips = re.findall(r'<section class="strip" data-groups="([^"]+)".*?</section>', page, re.DOTALL)
    first = re.search(r'<section class="strip" data-groups="even.*?</section>', page, re.DOTALL)
    assert first
    assert re.findall(r'<figure data-method="([^"]+)"', first[0]) == ["gray (input)", *ranked, "truth"]
    keys = {entry.split(":")[0] for groups in strips for entry in groups.split()}
    assert {"even", "best-psnr", "worst-ssim", "apart-auc", "best-delta_e00", "failures-l2"} <= keys
    options = {values.get("value") for values in Reader(page).all("option")}
    assert keys <= options


# Which images


def columns(psnr: list[float]) -> dict[str, np.ndarray]:
    values = np.array(psnr, dtype=np.float32)
    return {"psnr": values, "delta_e00": 50 - values}


def test_images_are_chosen_by_rule() -> None:
    a = columns([20, 30, 25, 26, 24, 23, 22, 21, 29, 28])
    b = columns([20, 31, 25, 20, 24, 23, 22, 21, 29, 28])
    gray = np.full(10, 22.5, dtype=np.float32)
    members = choose({"a": a, "b": b}, gray).members
    assert list(members["best-psnr"][1]) == [1, 8, 9]
    assert list(members["best-delta_e00"][1]) == [1, 8, 9]  # lower is better for this metric
    assert list(members["worst-psnr"][1])[:2] == [0, 7]
    assert next(iter(members["apart-psnr"][1])) == 3
    assert list(members["failures-a"][1]) == [0, 7, 6]
    assert list(members["failures-b"][1]) == [0, 3, 7]
    assert len(members["even"][1]) == 8
    assert members["worst-psnr"][0] == "worst PSNR"


def test_no_failures_without_gray_or_without_harm_and_no_dispute_of_one() -> None:
    good = columns([30, 31, 32])
    assert not [key for key in choose({"a": good}, None).members if key.startswith(("failures", "apart"))]
    assert "failures-a" not in choose({"a": good}, np.zeros(3, dtype=np.float32)).members


def test_the_number_of_images_is_bounded() -> None:
    rng = np.random.default_rng(0)
    names = ("psnr", "ssim", "lpips_alex", "auc", "auc_rebal", "delta_e00")
    many = {f"m{k}": {name: rng.normal(size=10_000).astype(np.float32) for name in names} for k in range(10)}
    chosen = choose(many, np.ones(10_000, dtype=np.float32)).images()
    assert len(chosen) <= 8 + 6 * 3 * EXTREMES + 10 * FAILURES


# What is missing


def test_results_alone_make_a_report_that_says_what_it_lacks(copy: Path) -> None:
    shutil.rmtree(copy / "models")
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path\n"
        "from benchmark.contracts.config import read_params\n"
        "from benchmark.report import build_report\n"
        "from benchmark.contracts.workspace import Workspace\n"
        "root = Path(sys.argv[2])\n"
        "built = build_report(read_params(root), Workspace(root), root / 'report', lambda: 1 / 0, data='sample')\n"
        "print(*built.messages, sep='\\n')\n"
        "assert 'torch' not in sys.modules\n"
    )
    tests = str(Path(__file__).parent)
    done = subprocess.run([sys.executable, "-c", code, tests, str(copy)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "no pictures of l2: its trained model is not on this machine; run: bench run --method l2" in done.stdout
    page = (copy / "report/index.html").read_text()
    assert "No pictures of" in page
    assert "Leaderboard" in page
    assert [folder.name for folder in (copy / "report/images").iterdir()] == ["strip"]  # these need no model


def test_a_model_that_was_not_the_one_scored_is_not_shown(copy: Path) -> None:
    (copy / "models/sample/first/l2/seed0/training.json").write_text('{"model_sha256": "another"}')
    built = report_on(copy, copy / "report", data="sample")
    assert any("no pictures of l2: the model in models/sample/first/l2/seed0 is not" in m for m in built.messages)
    page = built.page.read_text()
    pictures = page[page.index('id="sample-first-pictures"') : page.index('id="sample-first-intervals"')]
    assert '<figure data-method="cgan">' in pictures
    assert '<figure data-method="l2">' not in pictures
    assert "l2: discriminator accuracy" not in page


def test_models_trained_on_a_folder_of_photographs_are_found(copy: Path) -> None:
    shutil.copytree(copy / "models/sample", copy / "models/folder-holidays")
    one = collect(copy / "results/sample/first").measured[0]
    run = one.result.run.model_copy(update={"data": "folder-holidays"})
    context = make_context(copy)
    found = find_trained(
        [replace(one, result=one.result.model_copy(update={"run": run}))], context.params, context.workspace
    )
    assert [model.folder for model in found.models] == [copy / f"models/folder-holidays/first/{run.method}/seed0"]


def test_a_table_without_rows_says_so(copy: Path) -> None:
    shutil.rmtree(copy / "results")
    skipped = fake_result("eccv16", 0, {"psnr": np.ones(3)}, data="coco", status="skipped", reason="no weights")
    write_result(copy / "results", skipped.model_copy(update={"metrics": {}, "notes": {}, "images": 0}))
    page = report_on(copy, copy / "report").page.read_text()
    assert "No result may stand in this table" in page
    assert 'id="coco-quick"' in page


@pytest.mark.parametrize("harm", ["other images", "none"])
def test_other_test_images_than_those_scored_are_not_shown(copy: Path, harm: str) -> None:
    meta = next(copy.glob("data/*/meta.json"))
    if harm == "none":
        meta.unlink()
    else:
        array = np.load(meta.with_name("test.npy")) ^ 1
        np.save(meta.with_name("test.npy"), array)
        about = Prepared(meta.parent).meta
        about.splits["test"].sha256 = hashlib.sha256(array.tobytes()).hexdigest()
        write_meta(meta.parent, about)
    built = report_on(copy, copy / "report", data="sample")
    expected = "is not prepared" if harm == "none" else "other test images than those that were scored"
    assert expected in " ".join(built.messages)
    assert 'data-groups="even' not in built.page.read_text()


def test_names_of_files_cannot_become_markup(copy: Path) -> None:
    meta = next(copy.glob("data/*/meta.json"))
    about = Prepared(meta.parent).meta
    about.splits["test"].ids[0] = '<script>alert("1")</script>'
    write_meta(meta.parent, about)
    page = report_on(copy, copy / "report", data="sample").page.read_text()
    assert "&lt;script&gt;alert(" in page
    assert '<script>alert("1")' not in page


# Files


def test_the_same_results_make_the_same_bytes(project: Path, tmp_path: Path) -> None:
    report_on(project, tmp_path / "again")
    before = {path.relative_to(project / "report"): path.read_bytes() for path in (project / "report").rglob("*.*")}
    after = {path.relative_to(tmp_path / "again"): path.read_bytes() for path in (tmp_path / "again").rglob("*.*")}
    assert before == after


def test_a_report_is_replaced_whole(copy: Path) -> None:
    shutil.rmtree(copy / "models")
    report_on(copy, copy / "report")
    assert not (copy / "report/images/sample-first").exists()
    assert [path.name for path in copy.glob("report*")] == ["report"]


def test_a_build_that_fails_leaves_the_old_report(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> str:
        raise OSError(28, "No space left on device")

    before = (copy / "report/index.html").read_bytes()
    monkeypatch.setattr(build, "_pages", fail)
    with pytest.raises(BenchError, match=r"cannot write .*report: No space left on device; .* is kept"):
        report_on(copy, copy / "report")
    assert (copy / "report/index.html").read_bytes() == before
    assert [path.name for path in copy.glob("report*")] == ["report"]


def test_what_is_no_report_is_not_replaced(project: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    for place in (tmp_path, tmp_path / "thesis.tex"):
        with pytest.raises(InputError, match="is no report; choose another place with -o"):
            report_on(project, place)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_the_command_says_how_to_open_it(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    done = CliRunner().invoke(main, ["report", "--data", "cifar10", "-o", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert f"open in a browser: file://{tmp_path}/out/index.html" in done.output
    wrong = CliRunner().invoke(main, ["report", "--data", "cifar", "-o", str(tmp_path / "other")])
    assert wrong.exit_code == 2
    assert "did you mean 'cifar10'" in wrong.output
    assert not (tmp_path / "other").exists()


# The strip of photographs, and the site


def test_a_column_of_the_strip_whose_row_has_changed_is_left_out_and_told(copy: Path) -> None:
    write_strip(copy, {"l2": "0" * 64, "cgan": model_sha256(copy, "cgan")})
    built = report_on(copy, copy / "report")
    assert "strip: left out l2, whose rows or models have changed; draw it again: bench strip" in built.messages
    home = built.page.read_text().split('id="cifar10-quick"')[0]
    assert '<figure data-method="cgan">' in home
    assert '<figure data-method="l2">' not in home
    (copy / "docs/strip/strip.json").write_text("{}")
    with pytest.raises(BenchError, match=r"strip\.json: .* draw it again: bench strip"):
        report_on(copy, copy / "report")
    shutil.rmtree(copy / "docs")
    assert "no strip of photographs is drawn; draw it again: bench strip" in report_on(copy, copy / "report").messages


def test_tables_can_be_taken_along_as_csv_and_bibtex(project: Path) -> None:
    table = build_table(project / "results/cifar10/quick")
    lines = (project / "report/cifar10-quick.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines[1:]] == [row.name for row in table.all_rows]
    entry = (project / "report/cifar10-quick.bib").read_text()
    assert entry.startswith("@misc{colorbench-cifar10-quick,\n")
    assert entry.count("{") == entry.count("}")
    assert table.data_sha256[:12] in entry


def test_a_site_has_a_file_for_each_page_and_no_dead_link(project: Path, tmp_path: Path) -> None:
    report_on(project, tmp_path / "site", site=True)
    pages = {path.name: Reader(path.read_text()) for path in (tmp_path / "site").glob("*.html")}
    assert {"index.html", "sample-first.html", "method-l2.html", "claim-C1.html", "metrics.html"} <= pages.keys()
    anchors = {name: {values["id"] for _, values in one.tags if "id" in values} for name, one in pages.items()}
    for name, one in pages.items():
        for link in (values["href"] for values in one.all("a")):
            file, _, anchor = link.partition("#")
            assert (tmp_path / "site" / (file or name)).is_file(), link
            assert not anchor or anchor in anchors[file or name], link


# Curves


def test_a_history_is_thinned_and_values_that_are_none_are_left_out(tmp_path: Path) -> None:
    lines = ["step,phase,loss,val_psnr"]
    lines += [
        f"{step},{'a' if step <= 500 else 'b'},{step / 1000},{20 if step == 700 else ''}" for step in range(1, 1001)
    ]
    (tmp_path / "history.csv").write_text("\n".join([*lines, "1001,b,nan,", "1002,b,inf,"]))
    history = read_history(tmp_path / "history.csv")
    assert history
    assert history.phases == [("a", 1), ("b", 501)]
    assert history.curves["val_psnr"] == [(700, 20.0)]
    curve = history.curves["loss"]
    assert len(curve) <= POINTS + 1
    assert curve[-1] == (1000, 1.0)
    assert all(value == pytest.approx(step / 1000) for step, value in curve)


def test_methods_that_learn_nothing_have_no_history(tmp_path: Path) -> None:
    (tmp_path / "history.csv").write_text("\n")
    assert read_history(tmp_path / "history.csv") is None
    assert read_history(tmp_path / "absent.csv") is None


# Drawing


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1, ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        (21.7, 26.2, ["22", "23", "24", "25", "26"]),
        (0.8811, 0.8893, ["0.882", "0.884", "0.886", "0.888"]),
        (-3, 9, ["0", "5"]),
        (-0.3, 0.4, ["-0.2", "0.0", "0.2", "0.4"]),
        (0, 2e-4, ["0", "5e-05", "0.0001", "0.00015", "0.0002"]),
        (0, 40_000, ["0", "10k", "20k", "30k", "40k"]),
    ],
)
def test_ticks_are_round(low: float, high: float, expected: list[str]) -> None:
    assert [text for _, text in Scale(low, high, 0, 100).ticks()] == expected


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (8e3, 2e8, ["10k", "100k", "1M", "10M", "100M"]),
        (0.9, 12, ["1", "3", "10"]),
        (9.1e7, 1.31e8, ["100M", "110M", "120M", "130M"]),
    ],
)
def test_logarithmic_ticks_are_round_and_at_least_two(low: float, high: float, expected: list[str]) -> None:
    assert [text for _, text in Scale(low, high, 0, 100, log=True).ticks()] == expected


@pytest.mark.parametrize("values", [[1.0], [0.0], [-2.0, -2.0], [1e-9, 2e-9], [3e8, 3e8 + 1]])
def test_a_scale_holds_its_values_and_has_ticks(values: list[float]) -> None:
    scale = Scale.over(values, 0, 100)
    assert all(scale.holds(value) and 0 <= scale(value) <= 100 for value in values)
    assert scale.ticks()


def test_labels_keep_apart_near_their_points_and_inside() -> None:
    rng = np.random.default_rng(1)
    for count in (1, 2, 7, 15, 40):
        wanted = rng.uniform(0, 200, count).tolist()
        places = spread(wanted, 13, 0, 200)
        gaps = np.diff(sorted(places))
        assert (gaps >= min(13, 200 / max(1, count - 1)) - 1e-9).all()
        assert min(places) >= -1e-9
        assert max(places) <= 200 + 1e-9
        assert np.argsort(places).tolist() == np.argsort(wanted).tolist()
    assert spread([50, 100], 13, 0, 200) == [50, 100]


def test_text_in_a_drawing_is_escaped() -> None:
    drawing = Drawing(10, 10, '<b>&"')
    with drawing.group(method='"><script>'):
        drawing.text(1, 2, "<i>")
    parsed = ElementTree.fromstring(drawing.markup())
    assert parsed.findtext("title") == '<b>&"'
    assert [group.get("data-method") for group in parsed.iter("g")] == ['"><script>']


def test_long_names_become_numbers() -> None:
    assert short_names(["gray", "l2"]) == {"gray": "gray", "l2": "l2"}
    assert short_names(["gray", "gan-perceptual-own"]) == {"gray": "1", "gan-perceptual-own": "2"}
