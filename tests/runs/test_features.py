"""Features of pictures computed once: the evaluation's view and random ones, the same bytes each time."""

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from features import MOST_PIXELS, computed, main, views_of
from PIL import Image

import fullclip
import peers
from fullclip.models.checkpoint import Checkpoint
from fullclip.models.clip import build, initialize
from fullclip.models.config import PRESETS, ClipConfig
from fullclip.models.writing import write_checkpoint
from fullclip.preprocess.features import unpack_features
from fullclip.preprocess.image import PreprocessConfig, decode_image, eval_transform
from fullclip.preprocess.tokenizer import Tokenizer
from pairs import encoded, make_pairs, make_shards, read_all
from tiny import NARROW

CONFIG = ClipConfig(embed=24, vision=NARROW, text=PRESETS["tiny"].text)


def smooth(seed: int, side: int) -> Image.Image:
    colours = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(colours).resize((side, side + 9), Image.Resampling.BICUBIC)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    module = build(CONFIG)
    initialize(module, torch.Generator().manual_seed(0))
    state = peers.perturbed(module, seed=1).state_dict()
    checkpoint = Checkpoint(config=CONFIG, state=state, preprocess=PreprocessConfig(size=32, mean=(0.4,) * 3))
    folder = tmp_path_factory.mktemp("model") / "narrow"
    write_checkpoint(checkpoint, folder, tokenizer=Tokenizer.clip(context_length=32))
    return str(folder)


@pytest.fixture(scope="module")
def shards(tmp_path_factory) -> Path:
    """Ten pictures with two captions and metadata, one of which is cut short."""
    folder = tmp_path_factory.mktemp("pairs")
    pairs = [
        replace(pair, image=encoded(smooth(i, 40 + 8 * i)), meta={"wnid": f"n{i}"})
        for i, pair in enumerate(make_pairs(10, captions=2))
    ]
    pairs[4] = replace(pairs[4], image=pairs[4].image[:70])
    make_shards(folder, pairs, pairs_per_shard=4)
    return folder


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # multi-threaded parents and forks
def test_shards_of_pictures_become_shards_of_features(model, shards, tmp_path, capsys):
    main([str(shards), "--model", model, "--views", "3", "--processes", "1", "--out", str(tmp_path / "out")])
    assert capsys.readouterr().out.endswith("out: 9 pairs; left out: 1 unreadable image (00004)\n")
    (shard,) = json.loads((tmp_path / "out/index.json").read_text())["shards"]
    assert shard["num_pairs"] == 9
    everything = [pair for shard in sorted(shards.glob("*.tar")) for pair in read_all([shard])[0]]
    given = [pair for pair in everything if pair.key != "00004"]
    made, drops = read_all([tmp_path / "out/000000.tar"])
    assert not drops.counts
    again, bad = computed((model, 3, 0, everything))  # in this process
    assert [pair.image for pair in again] == [pair.image for pair in made]
    assert bad == ["00004"]
    assert [(pair.key, pair.texts, pair.meta) for pair in made] == [(pair.key, pair.texts, pair.meta) for pair in given]
    encoder = fullclip.load(model)
    expected, _, _ = encoder.readable_image_features([pair.image for pair in given])
    views = np.stack([unpack_features(pair.image, name=pair.key) for pair in made])
    assert views.shape == (9, 3, 40)
    # the forward pass is in bfloat16, whose numbers have 8 bits
    assert np.abs(views[:, 0] - expected).max() < 0.05 * np.abs(expected).max()
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert (np.abs(views[:, one] - views[:, other]).max(axis=1) > 0).all()


def test_a_pair_s_views_depend_on_its_key_and_the_seed_alone(model):
    pairs = [replace(pair, image=encoded(smooth(i, 50))) for i, pair in enumerate(make_pairs(4))]
    together, bad = computed((model, 3, 0, pairs))
    assert not bad
    alone, _ = computed((model, 3, 0, pairs[2:3]))
    np.testing.assert_allclose(
        unpack_features(alone[0].image, name="a"), unpack_features(together[2].image, name="a"), atol=0.05, rtol=0.05
    )
    renamed, _ = computed((model, 3, 0, [replace(pairs[2], key="other")]))
    seeded, _ = computed((model, 3, 1, pairs[2:3]))
    for other in (renamed, seeded):
        ours, theirs = (unpack_features(pair.image, name="a") for pair in (alone[0], other[0]))
        assert np.array_equal(ours[0], theirs[0])
        assert not np.array_equal(ours[1:], theirs[1:])


def test_nothing_readable_is_nothing_made(model):
    broken = [replace(pair, image=pair.image[:60]) for pair in make_pairs(2)]
    assert computed((model, 2, 0, broken)) == ([], ["00000", "00001"])


def test_the_first_view_is_what_evaluation_sees_and_the_others_are_random(model):
    encoder, picture = fullclip.load(model), smooth(0, 200)
    found = views_of(picture, encoder, views=40, random=np.random.default_rng(0))
    again = views_of(picture, encoder, views=40, random=np.random.default_rng(0))
    assert all(torch.equal(one, other) for one, other in zip(found, again, strict=True))
    assert torch.equal(found[0], eval_transform(encoder.preprocess)(picture))
    assert {view.shape for view in found} == {(3, 32, 32)}
    assert len({view.numpy().tobytes() for view in found}) == 40
    assert len(views_of(picture, encoder, views=1, random=np.random.default_rng(0))) == 1


def test_half_of_the_views_have_few_pixels(model, monkeypatch):
    sizes = []
    monkeypatch.setattr("features.train_transform", lambda *_: lambda given, _: sizes.append(min(given.size)) or torch.zeros(1))
    encoder = fullclip.load(model)
    views_of(smooth(0, 200), encoder, views=401, random=np.random.default_rng(0))
    few = [size for size in sizes if size < 200]
    assert 160 <= len(few) <= 240  # binomial: 1 in 10,000 lies outside
    assert 28 <= min(few) <= 30
    assert MOST_PIXELS - 2 <= max(few) <= MOST_PIXELS
    sizes.clear()
    views_of(smooth(0, 20), encoder, views=40, random=np.random.default_rng(0))
    assert set(sizes) == {20}  # so few already


def test_any_kind_of_picture_has_views(model):
    encoder = fullclip.load(model)
    for mode in ("L", "LA", "P", "RGBA", "CMYK"):
        file = io.BytesIO()
        smooth(0, 90).convert(mode if mode != "LA" else "L").convert(mode).save(file, "TIFF")
        found = views_of(decode_image(file.getvalue()), encoder, views=6, random=np.random.default_rng(1))
        assert all(torch.isfinite(view).all() for view in found)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--views", "0"], "features: --views is 0: at least 1, the one that evaluation sees"),
        (["--model", "no-such-model"], "features: no model, file or folder named 'no-such-model'"),
        (["--out", "{}"], "features: {} already holds shards; give another folder, or remove that one first"),
    ],
)
def test_a_wrong_input_is_one_line(model, shards, tmp_path, words, message):
    typed = [word.format(shards) for word in words]
    with pytest.raises(SystemExit) as refused:
        main([str(shards), "--model", model, "--out", str(tmp_path / "out"), *typed])
    assert str(refused.value).startswith(message.format(shards))
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "out").exists()


def test_shards_that_are_not_there_are_one_line(model, tmp_path):
    with pytest.raises(SystemExit, match=r"^features: no \.tar files match"):
        main([str(tmp_path / "no"), "--model", model, "--out", str(tmp_path / "out")])
