"""Trained networks in use: found by name, asked about new rows, taken elsewhere.

A file a command, but for `models`, which finds what a command names. May import tracking, runs, study, records,
inspection, encoding and what is below.
"""
