"""What lies on the disk: where, how it is read, written and removed, so that nothing is lost or half there.

Imports `processes`, `names`, `errors`. Knows nothing of networks, Hydra or MLflow.
"""
