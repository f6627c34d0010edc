"""Pictures: each a function from tables to SVG.

Imports `results` and what is below. Reads and writes no file.
"""
