"""Ray: how it is joined, or started on this machine."""

import os
from typing import Any


def connect(ray: Any, address: str | None = None) -> None:
    """Join the cluster at `address`, else that of $RAY_ADDRESS, else the one that runs on this machine; where there is none,
    start Ray here. ConnectionError where an address was given and nobody answers.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would tell its makers
    quiet = {"log_to_driver": False, "logging_level": "ERROR"}
    if address or "RAY_ADDRESS" in os.environ:
        ray.init(address=address, **quiet)
        return
    try:
        ray.init(address="auto", **quiet)
    except ConnectionError:  # none runs here
        ray.init(address="local", include_dashboard=False, **quiet)
