"""Data sets: fetched (`sources`), standardised (`splits`, `prepared`), loaded (`examples`, `batches`).

A data set is a file here and one in conf/data. Imports `files`, `names`, `errors`; knows no network, no Lightning.
"""
