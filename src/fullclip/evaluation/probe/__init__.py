"""The linear probe (appendix A.3): logistic regression on features, and the search for how strongly it is held back.

Knows nothing of models or tasks: features and labels in, a classifier out.
"""

from fullclip.evaluation.probe.logistic import LogisticProbe
from fullclip.evaluation.probe.path import fit_path
from fullclip.evaluation.probe.sweep import Examples, Fitted, Sweep, fit_best

__all__ = ["Examples", "Fitted", "LogisticProbe", "Sweep", "fit_best", "fit_path"]
