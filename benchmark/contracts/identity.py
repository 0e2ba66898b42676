"""The identity of a result or a model: everything that decides its bits, as plain JSON values.

`benchmark.results.currency` alone compares identities and makes keys of them.
"""

from typing import Any

from pydantic import BaseModel, ConfigDict

from benchmark.support.files import digest


class Identity(BaseModel):
    """The making of a cell's model and scores. Empty `data` and `machine` stand for what is not known yet."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    protocol: int
    adapter: str
    data_set: str  # Name of the data set, by which methods find files made for it.
    seed: int
    settings: dict[str, dict[str, Any]]  # section → setting → value; "training" holds only what decides weights
    code: dict[str, str]  # "training" and "evaluation" → hash
    data: dict[str, str] = {}  # split → SHA-256 of its prepared array; "statistics" → hash of what is known of colors
    machine: dict[str, Any] = {}  # device, precision, compile, world, threads and torch of the training
    parents: dict[str, "Identity"] = {}  # entries whose models this one started from

    def weights(self) -> dict[str, Any]:
        """The part that decides the weights, the parents' parts included."""
        return {
            "adapter": self.adapter,
            "data_set": self.data_set,
            "seed": self.seed,
            "settings": {section: self.settings.get(section) for section in ("training", "method")},
            "code": self.code.get("training"),
            "data": {name: self.data.get(name) for name in ("train", "statistics")},
            "machine": self.machine,
            "parents": {name: parent.weights() for name, parent in self.parents.items()},
        }

    @property
    def key(self) -> str:
        """SHA-256 of everything that decides the weights: the name of run folders, checkpoints and models."""
        return digest(self.weights())
