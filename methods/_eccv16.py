"""The network of Zhang et al. 2016, with the layers, names and shapes of the authors' released weights.

Source: the layer table of the paper's supplement as their PyTorch release has it (`colorizers/eccv16.py`): each
convolution is followed by ReLU, the last of blocks 1 to 7 also by BatchNorm; blocks 1, 2 and 3 end with stride 2,
blocks 5 and 6 are dilated by 2, block 8 doubles the resolution again. `model_out` holds the bins' centers.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.data import ab_bins
from benchmark.support.precision import no_autocast

from ._unet import pad_to_multiple

# Block: width, convolutions, stride of the last one, dilation.
BLOCKS = {
    "model1": (64, 2, 2, 1),
    "model2": (128, 2, 2, 1),
    "model3": (256, 3, 2, 1),
    "model4": (512, 3, 1, 1),
    "model5": (512, 3, 1, 2),
    "model6": (512, 3, 1, 2),
    "model7": (512, 3, 1, 1),
}
LAST_WIDTH = 256  # of block 8
AB_UNIT = 110.0  # what the release's `model_out` counts in, Lab units


class Eccv16(nn.Module):
    """(B, 1, H, W) → logits over the 313 bins (B, 313, H/4, W/4); H and W multiples of 8.

    Args:
        width: multiplies all channels but the first and the last; 1 is the published network.
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
        """He et al. 2015 for the convolutions; the bins' centers, in the release's unit, for `model_out`."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d) and module.bias is not None:
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)
        with torch.no_grad():
            self.model_out.weight.copy_(ab_bins.centers().T[:, :, None, None] / AB_UNIT)

    def forward(self, L: Tensor) -> Tensor:
        """`L` is (B, 1, H, W) in [0, 100]; the scale is the release's."""
        x = (L - 50.0) / 100.0
        for name in BLOCKS:
            x = self.get_submodule(name)(x)  # model3 on: (B, C, H/8, W/8)
        return self.model8(x)  # (B, 313, H/4, W/4)

    def colors(self, L: Tensor, temperature: float | str) -> Tensor:
        """Colors at the lightness's own size, any size: (B, 1, H, W) → (B, 2, H, W) float32, Lab units.

        Args:
            L: [0, 100].
            temperature: T of the annealed mean (differentiable), "mean" for T = 1, or "mode".
        """
        height, width = L.shape[-2:]
        logits = self(pad_to_multiple(L, 8))
        ab = ab_bins.decode(logits, "mode") if temperature == "mode" else self.mean(logits, temperature)
        return F.interpolate(ab, scale_factor=4, mode="bilinear", align_corners=False)[..., :height, :width]

    def mean(self, logits: Tensor, temperature: float | str) -> Tensor:
        """The distributions' mean color at a temperature: (B, 2, h, w) float32, Lab units."""
        sharpness = 1.0 if temperature == "mean" else 1.0 / float(temperature)
        with no_autocast(logits.device):
            return AB_UNIT * self.model_out((logits.float() * sharpness).softmax(1))


def block(channels: int, wide: int, convolutions: int, stride: int, dilation: int) -> nn.Sequential:
    """Convolutions 3×3 with ReLU, then BatchNorm; the last convolution has the stride."""
    layers: list[nn.Module] = []
    for number in range(convolutions):
        step = stride if number == convolutions - 1 else 1
        layers += [nn.Conv2d(channels, wide, 3, stride=step, padding=dilation, dilation=dilation), nn.ReLU()]
        channels = wide
    return nn.Sequential(*layers, nn.BatchNorm2d(wide))
