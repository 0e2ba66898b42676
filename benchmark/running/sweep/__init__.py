"""Many cells: which there are, which are missing, and running them over Ray. Nothing here imports torch."""
