"""The same random weights in transformers and in openai/CLIP's own classes: features, gradients and logits agree."""

import pytest
import torch
import torch.nn.functional as F

import peers
from fullclip.compat import clip as compat
from fullclip.models.checkpoint import Checkpoint
from fullclip.models.clip import Clip, build
from fullclip.models.hugging_face import config_from_hugging_face, layers_of
from fullclip.models.keymaps import from_hugging_face, from_openai
from fullclip.models.openai import config_of
from fullclip.models.weights import to_module
from fullclip.preprocess.image import PreprocessConfig

pytestmark = pytest.mark.parity

TOLERANCE, GRADIENT_TOLERANCE = 1e-5, 1e-4


def ours_from(config, state) -> Clip:
    return to_module(Checkpoint(config=config, state=state, preprocess=PreprocessConfig(size=config.vision.image_size)))


def scalar(image: torch.Tensor, text: torch.Tensor, logit_scale: torch.Tensor) -> torch.Tensor:
    """The contrastive loss: every weight, the temperature too, has a gradient in it."""
    logits = logit_scale.exp() * F.normalize(image, dim=-1) @ F.normalize(text, dim=-1).T
    pairs = torch.arange(len(image))
    return F.cross_entropy(logits, pairs) + F.cross_entropy(logits.T, pairs)


def assert_same_gradients(ours: Clip, expected: dict[str, torch.Tensor]) -> None:
    found = {name: parameter.grad for name, parameter in ours.named_parameters()}
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        # A key's bias moves all logits of a query alike, so that its true gradient is zero, and only noise is there.
        noise = 1e-6 * max(other.abs().max() for other in expected.values())
        assert torch.allclose(found[name], gradient, rtol=0, atol=float(GRADIENT_TOLERANCE * gradient.abs().max() + noise)), (
            name
        )


@pytest.fixture(scope="module", params=["quick_gelu", "gelu"])
def transformers_model(request):
    transformers = pytest.importorskip("transformers")
    shared = {"num_attention_heads": 4, "num_hidden_layers": 3, "hidden_act": request.param, "attention_dropout": 0.0}
    config = transformers.CLIPConfig(
        text_config=shared
        | {"hidden_size": 64, "intermediate_size": 200, "max_position_embeddings": 16, "vocab_size": 99}
        | {"bos_token_id": 97, "eos_token_id": 98, "pad_token_id": 98},
        vision_config=shared | {"hidden_size": 96, "intermediate_size": 300, "image_size": 32, "patch_size": 8},
        projection_dim=48,
    )
    return peers.perturbed(transformers.CLIPModel(config), seed=1)


def features_of_transformers(model, images, tokens):
    found = model.get_image_features(pixel_values=images), model.get_text_features(input_ids=tokens)
    return [getattr(features, "pooler_output", features) for features in found]  # a plain tensor before version 5


def test_transformers(transformers_model):
    theirs = transformers_model
    config = config_from_hugging_face(theirs.config.to_dict())
    ours = ours_from(config, from_hugging_face(theirs.state_dict(), layers_of(config)))
    images, tokens = peers.pictures(5, 32), peers.texts(5, context_length=16, vocab_size=99)
    expected = features_of_transformers(theirs, images, tokens)
    found = ours.encode_image(images), ours.encode_text(tokens)
    for one, other in zip(found, expected, strict=True):
        assert torch.allclose(one, other, atol=TOLERANCE, rtol=TOLERANCE)

    theirs.zero_grad()
    scalar(*expected, theirs.logit_scale).backward()
    scalar(*found, ours.logit_scale).backward()
    gradients = {name: parameter.grad for name, parameter in theirs.named_parameters()}
    assert_same_gradients(ours, from_hugging_face(gradients, layers_of(config)))


def test_transformers_pads_with_the_end(transformers_model):
    """Their tokenizer fills a row with the end's id; it is the first one that counts."""
    config = config_from_hugging_face(transformers_model.config.to_dict())
    ours = ours_from(config, from_hugging_face(transformers_model.state_dict(), layers_of(config)))
    tokens = peers.texts(5, context_length=16, vocab_size=99)
    padded = torch.where(tokens == 0, 98, tokens)
    _, expected = features_of_transformers(transformers_model, peers.pictures(1, 32), padded)
    assert torch.allclose(ours.encode_text(padded), expected, atol=TOLERANCE, rtol=TOLERANCE)
    assert torch.allclose(ours.encode_text(tokens), expected, atol=TOLERANCE, rtol=TOLERANCE)


@pytest.mark.parametrize("kind", ["vit", "resnet"])
@pytest.mark.parametrize("training", [False, True])
def test_openai(kind, training):
    theirs = peers.openai_model(kind).train(training)
    state = {name: tensor.clone() for name, tensor in from_openai(theirs.state_dict()).items()}
    config = config_of(state, activation="quick_gelu")
    ours = ours_from(config, state).train(training)
    images, tokens = peers.pictures(5, config.vision.image_size), peers.texts(5, context_length=16, vocab_size=99)
    expected = theirs.encode_image(images), theirs.encode_text(tokens)
    found = ours.encode_image(images), ours.encode_text(tokens)
    for one, other in zip(found, expected, strict=True):
        assert torch.allclose(one, other, atol=TOLERANCE, rtol=TOLERANCE)

    scalar(*expected, theirs.logit_scale).backward()
    scalar(*found, ours.logit_scale).backward()
    assert_same_gradients(ours, from_openai({name: parameter.grad for name, parameter in theirs.named_parameters()}))
    for name, buffer in ours.named_buffers():
        assert torch.allclose(buffer.float(), dict(theirs.named_buffers())[name].float(), atol=1e-5), name


@pytest.mark.parametrize("kind", ["vit", "resnet"])
def test_logits_of_the_compatible_class(kind):
    theirs = peers.openai_model(kind)
    state = from_openai(theirs.state_dict())
    config = config_of(state, activation="quick_gelu")
    ours = compat.CLIP(ours_from(config, state), input_resolution=config.vision.image_size)
    images, tokens = peers.pictures(4, config.vision.image_size), peers.texts(3, context_length=16, vocab_size=99)
    for one, other in zip(ours(images, tokens), theirs(images, tokens), strict=True):
        assert torch.allclose(one, other, atol=1e-4, rtol=1e-5)
    assert (ours.context_length, ours.vocab_size) == (theirs.context_length, theirs.vocab_size)
    assert ours.visual.input_resolution == theirs.visual.input_resolution


@pytest.mark.parametrize("kind", ["vit", "resnet"])
def test_half_precision_is_openais_convert_weights(kind):
    """Which weights become half, and the features that come of it."""
    from fullclip.models.clip import cast_matrices

    theirs = peers.openai_model(kind)
    state = from_openai({name: tensor.clone() for name, tensor in theirs.state_dict().items()})
    config = config_of(state, activation="quick_gelu")
    ours = cast_matrices(ours_from(config, state), torch.float16)
    peers.openai_module("model").convert_weights(theirs)
    expected = from_openai(theirs.state_dict())
    assert {name: tensor.dtype for name, tensor in ours.state_dict().items()} == {
        name: tensor.dtype for name, tensor in expected.items()
    }
    images = peers.pictures(4, config.vision.image_size)
    assert F.cosine_similarity(ours.encode_image(images).float(), theirs.encode_image(images).float()).min() > 0.9999


def test_initialisation_covers_openais_weights():
    """The names of a fresh model of ours are exactly those of theirs."""
    for kind in peers.OPENAI_SHAPES:
        theirs = from_openai(peers.openai_model(kind).state_dict())
        with torch.device("meta"):
            ours = build(config_of(theirs, activation="quick_gelu")).state_dict()
        assert {name: tensor.shape for name, tensor in ours.items()} == {name: tensor.shape for name, tensor in theirs.items()}
