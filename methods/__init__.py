"""One file = one method: file `gan_perceptual.py`, class attribute `name = "gan-perceptual"`, CLI value the same."""
