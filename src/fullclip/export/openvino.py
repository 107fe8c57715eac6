"""ONNX files -> OpenVINO's: image.xml, image.bin and so on, in float32. Which precision computes is chosen when they run."""

from pathlib import Path

from fullclip.export.onnx import quietly
from fullclip.inference.exported import IMAGE, PROJECTION, TEXT, openvino, openvino_core


def to_openvino(onnx: Path, folder: Path) -> None:
    """Write what lies in `onnx` in OpenVINO's form into `folder`."""
    runtime = openvino()
    for name in (IMAGE, PROJECTION, TEXT):
        with quietly():
            model = openvino_core().read_model(onnx / f"{name}.onnx")
            runtime.save_model(model, folder / f"{name}.xml", compress_to_fp16=False)
