"""Features of models that are no CLIP: a PyTorch module by its function, an ONNX file; and what is refused."""

import json
import sys
import warnings
from dataclasses import replace
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

def broken():
    raise RuntimeError("no weights here")

class Strict(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3 * 8 * 8, 5)

    def forward(self, images):
        return self.layer(images.flatten(1))

def strict():
    return Strict()

def convolution(stride=2):
    return nn.Conv2d(3, 4, 3, stride=stride), PreprocessConfig(size=8)
"""


@pytest.fixture
def nets(tmp_path) -> Path:
    (tmp_path / "nets.py").write_text(NETS)
    return tmp_path / "nets.py"


def images() -> list[np.ndarray]:
    return [pixels(i % 3, i, side=20 + i) for i in range(5)]


def onnx_file(path: Path, *, size: int | str = 16, batch: int | str = "batch", inputs: int = 1, cropped: bool = False) -> str:
    """Twice the mean colour of a picture, [batch, 3, 1, 1]; `cropped`: of one of 16 pixels a side alone."""
    entries = [helper.make_tensor_value_info(f"in{i}", TensorProto.FLOAT, [batch, 3, size, size]) for i in range(inputs)]
    result = helper.make_tensor_value_info("out", TensorProto.FLOAT, [batch, 3, 1, 1])
    two = helper.make_tensor("two", TensorProto.FLOAT, [1], [2.0])
    shape = helper.make_tensor("shape", TensorProto.INT64, [4], [0, 3, 16, 16])
    first = (
        helper.make_node("Reshape", ["in0", "shape"], ["whole"])
        if cropped
        else helper.make_node("Identity", ["in0"], ["whole"])
    )
    nodes = [
        first,
        helper.make_node("GlobalAveragePool", ["whole"], ["mean"]),
        helper.make_node("Mul", ["mean", "two"], ["out"]),
    ]
    graph = helper.make_graph(nodes, "means", entries, [result], [two, shape])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))
    return str(path)


def means_file(
    path: Path, *, channels_last: bool = False, kind: int = TensorProto.FLOAT, outputs: int = 1, weight: float = 1.0
) -> str:
    """Mean colours, times 1, 2, ... for each output; kept in an external file, "<name>.data"."""
    shape = ["batch", 16, 16, 3] if channels_last else ["batch", 3, 16, 16]
    entry = helper.make_tensor_value_info("in0", kind, shape)
    nodes = [helper.make_node("Cast", ["in0"], ["wide"], to=TensorProto.FLOAT)]
    nodes.append(helper.make_node("GlobalAveragePool", ["wide"], ["mean"]))
    weights, results = [], []
    for i in range(outputs):
        raw = np.array([weight * (i + 1)], dtype=np.float32).tobytes()
        weights.append(helper.make_tensor(f"w{i}", TensorProto.FLOAT, [1], raw, raw=True))
        nodes.append(helper.make_node("Mul", ["mean", f"w{i}"], [f"out{i}"]))
        results.append(helper.make_tensor_value_info(f"out{i}", TensorProto.FLOAT, None))
    model = helper.make_model(
        helper.make_graph(nodes, "means", [entry], results, weights),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    path.with_name(f"{path.name}.data").unlink(missing_ok=True)  # it would be appended to
    onnx.save_model(model, str(path), save_as_external_data=True, location=f"{path.name}.data", size_threshold=0)
    return str(path)


@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE])
def test_an_output_is_chosen_by_its_name_whatever_the_input_is_made_of(tmp_path, kind):
    path = means_file(tmp_path / "net.onnx", outputs=2, kind=kind)
    wanted = expected(replace(IMAGENET, size=16))
    for name, factor in (("out0", 1), ("out1", 2)):
        found = open_backbone(f"{path}:{name}", device=CPU)
        np.testing.assert_allclose(found.features(images())[0], factor * wanted / 2, atol=2e-3)
        assert "gflops" not in found.facts
    one, other = (open_backbone(f"{path}:{name}", device=CPU).fingerprint for name in ("out0", "out1"))
    assert one != other


def test_weights_beside_an_onnx_file_are_in_its_fingerprint(tmp_path):
    path = tmp_path / "net.onnx"
    marks = [open_backbone(means_file(path, weight=weight), device=CPU).fingerprint for weight in (1.0, 2.0, 1.0)]
    assert (tmp_path / "net.onnx.data").stat().st_size > 0
    assert marks[0] == marks[2] != marks[1]


def test_a_processor_is_given_few_large_pictures_or_many_small_ones_at_once(tmp_path):
    (tmp_path / "sizes.py").write_text(
        "from torch import nn\nfrom fullclip.preprocess.image import PreprocessConfig\nsizes = []\n"
        "class Means(nn.Module):\n    def forward(self, images):\n        sizes.append(len(images))\n"
        "        return images.mean(dim=(2, 3))\n"
        + "".join(f"def side{side}():\n    return Means(), PreprocessConfig(size={side})\n" for side in (16, 112, 224, 600))
    )
    images = [pixels(0, i) for i in range(40)]
    for side, expected in ((16, [32, 32]), (112, [16] * 3), (224, [4] * 10), (600, [1] * 40)):  # the last is filled
        backbone = open_backbone(f"{tmp_path / 'sizes.py'}:side{side}", device=CPU)
        backbone.features(images)
        sizes = sys.modules["fullclip_features_sizes"].sizes
        assert sizes == expected


def test_what_fails_on_pictures_is_told_in_a_line(nets, tmp_path):
    with pytest.raises(ValueError, match=r"nets:strict fails on pictures \[4, 3, 224, 224\] with RuntimeError: mat1"):
        open_backbone(f"{nets}:strict", device=CPU).features(images())
    path = onnx_file(tmp_path / "net.onnx", size="side", cropped=True)
    with pytest.raises(ValueError, match=r"net fails on pictures \[32, 3, 224, 224\] with \w+: .*"):
        open_backbone(path, device=CPU).features(images())


def test_operations_are_counted_and_a_map_is_averaged(nets):
    backbone = open_backbone(f"{nets}:convolution", device=CPU)
    features = backbone.features(images())[0]
    assert features.shape == (5, 4)
    assert backbone.facts == {"image_size": 8, "gflops": 2 * 3 * 9 * 4 * 3 * 3 / 1e9}
    nets.write_text(NETS.replace("stride=2", "stride=1"))
    assert open_backbone(f"{nets}:convolution", device=CPU).fingerprint != backbone.fingerprint


def test_a_file_may_import_what_lies_beside_it(tmp_path):
    (tmp_path / "my_layers.py").write_text("from torch import nn\nclass Half(nn.AvgPool2d):\n    pass\n")
    (tmp_path / "net.py").write_text(
        "from __future__ import annotations\nfrom dataclasses import dataclass\nfrom my_layers import Half\n"
        "@dataclass\nclass Size:\n    side: int\n\ndef half():\n    return Half(Size(2).side)\n"
    )
    before = list(sys.path)
    assert open_backbone(f"{tmp_path}/net.py:half", device=CPU).features(images())[0].shape == (5, 3)
    assert sys.path == before


def expected(preprocess) -> np.ndarray:
    transform = eval_transform(preprocess)
    return np.stack([2 * transform(from_array(image)).mean(dim=(1, 2)).numpy() for image in images()])


def test_a_module_is_run_in_evaluation_mode_on_imagenets_pixels(nets):
    features, kept, errors = open_backbone(f"{nets}:means", device=CPU).features([*images(), b"x"])
    assert (kept, len(errors)) == ([0, 1, 2, 3, 4], 1)
    np.testing.assert_allclose(features, expected(IMAGENET), atol=1e-5)


@pytest.mark.parametrize("batch", ["batch", 2])
def test_an_onnx_file_says_its_size_and_may_fix_its_batch(tmp_path, batch):
    found = open_backbone(onnx_file(tmp_path / "net.onnx", batch=batch), device=CPU).features(images())[0]
    np.testing.assert_allclose(found, expected(replace(IMAGENET, size=16)), atol=1e-5)


def test_the_file_beside_it_says_how_pictures_are_prepared(tmp_path):
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
    crooked = tmp_path / "crooked.py"
    crooked.write_text("def f(:")
    (tmp_path / "fixed.preprocess.json").write_text('{"size": 12}')
    large = onnx_file(tmp_path / "fixed.onnx")

    def graph(name: str, **settings) -> str:
        return means_file(tmp_path / f"{name}.onnx", **settings)

    for text, said in [
        ("resnet50", "give an ONNX file, net.onnx, or a function"),
        (str(tmp_path / "none.onnx"), "none.onnx: no such file"),
        (f"{tmp_path}/none.py:f", "none.py: no such file"),
        (f"{nets}:resnet", "has no function 'resnet'"),
        (f"{nets}:nothing", r"gives 3: a torch.nn.Module"),
        (str(torn), "not an ONNX file that can be run"),
        (two, r"takes in0 .*, in1 .*; one input \[batch, 3, size, size\] is needed"),
        (f"{nets}:mean", "has no function 'mean'; did you mean 'means'"),
        (f"{nets}:broken", "nets.py:broken fails with RuntimeError: no weights here"),
        (f"{crooked}:f", r"crooked.py fails with SyntaxError: .*"),
        (graph("last", channels_last=True), r"takes in0 \['batch', 16, 16, 3\] tensor\(float\); one input"),
        (graph("bytes", kind=TensorProto.UINT8), r"takes in0 .*tensor\(uint8\); an input of float"),
        (graph("both", outputs=2), r"both.onnx has several outputs: out0, out1; name one, such as .*both.onnx:out0"),
        (graph("both", outputs=2) + ":out", r"both.onnx has no output 'out'; did you mean 'out[01]'"),
        (large, r"fixed.preprocess.json: size is 12, but fixed.onnx takes pictures of 16 a side"),
        (named, "sise: no such setting; did you mean 'size'"),
    ]:
        with pytest.raises(ValueError, match=said):
            open_backbone(text, device=CPU)


def test_what_a_file_imports_is_in_its_fingerprint(tmp_path):
    (tmp_path / "nets.py").write_text("from inner_net import Net\n\ndef net():\n    return Net()\n")
    marks = []
    for factor in (1.0, 3.0):
        (tmp_path / "inner_net.py").write_text(
            "from torch import nn\nclass Net(nn.Module):\n    def forward(self, images):\n"
            f"        return {factor} * images.mean(dim=(2, 3))\n"
        )
        sys.modules.pop("inner_net", None)
        marks.append(open_backbone(f"{tmp_path / 'nets.py'}:net", device=CPU).fingerprint)
    sys.modules.pop("inner_net", None)
    assert marks[0] != marks[1]


def test_compiled_code_is_in_the_fingerprint(tmp_path):
    class Scaled(torch.nn.Module):
        def __init__(self, factor: float) -> None:
            super().__init__()
            self.factor = factor

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.factor * images.mean(dim=(2, 3))

    (tmp_path / "nets.py").write_text(f"import torch\n\ndef net():\n    return torch.jit.load({str(tmp_path / 'net.pt')!r})\n")
    marks = []
    for factor in (1.0, 3.0):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch calls TorchScript old; files of it are still about
            torch.jit.trace(Scaled(factor), torch.zeros(1, 3, 8, 8)).save(str(tmp_path / "net.pt"))
            marks.append(open_backbone(f"{tmp_path / 'nets.py'}:net", device=CPU).fingerprint)
    assert marks[0] != marks[1]
