"""The network of Zhang et al. 2016, with the layers, names and shapes of the authors' released weights.

Source: the layer table of the paper's supplement as the authors' PyTorch release has it (`colorizers/eccv16.py`). Each
convolution is followed by ReLU, and the last one of blocks 1 to 7 also by BatchNorm. Blocks 1, 2 and 3 end with stride
2, blocks 5 and 6 are dilated by 2, and block 8 doubles the resolution again. `model_out` holds the bins' centers.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.data import ab_bins
from benchmark.support.precision import no_autocast

# Each block has a width, a number of convolutions, the stride of the last one, and a dilation.
BLOCKS = {
    "model1": (64, 2, 2, 1),
    "model2": (128, 2, 2, 1),
    "model3": (256, 3, 2, 1),
    "model4": (512, 3, 1, 1),
    "model5": (512, 3, 1, 2),
    "model6": (512, 3, 1, 2),
    "model7": (512, 3, 1, 1),
}
LAST_WIDTH = 256  # width of block 8
AB_UNIT = 110.0  # Lab units in one unit of the release's `model_out`


class Eccv16(nn.Module):
    """A network from lightness (B, 1, H, W) to logits of the bins at a quarter of the resolution.

    H and W may be any: the convolutions pad with zeros, as released, so that h is H/4, rounded up to an even number.

    Args:
        width: factor of all channels but the first and the last; 1 is the published network.
    """

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        channels = 1
        for name, (base, convolutions, stride, dilation) in BLOCKS.items():
            wide = max(1, round(base * width))
            self.add_module(name, block(channels, wide, convolutions, stride, dilation))
            channels = wide
        wide = max(1, round(LAST_WIDTH * width))
        self.model8 = nn.Sequential(
            *(nn.ConvTranspose2d(channels, wide, 4, stride=2, padding=1), nn.ReLU()),
            *(nn.Conv2d(wide, wide, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(wide, wide, 3, padding=1), nn.ReLU()),
            nn.Conv2d(wide, ab_bins.BINS, 1),
        )
        self.model_out = nn.Conv2d(ab_bins.BINS, 2, 1, bias=False).requires_grad_(False)
        self.initialise()

    def initialise(self) -> None:
        """Initialises convolutions as He et al. 2015 do, and `model_out` with the bins' centers in `AB_UNIT`."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d) and module.bias is not None:
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)
        with torch.no_grad():
            self.model_out.weight.copy_(ab_bins.centers().T[:, :, None, None] / AB_UNIT)

    def forward(self, L: Tensor) -> Tensor:
        """Returns logits (B, 313, h, w) for lightness (B, 1, H, W) in [0, 100], scaled as in the release."""
        x = (L - 50.0) / 100.0
        for name in BLOCKS:
            x = self.get_submodule(name)(x)  # (B, C, h/2, w/2) from model3 on
        return self.model8(x)  # (B, 313, h, w)

    def colors(self, L: Tensor, temperature: float | str) -> Tensor:
        """Returns colors (B, 2, H, W) float32, in Lab units, at the lightness's own size, which may be any.

        What the network gives beyond that size is cut off; each color stays where the network saw it.

        Args:
            L: the lightness, (B, 1, H, W) in [0, 100].
            temperature: T of the annealed mean (differentiable), "mean" for T = 1, or "mode".
        """
        height, width = L.shape[-2:]
        logits = self(L)
        ab = ab_bins.decode(logits, "mode") if temperature == "mode" else self.mean(logits, temperature)
        return F.interpolate(ab, scale_factor=4, mode="bilinear", align_corners=False)[..., :height, :width]

    def mean(self, logits: Tensor, temperature: float | str) -> Tensor:
        """Returns the mean color of each distribution at a temperature: (B, 2, h, w) float32, Lab units."""
        sharpness = 1.0 if temperature == "mean" else 1.0 / float(temperature)
        with no_autocast(logits.device):
            return AB_UNIT * self.model_out((logits.float() * sharpness).softmax(1))


def block(channels: int, wide: int, convolutions: int, stride: int, dilation: int) -> nn.Sequential:
    """Makes 3×3 convolutions with ReLU, and a BatchNorm after them; the last convolution has the stride."""
    layers: list[nn.Module] = []
    for number in range(convolutions):
        step = stride if number == convolutions - 1 else 1
        layers += [nn.Conv2d(channels, wide, 3, stride=step, padding=dilation, dilation=dilation), nn.ReLU()]
        channels = wide
    return nn.Sequential(*layers, nn.BatchNorm2d(wide))
