"""Fitted probes on disk: one that several protocols ask for is fitted once."""

import hashlib
import io
import json
import zipfile
import zlib
from pathlib import Path

import numpy as np

from fullclip.core.storage import atomic_file
from fullclip.evaluation.probe.logistic import LogisticProbe
from fullclip.evaluation.probe.sweep import Fitted, Sweep

_VERSION = 2  # of how probes are fitted, and of the order of the examples that are held out


class ProbeCache:
    """The place of one probe below `root`, by all that it depends on; nowhere where `root` is None."""

    def __init__(self, root: Path | None, identity: str) -> None:
        mark = hashlib.sha256(f"{_VERSION} {identity}".encode()).hexdigest()
        self._path = None if root is None else root / "probes" / f"{mark[:32]}.npz"

    def write(self, fitted: Fitted) -> None:
        if self._path is None:
            return
        told = {
            "points": fitted.sweep.points,
            "best": fitted.sweep.best,
            "num_iterations": fitted.num_iterations,
            "converged": fitted.converged,
            "is_multilabel": fitted.probe.is_multilabel,
        }
        probe = fitted.probe
        with atomic_file(self._path) as file:
            np.savez(
                file,
                coef=probe.coef_,
                intercept=probe.intercept_,
                classes=probe.classes_,
                told=np.frombuffer(json.dumps(told).encode(), dtype=np.uint8),
            )

    def read(self) -> Fitted | None:
        """The probe that was kept, or None where there is none or its file is damaged."""
        if self._path is None or not self._path.is_file():
            return None
        try:
            whole = io.BytesIO(self._path.read_bytes())  # np.load leaves a damaged file open
            with np.load(whole, allow_pickle=False) as kept:
                told = json.loads(kept["told"].tobytes())
                sweep = Sweep(points=tuple((penalty, value) for penalty, value in told["points"]), best=told["best"])
                probe = LogisticProbe(1 / sweep.best)
                probe.set(kept["coef"], kept["intercept"], kept["classes"], is_multilabel=told["is_multilabel"])
        except (ValueError, KeyError, TypeError, OSError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error):
            return None
        return Fitted(probe=probe, sweep=sweep, num_iterations=told["num_iterations"], converged=told["converged"])
