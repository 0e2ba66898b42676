"""Which files decide weights, which decide scores, and which decide neither; all three as hashes by meaning.

A file of Python counts as its syntax tree without comments, docstrings, layout, error messages and descriptions. An
adapter adds its own file and what that imports, but for the files of `NEITHER`. A data file that lies beside a module
and stands in it by its whole name, as `ab_centers.npy` does, counts with the module. Nothing is imported to find
this out.
"""

import ast
import hashlib
from collections.abc import Iterable, Iterator
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

from benchmark.contracts import registry
from benchmark.support import weights
from benchmark.support.errors import BenchError
from benchmark.support.files import digest

ENGINE = Path(__file__).resolve().parents[1]

WEIGHTS = (
    "contracts/method.py",  # what the loop asks of a method
    "contracts/schedules.py",  # learning rates
    "data/batches.py",  # order and mirroring of the images
    "data/color.py",  # sRGB to Lab
    "support/precision.py",  # where half precision is off
    "training/acceleration.py",  # fused optimizers, determinism, what `auto` means
    "training/checkpoint.py",  # what a resumed training goes on from
    "training/distributed.py",  # how ranks share gradients and statistics
    "training/fit.py",  # build_method, the seed, the memory format, the order in which weights are loaded
    "training/trainer.py",  # the loop
)
"""Files below `benchmark/` that decide the weights of every method."""

SCORES = (
    "data/ab_bins.py",  # with ab_centers.npy: classes of auc_rebal
    "data/color.py",
    "scoring/*.py",
    "scoring/*.safetensors",
    "support/precision.py",
)
"""Files below `benchmark/` that decide scores; `*` goes through folders."""

PREPARATION = ("data/*.py",)
"""Files below `benchmark/` that decide prepared arrays, and what is known of their colors."""

NEITHER = (
    "*__init__.py",  # PROTOCOL stands in every identity by itself
    "contracts/*.py",  # settings count by their values, but for what stands above
    "data/prepared.py",  # prepared data counts by its content
    "data/preparation/*.py",
    "results/*.py",
    "running/*.py",
    "support/*.py",  # files, errors, downloads, memory, signals: no arithmetic
    "training/heartbeat.py",
    "training/progress.py",
    "training/record.py",
)
"""Files below `benchmark/` that the others import, and that decide no bit; an entry above comes first."""

SAID = ("Error", "warn")  # calls of names that end so are said to people; their arguments do not count
PRETRAINED = "support/weights.py"  # of it the published files' SHA-256 count, where an adapter imports it


@cache
def training_code(adapter: str) -> str:
    """Hash of the code that decides this adapter's weights.

    An adapter of another package counts by its package's version, as its files may be anywhere.
    """
    source = registry.source_file("method", adapter)
    if source is None:
        return digest([_hash(_listed(WEIGHTS)), registry.plugin_version("method", adapter)])
    own = _closure([source])
    pretrained = {name: one.sha256 for name, one in weights.WEIGHTS.items()} if ENGINE / PRETRAINED in own else {}
    return digest([_hash([*_listed(WEIGHTS), *_counted(own)]), pretrained])


@cache
def scoring_code() -> str:
    """Hash of the code that decides scores, whichever method they are of."""
    return _hash(_listed(SCORES))


def data_code(adapter: str) -> str:
    """Hash of the code that prepares this data set."""
    source = registry.source_file("dataset", adapter)
    own = _counted(_closure([source])) if source else []
    return digest([_hash([*_listed(PREPARATION), *own]), registry.plugin_version("dataset", adapter)])


def _listed(patterns: Iterable[str]) -> list[Path]:
    """The files that the patterns name.

    Raises:
        BenchError: one names nothing: the list was not changed with the files.
    """
    found = []
    for pattern in patterns:
        folder, _, name = pattern.rpartition("/")
        files = sorted((ENGINE / folder).rglob(name))
        if not files:
            raise BenchError(f"benchmark/results/manifest.py names {pattern}, which is not there; correct the list")
        found += files
    return found


def _matches(path: Path, patterns: Iterable[str]) -> bool:
    return any(fnmatch(_place(path), pattern) for pattern in patterns)


def _place(path: Path) -> str:
    """The path below `benchmark/`; of an adapter's file, below its own room."""
    if path.is_relative_to(ENGINE):
        return path.relative_to(ENGINE).as_posix()
    return f"{path.parent.name}/{path.name}"


def _counted(files: Iterable[Path]) -> list[Path]:
    return [path for path in files if _matches(path, (*WEIGHTS, *SCORES)) or not _matches(path, NEITHER)]


def _closure(files: Iterable[Path]) -> set[Path]:
    """These files and everything of ours that they import; what `NEITHER` names is not followed."""
    pending, seen = list(files), set[Path]()
    while pending:
        path = pending.pop()
        if path not in seen:
            seen.add(path)
            if _counted([path]):
                pending += _read(path)[1]
    return seen


def _hash(files: Iterable[Path]) -> str:
    return digest({_place(path): _read(path)[0] for path in files})


@cache
def _read(path: Path) -> tuple[str, tuple[Path, ...]]:
    """A file's hash by meaning, and the files of ours that it imports (for type checking alone does not count)."""
    if path.suffix != ".py":
        return hashlib.sha256(path.read_bytes()).hexdigest(), ()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    meaning = hashlib.sha256("\0".join(canonical(tree)).encode())
    for beside in _data_files(tree, path.parent):
        meaning.update(beside.read_bytes())
    found = {_module_file(module) for module in _imported(tree, _package(path.parent))}
    return meaning.hexdigest(), tuple(sorted(filter(None, found)))


def _data_files(tree: ast.AST, folder: Path) -> list[Path]:
    """The files beside a module that stand in it by their whole names."""
    beside = {path.name: path for path in folder.iterdir() if path.is_file() and path.suffix != ".py"}
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return [beside[name] for name in sorted(texts & beside.keys())]


def canonical(node: ast.AST) -> Iterator[str]:
    """A syntax tree as text, the same on every version of Python: no positions, docstrings or messages."""
    yield type(node).__name__
    if isinstance(node, ast.Raise):
        yield _called(node.exc) or ""
        return
    if isinstance(node, ast.Call) and (_called(node) or "").endswith(SAID):
        yield _called(node) or ""
        return
    docstring = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None
    for name, value in ast.iter_fields(node):
        if value is None or value == [] or name in ("type_comment", "kind", "ctx"):
            continue
        if isinstance(node, ast.Assert) and name == "msg":
            continue
        yield f".{name}"
        items = value if isinstance(value, list) else [value]
        for item in items[1:] if docstring and name == "body" else items:
            if isinstance(item, ast.keyword) and item.arg == "description":
                continue
            if isinstance(item, ast.AST):
                yield from canonical(item)
            else:
                yield repr(item)
    yield ";"


def _called(node: ast.AST | None) -> str | None:
    """The last name of what is called or raised: `InputError` of `errors.InputError("…")`."""
    node = node.func if isinstance(node, ast.Call) else node
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else None


def _imported(node: ast.AST, package: list[str]) -> Iterator[str]:
    """The modules that are imported when the code runs, and the names from them, which may be modules too."""
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = package[: len(package) - node.level + 1] if node.level else []
        module = ".".join([*base, *([node.module] if node.module else [])])
        yield from (module, *(f"{module}.{alias.name}" for alias in node.names))
    for child in ast.iter_child_nodes(node):
        yield from _imported(child, package)


def _module_file(module: str) -> Path | None:
    """The file of one of our modules: `benchmark.data.color`, `benchmark.methods._unet`; None for everything else."""
    parts = module.split(".")
    if parts[0] != "benchmark":
        return None
    folder = ENGINE
    for kind, room in registry.ROOMS.items():
        if module == room or module.startswith(f"{room}."):
            folder, parts = registry.room_folder(kind), parts[1:]
    base = folder.joinpath(*parts[1:])
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None)


def _package(folder: Path) -> list[str]:
    """The names of the package whose modules lie in a folder."""
    rooms = {registry.room_folder(kind): room.split(".") for kind, room in registry.ROOMS.items()}
    return rooms.get(folder) or ["benchmark", *folder.relative_to(ENGINE).parts]
