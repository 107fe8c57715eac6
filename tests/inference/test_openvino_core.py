"""What OpenVINO does to the process that it runs in."""

import subprocess
import sys

import pytest

pytest.importorskip("openvino", reason="needs fullclip[export]")

_SIGNALS = """
import faulthandler, gc, signal, subprocess, threading
import numpy as np
from fullclip.inference.exported import openvino, openvino_core

faulthandler.enable()  # handlers of signals run on a stack of their own
signal.signal(signal.SIGCHLD, lambda *_: None)
runtime = openvino()
from openvino import opset13

given = opset13.parameter([-1, 4], np.float32)
held = [openvino_core().compile_model(runtime.Model([opset13.relu(given)], [given], "relu"), "CPU")]
held[0](np.ones((1, 4), np.float32))
letting_go = threading.Thread(target=held.clear)  # as when rubbish is collected on some thread
letting_go.start()
letting_go.join()
gc.collect()
rubbish = [bytes(20_000) for _ in range(1000)]
for _ in range(30):
    subprocess.run(["true"], check=True)
print("alive")
"""


@pytest.mark.faults
def test_a_signal_after_a_model_is_gone_does_not_end_the_process():
    done = subprocess.run([sys.executable, "-c", _SIGNALS], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "alive\n"), done.stderr
