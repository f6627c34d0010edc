"""Numbers: from records and test scores to tables, statistics and verdicts, and the words for them.

Imports `records.cell` and `errors`. Reads and writes no file, draws nothing, trains nothing.
"""
