"""Trained models for others: a graph in ONNX, a folder as on the Hugging Face Hub."""
