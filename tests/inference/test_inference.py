"""Embeddings: the same from every kind of input, in order, of length 1, whatever the batch size; and what is refused."""

import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

import fullclip
import peers
from fullclip.inference import Encoder
from fullclip.models.checkpoint import Checkpoint, CheckpointError, Provenance
from fullclip.models.clip import Clip, build, cast_matrices, initialize
from fullclip.models.config import PRESETS, ClipConfig, ResNetConfig
from fullclip.models.writing import write_checkpoint
from fullclip.preprocess.image import ImageError, PreprocessConfig
from fullclip.preprocess.tokenizer import Tokenizer

TINY = PRESETS["tiny"]
TEXTS = ["a dog", "two cats on a sofa", "", "a red bus", "狗", "a dog"]


def made(config: ClipConfig = TINY) -> Clip:
    model = build(config)
    initialize(model, torch.Generator().manual_seed(0))
    return peers.perturbed(model, seed=1)


def encoder(**options) -> Encoder:
    return Encoder(made().eval(), preprocess=PreprocessConfig(size=32), tokenizer=Tokenizer.clip(context_length=32), **options)


SMALL = encoder(batch_size=3)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Seven pictures of several sizes and kinds."""
    folder, random, paths = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0), []
    for i, (width, height) in enumerate([(40, 30), (30, 40), (32, 32), (100, 20), (8, 8), (33, 70), (64, 64)]):
        pixels = random.integers(0, 255, (height, width, 3)).astype(np.uint8) // (i + 1)
        paths.append(folder / f"{i}.{'png' if i % 2 else 'bmp'}")
        Image.fromarray(pixels).save(paths[-1])
    return paths


def test_every_kind_of_image_gives_the_same(files):
    kinds = {
        "paths": files,
        "strings": [str(path) for path in files],
        "bytes": [path.read_bytes() for path in files],
        "pictures": [Image.open(io.BytesIO(path.read_bytes())) for path in files],
        "arrays": [np.asarray(Image.open(io.BytesIO(path.read_bytes()))) for path in files],
    }
    expected = SMALL.encode_images(files)
    for name, images in kinds.items():
        assert np.array_equal(SMALL.encode_images(images), expected), name
    assert np.array_equal(SMALL.encode_images([images[i] for i, images in enumerate([*kinds.values()])]), expected[:5])


def test_embeddings_are_the_models_normalised_features(files):
    pixels = torch.stack([SMALL.transform(Image.open(io.BytesIO(path.read_bytes()))) for path in files])
    with torch.no_grad():
        features = SMALL.model(pixels, SMALL.tokenizer(["x"] * len(files)))
        texts = SMALL.model(pixels[:1].expand(len(TEXTS), -1, -1, -1), SMALL.tokenizer(TEXTS)).text
    images, found = SMALL.encode_images(files), SMALL.encode_texts(TEXTS)
    assert np.allclose(images, features.image.numpy(), atol=1e-6)
    assert np.allclose(found, texts.numpy(), atol=1e-6)
    for rows, n in ((images, len(files)), (found, len(TEXTS))):
        assert rows.dtype == np.float32
        assert rows.shape == (n, SMALL.embed) == (n, 32)
        assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("batch_size", [1, 2, 5, 100])
def test_order_and_batch_size(files, batch_size):
    other = encoder(batch_size=batch_size)
    expected, texts = SMALL.encode_images(files), SMALL.encode_texts(TEXTS)
    assert np.allclose(other.encode_images(files), expected, atol=1e-6)
    assert np.allclose(other.encode_images(files[::-1]), expected[::-1], atol=1e-6)
    assert np.allclose(other.encode_texts(TEXTS), texts, atol=1e-6)
    distances = np.linalg.norm(expected[:, None] - expected[None], axis=-1)
    assert distances[~np.eye(len(files), dtype=bool)].min() > 1e-3  # or any order would do


def test_equal_texts_are_equal():
    found = SMALL.encode_texts(TEXTS)
    assert np.allclose(found[0], found[-1], atol=1e-6)
    assert np.abs(found[0] - found[1]).max() > 1e-3


def test_a_text_s_embedding_does_not_depend_on_the_others():
    """Of many lengths, some said again: each as if it had been encoded alone, with all of its padding, in float64."""
    exact = Encoder(made().double().eval(), preprocess=PreprocessConfig(size=32), tokenizer=Tokenizer.clip(context_length=32))
    texts = [" ".join(["word", "dog", "a"] * (n % 9))[: 3 * n] for n in range(90)] + TEXTS
    tokens = exact.tokenizer.encode(texts).ids
    with torch.inference_mode():
        alone = torch.cat([exact.model.text._summaries(row[None]) for row in tokens])
        expected = torch.nn.functional.normalize(alone.float(), dim=-1)
    found = exact.encode_texts(texts)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected.numpy(), rtol=0, atol=2e-7)


def test_short_texts_are_not_computed_as_long_ones_nor_twice(monkeypatch):
    """Each batch is cut behind its longest text, whatever the device; a text that is said again is not in any."""
    shapes = []
    original = SMALL.model.encode_text
    monkeypatch.setattr(SMALL.model, "encode_text", lambda tokens: shapes.append(tuple(tokens.shape)) or original(tokens))
    SMALL.encode_texts(["a dog on a red bus", "cat", "dog", "a cat", "cat", "a dog", "dog", "a dog on a red bus"])
    assert shapes == [(3, 4), (2, 8)]  # "cat", "dog" and one of two words; the other and six words, with start and end


def test_a_text_that_is_too_long_is_named_by_its_own_place():
    with pytest.raises(ValueError, match=r"text 3 has 402 tokens"):
        SMALL.encode_texts(["dog", "dog", "dog", "dog " * 400])


def test_nothing_in_nothing_out():
    assert SMALL.encode_images([]).shape == (0, 32)
    assert SMALL.encode_texts([]).shape == (0, 32)
    embeddings, kept, errors = SMALL.encode_readable_images([])
    assert (embeddings.shape, kept, errors) == ((0, 32), [], [])


def test_unreadable_images(files, tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    mixed = [files[0], tmp_path / "broken.jpg", files[1], tmp_path / "missing.jpg", b"", files[2]]
    with pytest.raises(ImageError, match=r"broken\.jpg: not an image"):
        SMALL.encode_images(mixed)
    embeddings, kept, errors = SMALL.encode_readable_images(mixed)
    assert kept == [0, 2, 5]
    assert np.allclose(embeddings, SMALL.encode_images(files[:3]), atol=1e-6)
    assert [str(error).partition(": ")[0] for error in errors] == [str(mixed[1]), str(mixed[3]), "these bytes"]


def test_a_whole_batch_of_unreadable_images(files):
    embeddings, kept, errors = SMALL.encode_readable_images([b"x"] * 4 + files[:2])
    assert (embeddings.shape, kept, len(errors)) == ((2, 32), [4, 5], 4)
    embeddings, kept, errors = SMALL.encode_readable_images([b"x"] * 4)
    assert (embeddings.shape, kept, len(errors)) == ((0, 32), [], 4)


@pytest.mark.parametrize("image", ["photo.jpg", b"bytes", Image.new("RGB", (5, 5))], ids=["path", "bytes", "picture"])
def test_one_image_is_no_list(image):
    with peers.unchecked(), pytest.raises(ValueError, match="takes a list of images"):
        SMALL.encode_images(image)


def test_one_path_is_no_list(tmp_path):
    with peers.unchecked(), pytest.raises(ValueError, match="takes a list of images"):
        SMALL.encode_images(tmp_path)


def test_one_text_is_no_list():
    with pytest.raises(ValueError, match=r"takes a list of texts: \['a dog'\]"):
        SMALL.encode_texts("a dog")


def test_an_array_of_another_kind():
    for array in (np.zeros((5, 5, 3)), np.zeros((5, 5), np.uint8), np.zeros((3, 5, 5), np.uint8)):
        with pytest.raises(ValueError, match=r"an image array is uint8 \[height, width, 3\]"):
            SMALL.encode_images([array])


def test_long_texts():
    long = "dog " * 50
    with pytest.raises(ValueError, match="52 tokens, the context holds 32"):
        SMALL.encode_texts([long])
    assert np.allclose(SMALL.encode_texts([long], truncate=True), SMALL.encode_texts(["dog " * 30]), atol=1e-6)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 0.1), (torch.float16, 0.02)])
def test_half_precision(files, dtype, tolerance):
    half = Encoder(
        cast_matrices(made().eval(), dtype), preprocess=PreprocessConfig(size=32), tokenizer=Tokenizer.clip(context_length=32)
    )
    for found, exact in (
        (half.encode_images(files), SMALL.encode_images(files)),
        (half.encode_texts(TEXTS), SMALL.encode_texts(TEXTS)),
    ):
        assert found.dtype == np.float32
        assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-3)
        assert 0 < np.abs(found - exact).max() < tolerance


def test_a_model_in_training_mode_is_refused():
    """There BatchNorm would make an embedding depend on its neighbours."""
    with pytest.raises(ValueError, match=r"model\.eval"):
        Encoder(made().train(), preprocess=PreprocessConfig(size=32), tokenizer=None)


# load


def written(path, config: ClipConfig = TINY, *, tokenizer: Tokenizer | None = None, **more) -> Checkpoint:
    checkpoint = Checkpoint(
        config=config, state=made(config).state_dict(), preprocess=PreprocessConfig(size=config.vision.image_size), **more
    )
    write_checkpoint(checkpoint, path, tokenizer=tokenizer)
    return checkpoint


def test_load(tmp_path, files):
    provenance = Provenance(source="a test", licence="MIT")
    written(tmp_path / "m", tokenizer=Tokenizer.clip(context_length=32), provenance=provenance)
    for name in (tmp_path / "m", str(tmp_path / "m")):
        loaded = fullclip.load(name, "float32", "cpu")
        assert np.allclose(loaded.encode_images(files), SMALL.encode_images(files), atol=1e-6)
        assert np.allclose(loaded.encode_texts(TEXTS), SMALL.encode_texts(TEXTS), atol=1e-6)
        assert loaded.provenance == provenance


def test_load_in_another_precision(tmp_path):
    written(tmp_path / "m")
    assert fullclip.load(tmp_path / "m", precision="bfloat16", device="cpu").model.text.dtype == torch.bfloat16
    with peers.unchecked(), pytest.raises(ValueError, match="precision 'fp8': float32, bfloat16 or float16"):
        fullclip.load(tmp_path / "m", precision="fp8")


def test_load_what_is_not_there(tmp_path):
    with pytest.raises(CheckpointError, match="nothing: no such file or folder"):
        fullclip.load(tmp_path / "nothing")
    with pytest.raises(CheckpointError, match="no model, file or folder named 'openai/ViT-B-33'"):
        fullclip.load("openai/ViT-B-33")


def other_vocabulary(vocab_size: int) -> ClipConfig:
    return replace(TINY, text=replace(TINY.text, vocab_size=vocab_size, end_id=vocab_size - 1))


def test_a_vocabulary_that_is_unknown(tmp_path, files):
    written(tmp_path / "m", other_vocabulary(1000))
    loaded = fullclip.load(tmp_path / "m", device="cpu")
    assert loaded.encode_images(files).shape == (7, 32)
    with pytest.raises(ValueError, match=r"vocabulary is not CLIP's .* images only"):
        loaded.encode_texts(["a dog"])


def test_a_vocabulary_that_belongs_to_another_model(tmp_path):
    written(tmp_path / "m", other_vocabulary(1000), tokenizer=Tokenizer.clip())
    with pytest.raises(ValueError, match=r"tokenizer.json has 49408 pieces, the model 1000"):
        fullclip.load(tmp_path / "m", device="cpu")


def test_a_vocabulary_of_its_own(tmp_path):
    from tokenizers import Tokenizer as Engine, models

    pieces = ["d", "o", "g</w>", "do", "dog</w>", "<|startoftext|>", "<|endoftext|>"]
    merges = [("d", "o"), ("do", "g</w>")]
    engine = Engine(models.BPE(vocab={piece: i for i, piece in enumerate(pieces)}, merges=merges, end_of_word_suffix="</w>"))
    engine.pre_tokenizer = Tokenizer.clip()._engine.pre_tokenizer
    written(tmp_path / "m", other_vocabulary(7), tokenizer=Tokenizer(engine))
    loaded = fullclip.load(tmp_path / "m", device="cpu")
    assert loaded.tokenizer(["dog"])[0, :4].tolist() == [5, 4, 6, 0]
    assert loaded.encode_texts(["dog"]).shape == (1, 32)


RESNET = replace(TINY, vision=ResNetConfig(image_size=32, blocks=(1, 1, 1, 1), width=8, heads=4))


@pytest.mark.parametrize("config", [TINY, RESNET], ids=["vit", "resnet"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_projected_features_are_the_embeddings(config, dtype):
    model = cast_matrices(made(config).eval(), dtype)
    encoder = Encoder(model, preprocess=PreprocessConfig(size=32), tokenizer=None, batch_size=2)
    images = [np.random.default_rng(seed).integers(0, 256, (40, 50, 3), dtype=np.uint8) for seed in range(4)]
    features, kept, _ = encoder.readable_image_features([*images, b"rubbish"])
    assert kept == [0, 1, 2, 3]
    assert features.shape == (4, model.image_width)
    assert features.dtype == np.float32
    np.testing.assert_allclose(encoder.project(features), encoder.encode_images(images), atol=3e-7)
    assert encoder.readable_image_features([b"rubbish"])[0].shape == (0, model.image_width)


def test_features_do_not_depend_on_how_many_pictures_there_are():
    encoder = Encoder(made(TINY).eval(), preprocess=PreprocessConfig(size=32), tokenizer=None, batch_size=8)
    images = [np.random.default_rng(seed).integers(0, 256, (40, 50, 3), dtype=np.uint8) for seed in range(11)]
    together, kept, _ = encoder.readable_image_features(images)
    assert kept == list(range(11))
    np.testing.assert_array_equal(together[-3:], encoder.readable_image_features(images[-3:])[0])
    np.testing.assert_array_equal(together[:1], encoder.readable_image_features([images[0], b"rubbish"])[0])
