"""Measures for `bench speed` how fast a training is, and how much faster than the loop that people usually write."""

from benchmark.speed.measure import Plan, measure
from benchmark.speed.show import as_json, as_text

__all__ = ["Plan", "as_json", "as_text", "measure"]
