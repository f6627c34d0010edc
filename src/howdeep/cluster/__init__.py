"""Runs on other machines, over Dask: what the coordinator sends, what a node does with it, what comes back."""
