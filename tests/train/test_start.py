"""Runs on features, with a vocabulary of their own, and with a text tower that another model taught."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import fullclip
import peers
from fullclip.cli.app import app
from fullclip.core.config import from_dict, override
from fullclip.core.distributed import World
from fullclip.models.checkpoint import Checkpoint
from fullclip.models.clip import build, initialize
from fullclip.models.config import PRESETS, FeaturesConfig
from fullclip.models.writing import write_checkpoint
from fullclip.preprocess.features import pack_features
from fullclip.preprocess.image import PreprocessConfig
from fullclip.preprocess.tokenizer import Tokenizer
from fullclip.train.config import Run
from fullclip.train.loop import train
from fullclip.train.recipes import RECIPES
from fullclip.train.start import begin, check, started_from
from pairs import make_pairs, make_shards
from tiny import tiny_run
from training import CPU, curve, same_weights, weights
from vocabularies import write_vocabulary

ALONE = World.single()
WIDTH, MERGES = 12, 150
PIECES = 512 + MERGES + 2


@pytest.fixture(scope="module")
def shards(tmp_path_factory) -> str:
    """Forty pairs of two views each."""
    folder = tmp_path_factory.mktemp("features")
    random = np.random.default_rng(0)
    pairs = [replace(p, image=pack_features(random.normal(size=(2, WIDTH)).astype(np.float32))) for p in make_pairs(40)]
    make_shards(folder, pairs)
    return str(folder)


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory) -> Path:
    return write_vocabulary(tmp_path_factory.mktemp("vocabulary") / "own.json", merges=MERGES)


def on_features(shards: str, vocabulary: Path, *settings: str) -> Run:
    """A tiny run in the manner of `small_words`."""
    run = tiny_run(f"data.shards={shards}", "preprocess.size=1")
    run = replace(run, model=replace(run.model, vision=FeaturesConfig(width=WIDTH)))
    sizes = (f"model.text.vocab_size={PIECES}", f"model.text.end_id={PIECES - 1}")
    return override(run, [f"data.tokenizer={vocabulary}", *sizes, *settings])


@pytest.fixture(scope="module")
def words(shards, vocabulary, tmp_path_factory) -> Path:
    """A finished run on features with its own vocabulary; no test changes it."""
    out = tmp_path_factory.mktemp("runs") / "words"
    train(on_features(shards, vocabulary), out, resume=False, world=ALONE, device=CPU)
    return out


def test_the_vocabulary_goes_with_the_model(words, vocabulary):
    own = Tokenizer.from_file(vocabulary, context_length=32)
    encoder = fullclip.load(words / "model", precision="float32")
    assert encoder.tokenizer is not None
    assert encoder.tokenizer.pieces() == own.pieces()
    texts = ["a photo of a dog", "picture b caption a"]
    with torch.no_grad():
        expected = torch.nn.functional.normalize(encoder.model.encode_text(own(texts)), dim=-1)
    np.testing.assert_allclose(encoder.encode_texts(texts), expected, atol=1e-6)
    assert weights(words)["text.token_embedding.weight"].shape == (PIECES, 64)
    assert weights(words)["visual.proj"].shape == (WIDTH, 32)


def test_a_run_on_features_learns(words):
    losses = [loss for _, loss in curve(words)]
    assert len(losses) == 8
    assert losses[-1] < losses[0]


def test_it_goes_on_to_the_bit(shards, vocabulary, words, tmp_path):
    out = tmp_path / "run"
    shutil.copytree(words, out)
    shutil.rmtree(out / "model")
    shutil.rmtree(out / "checkpoints/00000008")
    train(on_features(shards, vocabulary), out, resume=True, world=ALONE, device=CPU)
    assert curve(out) == curve(words)
    assert same_weights(out, words)


def test_a_text_tower_is_taken_over_beside_a_new_image_tower(words):
    run = started_from(tiny_run(f"train.init_text={words / 'model'}", "train.seed=3"))
    assert (run.model.text.vocab_size, run.model.embed) == (PIECES, 32)
    assert run.model.vision == PRESETS["tiny"].vision
    beginning, theirs = begin(run), weights(words)
    ours, fresh = beginning.model.state_dict(), build(run.model)
    initialize(fresh, torch.Generator().manual_seed(3))
    for name, tensor in fresh.state_dict().items():
        assert torch.equal(ours[name], theirs[name] if name.startswith("text.") else tensor), name
    assert beginning.tokenizer.pieces() == fullclip.load(words / "model").tokenizer.pieces()


def test_a_run_goes_on_from_a_text_tower(words, tmp_path):
    run = started_from(tiny_run(f"train.init_text={words / 'model'}", "train.steps=4"))
    train(run, tmp_path / "straight", resume=False, world=ALONE, device=CPU)
    shutil.copytree(tmp_path / "straight", tmp_path / "run")
    shutil.rmtree(tmp_path / "run/model")
    shutil.rmtree(tmp_path / "run/checkpoints/00000004")
    train(run, tmp_path / "run", resume=True, world=ALONE, device=CPU)
    assert same_weights(tmp_path / "run", tmp_path / "straight")
    encoder = fullclip.load(tmp_path / "run/model")
    assert encoder.tokenizer.vocab_size == PIECES
    assert not torch.equal(weights(tmp_path / "run")["text.text_projection"], weights(words)["text.text_projection"])


def test_a_text_tower_that_is_taken_over_may_be_locked(words, tmp_path):
    run = started_from(tiny_run(f"train.init_text={words / 'model'}", "optim.lock=text", "train.steps=2"))
    train(run, tmp_path, resume=False, world=ALONE, device=CPU)
    before, after = weights(words), weights(tmp_path)
    assert all(torch.equal(after[name], before[name]) for name in before if name.startswith("text."))
    with pytest.raises(ValueError, match=r"optim\.lock=image would keep a tower of random weights: add --init MODEL"):
        check(override(run, ["optim.lock=image"]), ALONE)
    with pytest.raises(ValueError, match=r"optim\.lock_stages=1 would keep stages of random weights: add --init MODEL"):
        check(override(run, ["optim.lock_stages=1"]), ALONE)


def test_a_model_with_its_own_vocabulary_is_trained_further(shards, words, tmp_path):
    run = started_from(tiny_run(f"train.init={words / 'model'}", f"data.shards={shards}", "train.steps=2"))
    beginning = begin(run)
    assert beginning.tokenizer.vocab_size == PIECES
    assert all(torch.equal(tensor, weights(words)[name]) for name, tensor in beginning.model.state_dict().items())
    train(run, tmp_path, resume=False, world=ALONE, device=CPU)
    assert not same_weights(tmp_path, words)


def refused(run: Run, out: Path, message: str) -> None:
    """In one line, and before anything is written."""
    with pytest.raises((ValueError, OSError), match=message) as error:
        train(run, out, resume=False, world=ALONE, device=CPU)
    assert "\n" not in str(error.value)
    assert not (out / "checkpoints").exists()


def test_a_vocabulary_of_another_size_is_refused(shards, vocabulary, tmp_path):
    run = on_features(shards, vocabulary, "model.text.vocab_size=700", "model.text.end_id=699")
    sizes = f"--set model.text.vocab_size={PIECES} --set model.text.end_id={PIECES - 1}"
    refused(run, tmp_path, f"the tokenizer has {PIECES} pieces, .* --set data.tokenizer=FILE, or add {sizes}$")
    end = f"its end is {PIECES - 1}; model.text has {PIECES} and 7:"
    refused(on_features(shards, vocabulary, "model.text.end_id=7"), tmp_path, end)
    forgotten = on_features(shards, vocabulary, "data.tokenizer=")
    refused(forgotten, tmp_path, f"the tokenizer has 49408 pieces, its end is 49407; model.text has {PIECES} and")


def test_a_vocabulary_that_is_none_is_refused(shards, vocabulary, tmp_path):
    (tmp_path / "a.json").write_text("{}")
    refused(on_features(shards, vocabulary, f"data.tokenizer={tmp_path}/a.json"), tmp_path, r"a\.json: not a tokenizer\.json")
    refused(on_features(shards, vocabulary, f"data.tokenizer={tmp_path}/b.json"), tmp_path, r"No such file")


@pytest.mark.parametrize("begins", ["init", "init_text"])
def test_a_vocabulary_beside_a_model_s_own_is_refused(vocabulary, words, tmp_path, begins):
    run = started_from(tiny_run(f"train.{begins}={words / 'model'}", f"data.tokenizer={vocabulary}"))
    refused(run, tmp_path, r"data\.tokenizer=\S+: \S+ has a vocabulary of its own; leave it out")


def test_two_models_to_begin_with_are_refused(words):
    with pytest.raises(ValueError, match=r"train\.init and train\.init_text: a model has a text tower already"):
        tiny_run(f"train.init={words / 'model'}", f"train.init_text={words / 'model'}")


@pytest.mark.parametrize("setting", ["model.text.layers=1", "model.embed=16"])
def test_a_text_tower_of_another_shape_is_refused(words, tmp_path, setting):
    run = override(started_from(tiny_run(f"train.init_text={words / 'model'}")), [setting])
    refused(run, tmp_path, "has other shapes than model.text: leave model.text and model.embed as they are there")


def test_a_text_tower_without_its_vocabulary_is_refused(words, tmp_path):
    model = build(replace(PRESETS["tiny"], text=replace(PRESETS["tiny"].text, vocab_size=99, end_id=98)))
    initialize(model, torch.Generator().manual_seed(0))
    config = replace(PRESETS["tiny"], text=replace(PRESETS["tiny"].text, vocab_size=99, end_id=98))
    checkpoint = Checkpoint(config=config, state=model.state_dict(), preprocess=PreprocessConfig(size=32))
    write_checkpoint(checkpoint, tmp_path / "mute", tokenizer=None)
    for begins in ("init", "init_text"):
        run = started_from(tiny_run(f"train.{begins}={tmp_path / 'mute'}"))
        refused(run, tmp_path / "run", "mute comes without its tokenizer: training needs one")


def test_features_and_pictures_in_each_other_s_place_are_refused(shards, vocabulary, tmp_path):
    pictures = override(on_features(shards, vocabulary), [f"data.shards={tiny_run().data.shards[0]}"])
    narrow = {"image_size": 32, "stem": 4, "blocks": [1], "channels": [4], "kernels": [3], "strides": [1], "expansions": [1]}
    efficientnet = json.dumps({"kind": "efficientnet", **narrow, "width": 8})
    resnet = json.dumps({"kind": "resnet", "image_size": 32, "blocks": [1, 1, 1, 1], "width": 8, "heads": 2})
    with peers.unchecked():
        refused(pictures, tmp_path / "a", rf"images of \[3, 1, 1\]: this model takes features of {WIDTH} numbers")
        for number, vision in enumerate(("", efficientnet, resnet)):
            run = tiny_run(f"data.shards={shards}", *([f"model.vision={vision}"] if vision else []))
            refused(run, tmp_path / str(number), f"images of {WIDTH} channels: this model looks at pictures, not at features")


def shown(*words: str) -> Run:
    result = CliRunner().invoke(app, ["train", *words, "--show"])
    assert result.exit_code == 0, result.output
    return from_dict(Run, json.loads(result.stdout))


@pytest.mark.parametrize("name", ["small_words", "small"])
def test_the_steps_towards_the_bundled_model_are_shown(name):
    run = shown(name)
    assert run == RECIPES[name]()
    assert run.model.vision.kind == "features"
    assert (run.model.text.vocab_size, run.model.text.end_id) == (12_000, 11_999)


def test_what_is_shown_has_the_text_tower_that_is_taken_over(words):
    run = shown("small", "--set", f"train.init_text={words / 'model'}", "--set", "train.batch_size=64")
    assert run.model.text == read_text(words)
    assert (run.model.embed, run.train.batch_size) == (32, 64)
    assert run.model.vision == RECIPES["small"]().model.vision
    own = ("--set", "model.text.context_length=9")
    assert shown("small", "--set", f"train.init_text={words / 'model'}", *own).model.text.context_length == 9


def read_text(words: Path):
    return from_dict(Run, json.loads((words / "run.json").read_text())).model.text


def test_pictures_cannot_be_asked_of_a_run_on_features(shards, tmp_path):
    held_out = ["--held-out", tiny_run().data.shards[0], "--set", f"data.shards={shards}"]
    result = CliRunner().invoke(app, ["train", "small_words", "--out", str(tmp_path / "run"), *held_out])
    assert isinstance(result.exception, ValueError)
    assert "a model on features cannot look at pictures: leave --task, --held-out and --classes out" in str(result.exception)
    assert not (tmp_path / "run").exists()
