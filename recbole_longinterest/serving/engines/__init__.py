"""What computes a step and the scores: torch or onnxruntime."""
