"""The architectures: one a file, each with a `depth`; plain modules with keyword-only flat parameters.

Every architecture has `layers`, an `nn.ModuleList` of its `depth` hidden layers in order. A layer returns
one tensor, its hidden activation, so that a forward hook sees it; its first parameter of two dimensions or
more is the weight that diagnostics report.

Imports `errors` alone. Knows nothing of Lightning.
"""
