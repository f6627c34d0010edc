"""MLflow, a view of the records: the only room that imports it.

Imports `records`, `processes` and what is below. `served` is copied beside each model, with `nets`, `encoding`,
`intake` and `errors`.
"""
