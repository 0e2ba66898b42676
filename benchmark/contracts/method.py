"""The contract of a method: what the trainer and the evaluation know of it, and nothing else.

`training_step` is a generator. After each `yield Update("discriminator", loss, logs)` the trainer zeroes the gradients
of that optimizer, backpropagates into its parameters alone, steps it and resumes the generator. A conditional GAN
then reads in its paper's own order, pre-training is one more phase, and a baseline has no optimizers at all. A method
knows nothing of devices, precision, checkpoints, logging or ranks.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn
from torch.optim import Optimizer

from benchmark.contracts.result import Role


class Batch(NamedTuple):
    """What a training step sees."""

    L: Tensor  # (B, 1, H, W) float32, CIE lightness, [0, 100]
    ab: Tensor  # (B, 2, H, W) float32, CIE chroma, Lab units (about [-110, 110])


class Update(NamedTuple):
    """One optimizer step asked of the trainer."""

    optimizer: str  # key into Method.optimizers(phase)
    loss: Tensor  # scalar
    logs: Mapping[str, Tensor] = {}  # detached scalars, read only at log steps


class Phase(NamedTuple):
    """A part of the step budget (which the preset owns). The shares of a method's phases add up to 1."""

    name: str
    share: float


@dataclass(frozen=True)
class DataInfo:
    """What a method may know of the data set that it is trained on; all of it from the training split."""

    name: str
    image_size: int  # S: images are S×S
    train_images: int
    mean_ab: tuple[float, float]  # Lab units
    ab_prior: Tensor  # (313,) float64, sums to 1: share of pixels whose nearest of the 313 bins is this one


class MethodConfig(BaseModel):
    """Base of every `Method.Config`: immutable, unknown keys refused. Defaults: the paper's, each with its source."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Method(nn.Module, ABC):
    """One colorization method. See `methods/l2.py` for the template to copy."""

    name: ClassVar[str]
    Config: ClassVar[type[MethodConfig]] = MethodConfig
    phases: tuple[Phase, ...] = (Phase("train", 1.0),)  # may be set from the config in __init__
    # A baseline knows nothing of the picture, a ceiling has seen the truth; neither is ranked.
    role: ClassVar[Role] = "method"

    colorizer: nn.Module  # All that predict_ab needs; EMA, parameter and multiply-add counts use it.

    def __init__(self, config: Any, data: DataInfo) -> None:
        """Builds the networks, on the CPU and in float32; the trainer moves them.

        Args:
            config: an instance of this class's `Config`.
            data: the facts of the training split.
        """
        super().__init__()
        self.config = config
        self.data = data

    def optimizers(self, phase: str) -> dict[str, Optimizer]:
        """The optimizers of a phase by name, made anew when the phase begins. None for a method without training."""
        return {}

    def training_step(self, batch: Batch, phase: str) -> Iterator[Update]:
        """Yields each update of one step, in order. A method without optimizers is never asked."""
        raise TypeError(f"{self.name} has no training")

    def learning_rate(self, optimizer: str, progress: float) -> float:
        """The factor of an optimizer's base rates in a step; the trainer sets them before each update.

        It must follow from its arguments and the config alone, so that a resumed run needs no state of a schedule.
        `benchmark.contracts.schedules` has warm-up, linear decay and steps.

        Args:
            optimizer: key into `optimizers(phase)`.
            progress: the share of the whole run's steps done before this one, in [0, 1). It continues over all phases
                (each begins at the sum of the `phases`' shares before it), as papers state their schedules.

        Returns:
            A finite factor of at least 0, for every parameter group of the optimizer.
        """
        return 1.0

    @abstractmethod
    def predict_ab(self, L: Tensor) -> Tensor:
        """Colors for a batch of lightness images.

        Args:
            L: (B, 1, H, W) float32, [0, 100].

        Returns:
            (B, 2, h, w) float32, Lab units, finite; any h, w (the harness upsamples bilinearly). Deterministic, and
            independent of the other images of the batch.
        """

    @classmethod
    def parents(cls, config: Any) -> tuple[str, ...]:
        """Entries whose finished model (same data, preset and seed) this one starts from."""
        return ()

    @classmethod
    def pretrained_on(cls, config: Any) -> str | None:
        """Names the photographs that published weights have seen with which it is trained; None without such weights.

        Tables mark its rows: other rows know of their training split alone.
        """
        return None

    def load_pretrained(self) -> None:
        """Loads published weights before the first step. It is not called for a model that is trained already."""

    def load_parents(self, states: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Loads the parents' weights before the first step.

        Args:
            states: entry name → the state dict of that entry's `colorizer`.
        """

    @classmethod
    def skip(cls, config: Any, data: DataInfo) -> str | None:
        """Says why this method cannot run on this machine or data (weights missing, wrong image size), or None."""
        return None


class OracleMethod(Method):
    """A ceiling: it is shown the true colors. Never ranked."""

    role = "ceiling"

    @abstractmethod
    def predict_ab_knowing(self, L: Tensor, ab: Tensor) -> Tensor:
        """Predicts like `predict_ab`, given the true ab (B, 2, H, W) in Lab units."""

    def predict_ab(self, L: Tensor) -> Tensor:
        """Raises TypeError, as an oracle cannot predict without the true colors."""
        raise TypeError(f"{self.name} needs the true colors: it is a ceiling, not a method")


def parameter_count(module: nn.Module) -> int:
    """Number of trainable and frozen parameters of a module (buffers not counted)."""
    return sum(p.numel() for p in module.parameters())
