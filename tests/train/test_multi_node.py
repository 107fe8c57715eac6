"""Two machines train one model, in two network namespaces of this one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "runs/multi_node.sh"


@pytest.mark.dist
@pytest.mark.skipif(sys.platform != "linux", reason="network namespaces are Linux's")
def test_two_machines_follow_the_curve_of_one(tmp_path):
    environment = {**os.environ, "PYTHON": sys.executable, "PARALLEL": "fsdp"}
    done = subprocess.run(["bash", SCRIPT, tmp_path / "out"], capture_output=True, text=True, env=environment, timeout=300)
    if "skipped:" in done.stdout:
        pytest.skip(done.stdout.strip())
    assert done.returncode == 0, done.stderr
    assert "largest relative difference" in done.stdout
