"""All that a training asks of MLflow, made by hand."""

import numpy as np

from howdeep.nets.mlp import MLP
from howdeep.tracking.parents import tracked_parent
from howdeep.tracking.store import Store

WENT_ON = "the work goes on without it"
CARD = {"name": "digits", "homepage": "https://example.org/digits", "digest": "0123456789abcdef0123"}
NET = {
    "_target_": "howdeep.nets.mlp.MLP", "in_shape": [2, 3], "out_features": 2, "depth": 2, "width": 4,
    "activation": "relu", "initialisation": "he", "residual": True, "normalisation": "none", "dropout": 0.0,
}  # fmt: skip


def record(key="k1", **others):
    return {
        "key": key, "entry": "digits-mlp", "data": "digits", "model": "mlp", "task": "classification", "depth": 2,
        "matching": "width", "seed": 0, "score": {"name": "accuracy", "higher_is_better": True},
        "data_checksum": "abc", "config": {"model": NET, "data": {}},
        "state": "finished", "reason": None, "best_epoch": 0,
        "epochs": [{"epoch": 0, "val/loss": 0.9}, {"epoch": 1, "val/loss": 1.0}],
        "gap": {"best": {"loss": 0.1}, "last": {"loss": 0.2}}, "gradient_flow": [], "cost": {"parameters": 10},
    } | others  # fmt: skip


def strict(store: Store) -> Store:
    """The same store for `howdeep sync`, which raises what a training goes on without."""
    return Store(store.uri, store.experiment, store.root, strict=True)


def work(store: Store, key: str = "k1") -> str:
    """All that a training asks of MLflow, from its entry's parent to its model; what the training gives."""
    with tracked_parent(store, "digits-mlp", {"commit": "c0"}) as parent:
        run = store.start(record(key), parent=parent, about={}, dataset=CARD)
        run.log_epochs(record()["epochs"][:1], flush=True)
        run.end(record(key), None)
        if found := store.find(howdeep__key=key):
            store.log_model(found[0].info.run_id, *net())
    return "trained"


def net():
    options = {name: value for name, value in NET.items() if name != "_target_"}
    return MLP(**options).eval(), NET, np.zeros((4, 2, 3), "float32")


def said(capfd) -> str:
    """The one line that was said."""
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("\n") == 1, err
    assert WENT_ON in err
    assert "howdeep sync" in err
    return err


def whole(store: Store) -> bool:
    """Whether a store takes a run from its begin to its end."""
    store = strict(store)
    work(store, "whole")
    return [run.info.status for run in store.find(howdeep__key="whole")] == ["FINISHED"]
