"""The one training loop, its checkpoints, its ranks, and what is shown while it runs."""
