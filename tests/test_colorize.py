"""Trained methods color photographs of any size and kind, under names that never replace anything unasked."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from data_files import encoded, gray_picture, picture
from PIL import Image

from benchmark.cli import main
from benchmark.contracts.dataset import parse_spec
from benchmark.contracts.method import DataInfo
from benchmark.contracts.registry import load_method
from benchmark.data.color import join, rgb_to_lab
from benchmark.photographs.colorize import color_files, has_color, plan
from benchmark.photographs.colorizer import SEEN_PIXELS, Colorizer, choose_models, join_strips, load_colorizer
from benchmark.scoring.evaluate import colorize
from benchmark.support.errors import BenchError, InputError
from benchmark.training.checkpoint import save_model
from benchmark.training.record import MODEL_FILE, write_record
from projects import make_project

CPU = torch.device("cpu")
PRIOR = [1 / 313] * 313


def save_l2(path: Path, prior: Sequence[object] = PRIOR, **changes: Any) -> Path:
    """Writes the model file of an untrained network for 32×32, as training would write it."""
    torch.manual_seed(0)
    method_class = load_method("l2")
    info = DataInfo("tiny", 32, 10, (0.0, 0.0), torch.tensor(PRIOR))
    method = method_class(method_class.Config.model_validate({"base_channels": 4}), info)
    settings = {"method": "l2", "adapter": "l2", "data": "tiny", "preset": "quick", "seed": 0}
    about = {
        "settings": {**settings, "method_config": {"base_channels": 4}, **changes},
        "data": {"name": "tiny", "image_size": 32, "train_images": 10, "mean_ab": [0.0, 0.0], "ab_prior": prior},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    sha256 = save_model(path, method.colorizer.state_dict(), about)
    if path.name == MODEL_FILE:
        write_record(path.parent, {"model_sha256": sha256})
    return path


@pytest.fixture(scope="module")
def colorizer(tmp_path_factory: pytest.TempPathFactory) -> Colorizer:
    return load_colorizer(save_l2(tmp_path_factory.mktemp("model") / "model.safetensors"), CPU)


def save(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


# colors ---------------------------------------------------------------------------------------------------------------


def test_a_photograph_of_the_training_size_gets_what_the_evaluation_gives_it(colorizer: Colorizer) -> None:
    pixels = picture(1, 32, 32)
    expected = colorize(colorizer.method, torch.from_numpy(pixels)[None]).predicted[0].numpy()
    np.testing.assert_array_equal(colorizer(Image.fromarray(pixels)), expected)


@pytest.mark.parametrize("size", [(100, 70), (70, 101), (33, 31), (1, 1), (5, 400), (2000, 3)])
def test_any_size_keeps_its_own_lightness(colorizer: Colorizer, size: tuple[int, int]) -> None:
    gray = Image.fromarray(picture(2, *size)).convert("L").convert("RGB")
    colored = colorizer(gray)
    assert colored.shape == (size[1], size[0], 3)
    before, after = (rgb_to_lab(torch.from_numpy(np.array(image))[None])[0] for image in (gray, colored))
    inside = ((colored > 0) & (colored < 255)).all(axis=2)  # the gamut's border moves lightness
    assert (before - after).abs()[0, 0].numpy()[inside].max(initial=0) < 1


def test_the_network_never_sees_more_than_it_can_hold(colorizer: Colorizer) -> None:
    assert colorizer.seen_size((320, 640)) == (32, 64)
    width, height = colorizer.seen_size((170_000_000, 1))
    assert height == 1
    assert width * 32 <= SEEN_PIXELS


@pytest.mark.parametrize("colors", [(7, 9), (64, 48), (130, 90), (1, 1)])
def test_strips_give_the_same_picture_as_the_whole(colors: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmark.photographs.colorizer.STRIP_PIXELS", 48 * 5)
    pixels = picture(3, 64, 48)
    ab = torch.randn(1, 2, *colors, generator=torch.Generator().manual_seed(0)) * 20
    expected = join(rgb_to_lab(torch.from_numpy(pixels)[None])[0], ab)[0][0].numpy()
    assert np.abs(join_strips(pixels, ab).astype(int) - expected).max() <= 1  # sums in another order round differently


def test_color_is_what_the_protocol_calls_color() -> None:
    assert has_color(Image.fromarray(picture(4, 60, 50)))
    assert not has_color(Image.fromarray(gray_picture(4, 60, 50)))


# models ---------------------------------------------------------------------------------------------------------------


def test_a_model_file_alone_is_enough(tmp_path: Path, colorizer: Colorizer) -> None:
    again = load_colorizer(save_l2(tmp_path / "downloaded.safetensors"), CPU)
    photograph = Image.fromarray(picture(5, 40, 50))
    assert again.name == "l2"
    np.testing.assert_array_equal(again(photograph), colorizer(photograph))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"adapter": "deep-magic"}, "made by the method 'deep-magic', which is not installed here"),
        ({"method_config": {"base_channels": 8}}, "does not fit the method 'l2' of this version"),
        ({"method_config": {"colours": 8}}, "unknown key of the description in"),
        ({"method_config": {"base_channels": "wide"}}, "base_channels"),
        ({"seed": "first"}, "settings.seed"),
    ],
)
def test_a_model_that_does_not_fit_is_refused_in_one_line(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError) as caught:
        load_colorizer(save_l2(tmp_path / "model.safetensors", **changes), CPU)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("prior", "words"),
    [
        ([0.5] * 2, "data.ab_prior: List should have at least 313 items after validation, not 2"),
        ([*PRIOR[:-1], "x"], "data.ab_prior.312: Input should be a valid number"),
        ([*PRIOR[:-1], -1.0], "data.ab_prior.312: Input should be greater than or equal to 0"),
        ([*PRIOR[:-1], float("nan")], "data.ab_prior.312: Input should be"),
    ],
)
def test_a_description_that_is_wrong_is_refused_in_a_short_line(
    tmp_path: Path, prior: list[object], words: str
) -> None:
    with pytest.raises(InputError) as caught:
        load_colorizer(save_l2(tmp_path / "model.safetensors", prior), CPU)
    assert words in str(caught.value)
    assert len(str(caught.value)) < len(str(tmp_path)) + 160
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="not a whole model file"):
        load_colorizer(save(tmp_path / "model.safetensors", b"x" * 100), CPU)
    with pytest.raises(BenchError, match="not a whole model file"):
        load_colorizer(tmp_path / "nowhere.safetensors", CPU)
    cut = save_l2(tmp_path / "cut.safetensors")
    cut.write_bytes(cut.read_bytes()[:-10])
    with pytest.raises(BenchError, match="not a whole model file"):
        load_colorizer(cut, CPU)


def test_models_are_found_by_name(tmp_path: Path) -> None:
    files = {name: save_l2(tmp_path / f"tiny/quick/{name}/seed0/model.safetensors") for name in ("l2", "l2-wide")}
    gray = save_l2(tmp_path / "tiny/quick/gray/seed0/model.safetensors", adapter="gray", method_config={})
    assert choose_models(tmp_path, (), None, "quick", 0) == files  # a baseline is no method
    assert choose_models(tmp_path, ("gray",), "tiny", "quick", 0) == {"gray": gray}
    save_l2(tmp_path / "other/quick/l2/seed0/model.safetensors")
    assert choose_models(tmp_path, ("l2-wide",), None, "quick", 0) == {"l2-wide": files["l2-wide"]}
    with pytest.raises(InputError, match="say which is meant: --data other or --data tiny"):
        choose_models(tmp_path, ("l2",), None, "quick", 0)


@pytest.mark.parametrize(
    ("methods", "data", "told"),
    [
        (("cgan",), None, "'cgan' is not trained on tiny with preset 'quick' and seed 0; trained: gray; run: bench run "
         "--method cgan --data tiny --preset quick --seed 0"),
        (("gray", "l2"), "tiny", "'l2' is not trained on tiny with preset 'quick' and seed 0; trained: gray; run: "
         "bench run --method l2 --data tiny --preset quick --seed 0"),
        (("l2",), "folder:/a b", "'l2' is not trained on folder:/a b with preset 'quick' and seed 0; trained: none; "
         "run: bench run --method l2 --data 'folder:/a b' --preset quick --seed 0"),
        ((), "tiny", "no method is trained on tiny with preset 'quick' and seed 0; trained: gray; run: "
         "bench run --method cgan --data tiny --preset quick --seed 0"),
    ],
)  # fmt: skip
def test_before_training_the_next_step_is_told(
    methods: tuple[str, ...], data: str | None, told: str, tmp_path: Path
) -> None:
    save_l2(tmp_path / "tiny/quick/gray/seed0/model.safetensors", adapter="gray", method_config={})
    with pytest.raises(InputError) as caught:
        choose_models(tmp_path, methods, data, "quick", 0)
    assert str(caught.value) == told


def test_models_of_ones_own_photographs_are_found_by_their_path(tmp_path: Path) -> None:
    photographs = tmp_path / "holidays"
    saved = save_l2(tmp_path / f"models/{parse_spec(f'folder:{photographs}')[2]}/quick/l2/seed0/model.safetensors")
    assert choose_models(tmp_path / "models", (), f"folder:{photographs}", "quick", 0) == {"l2": saved}


# files ----------------------------------------------------------------------------------------------------------------


def test_a_folder_keeps_its_shape(tmp_path: Path) -> None:
    for name in ("a.jpg", "trip/b.PNG", "trip/notes.txt", ".hidden.jpg", "out/old.png"):
        save(tmp_path / name, b"")
    jobs = plan([tmp_path], ["l2", "cgan"], tmp_path / "out", side_by_side=True)
    assert [job.source.name for job in jobs] == ["a.jpg", "b.PNG"]  # a picture in the folder of outputs is no input
    names = [path.relative_to(tmp_path / "out").as_posix() for path in jobs[1].files]
    assert names == ["trip/b-l2.png", "trip/b-cgan.png", "trip/b-side-by-side.png"]


def test_names_say_the_method_only_where_they_must(tmp_path: Path) -> None:
    photograph = save(tmp_path / "a.jpg", b"")
    out = tmp_path / "out"
    assert plan([photograph], ["l2"], out)[0].files == [out / "a.png"]
    assert plan([photograph], ["l2"], out, named=True)[0].files == [out / "a-l2.png"]
    assert plan([photograph], ["l2"], tmp_path / "b.png")[0].files == [tmp_path / "b.png"]


def test_photographs_that_differ_in_their_suffix_keep_it(tmp_path: Path) -> None:
    photographs = [save(tmp_path / name, b"") for name in ("a.jpg", "a.tif")]
    names = [job.files[0].name for job in plan(photographs, ["l2"], tmp_path / "out")]
    assert names == ["a.jpg.png", "a.tif.png"]


def test_nothing_is_replaced_unasked(tmp_path: Path) -> None:
    photograph = save(tmp_path / "a.png", b"photograph")
    there = save(tmp_path / "out/a.png", b"precious")
    with pytest.raises(InputError, match=r"out/a.png is there already; choose another -o, or say --overwrite"):
        plan([photograph], ["l2"], tmp_path / "out")
    assert plan([photograph], ["l2"], tmp_path / "out", overwrite=True)[0].files == [there]
    with pytest.raises(InputError, match="is a photograph that is to be colored"):
        plan([photograph], ["l2"], tmp_path, overwrite=True)
    with pytest.raises(InputError, match="is a photograph that is to be colored"):
        plan([photograph], ["l2"], photograph, overwrite=True)


def test_two_photographs_of_one_name_are_refused(tmp_path: Path) -> None:
    photographs = [save(tmp_path / name, b"") for name in ("x/a.jpg", "y/a.jpg")]
    with pytest.raises(InputError, match="would all be written to"):
        plan(photographs, ["l2"], tmp_path / "out")


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere.jpg: no such file"):
        plan([tmp_path / "nowhere.jpg"], ["l2"], tmp_path / "out")
    with pytest.raises(InputError, match="no photographs in"):
        plan([tmp_path], ["l2"], tmp_path / "out")
    with pytest.raises(InputError, match="one file holds one colored photograph; give a folder"):
        plan([save(tmp_path / "a.jpg", b"")], ["l2", "cgan"], tmp_path / "a.png")


def test_every_kind_of_file_is_colored_or_named(tmp_path: Path, colorizer: Colorizer) -> None:
    pixels = picture(6, 40, 60)
    turned = Image.Exif()
    turned[0x0112] = 6
    sixteen = Image.fromarray(np.arange(40 * 60, dtype=np.uint16).reshape(40, 60) * 27)
    good = {
        "plain.jpg": encoded(pixels, "JPEG"),
        "turned.jpg": encoded(pixels, "JPEG", exif=turned),
        "cmyk.jpg": encoded(Image.fromarray(pixels).convert("CMYK"), "JPEG"),
        "sixteen.png": encoded(sixteen, "PNG"),
        "gray.png": encoded(Image.fromarray(pixels).convert("L"), "PNG"),
        "palette.gif": encoded(Image.fromarray(pixels).quantize(16), "GIF"),
    }
    bad = {
        "text.jpg": b"not an image",
        "empty.png": b"",
        "cut.png": good["sixteen.png"][:200],
        "bomb.png": encoded(Image.new("1", (20000, 20000)), "PNG"),
    }
    for name, data in (good | bad).items():
        save(tmp_path / "in" / name, data)
    jobs = plan([tmp_path / "in"], ["l2"], tmp_path / "out", side_by_side=True)
    failed = color_files(jobs, {"l2": colorizer})
    assert {path.name for path in failed} == bad.keys()
    assert "decompression bomb" in next(reason for path, reason in failed.items() if path.name == "bomb.png")
    assert all("\n" not in reason and reason for reason in failed.values())
    for job in jobs:
        assert all(path.is_file() == (job.source.name in good) for path in job.files)
    assert Image.open(tmp_path / "out/turned.png").size == (60, 40)
    assert Image.open(tmp_path / "out/cmyk.png").mode == "RGB"
    panels = {name: Image.open(tmp_path / f"out/{name}-side-by-side.png").width for name in ("plain", "gray")}
    assert panels == {"plain": 3 * 44 - 4, "gray": 2 * 44 - 4}  # a gray photograph has no colors to show beside


# the command ----------------------------------------------------------------------------------------------------------


def run(*arguments: str) -> Result:
    """Runs the command in this process."""
    return CliRunner().invoke(main, ["colorize", *arguments])


def test_the_command_colors_what_it_can_and_says_what_it_could_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_project(tmp_path / "project")
    model = save_l2(project / "models/sample/tiny/l2/seed0/model.safetensors")
    photographs = tmp_path / "photographs"
    save(photographs / "a.jpg", encoded(picture(7, 30, 50), "JPEG"))
    save(photographs / "b.jpg", b"no image")
    monkeypatch.chdir(project)
    done = run(str(photographs), "--all", "-o", "out")
    assert done.exit_code == 1
    assert done.stdout.split() == ["out/a-l2.png"]
    assert done.stderr.strip() == f"bench: {photographs / 'b.jpg'}: not an image file of a known format"
    assert Image.open(project / "out/a-l2.png").size == (30, 50)
    done = run(str(photographs), "--all", "--method", "l2", "-o", "out")
    assert "give one of --method NAME, --all and --model FILE" in done.stderr
    for option in (("--data", "sample"), ("--preset", "quick"), ("--seed", "1")):
        done = run(str(photographs), *option, "-o", "out")
        assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
        assert "give --method NAME or --all too" in done.stderr
    monkeypatch.chdir(tmp_path)  # a model file needs no project
    elsewhere = (str(photographs / "a.jpg"), "--model", str(model), "-o", "a.png")
    assert run(*elsewhere).exit_code == 0
    assert (tmp_path / "a.png").read_bytes() == (project / "out/a-l2.png").read_bytes()
    done = run(*elsewhere)
    assert done.exit_code == 2
    assert "a.png is there already" in done.stderr
