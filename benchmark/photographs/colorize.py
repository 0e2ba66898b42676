"""Colors any photographs with trained methods for `bench colorize`, and replaces no file unless told to."""

import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image
from rich.console import Console

from benchmark.data.color import gray_of
from benchmark.data.preparation.archives import list_folder, read_image_file
from benchmark.data.preparation.chroma import grayscale
from benchmark.data.preparation.images import SUFFIXES, BadImage, open_rgb
from benchmark.photographs.colorizer import Colorizer, Rgb
from benchmark.scoring.prediction import BadPrediction
from benchmark.support.errors import InputError
from benchmark.support.files import write_atomically
from benchmark.support.montage import montage
from benchmark.support.progress import progress_bar

PANEL = (1024, 512)  # greatest width and height in pixels of a panel of the side-by-side picture


@dataclass(frozen=True)
class Job:
    """One photograph, and the files of its colored versions."""

    source: Path
    outputs: Mapping[str, Path]  # method → file
    picture: Path | None = None  # file that shows gray, every method, and the photograph if it has color

    @property
    def files(self) -> list[Path]:
        """Returns every file that will be written."""
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

    A folder's photographs keep their places below it. An output has the photograph's name with `.png`, and the method's
    name if there are several. Photographs that would share a name (`a.jpg`, `a.tif`) keep their suffix in it.

    Args:
        photographs: files and folders; folders are searched to any depth, but not `out` itself.
        methods: names of the methods.
        out: a folder, or the PNG itself for one photograph and one method.
        named: whether a file's name holds the method's; it always does if there are several methods.
        side_by_side: whether to make one more picture for each photograph.
        overwrite: whether files may be replaced; a photograph itself never is.

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
    """Yields every photograph with its name below the given place."""
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
    """Colors photographs one after the other, with a progress bar; an unreadable one does not stop the others.

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
            except (BadImage, BadPrediction, OSError) as error:
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
    """Returns an image as the bytes of a PNG file."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def side_by_side(photograph: Image.Image, colored: Mapping[str, Rgb]) -> Image.Image:
    """Draws gray, every method's version, and the photograph if it has color, each with its name, as one picture."""
    panels = {"gray": Image.fromarray(gray_of(np.array(_panel(photograph))[None])[0])}
    panels |= {name: _panel(Image.fromarray(image)) for name, image in colored.items()}
    if has_color(photograph):
        panels["original"] = _panel(photograph)
    return montage([panels.values()], gap=4, above=list(panels))


def _panel(image: Image.Image) -> Image.Image:
    """Returns an image, reduced to fit a panel if it is larger."""
    scale = min(1.0, PANEL[0] / image.width, PANEL[1] / image.height)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.LANCZOS) if scale < 1 else image


def has_color(photograph: Image.Image) -> bool:
    """Returns whether a photograph, at a reduced size, has color by the protocol's rule."""
    return not grayscale(np.asarray(_panel(photograph))[None])[0]
