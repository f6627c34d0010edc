"""How a network is trained: one run from its resolved config to its history and weights, in memory.

Imports `diagnostics` and what is below. Knows no record, no MLflow, no project.
"""
