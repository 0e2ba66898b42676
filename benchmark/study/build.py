"""Draws a study: one HTML page with every picture in it, and the key that stays with whoever runs the study.

The page loads nothing from anywhere and does not hold which picture is real. All pictures are PNGs without compression
and have the same number of bytes, because the sizes of compressed ones would tell the real from the colored.
"""

import base64
import hashlib
import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image
from rich.console import Console

from benchmark import PROTOCOL
from benchmark.contracts.config import find_root, read_params
from benchmark.contracts.dataset import parse_spec
from benchmark.data.color import lab_to_rgb, rgb_to_lab
from benchmark.data.prepared import Prepared
from benchmark.photographs.colorizer import Colorizer, Rgb, choose_models, load_colorizer
from benchmark.running.stages import choose_device
from benchmark.scoring.evaluate import batches, colorize
from benchmark.study.design import Design, Plan, make_plan
from benchmark.study.schema import CHECK, KEY_FILE, PAGE_FILE, TRUTH, Key, write
from benchmark.support.errors import InputError
from benchmark.support.files import file_sha256, write_atomically
from benchmark.support.progress import progress_bar

MAX_PAGE_BYTES = 300 * 2**20  # size that browsers still open without trouble
CHECK_CHROMA, GOLDEN_ANGLE = 75.0, 2.39996  # Lab units; radians between the hues of neighbors


def build_study(
    out: Path,
    design: Design,
    *,
    data: str,
    preset: str | None,
    seed: int,
    methods: tuple[str, ...],
    exposure: float | None,
    device: str,
) -> tuple[Path, Path]:
    """Writes a study's page and key.

    Args:
        out: the folder; it must not hold a key yet, because answers to the old key would be lost.
        design: the size of the study.
        data: the data set whose test photographs are shown, or `folder:/path`.
        preset: the preset, or None for the suite's.
        seed: the seed of the trained models.
        methods: trained entries; if empty, every trained method.
        exposure: seconds for which pictures to choose from are shown; None sets no limit.
        device: the device, as people type it.

    Raises:
        InputError: a key is there, nothing is trained, or the test split is too small.
    """
    if (out / KEY_FILE).exists():
        raise InputError(f"{out / KEY_FILE} is there already, and answers need their key; choose another -o")
    root = find_root()
    preset = preset or read_params(root).suite.preset
    files = choose_models(root / "models", methods, data, preset, seed)
    name = parse_spec(data)[2]
    prepared = Prepared.open(root / "data" / f"{name}-{preset}")
    ids = prepared.ids("test")
    order = np.random.default_rng([design.seed, 1]).permutation(len(ids))
    plan = make_plan(design, list(files), [ids[k] for k in order])
    where = choose_device(device)
    pictures = draw(plan, prepared, {name: load_colorizer(path, where) for name, path in files.items()})
    content = {
        "protocol": PROTOCOL,
        "data": name,
        "preset": preset,
        "seed": seed,
        "design_seed": design.seed,
        "data_sha256": prepared.sha256["test"],
        "models": {name: file_sha256(path) for name, path in files.items()},
        "exposure": exposure,
        "pictures": plan.pictures,
        "forms": plan.forms,
    }
    key = Key.model_validate({"study": "unnamed", **content})
    key = key.model_copy(update={"study": hashlib.sha256(key.model_dump_json().encode()).hexdigest()[:16]})
    page = render(key, pictures)
    write(key, out / KEY_FILE)
    write_atomically(out / PAGE_FILE, page)
    return out / PAGE_FILE, out / KEY_FILE


def draw(plan: Plan, prepared: Prepared, colorizers: Mapping[str, Colorizer]) -> list[Rgb]:
    """Returns the plan's pictures, (S, S, 3) uint8 each, in the order of the page."""
    place = {name: k for k, name in enumerate(prepared.ids("test"))}
    drawn: dict[int, Rgb] = {}
    with progress_bar(Console(stderr=True)) as bar:
        task = bar.add_task("coloring", total=len(plan.pictures), figures="")
        for source in sorted({picture.source for picture in plan.pictures}):
            numbers = [k for k, picture in enumerate(plan.pictures) if picture.source == source]
            truths = prepared.images("test")[[place[plan.pictures[k].photograph] for k in numbers]]
            drawn |= dict(zip(numbers, _versions(source, truths, colorizers), strict=True))
            bar.advance(task, len(numbers))
    return [drawn[k] for k in range(len(plan.pictures))]


def _versions(source: str, truths: Rgb, colorizers: Mapping[str, Colorizer]) -> list[Rgb]:
    if source == TRUTH:
        return list(truths)
    if source == CHECK:
        return [tinted(image, k * GOLDEN_ANGLE) for k, image in enumerate(truths)]
    colorizer = colorizers[source]
    parts = [colorize(colorizer.method, batch).predicted.cpu().numpy() for batch in batches(truths, colorizer.device)]
    return list(np.concatenate(parts))


def tinted(image: Rgb, hue: float) -> Rgb:
    """Returns a photograph (H, W, 3) uint8 in one garish color, which nobody who looks takes for real."""
    L, ab = rgb_to_lab(torch.from_numpy(image)[None])
    tint = torch.tensor([np.cos(hue), np.sin(hue)], dtype=torch.float32).view(1, 2, 1, 1) * CHECK_CHROMA
    return lab_to_rgb(L.clamp(25, 85), tint.expand_as(ab))[0][0].numpy()


def render(key: Key, pictures: list[Rgb]) -> bytes:
    """Returns the page.

    Raises:
        InputError: the page is too large for a browser.
    """
    encoded = [base64.b64encode(_png(image)).decode() for image in pictures]
    size = sum(map(len, encoded))
    if size > MAX_PAGE_BYTES:
        raise InputError(f"a page of {size >> 20} MiB is more than browsers open; ask for fewer trials or methods")
    study = {
        "id": key.study,
        "schema": key.schema_version,
        "exposure": None if key.exposure is None else round(1000 * key.exposure),
        "forms": [[[trial.task, *trial.pictures] for trial in form] for form in key.forms],
        "pictures": encoded,
    }
    environment = Environment(
        loader=PackageLoader("benchmark.study"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    page = environment.get_template("page.html.j2").render(study=study)
    return page.encode()


def _png(image: Rgb) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", compress_level=0)
    return buffer.getvalue()
