"""From a backbone and an adapter to a typed ONNX graph with its contract. Needs the extra ``[train]``.

Nothing is imported here: the package itself works without PyTorch.
"""
