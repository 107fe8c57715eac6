"""Features of models that are no CLIP: a PyTorch module by its function, an ONNX file; and what is refused."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from fullclip.evaluation.features.foreign import IMAGENET, open_backbone
from fullclip.preprocess.image import eval_transform, from_array
from tasks import pixels

CPU = torch.device("cpu")
NETS = """
import torch
from torch import nn
from fullclip.preprocess.image import PreprocessConfig

class Means(nn.Module):
    def __init__(self):
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(2.0))
        self.dropout = nn.Dropout(0.5)

    def forward(self, images):
        return self.dropout(self.factor * images.mean(dim=(2, 3)))

def means():
    return Means()

def small():
    return Means(), PreprocessConfig(size=8)

def nothing():
    return 3
"""


@pytest.fixture
def nets(tmp_path) -> Path:
    (tmp_path / "nets.py").write_text(NETS)
    return tmp_path / "nets.py"


def images() -> list[np.ndarray]:
    return [pixels(i % 3, i, side=20 + i) for i in range(5)]


def onnx_file(path: Path, *, size: int | str = 16, batch: int | str = "batch", inputs: int = 1) -> str:
    """Twice the mean colour of a picture, [batch, 3, 1, 1]."""
    entries = [helper.make_tensor_value_info(f"in{i}", TensorProto.FLOAT, [batch, 3, size, size]) for i in range(inputs)]
    result = helper.make_tensor_value_info("out", TensorProto.FLOAT, [batch, 3, 1, 1])
    two = helper.make_tensor("two", TensorProto.FLOAT, [1], [2.0])
    nodes = [helper.make_node("GlobalAveragePool", ["in0"], ["mean"]), helper.make_node("Mul", ["mean", "two"], ["out"])]
    graph = helper.make_graph(nodes, "means", entries, [result], [two])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))
    return str(path)


def expected(preprocess) -> np.ndarray:
    transform = eval_transform(preprocess)
    return np.stack([2 * transform(from_array(image)).mean(dim=(1, 2)).numpy() for image in images()])


def test_a_module_is_run_in_evaluation_mode_on_imagenets_pixels(nets):
    features, kept, errors = open_backbone(f"{nets}:means", device=CPU).features([*images(), b"x"])
    assert (kept, len(errors)) == ([0, 1, 2, 3, 4], 1)
    np.testing.assert_allclose(features, expected(IMAGENET), atol=1e-5)


@pytest.mark.parametrize("batch", ["batch", 2])
def test_an_onnx_file_says_its_size_and_may_fix_its_batch(tmp_path, batch):
    from dataclasses import replace

    found = open_backbone(onnx_file(tmp_path / "net.onnx", batch=batch), device=CPU).features(images())[0]
    np.testing.assert_allclose(found, expected(replace(IMAGENET, size=16)), atol=1e-5)


def test_the_file_beside_it_says_how_pictures_are_prepared(tmp_path):
    from dataclasses import replace

    path = onnx_file(tmp_path / "net.onnx", size="side")
    one = open_backbone(path, device=CPU)
    (tmp_path / "net.preprocess.json").write_text(json.dumps({"size": 12, "mean": [0, 0, 0], "std": [1, 1, 1]}))
    other = open_backbone(path, device=CPU)
    wanted = replace(IMAGENET, size=12, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), interpolation="bicubic")
    np.testing.assert_allclose(other.features(images())[0], expected(wanted), atol=1e-5)
    assert one.fingerprint != other.fingerprint


def test_another_function_or_file_has_another_fingerprint(nets):
    first = open_backbone(f"{nets}:means", device=CPU).fingerprint
    assert open_backbone(f"{nets}:means", device=CPU).fingerprint == first
    assert open_backbone(f"{nets}:small", device=CPU).fingerprint != first
    nets.write_text(NETS.replace("self.factor * images", "self.factor + images"))
    assert open_backbone(f"{nets}:means", device=CPU).fingerprint != first


def test_what_is_no_backbone_is_refused(nets, tmp_path):
    torn = tmp_path / "torn.onnx"
    torn.write_bytes(b"onnx?")
    two = onnx_file(tmp_path / "two.onnx", inputs=2)
    (tmp_path / "net.preprocess.json").write_text('{"sise": 8}')
    named = onnx_file(tmp_path / "net.onnx")
    for text, said in [
        ("resnet50", "give an ONNX file, net.onnx, or a function"),
        (str(tmp_path / "none.onnx"), "none.onnx: no such file"),
        (f"{tmp_path}/none.py:f", "none.py: no such file"),
        (f"{nets}:resnet", "has no function 'resnet'"),
        (f"{nets}:nothing", r"gives 3: a torch.nn.Module"),
        (str(torn), "not an ONNX file that can be run"),
        (two, r"takes \['in0', 'in1'\]; one input"),
        (named, "sise: no such setting; did you mean 'size'"),
    ]:
        with pytest.raises(ValueError, match=said):
            open_backbone(text, device=CPU)
