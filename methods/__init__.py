"""One file is one method: the file `gan_perceptual.py` holds the class whose `name`, "gan-perceptual", people type."""

TEMPLATE = "l2"  # `bench new-method` copies this method
