"""Data sets: fetched (`sources`), standardised (`splits`, `prepared`), loaded (`examples`, `batches`)."""
