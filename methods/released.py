"""Any colorizer that its authors released as one ONNX or TorchScript file, as a row; nothing is trained.

It reproduces no paper. Settings say what the file's network takes and gives; docs/released.md has those of DDColor,
DeOldify, CT2 and Zhang et al., and says what a file may do to this machine. The file stays where it is: its SHA-256 is
a setting, so that a changed file is another row, and a model file of this adapter opens no file of another hash.

The network sees one picture at a time, so that colors never depend on the batch, and released files with a fixed batch
of one work. Whatever the device, it runs on the CPU: archives hold constants of the machine that wrote them.
"""

import hashlib
import io
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.contracts.method import DataInfo, Method, MethodConfig
from benchmark.contracts.of_file import OF_FILE
from benchmark.data.color import lab_to_srgb, rgb_to_lab
from benchmark.support import weights
from benchmark.support.errors import BenchError, InputError
from benchmark.support.files import known_sha256

from ._vgg import Normalise

ZIP = b"PK\x03\x04"  # how a TorchScript archive begins; ONNX has no mark of its own

Run = Callable[[Tensor], Any]


class ReleasedConfig(MethodConfig):
    """What the file is, and what its network takes and gives."""

    file: str = Field("", description="the ONNX or TorchScript file: a path, or a name in the folder of bench weights")
    sha256: Annotated[str, OF_FILE] = Field(
        "", description="the file's SHA-256, found by itself; where it is given, no other file is taken"
    )
    trained_on: str = Field("photographs not named", description="what its authors trained it on, for the tables' mark")
    input: Literal["lab", "rgb"] = Field(
        "lab", description="lab: lightness, 1 channel, 0 to 100; rgb: the gray photograph, 3 equal channels, 0 to 1"
    )
    input_scale: float = Field(1.0, description="factor of the input; 255 with rgb gives 0 to 255")
    input_shift: float = Field(0.0, description="added to the input after its factor")
    imagenet: bool = Field(False, description="then bring each channel to ImageNet's mean and deviation (rgb alone)")
    size: int | None = Field(
        None, ge=8, le=4096, description="side of the square that the network sees; none: the picture as it is"
    )
    output: Literal["ab", "rgb"] = Field(
        "ab", description="2 channels of Lab, or 3 of sRGB, whose lightness is dropped"
    )
    output_scale: float = Field(1.0, description="factor of the output: ab in Lab units, rgb in 0 to 1, come of it")
    output_shift: float = Field(0.0, description="added to the output after its factor")

    @model_validator(mode="before")
    @classmethod
    def _know_the_file(cls, settings: Any) -> Any:
        name = settings.get("file") if isinstance(settings, dict) else None
        if not isinstance(name, str) or not (path := place(name)).is_file():
            return settings
        try:
            found = known_sha256(path, weights.folder() / weights.NOTES)
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror}") from None
        wanted = settings.get("sha256") or found
        if wanted != found:
            raise InputError(f"{path} has the SHA-256 {found}, not {wanted}; take the file that is meant, or its hash")
        return {**settings, "sha256": found}

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.imagenet and self.input != "rgb":
            raise ValueError("imagenet: ImageNet's mean and deviation are those of three channels: --set input=rgb")
        return self


def place(name: str) -> Path:
    """Where the file of this name is, or would have to be: at its path, else in the folder of the pretrained files."""
    path = Path(name).expanduser()
    return path.resolve() if path.is_file() else weights.folder() / path


class Network(nn.Module):
    """The file's network, from what it takes to what it gives, each a picture (1, C, h, w) float32."""

    def __init__(self, path: Path, sha256: str) -> None:
        """Opens the file.

        Raises:
            BenchError: the file cannot be read, has another SHA-256, or is in neither format.
        """
        super().__init__()
        self.file = path.name
        try:
            content = path.read_bytes()
        except OSError as error:
            raise BenchError(f"cannot read {path}: {error.strerror}") from None
        if hashlib.sha256(content).hexdigest() != sha256:
            raise BenchError(f"{path} is no longer the file whose SHA-256 begins {sha256[:12]}; run again")
        try:
            self.network: Run = _torchscript(content) if content.startswith(ZIP) else _onnx(content)
        except Exception as error:  # of another program's reader: of any type
            raise BenchError(
                f"{self.file} is neither TorchScript (torch.jit.save) nor ONNX in one file: {_line(error)}; "
                "a checkpoint holds weights without their network, and is exported by its authors' code"
            ) from error
        self.register_state_dict_post_hook(_leave_out)
        self.register_load_state_dict_pre_hook(_fill_in)

    @torch.compiler.disable
    def forward(self, x: Tensor) -> Tensor:
        """Returns what the network gives for one picture; if it gives several tensors, the first."""
        try:
            found = self.network(x.cpu())
        except Exception as error:  # of another program: of any type
            raise BenchError(
                f"{self.file} does not take {tuple(x.shape)}: {_line(error)}; set input and size"
            ) from error
        while isinstance(found, tuple | list) and found:
            found = found[0]
        if not isinstance(found, Tensor):
            raise BenchError(f"{self.file} gives {type(found).__name__}, and no tensor")
        return found.to(x.device, torch.float32)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Leaves the network on the CPU, and as it was written."""
        return self


def _leave_out(module: nn.Module, state: dict[str, Any], prefix: str, metadata: object) -> None:
    """Keeps the file's weights out of model files: the settings name the file."""
    for key in [key for key in state if key.startswith(f"{prefix}network.")]:
        del state[key]


def _fill_in(module: nn.Module, state: dict[str, Any], prefix: str, *context: object) -> None:
    """Takes the weights that model files leave out from the file."""
    if isinstance(network := getattr(module, "network", None), nn.Module):
        state |= network.state_dict(prefix=f"{prefix}network.")


def _torchscript(content: bytes) -> nn.Module:
    """Reads an archive of TorchScript; torch's reader of these knows no classes of Python, and imports none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch would rather have torch.export, which authors do not
        network: nn.Module = torch.jit.load(io.BytesIO(content), map_location="cpu")
    for parameter in network.parameters():  # TorchScript has no requires_grad_ for the whole
        parameter.requires_grad_(False)
    return network


def _onnx(content: bytes) -> Run:
    """Opens ONNX in onnxruntime on the CPU; weights beside the file are refused, as its hash does not cover them."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # errors are raised
    options.use_deterministic_compute = True
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    taken = session.get_inputs()[0].name

    def run(x: Tensor) -> Tensor:
        return torch.from_numpy(session.run(None, {taken: x.numpy(force=True)})[0])

    return run


def _line(error: Exception) -> str:
    """What another program says is wrong, on one short line; TorchScript tells it last, below its stack."""
    told = [line for line in str(error).splitlines() if "Error: " in line] or [str(error) or type(error).__name__]
    return " ".join(told[-1].split())[:200]


class Released(Method):
    """A released network as it is."""

    name = "released"
    Config = ReleasedConfig
    colorizer: Network

    def __init__(self, config: ReleasedConfig, data: DataInfo) -> None:
        super().__init__(config, data)
        if reason := self.skip(config, data):
            raise BenchError(reason)
        self.colorizer = Network(place(config.file), config.sha256)
        self.normalise = Normalise()

    @classmethod
    def pretrained_on(cls, config: ReleasedConfig) -> str:
        """Names the photographs on which the authors trained it, as the settings say."""
        return config.trained_on

    @classmethod
    def skip(cls, config: ReleasedConfig, data: DataInfo) -> str | None:
        """Returns a reason to skip if there is no file, or nothing to run it with."""
        if not config.file:
            return "no file is named: --set file=NAME.onnx, or file: NAME.onnx in params.yaml (docs/released.md)"
        if not (path := place(config.file)).is_file():
            return f"{path.name} missing: neither a file here nor in the folder of bench weights"
        with path.open("rb") as file:
            is_onnx = file.read(len(ZIP)) != ZIP
        return _without_onnxruntime() if is_onnx else None

    def predict_ab(self, L: Tensor) -> Tensor:
        """Returns ab (B, 2, h, w) in Lab units for lightness (B, 1, H, W) in [0, 100], at the network's resolution.

        Raises:
            BenchError: the network does not take the picture, or gives another shape or values that are not finite.
        """
        return torch.cat([self._colors(one) for one in L.split(1)])

    def _colors(self, L: Tensor) -> Tensor:
        config, (height, width) = self.config, L.shape[-2:]
        if L.is_meta:  # shapes without values, on which no other program runs
            return L.new_empty(1, 2, height, width)
        if config.size:
            square = (config.size, config.size)
            L = F.interpolate(L, size=square, mode="bilinear", align_corners=False, antialias=True).clamp(0, 100)
        found = self.colorizer(self._input(L))
        channels = 2 if config.output == "ab" else 3
        self._require(found, channels, f"a picture of {height}×{width}")
        found = found * config.output_scale + config.output_shift
        if config.output == "ab":
            return found
        levels = found.clamp(0, 1).mul(255).round().to(torch.uint8)  # as a picture file would hold it
        return rgb_to_lab(levels.permute(0, 2, 3, 1))[1]

    def _input(self, L: Tensor) -> Tensor:
        config = self.config
        x = L if config.input == "lab" else lab_to_srgb(L, L.new_zeros(1).expand(len(L), 2, *L.shape[-2:]))
        x = x * config.input_scale + config.input_shift
        if config.imagenet:
            x = self.normalise(x)
        return x.contiguous()

    def _require(self, found: Tensor, channels: int, picture: str) -> None:
        file = self.colorizer.file
        if found.ndim != 4 or found.shape[:2] != (1, channels) or not found.numel():
            wanted = f"(1, {channels}, h, w)"
            raise BenchError(f"{file} gives {tuple(found.shape)} for {picture}, not {wanted}; set output to ab or rgb")
        if not found.isfinite().all():
            raise BenchError(f"{file} gives values that are not finite for {picture}; set input as its authors do")


def _without_onnxruntime() -> str | None:
    from importlib.util import find_spec

    return None if find_spec("onnxruntime") else "ONNX needs onnxruntime: pip install -e '.[released]'"
