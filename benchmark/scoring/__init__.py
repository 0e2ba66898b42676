"""Scoring: the metrics of a model or of a folder of images."""
