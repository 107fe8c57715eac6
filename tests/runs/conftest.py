"""The scripts below runs/ import their neighbours by name, as Python does for a script that is run."""

import sys
from pathlib import Path

RUNS = Path(__file__).parents[2] / "runs"
sys.path.extend([str(RUNS / "small"), str(RUNS / "assets"), str(RUNS / "web")])
