"""The engine of sweeps: search spaces, storages, studies, samplers and a pool of workers, on Optuna's ask and tell.

Imports `processes`, `errors`. Knows nothing of networks: what a trial does is given to it.
"""
