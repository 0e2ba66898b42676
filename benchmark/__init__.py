"""colorbench: automatic colorization methods, trained and scored under one protocol."""

PROTOCOL = 2
"""Version of every definition in the protocol (preparation, color, metrics, statistics). No table mixes two."""
