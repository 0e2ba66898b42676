"""One file = one method adapter: file `gan_perceptual.py`, class attribute `name = "gan-perceptual"`, CLI value the same."""
