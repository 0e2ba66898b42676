"""From photographs to batches: prepared arrays, CIE Lab, the 313 bins."""
