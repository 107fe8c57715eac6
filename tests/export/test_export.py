"""Exported folders: the model's own embeddings from ONNX Runtime and OpenVINO, and what is refused."""

import json
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch

import fullclip
import peers
import tiny
from fullclip.evaluation.features.backbone import ClipBackbone
from fullclip.export.agreement import agreement
from fullclip.export.quantize import _kept
from fullclip.export.write import export_model
from fullclip.inference import Encoder
from fullclip.models.checkpoint import CheckpointError
from fullclip.models.clip import build, cast_matrices, initialize
from fullclip.models.config import PRESETS, FeaturesConfig, ResNetConfig
from fullclip.preprocess.image import PreprocessConfig
from fullclip.preprocess.tokenizer import Tokenizer

pytest.importorskip("onnxscript", reason="fullclip[export] is not installed")
pytest.importorskip("openvino", reason="fullclip[export] is not installed")

TINY = PRESETS["tiny"]
TOWERS = {
    "vit": TINY,
    "resnet": replace(TINY, vision=ResNetConfig(image_size=32, blocks=(1, 1, 1, 1), width=8, heads=4)),
    "efficientnet": replace(TINY, vision=tiny.NARROW),
}
TEXTS = ["a dog", "", "two cats on a sofa beside a window with flowers", "狗", "a dog", "word " * 29]


def made(tower: str) -> Encoder:
    model = build(TOWERS[tower])
    initialize(model, torch.Generator().manual_seed(0))
    model = peers.perturbed(model, seed=1).eval()
    tokenizer = Tokenizer.clip(context_length=TINY.text.context_length)
    return Encoder(model, preprocess=PreprocessConfig(size=32), tokenizer=tokenizer, batch_size=4)


def pictures(number: int) -> list[np.ndarray]:
    random = np.random.default_rng(number)
    return [random.integers(0, 256, (*random.integers(20, 90, 2), 3), dtype=np.uint8) for _ in range(number)]


CASES = [("vit", "onnx"), ("resnet", "onnx"), ("efficientnet", "onnx"), ("vit", "openvino")]


@pytest.fixture(scope="module", params=CASES, ids="-".join)
def pair(request, tmp_path_factory):
    """A model, and the folder that it was exported to."""
    tower, form = request.param
    encoder, folder = made(tower), tmp_path_factory.mktemp("exports") / "export"
    found = export_model(encoder, folder, form=form)
    assert found.num_pairs == 300
    assert found.top1 == 1.0
    assert min(found.image_cosine, found.text_cosine) > 0.999999
    assert found.recall_before == found.recall_after
    return encoder, folder


def test_every_batch_and_every_length_of_text_gives_the_model_s_own_embeddings(pair):
    encoder, folder = pair
    exported = fullclip.load(folder, "float32", "cpu")
    for number in (1, 2, 7):
        np.testing.assert_allclose(exported.encode_images(pictures(number)), encoder.encode_images(pictures(number)), atol=2e-6)
    np.testing.assert_allclose(exported.encode_texts(TEXTS), encoder.encode_texts(TEXTS), atol=2e-6)
    assert exported.encode_images([]).shape == exported.encode_texts([]).shape == (0, 32)
    assert (exported.embed, exported.preprocess) == (encoder.embed, encoder.preprocess)
    assert exported.scale == pytest.approx(encoder.scale)


def test_features_and_their_projection(pair):
    """What a linear probe is fitted on is had from an exported model, too."""
    encoder, folder = pair
    exported = fullclip.load(folder, "float32", "cpu")
    features, kept, _ = exported.readable_image_features([*pictures(3), b"rubbish"])
    expected = encoder.readable_image_features(pictures(3))[0]
    assert kept == [0, 1, 2]
    np.testing.assert_allclose(features, expected, atol=2e-5 * np.abs(expected).max())
    np.testing.assert_allclose(exported.project(features), exported.encode_images(pictures(3)), atol=2e-6)


def test_it_classifies_and_is_evaluated_as_any_other(pair):
    encoder, folder = pair
    exported = fullclip.load(folder, "float32", "cpu")
    labels = ["dog", "cat", "bus"]
    theirs, ours = (fullclip.ZeroShotClassifier(one, labels=labels).predict_proba(pictures(3)) for one in (encoder, exported))
    np.testing.assert_allclose(ours, theirs, atol=1e-4)
    backbone = ClipBackbone(exported, name="exported")
    assert backbone.fingerprint != ClipBackbone(encoder, name="model").fingerprint
    assert backbone.fingerprint == ClipBackbone(fullclip.load(folder, "float32", "cpu"), name="again").fingerprint
    assert "gflops" not in backbone.facts


def test_only_answers_can_be_had_of_it(pair):
    exported = fullclip.load(pair[1], device="cpu")
    with pytest.raises(ValueError, match="give the model that it was exported from"):
        _ = exported.clip
    with pytest.raises(ValueError, match=r"computed on the CPU; load it with device=.cpu."):
        fullclip.load(pair[1], device="meta")


@pytest.mark.faults
def test_a_folder_that_is_not_as_it_was_written(pair, tmp_path):
    import shutil

    for name in sorted(path.name for path in pair[1].iterdir() if path.name != "export.json"):
        folder = tmp_path / name
        shutil.copytree(pair[1], folder)
        data = bytearray((folder / name).read_bytes())
        data[len(data) // 2] ^= 1
        (folder / name).write_bytes(data)
        with pytest.raises(CheckpointError, match=rf"{name}: its SHA-256 is .*; export the model again"):
            fullclip.load(folder, device="cpu")
        (folder / name).unlink()
        with pytest.raises(CheckpointError, match=rf"{name}: missing, though export.json names it"):
            fullclip.load(folder, device="cpu")
    for text, message in (("{", "not what"), ('{"version": 1}', "this setting is missing"), ("[]", "not what")):
        (folder / "export.json").write_text(text)
        with pytest.raises(CheckpointError, match=message):
            fullclip.load(folder, device="cpu")
    told = json.loads((pair[1] / "export.json").read_text()) | {"version": 2}
    (folder / "export.json").write_text(json.dumps(told))
    with pytest.raises(CheckpointError, match="has version 2: this fullclip reads 1"):
        fullclip.load(folder, device="cpu")


def test_precisions_of_an_export(pair):
    encoder, folder = pair
    form = json.loads((folder / "export.json").read_text())["format"]
    if form == "onnx":
        with pytest.raises(ValueError, match=r"ONNX Runtime computes .* as it was exported, in float32"):
            fullclip.load(folder, "bfloat16", "cpu")
        return
    coarse = fullclip.load(folder, device="cpu")  # bfloat16 where the processor has it
    cosines = (coarse.encode_images(pictures(5)) * encoder.encode_images(pictures(5))).sum(axis=1)
    assert cosines.min() > 0.998


def has_int8_weights(folder, form: str) -> bool:
    if form == "openvino":
        return 'element_type="i8"' in (folder / "image.xml").read_text()
    return any(weight.data_type == onnx.TensorProto.INT8 for weight in onnx.load(folder / "image.onnx").graph.initializer)


@pytest.mark.parametrize("form", ["onnx", "openvino"])
def test_int8(tmp_path, form):
    encoder = made("vit")
    found = export_model(encoder, tmp_path / "small", form=form, quantize="int8")
    assert 0.99 < found.image_cosine < 0.999999
    assert 0.99 < found.text_cosine < 0.999999
    assert has_int8_weights(tmp_path / "small", form)
    told = json.loads((tmp_path / "small/export.json").read_text())
    assert told["quantized"] == "int8"
    again = agreement(encoder, fullclip.load(tmp_path / "small", "float32", "cpu"))
    assert again.num_pairs == found.num_pairs
    assert not list(tmp_path.rglob("*.int8.*"))


def test_the_first_block_and_the_last_product_are_not_quantised():
    assert _kept([f"p{number}" for number in range(9)]) == ["p0", "p1", "p2", "p3", "p8"]
    assert _kept([]) == []


def test_what_cannot_be_exported(tmp_path):
    encoder = made("vit")
    (tmp_path / "there").mkdir()
    with pytest.raises(ValueError, match="is there already; give another folder"):
        export_model(encoder, tmp_path / "there")
    half = Encoder(cast_matrices(made("vit").clip, torch.bfloat16), preprocess=encoder.preprocess, tokenizer=None)
    with pytest.raises(ValueError, match=r'load the model with precision="float32", device="cpu"'):
        export_model(half, tmp_path / "half")
    features = build(replace(TINY, vision=FeaturesConfig(width=8)))
    initialize(features, torch.Generator().manual_seed(0))
    with pytest.raises(ValueError, match="there is no image tower to export"):
        export_model(Encoder(features.eval(), preprocess=PreprocessConfig(size=1), tokenizer=None), tmp_path / "features")
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_a_model_without_a_vocabulary(tmp_path):
    encoder = made("vit")
    mute = Encoder(encoder.clip, preprocess=encoder.preprocess, tokenizer=None)
    assert export_model(mute, tmp_path / "mute") is None
    exported = fullclip.load(tmp_path / "mute", "float32", "cpu")
    np.testing.assert_allclose(exported.encode_images(pictures(2)), encoder.encode_images(pictures(2)), atol=2e-6)
    with pytest.raises(ValueError, match="images only"):
        exported.encode_texts(["a dog"])
