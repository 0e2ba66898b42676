"""Compares what the five reports claim and publish with the measured cells."""
