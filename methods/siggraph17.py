"""Real-time user-guided colorization (Zhang et al., SIGGRAPH 2017) as released, without any hint of a user.

Source: the authors' PyTorch release (`colorizers/siggraph17.py`: layers, names, scales). The network takes lightness,
the hinted colors and a mask of where there are hints, and regresses ab by a tanh. Here the hints and the mask are 0,
as the release colors automatically. The head for the classes of its training loss stays in the file and is not used.
Departure: pictures whose sides 8 does not divide are padded, and the colors cropped.
"""

import torch
from torch import Tensor, nn

from benchmark.contracts.method import DataInfo, Method, MethodConfig
from benchmark.support import weights

from ._eccv16 import BLOCKS, block
from ._unet import pad_to_multiple

WEIGHTS = "colorization-2017"
CLASSES = 529  # colors of the release's unused head
AB_UNIT = 110.0  # Lab units of the tanh's 1


class Siggraph17Network(nn.Module):
    """The released network from lightness (B, 1, H, W) in [0, 100] to ab (B, 2, H, W) in Lab units, of any size."""

    def __init__(self) -> None:
        super().__init__()
        channels = 4
        for name, (wide, convolutions, _, dilation) in BLOCKS.items():
            self.add_module(name, block(channels, wide, convolutions, 1, dilation))
            channels = wide
        for level, (before, wide, skip) in {8: (512, 256, 256), 9: (256, 128, 128), 10: (128, 128, 64)}.items():
            self.add_module(f"model{level}up", nn.Sequential(nn.ConvTranspose2d(before, wide, 4, stride=2, padding=1)))
            self.add_module(f"model{11 - level}short{level}", _convolutions(skip, wide, 1))
        self.model8 = nn.Sequential(nn.ReLU(), *_convolutions(256, 256, 2), nn.ReLU(), nn.BatchNorm2d(256))
        self.model9 = nn.Sequential(nn.ReLU(), *_convolutions(128, 128, 1), nn.ReLU(), nn.BatchNorm2d(128))
        self.model10 = nn.Sequential(nn.ReLU(), *_convolutions(128, 128, 1), nn.LeakyReLU(0.2))
        self.model_class = nn.Sequential(nn.Conv2d(256, CLASSES, 1))
        self.model_out = nn.Sequential(nn.Conv2d(128, 2, 1), nn.Tanh())

    def forward(self, L: Tensor) -> Tensor:
        """Returns ab."""
        height, width = L.shape[-2:]
        x = pad_to_multiple((L - 50.0) / 100.0, 8)
        x = torch.cat([x, torch.zeros_like(x).expand(-1, 3, -1, -1)], dim=1)  # no hints, and a mask that says so
        skips = []
        for name in BLOCKS:
            x = self.get_submodule(name)(x)
            if name in ("model1", "model2", "model3"):
                skips.append(x)
                x = x[..., ::2, ::2]
        for level in (8, 9, 10):
            x = self.get_submodule(f"model{level}up")(x)
            x = self.get_submodule(f"model{level}")(
                x + self.get_submodule(f"model{11 - level}short{level}")(skips.pop())
            )
        return AB_UNIT * self.model_out(x)[..., :height, :width]


def _convolutions(channels: int, out_channels: int, count: int) -> nn.Sequential:
    """Makes 3×3 convolutions with ReLU between them."""
    layers: list[nn.Module] = []
    for before in [channels, *[out_channels] * (count - 1)]:
        layers += [nn.Conv2d(before, out_channels, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class Siggraph17(Method):
    """The released network; nothing is trained."""

    name = "siggraph17"
    colorizer: Siggraph17Network

    def __init__(self, config: MethodConfig, data: DataInfo) -> None:
        super().__init__(config, data)
        self.colorizer = Siggraph17Network()

    @classmethod
    def pretrained_on(cls, config: MethodConfig) -> str:
        """Names the photographs on which the authors trained it."""
        return "ImageNet"

    @classmethod
    def skip(cls, config: MethodConfig, data: DataInfo) -> str | None:
        """Returns a reason to skip if the released weights are not here."""
        return weights.absent(WEIGHTS) if weights.path(WEIGHTS) is None else None

    def load_pretrained(self) -> None:
        """Loads the released weights."""
        self.colorizer.load_state_dict(weights.load(WEIGHTS))

    def predict_ab(self, L: Tensor) -> Tensor:
        """Returns ab (B, 2, H, W) in Lab units for lightness (B, 1, H, W) in [0, 100]."""
        return self.colorizer(L)
