"""The metric card: every metric against known changes of the true test images, which shows what it sees of color.

`changes` has one function per change, `measure` scores them all, `rows` is what a card says and how it is read from its
CSV, `figure` draws it, and `show` writes the page and the line under each leaderboard. Why: docs/metric-card.md.
"""
