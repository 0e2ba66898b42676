"""Makes of a trained model of `house-frozen` the file that the package brings, in half precision, and its record.

    bench run --method house-frozen --data imagenette
    python -m benchmark.methods._house_release models/imagenette/quick/house-frozen/seed0/model.safetensors

writes `methods/house-v3.safetensors`, a model file like any other, and `methods/house-v3.json` with its SHA-256, how it
was made, and the terms of its training photographs.
"""

import argparse
import json
import shlex
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from benchmark.contracts.config import find_root, read_params, resolve
from benchmark.contracts.registry import load_dataset
from benchmark.support.errors import InputError
from benchmark.support.files import write_atomically
from benchmark.training.checkpoint import load_model, save_model

NAME = "house-v3"
NAMES = ("method", "data", "preset", "seed")
SECTIONS = {"training": "training", "method": "method_config", "data": "data_config"}


def release(model: Path, folder: Path = Path(__file__).parent) -> Path:
    """Writes the file and its record into a folder, and returns the file.

    Raises:
        InputError: the model is none of the house method with a frozen encoder.
    """
    state, about = load_model(model)
    settings, data = about["settings"], about["data"]
    if settings["adapter"] != "house" or settings["method_config"]["encoder_rate"] != 0:
        raise InputError(f"{model} is a model of {settings['method']}; wanted: one of house with encoder_rate=0")
    halved = {name: value.half() if value.is_floating_point() else value for name, value in state.items()}
    path = folder / f"{NAME}.safetensors"
    sha256 = save_model(path, halved, about)
    record = {
        "sha256": sha256,
        "bytes": path.stat().st_size,
        "commands": [training_command(settings), f"python -m benchmark.methods._house_release {model}"],
        "settings": {name: settings[name] for name in SECTIONS.values()},
        "photographs": {
            "data": data["name"],
            "images": data["train_images"],
            "terms": load_dataset(data["name"]).licence,
        },
    }
    write_atomically(path.with_suffix(".json"), (json.dumps(record, indent=1) + "\n").encode())
    return path


def training_command(settings: Mapping[str, Any]) -> str:
    """Returns the command that trains with these settings, of which it names those that the preset does not have."""
    cell = partial(resolve, read_params(find_root()), **{name: settings[name] for name in NAMES})
    usual = cell().settings()
    changed = [
        f"{section}.{key}={json.dumps(value)}"
        for section, kept in SECTIONS.items()
        for key, value in settings[kept].items()
        if usual[kept].get(key) != value
    ]
    return shlex.join(["bench", "run", *cell(assignments=changed).arguments])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="model.safetensors of a finished training")
    print(release(parser.parse_args().model))
