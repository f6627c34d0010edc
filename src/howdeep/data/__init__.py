"""Data sets: fetched (`sources`), standardised (`splits`, `prepared`), loaded (`examples`, `batches`).

A data set is a file here and one in conf/data. Imports `encoding`, `intake` and what is below; knows no network, no
Lightning.
"""
