"""Code written for openai/CLIP runs with `from fullclip.compat import clip`, and gets what the formula says."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

import peers
from fullclip.compat import clip
from fullclip.models.checkpoint import Checkpoint
from fullclip.models.clip import build, initialize
from fullclip.models.config import PRESETS
from fullclip.models.hub import PRETRAINED
from fullclip.models.writing import write_checkpoint
from fullclip.preprocess.image import PreprocessConfig, eval_transform
from fullclip.preprocess.tokenizer import Tokenizer


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny model with the context of openai/CLIP."""
    config = replace(PRESETS["tiny"], text=replace(PRESETS["tiny"].text, context_length=77))
    model = build(config)
    initialize(model, torch.Generator().manual_seed(0))
    state = peers.perturbed(model, seed=1).state_dict()
    path = tmp_path_factory.mktemp("model") / "tiny"
    write_checkpoint(
        Checkpoint(config=config, state=state, preprocess=PreprocessConfig(size=32)), path, tokenizer=Tokenizer.clip()
    )
    return path


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 60, 3)).astype(np.uint8)).save(path)
    return path


def test_the_example_of_openais_readme(folder, photo):
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model, preprocess = clip.load(str(folder), device=device)

    image = preprocess(Image.open(photo)).unsqueeze(0).to(device)
    text = clip.tokenize(["a diagram", "a dog", "a cat"]).to(device)
    with torch.no_grad():
        image_features = model.encode_image(image)
        text_features = model.encode_text(text)
        logits_per_image, logits_per_text = model(image, text)
        probabilities = logits_per_image.softmax(dim=-1).cpu().numpy()

    assert image_features.shape == (1, 32)
    assert text_features.shape == (3, 32)
    assert probabilities.shape == (1, 3)
    assert probabilities.sum() == pytest.approx(1, abs=1e-3)
    assert torch.equal(logits_per_text, logits_per_image.t())


def test_the_zero_shot_example_of_openais_readme(folder, photo):
    """The other usual way: normalise by hand, a scale of 100, the best five."""
    model, preprocess = clip.load(str(folder), device="cpu")
    image_input = preprocess(Image.open(photo)).unsqueeze(0)
    text_inputs = torch.cat([clip.tokenize(f"a photo of a {name}") for name in ("dog", "cat", "bus", "tree", "cup", "shoe")])
    with torch.no_grad():
        image_features = model.encode_image(image_input)
        text_features = model.encode_text(text_inputs)
    image_features /= image_features.norm(dim=-1, keepdim=True)
    text_features /= text_features.norm(dim=-1, keepdim=True)
    values, indices = (100.0 * image_features @ text_features.T).softmax(dim=-1)[0].topk(5)
    assert len(set(indices.tolist())) == 5
    assert (values.diff() <= 0).all()


def test_logits_are_the_formula(folder):
    model, _ = clip.load(str(folder), device="cpu")
    images, tokens = peers.pictures(4, 32), clip.tokenize(["a dog", "two cats", ""])
    with torch.no_grad():
        per_image, per_text = model(images, tokens)
        image, text = model.encode_image(images), model.encode_text(tokens)
    cosines = torch.nn.functional.cosine_similarity(image[:, None], text[None], dim=-1)
    assert torch.allclose(per_image, model.logit_scale.exp() * cosines, atol=1e-4)
    assert torch.equal(per_text, per_image.T)
    assert not torch.allclose(image.norm(dim=-1), torch.ones(4), atol=1e-2)  # features themselves are not normalised


def test_attributes_that_others_read(folder):
    model, preprocess = clip.load(str(folder), device="cpu")
    assert (model.visual.input_resolution, model.context_length, model.vocab_size) == (32, 77, 49408)
    assert model.dtype == torch.float32
    assert not model.training
    assert model.logit_scale.shape == ()
    image = Image.new("RGB", (50, 40), "red")
    assert torch.equal(preprocess(image), eval_transform(PreprocessConfig(size=32))(image))


def test_the_model_can_be_trained(folder):
    model, _ = clip.load(str(folder), device="cpu")
    per_image, per_text = model.train()(peers.pictures(3, 32), clip.tokenize(["a", "b", "c"]))
    pairs = torch.arange(3)
    (torch.nn.functional.cross_entropy(per_image, pairs) + torch.nn.functional.cross_entropy(per_text, pairs)).backward()
    assert all(parameter.grad is not None and parameter.grad.abs().max() > 0 for parameter in model.parameters())


def test_available_models():
    names = ["RN50", "RN101", "RN50x4", "RN50x16", "RN50x64", "ViT-B/32", "ViT-B/16", "ViT-L/14", "ViT-L/14@336px"]
    assert clip.available_models() == names
    assert all(clip._NAMES[name] in PRETRAINED for name in names)


def test_tokenize():
    ids = clip.tokenize(["a dog", "schöne Grüße"])
    assert ids.dtype == torch.int32
    assert ids.tolist() == [peers.openai_ids(text, context_length=77) for text in ("a dog", "schöne Grüße")]
    assert torch.equal(clip.tokenize("a dog"), ids[:1])
    assert torch.equal(clip.tokenize("a dog", context_length=9), ids[:1, :9])


def test_tokenize_too_long():
    text = "dog " * 76
    with pytest.raises(RuntimeError, match="78 tokens, the context holds 77"):
        clip.tokenize(text)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert clip.tokenize(text, truncate=True).tolist() == [peers.openai_ids(text, context_length=77)]


def test_jit_is_refused(folder):
    with pytest.raises(ValueError, match="jit=True would run the code inside"):
        clip.load(str(folder), jit=True)


def test_an_archive_of_openai(tmp_path, monkeypatch):
    """By one of its nine names: `download_root` is where the file lies; a wrong one is told by its hash."""
    (tmp_path / "ViT-B-32.pt").write_bytes(b"something else")
    with pytest.raises(ValueError, match=r"ViT-B-32.pt: its SHA-256 is .*, expected 40d36571"):
        clip.load("ViT-B/32", device="cpu", download_root=str(tmp_path))
