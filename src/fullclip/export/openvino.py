"""ONNX files -> OpenVINO's: image.xml, image.bin and so on, in float32. Which precision computes is chosen when they run."""

from pathlib import Path

from fullclip.core.extras import require
from fullclip.export.onnx import quietly
from fullclip.inference.exported import IMAGE, PROJECTION, TEXT


def to_openvino(onnx: Path, folder: Path) -> None:
    """Write what lies in `onnx` in OpenVINO's form into `folder`."""
    openvino = require("openvino", extra="export")
    for name in (IMAGE, PROJECTION, TEXT):
        with quietly():
            openvino.save_model(
                openvino.convert_model(str(onnx / f"{name}.onnx")), folder / f"{name}.xml", compress_to_fp16=False
            )
