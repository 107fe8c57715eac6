"""Every command as a user types it: answers on stdout, one line for an error, exit codes."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from fullclip.cli.app import app
from fullclip.data.drops import Drops
from fullclip.data.shards import find_shards, read_shard
from fullclip.models.checkpoint import Checkpoint
from fullclip.models.clip import build, initialize
from fullclip.models.config import PRESETS
from fullclip.models.writing import write_checkpoint
from fullclip.preprocess.image import PreprocessConfig
from fullclip.preprocess.tokenizer import Tokenizer

HELD_OUT = Path(__file__).parents[2] / "src/fullclip/assets/sample/heldout"


def run(*words: str, stdin: str = "") -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-m", "fullclip", *words], capture_output=True, text=True, input=stdin)


def fast(*words: str, stdin: str = "") -> tuple[int, str, str]:
    """The same without a new process: (exit code, stdout, the error as it would be reported)."""
    result = CliRunner().invoke(app, list(words), input=stdin)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        return (2 if isinstance(result.exception, ValueError) else 1), result.stdout, str(result.exception)
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    return write_model(tmp_path_factory.mktemp("model") / "tiny", seed=0, tokenizer=Tokenizer.clip(context_length=32))


def write_model(folder: Path, *, seed: int, tokenizer: Tokenizer | None) -> str:
    module = build(PRESETS["tiny"])
    initialize(module, torch.Generator().manual_seed(seed))
    checkpoint = Checkpoint(config=PRESETS["tiny"], state=module.state_dict(), preprocess=PreprocessConfig(size=32))
    write_checkpoint(checkpoint, folder, tokenizer=tokenizer)
    return str(folder)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    pairs = list(read_shard(find_shards([str(HELD_OUT)])[0], Drops()))[:4]
    for i, pair in enumerate(pairs):
        (folder / f"{i}.webp").write_bytes(pair.image)
    return folder


def test_help_answers_at_once():
    """The bar is 0.3 s on a free machine; here only that nothing heavy is imported, which is what would break it."""
    code = "import sys; from fullclip.cli.app import app; print([m for m in ('torch', 'numpy', 'PIL') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


@pytest.mark.parametrize(
    "command",
    ["", "classify", "train", "demo", "data shard", "data inspect", "data verify", "models convert", "models interpolate"],
)
def test_every_command_explains_itself(command):
    code, out, _ = fast(*command.split(), "--help")
    assert code == 0
    assert "Usage:" in out


def test_classify_as_json(model, pictures):
    code, out, _ = fast("classify", str(pictures), "--model", model, "--labels", "a dog, a flag", "--json")
    answers = json.loads(out)["answers"]
    assert code == 0
    assert [Path(answer["image"]).name for answer in answers] == ["0.webp", "1.webp", "2.webp", "3.webp"]
    for answer in answers:
        assert sum(label["probability"] for label in answer["labels"]) == pytest.approx(1, abs=1e-5)
        assert answer["labels"][0]["probability"] >= answer["labels"][1]["probability"]


def test_classify_as_a_table(model, pictures):
    code, out, _ = fast("classify", str(pictures / "0.webp"), "--model", model, "--labels", "a dog,a flag", "--top", "1")
    assert code == 0
    assert re.search(r"a (dog|flag)\s+\d+\.\d%", out)


def test_classify_reads_labels_from_a_file_and_images_from_stdin(model, pictures, tmp_path):
    (tmp_path / "labels.txt").write_text("a dog\n\n  a flag \n")
    names = "\n".join(str(path) for path in sorted(pictures.iterdir()))
    code, out, _ = fast("classify", "-", "--model", model, "--labels-file", str(tmp_path / "labels.txt"), "--json", stdin=names)
    assert code == 0
    assert {label["label"] for label in json.loads(out)["answers"][0]["labels"]} == {"a dog", "a flag"}


def test_an_unreadable_image_among_many_is_skipped_and_counted(model, pictures, tmp_path):
    (tmp_path / "bad.jpg").write_text("no picture")
    images = [str(pictures / "0.webp"), str(tmp_path / "bad.jpg"), str(tmp_path / "missing.png"), str(pictures / "1.webp")]
    result = run("classify", *images, "--model", model, "--labels", "a,b", "--json")
    found = json.loads(result.stdout)
    assert result.returncode == 0
    assert [Path(answer["image"]).name for answer in found["answers"]] == ["0.webp", "1.webp"]
    assert len(found["skipped"]) == 2
    assert "bad.jpg" in result.stderr
    assert "missing.png" in result.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--labels", ""], "give the classes"),
        (["--labels", "a,,b"], "is empty"),
        (["--labels", "a,b,a"], "given twice"),
        (["--labels", "a", "--template", "a photo"], "has no {}"),
        (["--labels", "a", "--templates", "fotos"], "did you mean 'photo'"),
    ],
)
def test_wrong_use_of_classify_is_one_line_that_says_what_to_type(model, pictures, words, message):
    code, _, said = fast("classify", str(pictures), "--model", model, *words)
    assert code == 2
    assert message in said


def test_an_error_is_one_line_without_a_traceback(pictures):
    result = run("classify", str(pictures), "--model", "openai/ViT-B-23", "--labels", "a")
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert "did you mean 'openai/ViT-B-" in result.stderr


def test_an_error_does_not_steer_the_terminal(tmp_path):
    result = run("classify", str(tmp_path / "red\x1b[31m"), "--labels", "a")
    assert (result.returncode, "\x1b" in result.stderr) == (2, False)
    assert "red\\x1b[31m" in result.stderr


def test_debug_shows_the_traceback(pictures):
    result = run("--debug", "classify", str(pictures), "--model", "nothing", "--labels", "a")
    assert result.returncode != 0
    assert "Traceback" in result.stderr


def test_nothing_to_classify(model, tmp_path):
    code, _, said = fast("classify", str(tmp_path), "--model", model, "--labels", "a")
    assert (code, "no images" in said) == (2, True)


@pytest.fixture(scope="module")
def shards(tmp_path_factory, pictures) -> Path:
    lines = [json.dumps({"image": str(path), "caption": f"picture {path.stem}"}) for path in sorted(pictures.iterdir())]
    table = tmp_path_factory.mktemp("table") / "pairs.jsonl"
    table.write_text("\n".join([*lines, "{broken"]))
    out = table.parent / "shards"
    code, said, _ = fast("data", "shard", str(table), "--out", str(out), "--pairs-per-shard", "3", "--json")
    assert code == 0
    assert json.loads(said)["dropped"]["broken row"]["count"] == 1
    return out


def test_shards_are_inspected_and_verified(shards, tmp_path):
    code, out, _ = fast("data", "inspect", str(shards), "--grid", str(tmp_path / "grid.png"), "--json")
    assert code == 0
    assert json.loads(out)["num_pairs"] == 4
    assert (tmp_path / "grid.png").stat().st_size > 1000
    code, out, _ = fast("data", "verify", str(shards), "--json")
    assert code == 0
    assert json.loads(out)["problems"] == []


def test_a_torn_shard_fails_verification(shards, tmp_path):
    import shutil

    shutil.copytree(shards, tmp_path / "torn")
    first = tmp_path / "torn/000000.tar"
    first.write_bytes(first.read_bytes()[:2000])
    code, out, _ = fast("data", "verify", str(tmp_path / "torn"), "--json")
    assert code == 1
    assert any("000000.tar" in problem for problem in json.loads(out)["problems"])


def test_models_are_listed_with_licences():
    _, out, _ = fast("models", "list", "--json")
    found = json.loads(out)
    assert {f"openai/{name}" for name in ("RN50", "RN101", "RN50x4", "RN50x16", "RN50x64")} <= found.keys()
    assert all(known["licence"] for known in found.values())


@pytest.mark.parametrize("form", ["fullclip", "openclip", "hf"])
def test_models_are_converted_there_and_back(model, tmp_path, form):
    assert fast("models", "convert", model, "--out", str(tmp_path / "there"), "--format", form)[0] == 0
    assert fast("models", "convert", str(tmp_path / "there"), "--out", str(tmp_path / "back"))[0] == 0
    before, after = (Path(folder) / "model.safetensors" for folder in (model, tmp_path / "back"))

    left, right = load_file(before), load_file(after)
    assert left.keys() == right.keys()
    assert all(torch.equal(left[name], right[name]) for name in left)


def test_a_model_is_not_written_over(model, tmp_path):
    code, _, said = fast("models", "convert", model, "--out", str(tmp_path))
    assert (code, "there already" in said) == (2, True)


def test_models_are_interpolated(model, tmp_path):
    other = write_model(tmp_path / "other", seed=1, tokenizer=None)  # CLIP's own vocabulary, as the first
    code, out, _ = fast("models", "interpolate", model, other, "--alpha", "0.3", "--out", str(tmp_path / "mixed"), "--json")
    assert code == 0
    assert json.loads(out)["note"] == f"0.7 x {model} + 0.3 x {other}"
    left, right, mixed = (load_file(Path(folder) / "model.safetensors") for folder in (model, other, tmp_path / "mixed"))
    assert all(torch.equal(mixed[name], 0.7 * left[name] + 0.3 * right[name]) for name in left)
    assert (tmp_path / "mixed/tokenizer.json").read_bytes() == (Path(model) / "tokenizer.json").read_bytes()
    code, _, said = fast("models", "interpolate", model, other, "--out", str(tmp_path / "mixed"))
    assert (code, "there already" in said) == (2, True)
    code, _, said = fast("models", "interpolate", model, other, "--alpha", "2", "--out", str(tmp_path / "none"))
    assert (code, "alpha is 2.0" in said) == (2, True)


def test_models_of_other_words_are_not_interpolated(model, tmp_path):
    vocabulary = json.loads((Path(model) / "tokenizer.json").read_text())
    pieces = vocabulary["model"]["vocab"]
    pieces["dog</w>"], pieces["cat</w>"] = pieces["cat</w>"], pieces["dog</w>"]
    (tmp_path / "tokenizer.json").write_text(json.dumps(vocabulary))
    changed = Tokenizer.from_file(tmp_path / "tokenizer.json", context_length=32)
    other = write_model(tmp_path / "other", seed=1, tokenizer=changed)
    code, _, said = fast("models", "interpolate", model, other, "--out", str(tmp_path / "mixed"))
    assert (code, "different vocabularies" in said) == (2, True)
    assert not (tmp_path / "mixed").exists()


def test_train_shows_its_settings():
    code, out, _ = fast("train", "vit_b_32", "--out", "nowhere", "--set", "train.batch_size=64", "--show")
    assert code == 0
    assert json.loads(out)["train"]["batch_size"] == 64
    assert not Path("nowhere").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["vit_b_23"], "did you mean 'vit_b_32'"),
        (["demo", "--set", "train.step=3"], "did you mean 'steps'"),
        (["demo", "--set", "train.steps"], "name=value"),
        (["vit_b_32"], "--set data.shards="),
    ],
)
def test_wrong_use_of_train(tmp_path, words, message):
    code, _, said = fast("train", *words, "--out", str(tmp_path / "run"))
    assert code == 2
    assert message in said


@pytest.mark.whole
def test_the_demo_trains_answers_and_reports(tmp_path):
    """The whole way, with a few seconds in place of three minutes."""
    started = time.monotonic()
    code, out, _ = fast("demo", "--out", str(tmp_path / "demo"), "--minutes", "0.1", "--labels", "a dog,a flag", "--json")
    assert code == 0
    found = json.loads(out)
    assert [result["metric"] for result in found["results"]][:2] == ["recall@1 among 100", "recall@5 among 100"]
    assert Path(found["report"]).exists()
    assert time.monotonic() - started < 120
    code, again, _ = fast("demo", "--out", str(tmp_path / "demo"), "--labels", "a cat", "--json")
    assert (code, json.loads(again)["results"]) == (0, found["results"])
