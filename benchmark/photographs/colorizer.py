"""Loads trained methods from their model files and colors any photograph at its own size with them.

A method sees the photograph as in training, with its short side at the training's image size. The predicted colors are
enlarged bilinearly and joined with the photograph's own lightness, so that no detail is lost. A photograph of the
training's size gets exactly the colors that it gets in an evaluation.
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, Field, FiniteFloat, ValidationError
from torch import Tensor

from benchmark.contracts import registry
from benchmark.contracts.config import find_root, read_params, validate
from benchmark.contracts.dataset import parse_spec
from benchmark.contracts.method import DataInfo, Method
from benchmark.data.color import lab_to_rgb, rgb_to_lab
from benchmark.running.stages import choose_device
from benchmark.scoring.prediction import predicted_ab
from benchmark.support.errors import InputError, first_fault
from benchmark.training.checkpoint import load_model
from benchmark.training.record import MODEL_FILE, RECORD_FILE, verified_model

SEEN_PIXELS = 1 << 20  # most pixels that a network sees; the short side alone does not bound a panorama's memory
STRIP_PIXELS = 1 << 20  # pixels that are converted at a time at full size, which takes some 60 MB

BROUGHT = "house-v3.safetensors"  # the model that lies beside the methods

Rgb = NDArray[np.uint8]
Share = Annotated[float, Field(ge=0, le=1)]


class ModelSettings(BaseModel):
    """The settings in a model file that matter here."""

    method: str
    adapter: str
    data: str
    preset: str
    seed: int
    method_config: dict[str, Any]


class ModelData(BaseModel):
    """A model file's description of its training data."""

    name: str
    image_size: int = Field(ge=8, le=4096)
    train_images: int = Field(ge=0)
    mean_ab: tuple[FiniteFloat, FiniteFloat]
    ab_prior: Annotated[list[Share], Field(min_length=313, max_length=313)]

    def info(self) -> DataInfo:
        """Returns the description in the form that a method expects."""
        prior = torch.tensor(self.ab_prior, dtype=torch.float64)
        return DataInfo(self.name, self.image_size, self.train_images, self.mean_ab, prior)


class ModelCard(BaseModel):
    """The description in the header of a model file."""

    settings: ModelSettings
    data: ModelData


@dataclass(frozen=True)
class Colorizer:
    """A trained method that is ready to color, with its model file's description."""

    method: Method  # on its device, in evaluation mode
    card: ModelCard
    device: torch.device

    @property
    def name(self) -> str:
        """The name of the trained entry."""
        return self.card.settings.method

    @torch.inference_mode()
    def __call__(self, photograph: Image.Image) -> Rgb:
        """Colors an RGB photograph of any size from its lightness alone: (H, W, 3) uint8."""
        seen = np.array(photograph.resize(self.seen_size(photograph.size), Image.Resampling.BICUBIC))
        L, _ = rgb_to_lab(torch.from_numpy(seen)[None].to(self.device))
        return join_strips(np.asarray(photograph), predicted_ab(self.method, L))

    def seen_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Returns the width and height that the network sees: the short side as in training, the long one bounded."""
        short = self.card.data.image_size
        longest = max(short, SEEN_PIXELS // short)
        scale = min(short / min(size), longest / max(size))
        width, height = (max(1, int(side * scale + 0.5)) for side in size)
        return width, height


def join_strips(rgb: Rgb, ab: Tensor) -> Rgb:
    """Joins the lightness of a photograph with other colors, like `benchmark.data.color.join`, strip by strip.

    Args:
        rgb: the photograph, (H, W, 3) uint8; its own colors are dropped.
        ab: the new colors, (1, 2, h, w) float32, Lab units, at any resolution, on any device.

    Returns:
        (H, W, 3) uint8.
    """
    height, width, _ = rgb.shape
    wide = F.interpolate(ab, size=(ab.shape[2], width), mode="bilinear", align_corners=False)
    out = np.empty_like(rgb)
    rows = max(1, STRIP_PIXELS // width)
    for top in range(0, height, rows):
        part = slice(top, min(top + rows, height))
        place = (torch.arange(part.start, part.stop, device=ab.device) + 0.5) * (ab.shape[2] / height) - 0.5
        place = place.clamp(0, ab.shape[2] - 1)
        above = place.long()
        below = (above + 1).clamp(max=ab.shape[2] - 1)
        colors = torch.lerp(wide[:, :, above], wide[:, :, below], (place - above)[:, None])
        L, _ = rgb_to_lab(torch.from_numpy(rgb[part].copy())[None].to(ab.device))
        out[part] = lab_to_rgb(L, colors)[0][0].cpu().numpy()
    return out


def load_colorizer(path: Path, device: torch.device) -> Colorizer:
    """Rebuilds a method, trained here or by somebody else, from its model file alone.

    Raises:
        BenchError: the file is damaged, its method is not installed or does not fit, or the method is a ceiling.
    """
    if (path.parent / RECORD_FILE).exists():  # only a project's model has a record; any other file holds its own hash
        path = verified_model(path.parent)
    state, about = load_model(path)
    try:
        card = ModelCard.model_validate(about)
    except ValidationError as error:
        raise InputError(f"{path} does not describe a model: {first_fault(error)}; train it anew") from None
    adapter = card.settings.adapter
    if adapter not in registry.names("method"):
        installed = ", ".join(registry.names("method"))
        raise InputError(f"{path} was made by the method {adapter!r}, which is not installed here; here: {installed}")
    method_class = registry.load_method(adapter)
    if method_class.role == "ceiling":
        raise InputError(f"{path}: {adapter!r} is a ceiling: it needs the true colors and cannot color a photograph")
    config = validate(method_class.Config, card.settings.method_config, f"the description in {path}, method {adapter}")
    try:
        method = method_class(config, card.data.info())
        method.colorizer.load_state_dict(state)
    except (RuntimeError, MemoryError) as error:
        fault = " ".join(str(error).split())[:120]
        raise InputError(
            f"{path} does not fit the method {adapter!r} of this version ({fault}); train it anew"
        ) from None
    return Colorizer(method.to(device).eval(), card, device)


def choose_models(models: Path, methods: Sequence[str], data: str | None, preset: str, seed: int) -> dict[str, Path]:
    """Finds the model files that names mean.

    Args:
        models: the folder of finished models.
        methods: trained entries; if empty, every trained method of the data set without baselines and ceilings.
        data: the data set of the training, as in `--data`, or None if only one is possible.
        preset: the preset of the training.
        seed: the seed of the training.

    Raises:
        InputError: nothing of that name is trained, or several data sets are possible; the message says what to do.
        BenchError: a file is not the one that was trained.
    """
    wanted = parse_spec(data)[2] if data else None
    found: dict[str, dict[str, Path]] = {}  # data set → method → model file, both sorted
    for path in sorted(models.glob(f"*/*/*/seed{seed}/{MODEL_FILE}")):
        name, under, method, *_ = path.relative_to(models).parts
        if wanted in (None, name) and under == preset:
            found.setdefault(name, {})[method] = path
    fitting = [name for name, files in found.items() if files.keys() >= set(methods)]
    if len(fitting) > 1:
        raise InputError(f"trained on several data sets; say which is meant: --data {' or --data '.join(fitting)}")
    name = next(iter([*fitting, *found]), "sample")
    files = found.get(name, {})
    if absent := [method for method in methods if method not in files]:
        raise _not_trained(f"{absent[0]!r} is not trained", absent[0], data or name, preset, seed, files)
    chosen = {method: files[method] for method in methods} or {m: path for m, path in files.items() if _is_method(path)}
    if not chosen:
        any_method = next(m for m in registry.names("method") if registry.load_method(m).role == "method")
        raise _not_trained("no method is trained", any_method, data or name, preset, seed, files)
    return {method: verified_model(path.parent) for method, path in chosen.items()}


def _not_trained(fault: str, method: str, data: str, preset: str, seed: int, trained: Mapping[str, Path]) -> InputError:
    command = ("bench", "run", "--method", method, "--data", data, "--preset", preset, "--seed", str(seed))
    return InputError(
        f"{fault} on {data} with preset {preset!r} and seed {seed}; trained: {', '.join(trained) or 'none'}; "
        f"run: {shlex.join(command)}"
    )


def _is_method(path: Path) -> bool:
    """Returns whether a model belongs to an installed method that is no baseline and no ceiling."""
    _, about = load_model(path)
    adapter = about.get("settings", {}).get("adapter")
    return adapter in registry.names("method") and registry.load_method(adapter).role == "method"


def load_chosen(
    methods: Sequence[str],
    every: bool,
    model: Path | None,
    data_set: str | None,
    preset: str | None,
    seed: int,
    device: str,
) -> dict[str, Colorizer]:
    """Loads the colorizers that the options of a command mean, by name; without any, the one that the package brings.

    Args:
        methods: trained entries.
        every: whether to load every trained method of the data set instead.
        model: a model file to load instead; no project is needed then.
        data_set: the data set of the training, see `data` of `choose_models`.
        preset: the preset of the training, or None for the suite's.
        seed: the seed of the training.
        device: the device, as people type it.

    Raises:
        InputError: several of `methods`, `every` and `model` are given, they name nothing, or a training is given
            (`data_set`, `preset`, `seed`) of no method.
    """
    if bool(methods) + every + (model is not None) > 1:
        raise InputError("what shall color? give one of --method NAME, --all and --model FILE")
    trained = bool(methods) or every
    if not trained and (data_set or preset or seed):
        raise InputError("--data, --preset and --seed say which training is meant; give --method NAME or --all too")
    where = choose_device(device)
    if not trained:
        colorizer = load_colorizer(model or registry.room_folder("method") / BROUGHT, where)
        return {colorizer.name: colorizer}
    root = find_root()
    preset = preset or read_params(root).suite.preset
    files = choose_models(root / "models", methods, data_set, preset, seed)
    return {name: load_colorizer(path, where) for name, path in files.items()}
