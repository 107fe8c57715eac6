"""Matrix products in int8: weights once, a scale for each row; what is multiplied with them when it is known.

Convolutions, embeddings, and each tower's first block and last product stay in float32: there 8 bits lose too much
(docs/design/0012-export.md).
"""

from pathlib import Path
from typing import Any

import numpy as np

from fullclip.core.extras import require
from fullclip.export.onnx import quietly
from fullclip.inference.exported import IMAGE, TEXT, Format, openvino, openvino_core

_TOWERS = (IMAGE, TEXT)  # the projection alone is small, and much depends on it
_PRODUCTS = ("MatMul", "Gemm")
_OF_A_BLOCK = 4  # queries, keys and values; what attention gives; the MLP's two


def quantize(folder: Path, form: Format) -> None:
    """Put int8 files in the place of the towers' files in `folder`."""
    for name in _TOWERS:
        with quietly():
            if form == "onnx":
                _onnx(folder / f"{name}.onnx")
            else:
                _openvino(folder / f"{name}.xml")


def _onnx(path: Path) -> None:
    quantization, onnx = require("onnxruntime.quantization", extra="export"), require("onnx", extra="export")
    graph = onnx.load(path, load_external_data=False).graph
    weights = {weight.name for weight in graph.initializer}
    products = [node.name for node in graph.node if node.op_type in _PRODUCTS and node.input[1] in weights]
    smaller = path.with_suffix(".int8.onnx")
    quantization.quantize_dynamic(
        path,
        smaller,
        op_types_to_quantize=list(_PRODUCTS),
        nodes_to_exclude=_kept(products),
        per_channel=True,
        weight_type=quantization.QuantType.QInt8,
        use_external_data_format=path.with_suffix(".onnx.data").exists(),
    )
    path.with_suffix(".onnx.data").unlink(missing_ok=True)
    smaller.replace(path)


def _openvino(path: Path) -> None:
    runtime = openvino()
    model = openvino_core().read_model(path)
    products = {
        node.get_friendly_name(): node
        for node in model.get_ordered_ops()
        if node.get_type_name() == "MatMul" and node.input_value(1).get_node().get_type_name() == "Constant"
    }
    kept = _kept([*products])
    for name, product in products.items():
        if name not in kept:
            _to_int8(product, runtime.opset13)
    written = path.with_suffix(".int8.xml")
    runtime.save_model(model, written, compress_to_fp16=False)
    del model, products
    written.replace(path)
    written.with_suffix(".bin").replace(path.with_suffix(".bin"))


def _to_int8(product: Any, operations: Any) -> None:
    """Put numbers of -127 to 127 in the place of its weights, times a scale for each output: OpenVINO multiplies the former."""
    weights = product.input_value(1).get_node().data
    scales = np.abs(weights).max(axis=1 if product.get_attributes()["transpose_b"] else 0, keepdims=True) / 127
    scales = np.where(scales == 0, 1, scales).astype(np.float32)
    integers = operations.convert(operations.constant(np.round(weights / scales).astype(np.int8)), "f32")
    product.input(1).replace_source_output(operations.multiply(integers, operations.constant(scales)).output(0))


def _kept(products: list[str]) -> list[str]:
    """Which of a tower's products, in their order, stay as they are."""
    return [*products[:_OF_A_BLOCK], *products[-1:]]
