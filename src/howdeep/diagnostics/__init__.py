"""What is measured beside the score: overfitting gap, gradient flow, cost.

Imports `tasks`, `data`, `nets`, `errors`.
"""
