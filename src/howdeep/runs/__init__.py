"""One run from config to record: its `examples`, its training (`run`), typed (`job`) or in a sweep (`trial`).

Imports `study`, `tracking` and what is below. Knows no stage.
"""
