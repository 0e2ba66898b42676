"""Scores of a few colored images, for people to see beside them; tables are of whole test splits."""

from collections.abc import Mapping

import numpy as np
import torch

from benchmark.results.tables import ARROWS, NOTHING, number
from benchmark.scoring.metrics import METRICS
from benchmark.scoring.metrics.scorer import Scorer

SCORED = ("psnr", "ssim", "auc", "delta_e00", "colorfulness")
HEADS = ["", *(METRICS[name].label + ARROWS[METRICS[name].direction] for name in SCORED)]


def score_rows(versions: Mapping[str, np.ndarray], truth: np.ndarray, name: str) -> list[list[str]]:
    """Returns a row for each version: its name, and its scores against the truth as texts; last, the truth's own.

    Args:
        versions: name → colored images, (B, H, W, 3) uint8.
        truth: the photographs, (B, H, W, 3) uint8, of which only the colorfulness is told.
        name: what the truth is called.
    """
    rows = []
    for version, images in {**versions, name: truth}.items():
        scorer = Scorer(device=torch.device("cpu"), metrics=SCORED)
        scorer.update(torch.from_numpy(images), torch.from_numpy(truth))
        values = scorer.compute().values
        known = [metric if version != name or metric == "colorfulness" else "" for metric in SCORED]
        texts = [NOTHING if (value := values.get(m)) is None else number(value, METRICS[m].digits) for m in known]
        rows.append([version, *texts])
    return rows
