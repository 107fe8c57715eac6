"""Fitted probes on disk: one that several protocols ask for is fitted once."""

import hashlib
from pathlib import Path

from fullclip.core.kept import read_kept, write_kept
from fullclip.evaluation.probe.logistic import LogisticProbe
from fullclip.evaluation.probe.sweep import Fitted, Sweep

_VERSION = 3  # of how probes are fitted, and of the order of the examples that are held out


class ProbeCache:
    """The place of one probe below `root`, by all that it depends on; nowhere where `root` is None."""

    def __init__(self, root: Path | None, identity: str) -> None:
        mark = hashlib.sha256(f"{_VERSION} {identity}".encode()).hexdigest()
        self._path = None if root is None else root / "probes" / f"{mark[:32]}.npz"

    def write(self, fitted: Fitted) -> None:
        if self._path is None:
            return
        probe = fitted.probe
        told = {
            "points": fitted.sweep.points,
            "best": fitted.sweep.best,
            "num_iterations": fitted.num_iterations,
            "converged": fitted.converged,
            "is_multilabel": probe.is_multilabel,
        }
        write_kept(self._path, told, coef=probe.coef_, intercept=probe.intercept_, classes=probe.classes_)

    def read(self) -> Fitted | None:
        """The probe that was kept, or None where there is none or its file is damaged."""
        kept = None if self._path is None else read_kept(self._path)
        if kept is None:
            return None
        told, arrays = kept
        sweep = Sweep(points=tuple((penalty, value) for penalty, value in told["points"]), best=told["best"])
        probe = LogisticProbe(1 / sweep.best)
        probe.set(arrays["coef"], arrays["intercept"], arrays["classes"], is_multilabel=told["is_multilabel"])
        return Fitted(probe=probe, sweep=sweep, num_iterations=told["num_iterations"], converged=told["converged"])
