"""What is learned and how it is scored: one task a file, each a LightningModule.

Imports `data`, `nets`, `errors`. Knows nothing of Hydra.
"""
