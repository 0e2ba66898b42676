"""The committed hash list of models: of each trained row, the seed with the highest PSNR on validation images."""

from benchmark.contracts.dataset import TRANSFER
from benchmark.results.tables.table import Row, Table

MODEL_SUMS = "models.sha256"


def model_sums(table: Table) -> str | None:
    """A list for `sha256sum --check` in a place of `bench push`; None where nothing was trained.

    The test split chooses nothing. Of equal seeds the first counts. A row whose trainings kept no curve has no best
    one, and a transfer's models are those of another table.
    """
    if table.preset.startswith(TRANSFER):
        return None
    rows = sorted((*table.rows, *table.ablations), key=lambda one: one.name)
    best = [(row, seed) for row in rows if (seed := _best(row)) is not None]
    place = f"{table.data}/{table.preset}"
    lines = [f"{row.models[seed]}  {place}/{row.name}/seed{seed}/model.safetensors\n" for row, seed in best]
    return "".join(lines) or None


def _best(row: Row) -> int | None:
    last = {seed: row.curves[seed].psnr[-1] for seed in sorted(row.models) if seed in row.curves}
    return max(last, key=last.__getitem__, default=None)
