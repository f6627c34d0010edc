"""Processes: how they are stopped, who may write, warm workers, what a person is told meanwhile.

Imports `errors` alone.
"""
