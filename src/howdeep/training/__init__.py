"""How a network is trained: one run from its config to its history and weights."""
