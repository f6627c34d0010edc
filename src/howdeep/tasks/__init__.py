"""What is learned and how it is scored: one task a file, each a LightningModule. Tasks know nothing of Hydra."""
