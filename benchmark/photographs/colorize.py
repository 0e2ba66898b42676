"""Any photograph, at its own size, colored by trained methods: `bench colorize`, and what the study and the app use.

A method sees the photograph as in training: its short side brought to the training's image size. The colors that it
predicts there are brought up bilinearly and joined with the photograph's own lightness, so that no detail is lost. A
photograph that has the training's size already gets exactly what the evaluation gives it.
"""

import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, Field, FiniteFloat, ValidationError
from rich.console import Console
from torch import Tensor

from benchmark.contracts import registry
from benchmark.contracts.config import find_root, read_params, validate
from benchmark.contracts.method import DataInfo, Method
from benchmark.data.color import gray_of, lab_to_rgb, rgb_to_lab
from benchmark.data.preparation.archives import list_folder, read_image_file
from benchmark.data.preparation.images import SUFFIXES, BadImage, open_rgb
from benchmark.running.stages import choose_device
from benchmark.support.errors import InputError, first_fault, unknown
from benchmark.support.files import write_atomically
from benchmark.support.montage import montage
from benchmark.support.progress import progress_bar
from benchmark.training.checkpoint import load_model
from benchmark.training.record import MODEL_FILE

SEEN_PIXELS = 1 << 20  # by a network, at most: the short side alone would not bound the memory that a panorama takes
STRIP_PIXELS = 1 << 20  # converted at a time at full size: some 60 MB
PANEL = (1024, 512)  # of the side-by-side picture: a panel's largest width and height

Rgb = NDArray[np.uint8]
Share = Annotated[float, Field(ge=0, le=1)]


# trained models -------------------------------------------------------------------------------------------------------


class ModelSettings(BaseModel):
    """What a model file says of its making; the rest of it decides nothing here."""

    method: str
    adapter: str
    data: str
    preset: str
    seed: int
    method_config: dict[str, Any]


class ModelData(BaseModel):
    """What a model file says of the data that it was trained on."""

    name: str
    image_size: int = Field(ge=8, le=4096)
    train_images: int = Field(ge=0)
    mean_ab: tuple[FiniteFloat, FiniteFloat]
    ab_prior: Annotated[list[Share], Field(min_length=313, max_length=313)]

    def info(self) -> DataInfo:
        """As a method expects it."""
        prior = torch.tensor(self.ab_prior, dtype=torch.float64)
        return DataInfo(self.name, self.image_size, self.train_images, self.mean_ab, prior)


class ModelCard(BaseModel):
    """The description in the header of a model file."""

    settings: ModelSettings
    data: ModelData


@dataclass(frozen=True)
class Colorizer:
    """A trained method, ready to color, and what its model file says of it."""

    method: Method  # on its device, in evaluation mode
    card: ModelCard
    device: torch.device

    @property
    def name(self) -> str:
        """The entry that was trained."""
        return self.card.settings.method

    @torch.inference_mode()
    def __call__(self, photograph: Image.Image) -> Rgb:
        """Colors a photograph from its lightness alone.

        Args:
            photograph: RGB, of any size.

        Returns:
            (H, W, 3) uint8.
        """
        seen = np.array(photograph.resize(self.seen_size(photograph.size), Image.Resampling.BICUBIC))
        L, _ = rgb_to_lab(torch.from_numpy(seen)[None].to(self.device))
        return join_strips(np.asarray(photograph), self.method.predict_ab(L).float())

    def seen_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Width and height at which the network sees it: the short side as in training, the long one bounded."""
        short = self.card.data.image_size
        longest = max(short, SEEN_PIXELS // short)
        scale = min(short / min(size), longest / max(size))
        width, height = (max(1, int(side * scale + 0.5)) for side in size)
        return width, height


def join_strips(rgb: Rgb, ab: Tensor) -> Rgb:
    """The lightness of a photograph with other colors: as `benchmark.data.color.join`, a strip of rows at a time.

    Args:
        rgb: (H, W, 3) uint8; its own colors are dropped.
        ab: (1, 2, h, w) float32, Lab units, any resolution, on any device.

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
    """A method rebuilt from its model file alone: ours, or one that somebody else trained.

    Raises:
        BenchError: not a whole model file, made by a method that is not installed or does not fit, or a ceiling.
    """
    state, about = load_model(path)
    card = _read_card(path, about)
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


def _read_card(path: Path, about: Mapping[str, Any]) -> ModelCard:
    try:
        return ModelCard.model_validate(about)
    except ValidationError as error:
        raise InputError(f"{path} does not describe a model: {first_fault(error)}; train it anew") from None


def trained(models: Path, data: str | None, preset: str, seed: int) -> dict[str, dict[str, Path]]:
    """What can color: data set → method → model file, both sorted.

    Args:
        models: the folder of finished models.
        data: only of this data set; None: of all.
        preset: its preset.
        seed: its seed.
    """
    found: dict[str, dict[str, Path]] = {}
    for path in sorted(models.glob(f"*/{preset}/*/seed{seed}/{MODEL_FILE}")):
        name, _, method, *_ = path.relative_to(models).parts
        if data in (None, name):
            found.setdefault(name, {})[method] = path
    return found


def choose_models(models: Path, methods: Sequence[str], data: str | None, preset: str, seed: int) -> dict[str, Path]:
    """The model files that names mean.

    Args:
        models: the folder of finished models.
        methods: trained entries; none: every trained method of the data set, without baselines and ceilings.
        data: the data set that they were trained on; None where only one comes into question.
        preset: its preset.
        seed: its seed.

    Raises:
        InputError: nothing of that name is trained, or it is not clear which data set is meant.
    """
    found = trained(models, data, preset, seed)
    if not found:
        where = f"on {data} " if data else ""
        raise InputError(
            f"nothing is trained {where}with preset {preset!r} and seed {seed}; "
            f"run: bench run --method cgan --data {data or 'sample'} --preset {preset} --seed {seed}"
        )
    fitting = [name for name, files in found.items() if files.keys() >= set(methods)]
    if len(fitting) > 1:
        raise InputError(f"trained on several data sets; say which is meant: --data {' or --data '.join(fitting)}")
    files = found[fitting[0] if fitting else next(iter(found))]
    for method in methods:
        if method not in files:
            raise unknown("trained method", method, set().union(*found.values()))
    chosen = {name: files[name] for name in methods} or {n: path for n, path in files.items() if _is_method(path)}
    if not chosen:
        raise InputError(
            f"only baselines are trained on {fitting[0]}; run: bench run --method cgan --data {fitting[0]}"
        )
    return chosen


def load_chosen(
    methods: Sequence[str],
    every: bool,
    model: Path | None,
    data_set: str | None,
    preset: str | None,
    seed: int,
    device: str,
) -> dict[str, Colorizer]:
    """The colorizers that the options of a command mean, by name.

    Args:
        methods: trained entries.
        every: every trained method of the data set instead.
        model: a model file instead; then no project is needed.
        data_set: the data set that they were trained on; None where only one comes into question.
        preset: its preset; None: the suite's.
        seed: its seed.
        device: as people type it.

    Raises:
        InputError: none or several of `methods`, `every` and `model` are given, or they name nothing.
    """
    if bool(methods) + every + (model is not None) != 1:
        raise InputError("what shall color? give one of --method NAME, --all and --model FILE")
    where = choose_device(device)
    if model is not None:
        colorizer = load_colorizer(model, where)
        return {colorizer.name: colorizer}
    root = find_root()
    preset = preset or read_params(root).suite.preset
    files = choose_models(root / "models", methods, data_set, preset, seed)
    return {name: load_colorizer(path, where) for name, path in files.items()}


def _is_method(path: Path) -> bool:
    """Whether a model is a method's, and not a baseline's or a ceiling's; what is not installed here is none."""
    _, about = load_model(path)
    adapter = about.get("settings", {}).get("adapter")
    return adapter in registry.names("method") and registry.load_method(adapter).role == "method"


# files ----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Job:
    """One photograph, and where its colored versions go."""

    source: Path
    outputs: Mapping[str, Path]  # by method
    picture: Path | None = None  # gray, every method, and the photograph if it has color

    @property
    def files(self) -> list[Path]:
        """Everything that will be written."""
        return [*self.outputs.values(), *([self.picture] if self.picture else [])]


def plan(
    photographs: Sequence[Path],
    methods: Sequence[str],
    out: Path,
    named: bool = False,
    *,
    side_by_side: bool = False,
    overwrite: bool = False,
) -> list[Job]:
    """Decides every output's name before anything is colored.

    A folder's photographs keep their places below it. The name is the photograph's with `.png`, and with the method's
    name where there are several. Photographs that would share a name (`a.jpg`, `a.tif`) keep their suffix in it.

    Args:
        photographs: files and folders; folders are searched to any depth, but not `out` itself.
        methods: names of the methods.
        out: a folder; or the PNG itself, for one photograph and one method.
        named: put the method's name into the file's name; always so where there are several.
        side_by_side: one more picture for each photograph.
        overwrite: files may be there already. A photograph itself is never overwritten.

    Raises:
        InputError: a photograph is not there, a name is taken, or two photographs ask for the same one.
    """
    sources = list(_find(photographs, out))
    if not sources:
        raise InputError(f"no photographs in {', '.join(map(str, photographs))} (known: {', '.join(sorted(SUFFIXES))})")
    if out.suffix.lower() == ".png" and not out.is_dir():
        if len(sources) * len(methods) != 1 or side_by_side:
            raise InputError(f"-o {out}: one file holds one colored photograph; give a folder")
        jobs = [Job(sources[0][0], {methods[0]: out})]
    else:
        stems = Counter(name.with_suffix("") for _, name in sources)
        jobs = []
        for source, name in sources:
            base = out / (name if stems[name.with_suffix("")] > 1 else name.with_suffix(""))
            endings = {m: f"-{m}.png" if named or len(methods) > 1 else ".png" for m in methods}
            outputs = {method: base.with_name(base.name + ending) for method, ending in endings.items()}
            picture = base.with_name(f"{base.name}-side-by-side.png") if side_by_side else None
            jobs.append(Job(source, outputs, picture))
    _check_names(jobs, overwrite)
    return jobs


def _find(places: Sequence[Path], out: Path) -> Iterator[tuple[Path, PurePosixPath]]:
    """Every photograph, and its name below the place that was given."""
    for place in places:
        if place.is_dir():
            for found in list_folder(place, SUFFIXES):
                source = place / found.name
                if not source.resolve().is_relative_to(out.resolve()):
                    yield source, PurePosixPath(found.name)
        elif place.exists():
            yield place, PurePosixPath(place.name)
        else:
            raise InputError(f"{place}: no such file or folder")


def _check_names(jobs: Sequence[Job], overwrite: bool) -> None:
    targets = Counter(path for job in jobs for path in job.files)
    sources = {job.source.resolve() for job in jobs}
    for path, count in targets.items():
        if count > 1:
            rivals = ", ".join(str(job.source) for job in jobs if path in job.files)
            raise InputError(f"{rivals} would all be written to {path}; color them into different folders")
        if path.resolve() in sources:
            raise InputError(f"{path} is a photograph that is to be colored; choose another -o")
        if path.exists() and not overwrite:
            raise InputError(f"{path} is there already; choose another -o, or say --overwrite")


def color_files(jobs: Sequence[Job], colorizers: Mapping[str, Colorizer]) -> dict[Path, str]:
    """Colors photographs one after the other, with a bar; one that cannot be read does not stop the others.

    Returns:
        Photograph → why it was not colored.

    Raises:
        BenchError: an output cannot be written.
    """
    failed: dict[Path, str] = {}
    with progress_bar(Console(stderr=True)) as bar:
        task = bar.add_task("coloring", total=len(jobs), figures="")
        for job in jobs:
            bar.update(task, figures=job.source.name)
            try:
                _color_file(job, colorizers)
            except (BadImage, OSError) as error:
                failed[job.source] = error.strerror or str(error) if isinstance(error, OSError) else str(error)
            bar.advance(task)
    return failed


def _color_file(job: Job, colorizers: Mapping[str, Colorizer]) -> None:
    photograph = open_rgb(read_image_file(job.source))
    colored = {name: colorizers[name](photograph) for name in job.outputs}
    for name, path in job.outputs.items():
        write_atomically(path, png(Image.fromarray(colored[name])))
    if job.picture:
        write_atomically(job.picture, png(side_by_side(photograph, colored)))


def png(image: Image.Image) -> bytes:
    """An image as a PNG file."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def side_by_side(photograph: Image.Image, colored: Mapping[str, Rgb]) -> Image.Image:
    """One picture: gray, every method's version, and the photograph itself if it has color, each under its name."""
    panels = {"gray": Image.fromarray(gray_of(np.array(_panel(photograph))[None])[0])}
    panels |= {name: _panel(Image.fromarray(image)) for name, image in colored.items()}
    if has_color(photograph):
        panels["original"] = _panel(photograph)
    return montage([panels.values()], gap=4, above=list(panels))


def _panel(image: Image.Image) -> Image.Image:
    """Reduced to fit a panel if it is larger."""
    scale = min(1.0, PANEL[0] / image.width, PANEL[1] / image.height)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.LANCZOS) if scale < 1 else image


def has_color(photograph: Image.Image) -> bool:
    """Whether a photograph is no grayscale one by the protocol's rule, judged at a reduced size."""
    from benchmark.data.preparation.prepare import grayscale

    return not grayscale(np.asarray(_panel(photograph))[None])[0]
