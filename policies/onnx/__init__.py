"""The learned policy as an ONNX file, which needs no torch."""
