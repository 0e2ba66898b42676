"""Floor: no color at all, which every learned method has to beat (protocol, §3)."""

from torch import Tensor, nn

from benchmark.contracts.method import DataInfo, Method, MethodConfig


class Gray(Method):
    """The lightness alone: ab = 0 everywhere."""

    name = "gray"
    role = "floor"
    Config = MethodConfig

    def __init__(self, config: MethodConfig, data: DataInfo) -> None:
        super().__init__(config, data)
        self.colorizer = nn.Identity()

    def predict_ab(self, L: Tensor) -> Tensor:
        """Returns zeros (B, 2, H, W) for lightness (B, 1, H, W)."""
        return L.new_zeros(L.shape[0], 2, *L.shape[-2:])
