"""What DVC compares to know which cells are out of date: identities, as small files."""

import json
from pathlib import Path

from benchmark.contracts.config import Params, resolve
from benchmark.contracts.workspace import Workspace
from benchmark.results.currency import Currency
from benchmark.results.manifest import data_code
from benchmark.support.files import write_atomically


def write_fingerprints(params: Params, workspace: Workspace) -> list[Path]:
    """One small file per data set and per method of the suite; DVC reruns the cells whose file changed.

    A method's file holds its identity under seed 0, its parents' identities included; the files of unchanged ones stay
    untouched.
    """
    written = []
    suite, currency, folder = params.suite, Currency(params, workspace), workspace.fingerprints
    for data in suite.data:
        cells = [resolve(params, method=method, data=data, preset=suite.preset) for method in suite.methods]
        content = {"code": data_code(cells[0].data_adapter), "settings": dict(cells[0].data_settings)}
        written.append(_write(folder / "data" / f"{cells[0].data}.json", content))
        for cell in cells:
            identity = currency.identity(cell).model_dump(mode="json")
            written.append(_write(folder / cell.data / f"{cell.method}.json", identity))
    return written


def _write(path: Path, content: object) -> Path:
    text = json.dumps(content, indent=1, sort_keys=True) + "\n"
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        write_atomically(path, text.encode())
    return path
