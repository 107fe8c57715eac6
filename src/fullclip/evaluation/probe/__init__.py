"""The linear probe (appendix A.3): logistic regression on features, and the search for how strongly it is held back.

Knows nothing of models or tasks: features and labels in, a classifier out.
"""

from fullclip.evaluation.probe.logistic import LogisticProbe

__all__ = ["LogisticProbe"]
