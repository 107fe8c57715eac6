"""A joined model gives of pictures what the model on features gave of their features."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from join import joined, main

import fullclip
import peers
from fullclip.models.checkpoint import Checkpoint, Provenance
from fullclip.models.clip import build, initialize
from fullclip.models.config import PRESETS, ClipConfig, FeaturesConfig, TextConfig, VisionConfig
from fullclip.models.weights import to_module
from fullclip.models.writing import write_checkpoint
from fullclip.preprocess.image import PreprocessConfig
from fullclip.preprocess.tokenizer import Tokenizer
from tiny import NARROW
from vocabularies import write_vocabulary

PIECES = 512 + 30 + 2
TEXT = TextConfig(context_length=12, vocab_size=PIECES, width=32, layers=1, heads=4, mlp_width=64, end_id=PIECES - 1)
OTHER_TEXT = replace(TEXT, width=16, vocab_size=99, end_id=98)


def checkpoint(vision: VisionConfig, *, embed: int, text: TextConfig, seed: int) -> Checkpoint:
    config = ClipConfig(embed=embed, vision=vision, text=text)
    model = build(config)
    initialize(model, torch.Generator().manual_seed(seed))
    preprocess = PreprocessConfig(size=vision.image_size, mean=(0.1 * seed,) * 3)
    state = peers.perturbed(model, seed=seed).state_dict()
    return Checkpoint(config=config, state=state, preprocess=preprocess, provenance=Provenance(source=f"model {seed}"))


TRUNK = checkpoint(NARROW, embed=8, text=OTHER_TEXT, seed=1)
TRAINED = checkpoint(FeaturesConfig(width=40), embed=24, text=TEXT, seed=2)


def test_pictures_are_seen_as_their_features_were():
    model, trunk, trained = to_module(joined(TRUNK, TRAINED)), to_module(TRUNK), to_module(TRAINED)
    pictures, texts = peers.pictures(3, 32), peers.texts(3, context_length=12, vocab_size=PIECES)
    features = trunk.image_features(pictures)
    found, expected = model(pictures, texts), trained(features[:, :, None, None], texts)
    assert torch.equal(model.image_features(pictures), features)
    for side in ("image", "text", "scale"):
        assert torch.equal(getattr(found, side), getattr(expected, side)), side


def test_folders_are_joined_with_the_vocabulary_and_the_preprocessing(tmp_path, capsys):
    own = Tokenizer.from_file(write_vocabulary(tmp_path / "own.json", merges=30), context_length=12)
    write_checkpoint(TRUNK, tmp_path / "trunk", tokenizer=None)
    write_checkpoint(TRAINED, tmp_path / "trained", tokenizer=own)
    main([str(tmp_path / "trunk"), str(tmp_path / "trained"), "--out", str(tmp_path / "joined")])
    assert capsys.readouterr().out == f"{tmp_path / 'joined'}\n"
    encoder = fullclip.load(tmp_path / "joined")
    assert encoder.preprocess == TRUNK.preprocess
    assert encoder.tokenizer.pieces() == own.pieces()
    trained = fullclip.load(tmp_path / "trained")
    picture = np.random.default_rng(0).integers(0, 256, (50, 40, 3), dtype=np.uint8)
    features, _, _ = fullclip.load(tmp_path / "trunk").readable_image_features([picture])
    np.testing.assert_allclose(encoder.encode_images([picture]), trained.project(features), atol=1e-6)
    assert np.array_equal(encoder.encode_texts(["a dog"]), trained.encode_texts(["a dog"]))


@pytest.mark.parametrize(
    ("trunk", "trained", "message"),
    [
        (checkpoint(PRESETS["tiny"].vision, embed=8, text=OTHER_TEXT, seed=3), TRAINED,
         "model 3 has an image tower of the kind vit: give one of efficientnet"),
        (TRAINED, TRAINED, "model 2 has an image tower of the kind features"),
        (TRUNK, TRUNK, "model 1 is not trained on features of 40 numbers"),
        (TRUNK, checkpoint(FeaturesConfig(width=41), embed=24, text=TEXT, seed=4),
         "model 4 is not trained on features of 40 numbers: FeaturesConfig(kind='features', image_size=1, width=41)"),
        (replace(TRUNK, state={k: v for k, v in TRUNK.state.items() if k != "visual.conv1.weight"}), TRAINED,
         "visual.conv1.weight"),
    ],
)  # fmt: skip
def test_what_does_not_belong_together_is_one_line(tmp_path, trunk, trained, message):
    for name, one in (("trunk", trunk), ("trained", trained)):
        write_checkpoint(one, tmp_path / name, tokenizer=None)
    with pytest.raises(SystemExit) as refused:
        main([str(tmp_path / "trunk"), str(tmp_path / "trained"), "--out", str(tmp_path / "joined")])
    assert str(refused.value).startswith("join: ")
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "joined").exists()


def test_a_missing_folder_is_one_line(tmp_path):
    with pytest.raises(SystemExit, match=r"^join: \S+/no: no such file or folder; "):
        main([str(tmp_path / "no"), str(tmp_path / "no"), "--out", str(tmp_path / "joined")])
