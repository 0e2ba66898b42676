"""`bench data show`: what a data set is, what was prepared of it, a contact sheet and a histogram of its colors."""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from benchmark import registry
from benchmark.archives import download_folder, places
from benchmark.chroma import ColorCount, ab_of
from benchmark.config import find_root
from benchmark.dataset import META_FILE, SPLITS, Dataset, MissingDataError, Prepared
from benchmark.download import choose, is_intact
from benchmark.errors import BenchError, InputError
from benchmark.prepare import verify

CONTACT_SHEET, HISTOGRAM = "contact_sheet.png", "chroma_histogram.png"
_SHEET_COLUMNS, _SHEET_ROWS = 12, 3  # per split
_THUMBNAIL, _MARGIN, _TITLE = 96, 4, 24  # pixels
_HISTOGRAM_IMAGES = 5000
_AB_RANGE = 110  # Lab units: sRGB reaches from -108 to 99


def print_data_sets() -> None:
    """One line for each data set: whether its originals are in `BENCH_DATA` or the downloads, what is prepared."""
    prepared = find_root() / "data"
    rows = [("name", "originals", "prepared", "what it is")]
    for name in registry.names("dataset"):
        dataset = registry.load_dataset(name)
        folders = [path.parent.name for path in sorted(prepared.glob(f"{name}-*/{META_FILE}"))]
        rows.append((name, _originals(dataset), ", ".join(folders) or "–", dataset.title))
    _print_columns(rows)


def _print_columns(rows: Sequence[Sequence[str]]) -> None:
    """Plain aligned text, never cut: for eyes as for grep."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(f"{text:<{width}}" for text, width in zip(row, widths, strict=True)).rstrip())


def _originals(dataset: type[Dataset]) -> str:
    try:
        dataset(dataset.Config()).fingerprint()
    except MissingDataError:
        return f"bench data fetch {dataset.name}" if dataset.remotes else "missing"
    except InputError:  # a folder, whose path is not known
        return "–"
    except BenchError as error:
        return str(error)
    return "here"


def fetch_data_set(dataset: type[Dataset], root: Path | None, mirror: str | None, files: Sequence[str]) -> list[Path]:
    """Downloads official files, saying first how large they are.

    Args:
        dataset: whose files.
        root: the folder to put them in; None: the downloads.
        mirror: see `benchmark.download.download`.
        files: names of the files; none: all.

    Raises:
        BenchError: nothing to download for this data set, or the download failed.
    """
    if not dataset.remotes:
        raise BenchError(f"{dataset.name} has nothing to download; it is {dataset.title[0].lower()}{dataset.title[1:]}")
    folder = root or download_folder(dataset.name)
    wanted = choose(dataset.remotes, files)
    size = sum(remote.size or 0 for remote in wanted)
    names = ", ".join(remote.file for remote in wanted)
    print(f"{dataset.name}: {names}, {size:,} bytes, to {folder}", file=sys.stderr)
    return [remote.fetch(folder, mirror) for remote in wanted]


def verify_data_set(dataset: Dataset, folder: Path, name: str) -> bool:
    """Prints, for each official file that is here and each prepared array, whether its checksum is right.

    Returns:
        Whether anything was wrong, or nothing was there to check.
    """
    verdicts = {}
    for place in places(dataset.name, dataset.root) if dataset.remotes else []:
        for remote in dataset.remotes:
            if (path := place / remote.file).is_file():
                verdicts[str(path)] = is_intact(path, sha256=remote.sha256, md5=remote.md5, size=remote.size)
    if folder.exists():
        verdicts |= {
            str(folder / f"{split}.npy"): right for split, right in verify(Prepared.open(folder)).right.items()
        }
    for file, right in verdicts.items():
        print(f"{'ok   ' if right else 'WRONG'} {file}")
    if not verdicts:
        print(f"{name}: nothing to verify: no official archive is here, and {folder} is not prepared")
    return not verdicts or not all(verdicts.values())


def show_data_set(dataset: Dataset, folder: Path, out: Path) -> None:
    """Prints what is known of a data set and, if it is prepared, draws its pictures into `out`."""
    lines = about(type(dataset))
    if folder.exists():
        prepared = Prepared.open(folder)
        lines += about_prepared(prepared)
        lines += [("contact sheet", str(contact_sheet(prepared, out / CONTACT_SHEET)))]
        lines += [("histogram", str(chroma_histogram(prepared, out / HISTOGRAM)))]
    else:
        lines += [("prepared", f"not yet: bench data prepare {dataset.name}")]
    _print_columns(lines)


def about(dataset: type[Dataset]) -> list[tuple[str, str]]:
    """What is known of a data set before anything is on the disk: (heading, text) pairs."""
    lines = [("title", dataset.title), ("licence", dataset.licence)]
    lines += [("homepage", dataset.homepage)] if dataset.homepage else []
    lines += [("note", dataset.note)] if dataset.note else []
    for remote in dataset.remotes:
        size = f"{remote.size:,} bytes" if remote.size else "size unknown"
        checksum = f"SHA-256 {remote.sha256}" if remote.sha256 else f"MD5 {remote.md5}" if remote.md5 else "no checksum"
        lines.append((remote.file, f"{remote.url} ({size}, {checksum})"))
    return lines


def about_prepared(prepared: Prepared) -> list[tuple[str, str]]:
    """What is known of a prepared data set: (heading, text) pairs."""
    meta = prepared.meta
    lines = [
        ("folder", f"{prepared.folder} ({disk_use(prepared.folder):,} bytes)"),
        ("originals", meta.layout),
        ("images", f"{meta.image_size}×{meta.image_size} uint8; {meta.rule}"),
        ("decoder", ", ".join(f"{name} {version}" for name, version in meta.decoder.items() if version)),
    ]
    for split in SPLITS:
        of_split = meta.splits[split]
        left_out = [f"{len(of_split.left_out.grayscale):,} grayscale photographs left out"]
        if of_split.left_out.corrupt:
            left_out.append(f"{len(of_split.left_out.corrupt):,} unreadable files left out")
        lines.append((split, f"{of_split.images:,} images; {', '.join(left_out)}; SHA-256 {of_split.sha256}"))
        lines += [(f"  {name}", reason) for name, reason in of_split.left_out.corrupt.items()]
    if meta.classes:
        names = [*meta.classes[:20], *(["…"] if len(meta.classes) > 20 else [])]
        lines.append(("classes", f"{len(meta.classes):,}: {', '.join(names)}"))
    occupied = int((prepared.ab_prior > 0).sum())
    a, b = prepared.mean_ab
    lines.append(("color", f"mean a {a:.2f}, b {b:.2f} (Lab units); {occupied} of 313 bins occur in train"))
    return lines


def disk_use(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def contact_sheet(prepared: Prepared, path: Path) -> Path:
    """Writes a PNG with photographs of every split, evenly spaced over it, under the split's name and size."""
    step = _THUMBNAIL + _MARGIN
    width = _MARGIN + _SHEET_COLUMNS * step
    block = _TITLE + _SHEET_ROWS * step
    sheet = Image.new("RGB", (width, len(SPLITS) * block + _MARGIN), "white")
    draw = ImageDraw.Draw(sheet)
    for row, split in enumerate(SPLITS):
        images = prepared.images(split)
        draw.text((_MARGIN, row * block + _MARGIN), f"{split}: {len(images):,} images", fill="black", font_size=14)
        for place, index in enumerate(_evenly(len(images), _SHEET_COLUMNS * _SHEET_ROWS)):
            thumbnail = Image.fromarray(images[index]).resize((_THUMBNAIL, _THUMBNAIL), Image.Resampling.BICUBIC)
            down, across = divmod(place, _SHEET_COLUMNS)
            sheet.paste(thumbnail, (_MARGIN + across * step, row * block + _TITLE + down * step))
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)
    return path


def _evenly(count: int, wanted: int) -> NDArray[np.int64]:
    """At most `wanted` indices, evenly over [0, count)."""
    return np.unique(np.linspace(0, count - 1, min(count, wanted)).round().astype(np.int64))


def chroma_density(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """How often each color occurs.

    Args:
        images: (N, S, S, 3) uint8.

    Returns:
        (2R, 2R) float64 with R = 110: the share of pixels per square Lab unit, row = b + R, column = a + R. Sums to 1.
    """
    count = ColorCount()
    for start in range(0, len(images), 64):
        count.add(images[start : start + 64])
    colors, counts = count.colors()
    a, b = ab_of(colors)[0, :, 0].numpy()
    edges = np.arange(-_AB_RANGE, _AB_RANGE + 1)
    density = np.histogram2d(b, a, bins=(edges, edges), weights=counts)[0]
    return density / density.sum()


def chroma_histogram(prepared: Prepared, path: Path) -> Path:
    """Writes a PNG of the training split's colors in the ab plane, on a logarithmic scale.

    Of splits with more than 5,000 images, 5,000 evenly spaced ones are counted.
    """
    import torch
    from matplotlib.figure import Figure

    from benchmark.color import lab_to_rgb

    images = prepared.images("train")
    density = chroma_density(images[_evenly(len(images), _HISTOGRAM_IMAGES)])
    axis = torch.arange(-_AB_RANGE, _AB_RANGE, dtype=torch.float32) + 0.5
    ab = torch.stack(torch.meshgrid(axis, axis, indexing="xy"))[None]  # (1, 2, 2R, 2R)
    hues = lab_to_rgb(torch.full_like(ab[:, :1], 65.0), ab)[0][0].numpy() / 255
    with np.errstate(divide="ignore"):
        strength = np.clip((np.log10(density) + 7) / 5, 0, 1)[..., None]  # from 1e-7 to 1e-2 of all pixels
    figure = Figure(figsize=(6, 6), layout="constrained")
    axes = figure.subplots()
    extent = (-_AB_RANGE, _AB_RANGE, -_AB_RANGE, _AB_RANGE)
    axes.imshow(1 - strength * (1 - hues), origin="lower", extent=extent)
    axes.axhline(0, color="0.7", linewidth=0.5)
    axes.axvline(0, color="0.7", linewidth=0.5)
    axes.plot(*prepared.mean_ab, "k+", label="mean")
    axes.set(
        xlabel="a (green – red)",
        ylabel="b (blue – yellow)",
        title=f"{prepared.meta.name}: colors of the training split",
    )
    axes.legend(loc="lower right", frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)
    return path
