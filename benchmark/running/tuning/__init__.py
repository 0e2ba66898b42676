"""The values of a method's settings for one data set: the same number of trials for every method, chosen on validation.

What is searched, the rule and its reasons: docs/tuning.md. A trial is a cell with `--set`, so a killed one goes on.
"""

from benchmark.running.tuning.plan import trial_cells, trial_jobs
from benchmark.running.tuning.show import outcome_text, tunings_text
from benchmark.running.tuning.trials import Tuner

__all__ = ["Tuner", "outcome_text", "trial_cells", "trial_jobs", "tunings_text"]
