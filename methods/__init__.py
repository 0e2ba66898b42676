"""One file = one method: file `gan_perceptual.py`, class attribute `name = "gan-perceptual"`, CLI value the same."""

TEMPLATE = "l2"  # `bench new-method` begins with a copy of this one
