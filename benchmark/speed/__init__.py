"""How fast is a training, and how much faster than the loop that people write? `bench speed` tells."""

from benchmark.speed.measure import Plan, measure
from benchmark.speed.show import as_json, as_text

__all__ = ["Plan", "as_json", "as_text", "measure"]
