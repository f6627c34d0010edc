"""Networks that leave the laboratory: each one file, checked against PyTorch before anybody gets it.

`onnx` and `exported_program` write a net, `tracing` and `recurrence` turn it into a graph, `agreement` compares. May
import `nets` and what is below. Imports onnx, onnxscript and onnxruntime in functions alone: they
take a second, and are no dependency of other commands.
"""
