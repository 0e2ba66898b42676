"""What DVC compares to know which cells are out of date: identities, as small files."""

import json
from pathlib import Path

from benchmark.contracts.config import Params, resolve
from benchmark.contracts.workspace import Workspace
from benchmark.results.currency import Currency
from benchmark.results.manifest import data_code
from benchmark.support.files import update_files


def write_fingerprints(params: Params, workspace: Workspace) -> list[Path]:
    """One small file per data set and per method of the suite; DVC reruns the cells whose file changed.

    A method's file holds its identity under seed 0, its parents' identities included; the files of unchanged ones stay
    untouched.
    """
    contents: dict[Path, object] = {}
    suite, currency, folder = params.suite, Currency(params, workspace), workspace.fingerprints
    for data in suite.data:
        cells = [resolve(params, method=method, data=data, preset=suite.preset) for method in suite.methods]
        prepared = {"code": data_code(cells[0].data_adapter), "settings": dict(cells[0].data_settings)}
        contents[folder / "data" / f"{cells[0].data}.json"] = prepared
        for cell in cells:
            contents[folder / cell.data / f"{cell.method}.json"] = currency.identity(cell).model_dump(mode="json")
    update_files({path: json.dumps(one, indent=1, sort_keys=True) + "\n" for path, one in contents.items()})
    return list(contents)
