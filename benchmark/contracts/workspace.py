"""The paths of files and folders below the project folder. This module creates none of them."""

from dataclasses import dataclass
from pathlib import Path

from benchmark.contracts.config import Cell, Params, find_root, read_params
from benchmark.support.files import digest


@dataclass(frozen=True)
class Workspace:
    """The folders of a project (the folder that holds `params.yaml`).

    data/         prepared arrays        models/  finished models
    runs/         work in progress: checkpoints, curves, pictures
    runs/results/ own results: what runs on this machine measured, and the tables made from it; git ignores them
    results/      references: committed results and tables, which a run replaces only where `--record` asks for it
    fingerprints/ what DVC compares to know which cells are out of date
    """

    root: Path
    branch: str = ""  # a folder below the root that has models, work and own results of its own; the rest is shared

    @property
    def references(self) -> Path:
        """Root of the committed results."""
        return self.root / "results"

    @property
    def own(self) -> Path:
        """Root of the results of this machine's runs."""
        return self.root / self.branch / "runs" / "results"

    @property
    def fingerprints(self) -> Path:
        """Root of the fingerprints."""
        return self.root / "fingerprints"

    def data(self, cell: Cell) -> Path:
        """Folder of the prepared arrays. Of a transfer, those of the test set, on which `--set` has no say."""
        if cell.trained_in:
            return self.root / "data" / f"{cell.data}-{cell.trained_in.preset}"
        changed = {key: value for key, value in cell.overrides.items() if key.startswith("data.")}
        return self.root / "data" / f"{cell.data}-{cell.preset}{_suffix(changed)}"

    def model(self, cell: Cell) -> Path:
        """Folder of the finished model; one of its own for a run with overrides."""
        cell = cell.training_cell
        place = self.root / self.branch / "models" / cell.data / cell.preset / cell.method
        return place / f"seed{cell.seed}{_suffix(cell.overrides)}"

    def run(self, cell: Cell, key: str) -> Path:
        """Folder of the work in progress under this training key."""
        name = f"{cell.data}-{cell.preset}-{cell.method}-seed{cell.seed}-{key[:12]}"
        return self.root / self.branch / "runs" / name

    def results_of(self, cell: Cell) -> Path:
        """Where a run of this cell writes its result: runs with overrides stand apart from the other own results."""
        return self.own.with_name(f"overrides{_suffix(cell.overrides)}") if cell.overrides else self.own


def project() -> tuple[Params, Workspace]:
    """The parameters and the folders of the project that the working directory lies in.

    Raises:
        InputError: there is none, or its `params.yaml` is not valid.
    """
    root = find_root()
    return read_params(root), Workspace(root)


def _suffix(overrides: object) -> str:
    return f"-{digest(overrides)[:8]}" if overrides else ""
