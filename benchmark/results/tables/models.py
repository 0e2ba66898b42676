"""The committed hash list of models: of each trained row, the seed with the highest PSNR on validation images."""

import re
from pathlib import Path

from benchmark.contracts.dataset import TRANSFER
from benchmark.results.tables.table import Row, Table
from benchmark.support.errors import BenchError

MODEL_SUMS = "models.sha256"
_LINE = re.compile(r"([0-9a-f]{64})  (\S+)/model\.safetensors")


def model_sums(table: Table) -> str | None:
    """A list for `sha256sum --check` in a place of `bench push`; None where nothing was trained.

    The test split chooses nothing. Of equal seeds the first counts. A row whose trainings kept no curve has no best
    one, and a transfer's models are those of another table.
    """
    if table.preset.startswith(TRANSFER):
        return None
    best = {row.name: seed for row in (*table.rows, *table.ablations) if (seed := _best(row)) is not None}
    lines = [
        f"{row.models[best[row.name]]}  {table.data}/{table.preset}/{row.name}/seed{best[row.name]}/model.safetensors\n"
        for row in sorted((*table.rows, *table.ablations), key=lambda one: one.name)
        if row.name in best
    ]
    return "".join(lines) or None


def _best(row: Row) -> int | None:
    last = {seed: row.curves[seed].psnr[-1] for seed in row.models if seed in row.curves and row.curves[seed].psnr}
    return min(last, key=lambda seed: (-last[seed], seed), default=None)


def read_model_sums(results_root: Path) -> dict[str, str]:
    """`<data>/<preset>/<method>/seed<k>` → SHA-256 of its weights, of every list below a results folder.

    Raises:
        BenchError: a list is damaged.
    """
    found = {}
    for path in sorted(results_root.glob(f"*/*/{MODEL_SUMS}")):
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            if (match := _LINE.fullmatch(line)) is None or match[2] in found:
                raise BenchError(f"{path}: {line!r} is no line of this list; run: bench leaderboard")
            found[match[2]] = match[1]
    return found
