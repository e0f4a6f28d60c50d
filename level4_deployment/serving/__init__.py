"""The data plane: answers predictions at speed, and never asks the control plane; read `app` first, then `batching`.

A worker (`worker`) follows the routes file (`routes`, `reloader`), validates requests without a DataFrame (`requests`),
scores them in micro-batches with an ONNX model (`batching`, `model`, `package`), and replies once they are in the
prediction log (`log_writer`). A challenger is scored beside the champion, and cannot delay it.
"""
