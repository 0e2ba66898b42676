"""The script that draws the trade between nearness and realism: what it does to colors, and what it prints."""

from typing import Any

import torch
from torch import Tensor
from tradeoff_curve import as_table, mixed, recolored


class Constant:
    """Predicts one value of ab, at a size of its own."""

    def __init__(self, value: float, size: int) -> None:
        self.value, self.size = value, size

    def predict_ab(self, L: Tensor) -> Tensor:
        return torch.full((len(L), 2, self.size, self.size), self.value)


def constant(value: float, size: int) -> Any:
    return Constant(value, size)


def test_mixed_takes_the_mean_at_the_size_of_the_lightness() -> None:
    L = torch.zeros(3, 1, 8, 8)
    ab = constant(10.0, 4).predict_ab(L)
    for share, expected in ((0.0, 10.0), (0.25, 12.5), (1.0, 20.0)):
        assert torch.equal(mixed(L, ab, constant(20.0, 2), share), torch.full((3, 2, 8, 8), expected))


def test_recolored_changes_what_is_predicted_for_a_while() -> None:
    method, L = constant(10.0, 4), torch.zeros(1, 1, 8, 8)
    with recolored(method, lambda L, ab: 2 * ab) as changed:
        assert changed.predict_ab(L).unique().tolist() == [20.0]
    assert method.predict_ab(L).unique().tolist() == [10.0]


def test_the_table_marks_the_best_of_each_column_and_leaves_out_what_is_not_measured() -> None:
    rows: dict[float, dict[str, float | None]] = {
        0.0: {"psnr": 24.0, "fd_lite": 27.0, "kid_lite": None, "colorfulness": 15.0},
        0.5: {"psnr": 23.5, "fd_lite": 21.0, "kid_lite": None, "colorfulness": 20.0},
    }
    header, _, first, second = as_table("share of cgan-lite", rows).splitlines()
    assert "share of cgan-lite" in header
    assert "KID" not in header
    assert [cell.strip() for cell in first.split("|")[1:-1]] == ["0", "**24.00**", "27.00", "15.00"]
    assert [cell.strip() for cell in second.split("|")[1:-1]] == ["0.5", "23.50", "**21.00**", "20.00"]
