"""Measures for `bench speed` how fast a training is, and how much faster than the loop that people usually write."""
