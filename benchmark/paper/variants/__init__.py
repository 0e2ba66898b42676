"""Other papers' evaluation codes: the same images under each of them, which shows how many dB are definition.

`pieces` has their arithmetic, `codes` says which code takes which of it, and `score` runs them over folders. The codes
were read, and none was copied; docs/metrics.md says what was found.
"""
