"""Models out, for runtimes without PyTorch: ONNX Runtime and OpenVINO. `inference.load` reads what is written here."""
