"""Settings of the trainer: the part of a cell's configuration that decides how it is trained."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Strict(BaseModel):
    """Immutable; unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


OBSERVING = ("log_every", "validate_every", "validation_images", "checkpoint_seconds")
"""Settings that decide what is seen and saved of a training, and no weight."""

OF_MACHINE = ("precision", "compile")
"""Settings that decide weights by what the machine makes of them; an identity holds the outcome."""


class Training(Strict):
    """Settings of the trainer, the same for every method."""

    steps: int = Field(1000, ge=0, le=10**9, description="budget in steps, divided among the method's phases")
    batch_size: int = Field(16, ge=1, le=2**16, description="images per step, over all devices together")
    flip: bool = Field(True, description="mirror half of the training images")
    crop: int | None = Field(None, ge=8, le=2**16, description="side of a random square of each image; none: the whole")
    precision: Literal["auto", "fp32", "bf16"] = Field("auto", description="auto: bf16 on GPUs that have it, else fp32")
    compile: Literal["auto", "always", "never"] = Field(
        "auto", description="torch.compile for the networks; auto: on GPUs"
    )
    deterministic: bool = Field(True, description="same seed, machine and versions: same bits")
    ema_decay: float = Field(0.0, ge=0, lt=1, description="average the colorizer's weights over steps; 0: off")
    log_every: int = Field(20, ge=1, le=10**9, description="steps between rows of history.csv")
    validate_every: int = Field(500, ge=1, le=10**9, description="steps between validations")
    validation_images: int = Field(128, ge=1, le=10**9, description="at most so many images of the validation split")
    checkpoint_seconds: float = Field(60.0, ge=0, le=10**9, description="time between checkpoints")

    @property
    def images(self) -> int:
        """The images that a training sees, each as often as it is seen."""
        return self.steps * self.batch_size

    def steps_for(self, images: float) -> int:
        """How many steps of this batch size see about so many images."""
        return round(images / self.batch_size)

    def deciding(self) -> dict[str, Any]:
        """The settings that decide weights, whatever the machine. A new setting counts until it is excluded here."""
        return self.model_dump(mode="json", exclude={*OBSERVING, *OF_MACHINE})

    def asked_of_machine(self) -> dict[str, Any]:
        """What these settings fix of a result's machine; what is `auto` is decided by the machine itself."""
        asked: dict[str, Any] = {} if self.precision == "auto" else {"precision": self.precision}
        return asked if self.compile == "auto" else asked | {"compile": self.compile == "always"}
