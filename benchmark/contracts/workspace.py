"""Where things live below the project folder. Names only; nothing is created here."""

from dataclasses import dataclass
from pathlib import Path

from benchmark.contracts.config import Cell, digest


@dataclass(frozen=True)
class Workspace:
    """The folders of a project (the folder that holds `params.yaml`).

    data/         prepared arrays        models/  finished models
    runs/         work in progress: checkpoints, curves, pictures, results of runs with `--set`
    results/      committed results and tables
    fingerprints/ what DVC compares to know which cells are out of date
    """

    root: Path

    @property
    def results(self) -> Path:
        """Root of the committed results."""
        return self.root / "results"

    @property
    def fingerprints(self) -> Path:
        """Root of the fingerprints."""
        return self.root / "fingerprints"

    def data(self, cell: Cell) -> Path:
        """Folder of the prepared arrays."""
        changed = {
            key: value for key, value in cell.overrides.items() if key.removeprefix("data.") in cell.data_settings
        }
        return self.root / "data" / f"{cell.data}-{cell.preset}{_suffix(changed)}"

    def model(self, cell: Cell) -> Path:
        """Folder of the finished model; one of its own for a run with overrides."""
        return (
            self.root / "models" / cell.data / cell.preset / cell.method / f"seed{cell.seed}{_suffix(cell.overrides)}"
        )

    def run(self, cell: Cell, key: str) -> Path:
        """Folder of the work in progress under this training key."""
        return self.root / "runs" / f"{cell.data}-{cell.preset}-{cell.method}-seed{cell.seed}-{key[:12]}"

    def results_of(self, cell: Cell) -> Path:
        """Results root for this cell: runs with overrides never enter the committed ones."""
        return self.root / "runs" / f"overrides{_suffix(cell.overrides)}" if cell.overrides else self.results


def _suffix(overrides: object) -> str:
    return f"-{digest(overrides)[:8]}" if overrides else ""
