import io
import json
import math
import struct

import numpy as np
import pytest
from rich.console import Console
from tensorboardX.crc32c import crc32c
from tensorboardX.proto.event_pb2 import Event

from fullclip.core import logs
from fullclip.core.logs import MetricsLog, progress, read_metrics, track


def write(folder, steps, *, keep_until=0):
    with MetricsLog(folder, keep_until=keep_until) as log:
        for step in steps:
            log.write(step, {"loss": 1 / step, "rate": 0.5})


def test_one_json_object_a_line(tmp_path):
    write(tmp_path, [1, 2, 3])
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    expected = [{"step": step, "loss": 1 / step, "rate": 0.5} for step in (1, 2, 3)]
    assert [json.loads(line) for line in lines] == expected == read_metrics(tmp_path / "metrics.jsonl")


def test_a_line_is_on_disk_as_soon_as_it_is_written(tmp_path):
    with MetricsLog(tmp_path) as log:
        log.write(1, {"loss": 2.0})
        assert read_metrics(tmp_path / "metrics.jsonl") == [{"step": 1, "loss": 2.0}]


def test_resuming_drops_the_steps_after_the_checkpoint(tmp_path):
    write(tmp_path, range(1, 7))
    write(tmp_path, [5], keep_until=4)
    assert [line["step"] for line in read_metrics(tmp_path / "metrics.jsonl")] == [1, 2, 3, 4, 5]


def test_a_new_run_begins_anew(tmp_path):
    write(tmp_path, [1, 2])
    write(tmp_path, [1])
    assert [line["step"] for line in read_metrics(tmp_path / "metrics.jsonl")] == [1]


@pytest.mark.faults
def test_a_torn_last_line_is_left_out_and_mended(tmp_path):
    write(tmp_path, [1, 2, 3])
    path = tmp_path / "metrics.jsonl"
    whole = path.read_bytes()
    last = whole.rindex(b"\n", 0, -1) + 1
    for end in range(last, len(whole) - 1):
        path.write_bytes(whole[:end])
        assert [line["step"] for line in read_metrics(path)] == [1, 2]
    write(tmp_path, [3], keep_until=3)
    assert path.read_bytes() == whole


def test_what_is_not_finite_is_null(tmp_path):
    with MetricsLog(tmp_path) as log:
        log.write(1, {"a": math.nan, "b": math.inf, "c": -math.inf, "d": 1.0})
    text = (tmp_path / "metrics.jsonl").read_text()
    values = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert values == {"step": 1, "a": None, "b": None, "c": None, "d": 1.0}
    assert read_metrics(tmp_path / "metrics.jsonl") == [values]


def masked_checksum(data):
    checksum = crc32c(data)
    return ((checksum >> 15 | checksum << 17) + 0xA282EAD8) & 0xFFFFFFFF


def read_events(folder):
    """(step, name, value) of the scalars in TensorBoard's record files, checksums verified."""
    found = []
    for path in sorted(folder.glob("events.*")):
        data = path.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            record = data[12 : 12 + length]
            assert struct.unpack("<I", data[8:12])[0] == masked_checksum(data[:8])
            assert struct.unpack("<I", data[12 + length : 16 + length])[0] == masked_checksum(record)
            event = Event.FromString(record)
            found += [(event.step, value.tag, value.simple_value) for value in event.summary.value]
            data = data[16 + length :]
    return found


def test_tensorboard_gets_the_same_numbers(tmp_path):
    write(tmp_path, [1, 2, 3])
    lines = read_metrics(tmp_path / "metrics.jsonl")
    expected = [(line["step"], name, np.float32(line[name])) for line in lines for name in ("loss", "rate")]
    assert read_events(tmp_path / "tensorboard") == expected


def test_bars_pass_everything_on_and_are_silent_without_a_terminal(capsys):
    assert list(track((i for i in range(5)), "counting", unit="numbers")) == list(track(range(5), "again", unit="numbers"))
    with progress("steps") as bar:
        bar.advance(bar.add_task("work", total=1))
    assert capsys.readouterr() == ("", "")


def test_a_bar_within_another_is_silent(monkeypatch):
    written = io.StringIO()
    monkeypatch.setattr(logs, "stderr", lambda: Console(file=written, force_terminal=True))
    with logs.progress("steps") as outer:
        outer.add_task("training", total=2)
        assert list(logs.track([1, 2], "features", unit="images")) == [1, 2]
    assert "training" in written.getvalue()
    assert "features" not in written.getvalue()
    assert list(logs.track([1, 2], "features", unit="images")) == [1, 2]
    assert "features" in written.getvalue()
