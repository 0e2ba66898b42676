"""The model that the package brings is the one its record describes, and colors without training, data or a project."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from skimage import data

from benchmark.cli import main
from benchmark.contracts.registry import load_method, room_folder
from benchmark.data.color import rgb_to_lab
from benchmark.methods._house_release import NAME, release, training_command
from benchmark.photographs.colorizer import BROUGHT, Colorizer, load_colorizer
from benchmark.running.conformance import build, tiny_batch, tiny_info
from benchmark.support.errors import InputError
from benchmark.training.checkpoint import save_model

CPU = torch.device("cpu")
FILE = room_folder("method") / BROUGHT


@pytest.fixture(scope="module")
def colorizer() -> Colorizer:
    return load_colorizer(FILE, CPU)


def test_the_record_describes_the_file() -> None:
    record = json.loads(FILE.with_suffix(".json").read_text())
    assert record["sha256"] == hashlib.sha256(FILE.read_bytes()).hexdigest()
    assert record["bytes"] == FILE.stat().st_size < 2_000_000
    assert record["commands"][0].startswith("bench run --method house-frozen --data ")
    assert record["photographs"]["terms"]
    assert f"{NAME}.safetensors" == BROUGHT


def test_it_colors_and_keeps_the_lightness(colorizer: Colorizer) -> None:
    photograph = data.astronaut()[:301, :400]
    colored = colorizer(Image.fromarray(photograph))
    assert colored.shape == photograph.shape
    (before, truth), (after, ab) = (rgb_to_lab(torch.from_numpy(image.copy())[None]) for image in (photograph, colored))
    assert (before - after).abs().mean() < 1
    assert ab.square().sum(dim=1).sqrt().mean() > 3
    assert (ab - truth).square().mean() < truth.square().mean()  # nearer than no color


def test_a_fresh_machine_needs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    Image.fromarray(data.coffee()[:90, :120]).convert("L").save("old.png")
    done = CliRunner().invoke(main, ["colorize", "old.png", "-o", "out"])
    assert done.exit_code == 0, done.output
    assert np.ptp(np.asarray(Image.open(tmp_path / "out" / "old.png")).astype(int), axis=2).max() > 5
    refused = CliRunner().invoke(main, ["colorize", "old.png", "-o", "more", "--all", "--method", "l2"])
    assert "what shall color? give one of --method NAME, --all and --model FILE" in refused.output


def model_of(folder: Path, encoder_rate: float) -> Path:
    adapter: Any = load_method("house")
    method = build(adapter, adapter.Config(encoder_rate=encoder_rate))
    settings = {"method": "house", "adapter": "house", "data": "imagenette", "preset": "quick", "seed": 3}
    info = tiny_info()
    about = {
        "settings": {
            **settings,
            "training": {"steps": 7},
            "method_config": {"encoder_rate": encoder_rate},
            "data_config": {"image_size": 128},
        },
        "data": {
            "name": "imagenette",
            "image_size": info.image_size,
            "train_images": 10,
            "mean_ab": info.mean_ab,
            "ab_prior": info.ab_prior.tolist(),
        },
    }
    save_model(folder / "model.safetensors", method.colorizer.state_dict(), about)
    return folder / "model.safetensors"


def test_a_release_is_half_the_model_with_the_same_colors(tmp_path: Path) -> None:
    model = model_of(tmp_path, 0.0)
    path = release(model, tmp_path)
    assert path.stat().st_size < 0.6 * model.stat().st_size
    record = json.loads(path.with_suffix(".json").read_text())
    assert "ImageNet" in record["photographs"]["terms"]
    assert record["commands"][0].endswith("--seed 3 --set method.encoder_rate=0.0 --set training.steps=7")
    with torch.inference_mode():
        whole, half = (load_colorizer(file, CPU).method.predict_ab(tiny_batch().L) for file in (model, path))
    assert (whole - half).abs().max() < 0.3
    with pytest.raises(InputError, match="wanted: one of house with encoder_rate=0"):
        release(model_of(tmp_path, 1e-4), tmp_path)


def test_the_command_names_what_the_preset_does_not_have() -> None:
    settings = {"method": "house-frozen", "data": "imagenette", "preset": "quick", "seed": 0}
    sections: dict[str, Any] = {"training": {"steps": 1000}, "method_config": {}, "data_config": {"image_size": 96}}
    expected = "bench run --method house-frozen --data imagenette --preset quick --seed 0 --set data.image_size=96"
    assert training_command({**settings, **sections}) == expected
