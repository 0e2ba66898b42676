"""What a run depends on, as hashes: code by meaning, settings, data.

Code is hashed as syntax trees without comments, docstrings and layout, over everything of ours that a file imports,
directly or not. So a rewrapped comment retrains nothing, one adapter's change retrains that adapter alone, and a
change of the trainer is never mixed with checkpoints of the old one. Nothing is imported to find this out.
"""

import ast
import hashlib
import json
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from benchmark.contracts import registry
from benchmark.contracts.config import Cell, Params, digest, resolve

ENGINE = Path(__file__).resolve().parents[1]
TRAINING_CODE = ("training.trainer",)  # and, by their imports, method, dataset, color, …
EVALUATION_CODE = ("scoring.evaluate",)


def _canonical(node: ast.AST) -> Iterator[str]:
    """A syntax tree as text, the same on every version of Python: no positions, empty fields or docstrings."""
    yield type(node).__name__
    body = getattr(node, "body", None)
    has_docstring = (
        isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None
    )
    for name, value in ast.iter_fields(node):
        if value is None or value == [] or name in ("type_comment", "kind", "ctx"):
            continue
        yield f".{name}"
        items = value if isinstance(value, list) else [value]
        for item in items[1:] if has_docstring and value is body else items:
            if isinstance(item, ast.AST):
                yield from _canonical(item)
            else:
                yield repr(item)
    yield ";"


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


def _module_name(path: Path) -> str:
    for kind, room in registry.ROOMS.items():
        if path.parent == registry.room_folder(kind):
            return f"{room}.{path.stem}"
    parts = [part for part in path.relative_to(ENGINE).with_suffix("").parts if part != "__init__"]
    return ".".join(["benchmark", *parts])


@cache
def _read(path: Path) -> tuple[str, tuple[Path, ...]]:
    """A file's hash by meaning, and the files of ours that it imports (for type checking alone does not count)."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    package = _module_name(path).split(".")
    package = package if path.name == "__init__.py" else package[:-1]
    imported: set[Path] = set()
    for node in _runtime_nodes(tree):
        for module in _imported_modules(node, package):
            if found := _module_file(module):
                imported.add(found)
    return hashlib.sha256("\0".join(_canonical(tree)).encode()).hexdigest(), tuple(sorted(imported))


def _runtime_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        yield node
        yield from _runtime_nodes(node)


def _imported_modules(node: ast.AST, package: list[str]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = package[: len(package) - node.level + 1] if node.level else []
        module = ".".join([*base, *([node.module] if node.module else [])])
        yield module
        yield from (f"{module}.{alias.name}" for alias in node.names)


def code_hash(files: Iterable[Path]) -> str:
    """SHA-256 over the meaning of these files and of everything of ours that they import."""
    pending, seen = [path.resolve() for path in files], {}
    while pending:
        path = pending.pop()
        if path not in seen:
            seen[path], imported = _read(path)
            pending += imported
    return digest({_module_name(path): seen[path] for path in sorted(seen)})


def engine_files(*modules: str) -> list[Path]:
    """The files of these modules of the engine."""
    return [path for module in modules if (path := _module_file(f"benchmark.{module}"))]


def _adapter(kind: registry.Kind, name: str) -> list[Path]:
    path = registry.source_file(kind, name)
    return [path] if path else []


def method_code(adapter: str) -> str:
    """Hash of the code that trains this adapter: its file, its shared parts, the engine.

    An adapter of another package counts by its package's version, as its files may be anywhere.
    """
    files = _adapter("method", adapter)
    outside = "" if files else registry.plugin_version("method", adapter)
    return digest([code_hash([*engine_files(*TRAINING_CODE), *files]), outside])


def evaluation_code(adapter: str) -> str:
    """Hash of the code that evaluates this adapter."""
    return digest([code_hash([*engine_files(*EVALUATION_CODE)]), method_code(adapter)])


def data_code(adapter: str) -> str:
    """Hash of the code that prepares this data set."""
    return code_hash([*engine_files("data.preparation.prepare"), *_adapter("dataset", adapter)])


def write_fingerprints(params: Params, folder: Path) -> list[Path]:
    """One small file per data set and per method of the suite; DVC reruns the cells whose file changed.

    A method's file holds its settings on every data set of the suite; the files of unchanged ones stay untouched.
    """
    written = []
    suite = params.suite
    for data in suite.data:
        cells = [resolve(params, method=method, data=data, preset=suite.preset) for method in suite.methods]
        content = {"code": data_code(cells[0].data_adapter), "settings": dict(cells[0].data_settings)}
        written.append(_write(folder / "data" / f"{cells[0].data}.json", content))
        for cell in cells:
            written.append(_write(folder / cell.data / f"{cell.method}.json", _method_content(cell)))
    return written


def _method_content(cell: Cell) -> dict[str, object]:
    return {
        "code": method_code(cell.adapter),
        "evaluation": evaluation_code(cell.adapter),
        "settings": dict(cell.method_settings),
        "training": cell.training.model_dump(mode="json"),
    }


def _write(path: Path, content: object) -> Path:
    text = json.dumps(content, indent=1, sort_keys=True) + "\n"
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return path
