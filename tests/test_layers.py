"""Rooms of `benchmark/` use only the rooms that they may, and stay small; the source is read, nothing is imported.

Rooms stand one above the other, and an import never goes up. Beside them stand rooms that use the engine from outside,
through the modules that `PUBLIC` names. There are no exceptions.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "benchmark"

LEVELS = (
    {"support"},
    {"contracts"},
    {"data"},
    {"training", "scoring"},  # neither stands above the other
    {"results"},
    {"running"},
    {"report"},
    {"cli"},
)
BESIDE = {"paper", "study", "photographs", "speed", "share"}
TOP = "cli"
"""Only the command line puts the engine and the rooms beside it together: it takes their commands up."""

PUBLIC = (
    "benchmark",
    "benchmark.contracts.*",
    "benchmark.support.*",
    "benchmark.data.batches",
    "benchmark.data.color",
    "benchmark.data.preparation.archives",
    "benchmark.data.preparation.chroma",
    "benchmark.data.preparation.images",
    "benchmark.data.preparation.pictures",
    "benchmark.data.preparation.prepare",
    "benchmark.data.prepared",
    "benchmark.training.acceleration",
    "benchmark.training.checkpoint",
    "benchmark.training.progress",
    "benchmark.training.record",
    "benchmark.training.trainer",
    "benchmark.scoring.evaluate",
    "benchmark.scoring.metrics",
    "benchmark.scoring.metrics.scorer",
    "benchmark.scoring.prediction",
    "benchmark.results.columns",
    "benchmark.results.currency",
    "benchmark.results.statistics",
    "benchmark.results.tables",
    "benchmark.running.stages",
    "benchmark.report",
    "benchmark.report.charts",
    "benchmark.report.svg",
    "benchmark.study.hosts",  # who may ask a server, of the study or of the app
    "benchmark.photographs.colorizer",  # a study colors as `bench colorize` does; a pulled model must
)
"""The modules of the engine and of each other that the rooms beside the engine may import."""

OPTIONS, COMMANDS = "benchmark.cli.options", "commands"
"""What a room's own commands, and nothing else of it, use of the command line; a module with them is named so."""

MODULE_LINES, ENGINE_LINES, ROOT_ENTRIES = 350, 12_000, 15


@cache
def modules() -> dict[str, Path]:
    """Returns dotted name → file of every module below `benchmark/`."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def tree_of(module: str) -> ast.Module:
    return ast.parse(modules()[module].read_text(encoding="utf-8"))


@cache
def imports_of(module: str) -> frozenset[str]:
    """Returns our modules that a module imports, anywhere in it and for any purpose."""
    found = set()
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively; write the whole name"
            whole = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= {name if name in modules() else str(node.module) for name in whole}
    return frozenset(found & modules().keys())


def arrows() -> Iterator[tuple[str, str]]:
    for module in modules():
        for imported in imports_of(module):
            if room(module) != room(imported):
                yield module, imported


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def level(name: str) -> int:
    return next(k for k, rooms in enumerate(LEVELS) if name in rooms)


def is_public(module: str) -> bool:
    return any(module == name or (name.endswith("*") and module.startswith(name[:-1])) for name in PUBLIC)


def shown(found: set[tuple[str, str]]) -> set[str]:
    return {f"{module} → {imported}" for module, imported in found}


def refuse(offenders: set[str], advice: str) -> None:
    assert not offenders, f"{advice}:\n" + "\n".join(sorted(offenders))


def test_every_room_has_its_place() -> None:
    rooms = {room(module) for module in modules()} - {""}
    assert rooms == BESIDE.union(*LEVELS)


def test_no_arrow_goes_up() -> None:
    up = {
        (module, imported)
        for module, imported in arrows()
        if room(imported) and room(module) not in BESIDE | {TOP}
        if room(imported) in BESIDE or level(room(imported)) > level(room(module))
    }
    refuse(shown(up), "a lower room must not import a higher one, nor one beside the engine")


def test_rooms_beside_the_engine_use_what_is_public() -> None:
    private = {
        (module, name)
        for module, name in arrows()
        if room(module) in BESIDE and not is_public(name)
        if not (name == OPTIONS and module.endswith(f".{COMMANDS}"))
    }
    refuse(shown(private), "rooms beside the engine import only what PUBLIC names")


def test_what_people_watch_is_used_from_above_only() -> None:
    """Only the code that starts a training makes its monitor, and no other code knows it."""
    found = {
        (module, name)
        for module, name in arrows()
        if name.endswith(".monitor") and room(module) not in {"running", *BESIDE, "report"}
    }
    refuse(shown(found), "nothing below the stages imports the monitor")


def test_no_module_imports_itself_by_way_of_others() -> None:
    refuse({" ↔ ".join(sorted(group)) for group in cycles()}, "these modules import each other")


def cycles() -> list[set[str]]:
    """Returns groups of modules, each of which reaches every other of its group."""
    reach = {module: reached_from(module) for module in modules()}
    groups = {frozenset({other for other in reach[module] if module in reach[other]}) for module in modules()}
    return [set(group) for group in groups if group]


def reached_from(module: str) -> set[str]:
    seen: set[str] = set()
    pending = [module]
    while pending:
        for imported in imports_of(pending.pop()):
            if imported not in seen:
                seen.add(imported)
                pending.append(imported)
    return seen


def lines_in(module: str) -> int:
    return len(modules()[module].read_text(encoding="utf-8").splitlines())


def test_no_module_is_longer_than_one_can_keep_in_mind() -> None:
    long = {module for module in modules() if lines_in(module) > MODULE_LINES}
    refuse(long, f"modules of more than {MODULE_LINES} lines")


def test_the_engine_stays_small() -> None:
    total = sum(lines_in(module) for module in modules() if room(module) not in BESIDE)
    entries = [path.name for path in PACKAGE.iterdir() if not path.name.startswith(("__pycache__", "."))]
    assert len(entries) <= ROOT_ENTRIES, f"benchmark/ has {len(entries)} entries: {', '.join(sorted(entries))}"
    if total > ENGINE_LINES:
        pytest.xfail(f"the engine has {total:,} lines, {total - ENGINE_LINES:,} too many")


@cache
def method_names() -> frozenset[str]:
    """Returns the adapters' names as their files, params.yaml and result files spell them."""
    stems = {path.stem for path in (ROOT / "methods").glob("*.py") if not path.stem.startswith("_")}
    return frozenset(stems | {stem.replace("_", "-") for stem in stems})


def test_no_method_is_named_in_the_engine() -> None:
    found = {module for module in modules() if room(module) not in BESIDE and list(names_in(module))}
    refuse(found, "the engine finds methods by role or by what the user asks for, never by name")


def names_in(module: str) -> Iterator[str]:
    """Yields the strings of a module, without docstrings, that are a method's name or a command with one."""
    command = re.compile(rf"--methods? (?:{'|'.join(map(re.escape, method_names()))})(?![\w-])")
    tree = tree_of(module)
    told = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}  # docstrings and the like
    strings = (node for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str))
    for text in (str(node.value) for node in strings if id(node) not in told):
        if text in method_names() or command.search(text):
            yield text


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('X = "cgan"', True),
        ('X = "run --method l2 again"', True),
        ('"""Of cgan."""', False),
        ('X = "cgan loss"', False),
    ],
)
def test_a_name_is_found_where_it_decides_something(text: str, named: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "tree_of", lambda module: ast.parse(text))
    assert bool(list(names_in("benchmark"))) == named
