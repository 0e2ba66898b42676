"""The same test images as every method colors them: which images are shown, why, and their files.

Images are chosen by rule, never by hand, and each says why it is there.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmark.data.preparation.pictures import evenly
from benchmark.data.prepared import Prepared, open_data
from benchmark.report.trained import Found, Trained
from benchmark.results.tables import number
from benchmark.scoring.metrics import METRICS
from benchmark.support.errors import BenchError

if TYPE_CHECKING:
    from benchmark.running.stages import Context

EVENLY = 8  # images spread over the test split, whatever they look like
EXTREMES = 3  # images per kind and metric
FAILURES = 3  # images per method
RANKING = ("psnr", "ssim", "lpips_alex", "auc", "auc_rebal", "delta_e00")  # metrics that images are chosen by
HARM = "psnr"  # in which a failure does worse than no color at all
SIDE = 256  # pixels; larger images are reduced for the gallery
INPUT, TRUTH = "gray (input)", "truth"


class Reason(NamedTuple):
    """Why an image is shown."""

    key: str  # of the group that it is part of: "worst-psnr"
    order: int  # within the group
    text: str  # "worst in PSNR"


class Picture(NamedTuple):
    """One image file."""

    method: str
    file: str  # relative to the report's folder
    alt: str
    values: Mapping[str, str]  # metric → as printed, of the metrics that images are chosen by


class Strip(NamedTuple):
    """One test image: what the methods saw, what they made of it, what it is."""

    id: str
    pictures: Sequence[Picture]
    reasons: Sequence[Reason]


@dataclass(frozen=True)
class Gallery:
    """All pictures of one table."""

    strips: Sequence[Strip]
    groups: Mapping[str, Mapping[str, str]]  # heading → key → label: what may be shown
    side: int  # pixels of the square images
    missing: Mapping[str, str]  # method → why it has no pictures
    seeds: Mapping[str, int]  # method → the seed whose model colored
    terms: str = ""  # under which the photographs may be used

    @property
    def reasons(self) -> dict[str, list[str]]:
        """Why there are no pictures → of which methods."""
        grouped: dict[str, list[str]] = {}
        for method, reason in self.missing.items():
            grouped.setdefault(reason, []).append(method)
        return grouped


@dataclass(frozen=True)
class Choice:
    """Groups of test images, by rule."""

    groups: Mapping[str, Mapping[str, str]]  # heading → key → label
    members: Mapping[str, tuple[str, Sequence[int]]]  # key → (reason, image indices)

    def images(self) -> list[int]:
        """Every chosen image once, those of the first group first."""
        return list(dict.fromkeys(int(k) for _, chosen in self.members.values() for k in chosen))

    def reasons(self, image: int) -> list[Reason]:
        """Why this image is among them."""
        return [
            Reason(key, list(chosen).index(image), text)
            for key, (text, chosen) in self.members.items()
            if image in chosen
        ]


def choose(columns: Mapping[str, Mapping[str, NDArray[np.float32]]], gray: NDArray[np.float32] | None) -> Choice:
    """Which test images to show.

    From method → per-image column → (N,) values, of the methods that are shown (at least one), and from (N,) the PSNR
    of every image without its color; None: not measured.
    """
    count = len(next(iter(next(iter(columns.values())).values())))
    even = evenly(count, EVENLY)
    groups: dict[str, dict[str, str]] = {"Any": {"even": "spread evenly over the test split"}}
    members: dict[str, tuple[str, Sequence[int]]] = {"even": ("spread evenly", even.tolist())}
    for name in RANKING:
        if all(name in values for values in columns.values()):
            label = METRICS[name].label
            kinds = _extremes(np.stack([values[name] for values in columns.values()]), METRICS[name].direction)
            found = {f"{kind}-{name}": (f"{text} {label}", chosen) for kind, (text, chosen) in kinds.items()}
            groups[label] = {key: text for key, (text, _) in found.items()}
            members |= found
    harms = {name: gray - values[HARM] for name, values in columns.items()} if gray is not None else {}
    for name, harm in harms.items():
        if worst := [int(k) for k in np.argsort(-harm, kind="stable")[:FAILURES] if harm[k] > 0]:
            groups.setdefault("Failures: further from the truth than gray", {})[f"failures-{name}"] = f"of {name}"
            members[f"failures-{name}"] = (f"failure of {name}", worst)
    return Choice(groups, members)


def _extremes(scores: NDArray[np.float32], direction: str | None) -> dict[str, tuple[str, list[int]]]:
    """Kind → (words, images), from (methods, N) scores: best and worst by their mean over methods, and most apart."""
    mean = scores.mean(axis=0) * (-1 if direction == "lower" else 1)
    order = np.argsort(-mean, kind="stable")
    kinds = {"best": ("best", order[:EXTREMES].tolist()), "worst": ("worst", order[::-1][:EXTREMES].tolist())}
    if len(scores) > 1:
        apart = np.argsort(-np.ptp(scores, axis=0), kind="stable")[:EXTREMES]
        kinds["apart"] = ("most disagreement in", apart.tolist())
    return kinds


def draw_gallery(
    found: Found,
    folder: Path,
    context: "Callable[[], Context]",
    data_sha256: str,
    images: int,
    gray: NDArray[np.float32] | None,
) -> Gallery:
    """Colors the chosen test images with the trained models and writes the pictures; where there are none, says why.

    Args:
        found: the models behind a table; of a method's seeds, the first that is here is shown.
        folder: `<report>/images/<data>-<preset>`, made here.
        context: makes what the models need to run.
        data_sha256: of the test split that was scored.
        images: N, of that split.
        gray: (N,) PSNR of the images without their color; None: not measured.
    """
    shown: dict[str, Trained] = {}
    for model in found.models:
        if model.measured.result.images == images:
            shown.setdefault(model.cell.method, model)
    missing = dict(found.missing)
    if not shown:
        return Gallery((), {}, 0, missing, {})
    surroundings = context()
    try:
        prepared = open_data(surroundings.workspace, next(iter(shown.values())).cell)
        if prepared.sha256["test"] != data_sha256:
            raise BenchError(f"{prepared.folder.name} holds other test images than those that were scored")
    except BenchError as error:
        return Gallery((), {}, 0, missing | {"any method": str(error)}, {})
    choice = choose({name: model.measured.columns for name, model in shown.items()}, gray)
    chosen = choice.images()
    target = np.ascontiguousarray(prepared.images("test")[chosen])
    ids = prepared.ids("test")
    pictures: dict[int, list[Picture]] = {index: [] for index in chosen}
    for name, stem, outputs in _colored(shown, prepared, target, surroundings):
        for index, pixels in zip(chosen, outputs, strict=True):
            file = _save(pixels, folder / str(index) / f"{stem}.webp")
            pictures[index].append(_picture(name, file, folder, ids[index], index, shown.get(name)))
    strips = [Strip(ids[index], pictures[index], choice.reasons(index)) for index in chosen]
    seeds = {name: model.cell.seed for name, model in shown.items()}
    return Gallery(strips, choice.groups, min(SIDE, target.shape[1]), missing, seeds, prepared.meta.licence)


def _colored(
    shown: Mapping[str, Trained], prepared: Prepared, target: NDArray[np.uint8], context: "Context"
) -> Iterator[tuple[str, str, NDArray[np.uint8]]]:
    """Column by column: its name, the stem of its files, the images (n, S, S, 3) in the order of `target`."""
    from benchmark.data.color import gray_of
    from benchmark.running.stages import load_trained
    from benchmark.scoring.evaluate import batches, colorize
    from benchmark.support.progress import progress_bar

    yield INPUT, "_gray", gray_of(target)
    with progress_bar(context.console) as bar:
        task = bar.add_task("coloring", total=len(shown) * len(target), figures="")
        for name, model in shown.items():
            method = load_trained(model.cell, prepared, context)
            outputs = []
            for rgb in batches(target, context.device):
                outputs.append(colorize(method, rgb).predicted.cpu().numpy())
                bar.advance(task, len(rgb))
            yield name, name, np.concatenate(outputs)
    yield TRUTH, "_truth", target


def _save(pixels: NDArray[np.uint8], path: Path) -> Path:
    """A picture without loss: at most `SIDE` pixels wide, so at most `SIDE`² × 3 bytes, and a third of that usually."""
    image = Image.fromarray(pixels)
    if image.width > SIDE:
        image = image.resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, lossless=True, quality=50, method=2)  # the effort, not the loss: smaller files take seconds each
    return path


def _picture(name: str, path: Path, folder: Path, id_: str, index: int, model: Trained | None) -> Picture:
    columns = model.measured.columns if model else {}
    values = {
        metric: f"{number(float(columns[metric][index]), METRICS[metric].digits)} {METRICS[metric].unit}".rstrip()
        for metric in RANKING
        if metric in columns
    }
    told = {INPUT: f"Test image {id_} without its color", TRUTH: f"Test image {id_} as it is"}
    scored = f", {METRICS[HARM].label} {values[HARM]}" if HARM in values else ""
    alt = told.get(name, f"Test image {id_} as {name} colors it{scored}")
    return Picture(name, path.relative_to(folder.parents[1]).as_posix(), alt, values)
