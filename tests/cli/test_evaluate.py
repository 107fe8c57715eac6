"""fullclip evaluate as a user types it: whole answers from folders, what is kept, wrong use."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from fullclip.cli.app import app
from fullclip.models.checkpoint import Checkpoint
from fullclip.models.config import PRESETS
from fullclip.models.writing import write_checkpoint
from pairs import make_pairs, make_shards
from tasks import pixels
from tiny import tiny_encoder

WORDS = ("red", "green", "blue")


def run(*words: str) -> tuple[int, str, str]:
    """(exit code, stdout, stderr or the error as it would be reported)."""
    result = CliRunner().invoke(app, ["evaluate", *words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        return (2 if isinstance(result.exception, ValueError) else 1), result.stdout, str(result.exception)
    return result.exit_code, result.stdout, result.stderr


def told(*words: str) -> dict:
    code, out, said = run(*words, "--json")
    assert code == 0, said
    return json.loads(out)


def write_model(folder: Path, *, seed: int = 0) -> str:
    encoder = tiny_encoder()
    state = {name: value + seed for name, value in encoder.model.state_dict().items()}
    checkpoint = Checkpoint(config=PRESETS["tiny"], state=state, preprocess=encoder.preprocess)
    write_checkpoint(checkpoint, folder, tokenizer=encoder.tokenizer)
    return str(folder)


def write_task(folder: Path, *, splits=("train", "test"), per_class: int = 8, seed: int = 0) -> Path:
    for place, split in enumerate(splits):
        for label, word in enumerate(WORDS):
            (folder / split / word).mkdir(parents=True)
            for i in range(per_class):
                Image.fromarray(pixels(label, seed + 100 * place + i)).save(folder / split / word / f"{i}.png")
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    return write_model(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture
def colours(tmp_path) -> Path:
    return write_task(tmp_path / "colours")


def test_a_folder_is_a_task_and_everything_can_be_asked_of_it(model, colours, tmp_path):
    digits = ("--task", "digits", "--limit", "60")
    asked = ("--probe", "--few-shot", "--calibration", "--rejection")
    found = told(model, "--task", str(colours), *digits, *asked, "--out", str(tmp_path / "out"))
    protocols = {(result["task"], result["protocol"]) for result in found["results"]}
    assert {("colours", name) for name in ("zero-shot", "probe", "few-shot", "calibration")} <= protocols
    assert ("colours vs digits", "rejection") in protocols
    for result in found["results"]:
        low, high = result["interval"]
        assert low <= result["value"] <= high
        assert result["n"] > 0
    lines = [json.loads(line) for line in (tmp_path / "out/results.jsonl").read_text().splitlines()]
    assert len(lines) == len(found["results"])
    assert {line["model"] for line in lines} == {"tiny"}
    page = (tmp_path / "out/report.html").read_text()
    assert "colours" in page
    assert found["report"].endswith("report.html")
    assert "at most 60 images" in found["notes"]["digits"].lower()


def test_what_is_there_is_not_measured_again(model, colours, tmp_path):
    out = ("--task", str(colours), "--out", str(tmp_path / "out"))
    first = told(model, *out)
    record = tmp_path / "out/tasks/colours/zero-shot.json"
    before = record.stat().st_mtime_ns
    assert told(model, *out)["results"] == first["results"]
    assert record.stat().st_mtime_ns == before
    (colours / "test/red/0.png").write_bytes((colours / "test/blue/0.png").read_bytes())
    told(model, *out)
    assert record.stat().st_mtime_ns != before


def test_another_models_folder_is_refused(model, colours, tmp_path):
    out = ("--task", str(colours), "--out", str(tmp_path / "out"))
    told(model, *out)
    code, _, said = run(write_model(tmp_path / "other", seed=1), *out)
    assert code == 2
    assert "give another --out" in said


def test_an_unreadable_image_is_counted(model, colours, tmp_path):
    (colours / "test/red/0.png").write_bytes(b"rubbish")
    code, out, said = run(model, "--task", str(colours), "--out", str(tmp_path / "out"), "--json")
    assert code == 0
    assert json.loads(out)["skipped"]["colours"]["unreadable image"]["count"] == 1
    assert "left out 1 for unreadable image (red/0.png" in said


def test_a_shift_is_held_against_its_reference(model, colours, tmp_path):
    drawings = write_task(tmp_path / "drawings", splits=("test",), seed=50)
    (drawings / "task.toml").write_text('reference = "colours"')
    found = told(model, "--task", str(colours), "--task", str(drawings), "--probe", "--out", str(tmp_path / "out"))
    results = {(result["protocol"], result["metric"]) for result in found["results"] if result["task"] == "drawings"}
    for protocol in ("robustness", "adapted-robustness"):
        assert {(protocol, "accuracy"), (protocol, "accuracy on colours")} <= results


def test_what_was_asked_for_and_cannot_be_measured_is_said(model, tmp_path):
    alone = write_task(tmp_path / "drawings", splits=("test",))
    (alone / "task.toml").write_text('reference = "photos"')
    out = ("--task", str(alone), "--out", str(tmp_path / "out"), "--json")
    code, found, said = run(model, *out, "--probe", "--rejection")
    assert code == 0
    expected = [
        "probe: not asked of drawings: there is no train split",
        "robustness: not asked of drawings: 'photos', of which it is a shift, is not among the tasks; add it with --task",
        "rejection: not asked of drawings: it takes two classifications that have no class in common",
    ]
    assert json.loads(found)["not_asked"] == expected
    assert [line for line in said.splitlines() if "not asked" in line] == expected


def test_a_cache_that_cannot_be_written_is_told_before_anything_is_computed(model, colours, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FULLCLIP_CACHE", str(tmp_path / "file/cache"))
    code, _, said = run(model, "--task", str(colours), "--out", str(tmp_path / "out"))
    assert code == 2
    assert "(Not a directory); set FULLCLIP_CACHE to a folder that can be written" in said
    assert not (tmp_path / "out").exists()


def test_out_is_a_folder(model, colours, tmp_path):
    (tmp_path / "out").write_text("kept")
    code, _, said = run(model, "--task", str(colours), "--out", str(tmp_path / "out"))
    assert (code, "out is a file; the results go into a folder, give another --out" in said) == (2, True)
    assert (tmp_path / "out").read_text() == "kept"


def test_test_images_are_looked_for_in_training_shards(model, colours, tmp_path):
    shards = make_shards(tmp_path / "shards", make_pairs(6))
    found = told(model, "--task", str(colours), "--overlap", shards[0], "--out", str(tmp_path / "out"))
    overlap = [result for result in found["results"] if result["protocol"] == "overlap"]
    assert overlap[0]["metric"] == "overlap"
    assert overlap[0]["n"] == 24


def test_pairs_are_retrieved(model, tmp_path):
    shards = make_shards(tmp_path / "shards", make_pairs(12))
    found = told(model, "--task", str(Path(shards[0]).parent), "--out", str(tmp_path / "out"))
    assert {result["metric"] for result in found["results"]} >= {"text-to-image recall@1", "image-to-text recall@10"}


def test_a_network_that_is_no_clip_is_probed(colours, tmp_path):
    (tmp_path / "nets.py").write_text(
        "import torch\ndef means():\n    return torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(2), torch.nn.Flatten())\n"
    )
    net = ("--features", f"{tmp_path / 'nets.py'}:means", "--task", str(colours), "--out", str(tmp_path / "out"))
    found = told(*net, "--probe")
    assert {result["protocol"] for result in found["results"]} == {"probe"}
    code, _, said = run(*net)
    assert code == 2
    assert "add --probe or --few-shot" in said


@pytest.mark.faults
def test_killed_and_started_again_it_finds_the_same(model, colours, tmp_path):
    words = [model, "--task", str(colours), "--task", "digits", "--limit", "80", "--probe", "--out"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def start(out: Path) -> subprocess.Popen:
        command = [sys.executable, "-m", "fullclip", "evaluate", *words, str(out)]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    killed = start(tmp_path / "killed")
    deadline = time.monotonic() + 120
    while not (tmp_path / "killed/results.jsonl").exists():
        assert killed.poll() is None, killed.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    for name in ("killed", "straight"):
        process = start(tmp_path / name)
        _, said = process.communicate(timeout=240)
        assert process.returncode == 0, said
    texts = [(tmp_path / name / "results.jsonl").read_text() for name in ("killed", "straight")]
    assert texts[0] == texts[1]


def test_the_list_says_what_is_here_and_how_the_rest_comes(tmp_path):
    code, out, _ = run("--list", "--data", str(tmp_path))
    assert code == 0
    assert "digits" in out.split("not here")[0]
    assert "brought by `fullclip evaluate --pull NAME`" in out
    assert f"put it at {tmp_path / 'birdsnap'}" in out
    rows = json.loads(run("--list", "--data", str(tmp_path), "--json")[1])
    assert len(rows) == 27 + 7 + 3 + 2
    assert all(row["citation"] and row["licence"] and row["how"] for row in rows)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("MODEL", "--features", "net.onnx"), "or --features net.onnx for a network that is no CLIP"),
        (("MODEL", "--task", "digit"), "did you mean 'digits'?"),
        (("MODEL", "--task", "nowhere/at/all"), "no task or folder 'nowhere/at/all'"),
        (("MODEL", "--task", "cifar10"), "cifar10 is not here: fullclip evaluate --pull cifar10"),
        (("MODEL", "--task", "digits", "--task", "digits"), "two tasks are called 'digits'"),
        (("MODEL", "--task", "digits", "--threshold", "0.9"), "--threshold 0.9 is for --overlap SHARDS, which is not given"),
        (("MODEL", "--task", "digits", "--overlap", "nowhere"), "no .tar files match"),
        (("no-such-model", "--task", "digits"), "no-such-model"),
    ],
)
def test_wrong_use_is_one_line(model, tmp_path, words, said):
    typed = [model if word == "MODEL" else word for word in words]
    code, _, found = run(*typed, "--data", str(tmp_path), "--out", str(tmp_path / "out"))
    assert code == 2
    assert said in found


def test_a_broken_set_does_not_stop_the_others(model, colours, tmp_path):
    shifted = write_task(tmp_path / "shifted", splits=("test",), seed=9)
    (shifted / "task.toml").write_text('reference = "colours"\n[classes]\nred = "crimson"\ngreen = "green"\nblue = "blue"\n')
    words = (model, "--task", str(shifted), "--task", str(colours), "--out", str(tmp_path / "out"), "--json")
    code, out, said = run(*words)
    assert code == 1
    assert "shifted · robustness: shifted: colours has no class 'crimson'" in said
    assert {result["task"] for result in json.loads(out)["results"]} == {"shifted", "colours"}


def test_random_pictures_are_no_better_than_chance(model, tmp_path):
    random = np.random.default_rng(0)
    for word in WORDS:
        (tmp_path / "noise" / word).mkdir(parents=True)
        for i in range(20):
            image = random.integers(0, 256, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(image).save(tmp_path / "noise" / word / f"{i}.png")
    found = told(model, "--task", str(tmp_path / "noise"), "--out", str(tmp_path / "out"))
    low, high = found["results"][0]["interval"]
    assert low <= 1 / 3 <= high
