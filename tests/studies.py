"""Records of a study that nobody trained, as plausible as they are made up: a pure function of nothing."""

import zlib
from collections.abc import Callable

import numpy as np
import pytest

DEPTHS, SEEDS = (1, 2, 4, 8), range(5)
CLASSIFICATION = {"task": "classification", "score": {"name": "accuracy", "higher_is_better": True}}
FORECASTING = {"task": "forecasting", "score": {"name": "mae", "higher_is_better": False}}
RECONSTRUCTION = {"task": "reconstruction", "score": {"name": "mse_ratio", "higher_is_better": False}}
GENERATION = {"task": "generation", "score": {"name": "kid", "higher_is_better": False}}
LANGUAGE = {"task": "language_modelling", "score": {"name": "bits", "higher_is_better": False}}
CELLS = {  # (data, model) -> the task, and the final score at each depth
    ("digits", "mlp"): (CLASSIFICATION, {1: 0.972, 2: 0.976, 4: 0.985, 8: 0.981}),
    ("breast_cancer", "mlp"): (CLASSIFICATION, {1: 0.974, 2: 0.970, 4: 0.969, 8: 0.962}),
    ("sunspots", "lstm"): (FORECASTING, {1: 0.262, 2: 0.258, 4: 0.301, 8: 0.342}),
    ("digits", "cnn"): (CLASSIFICATION, {1: 0.928, 2: 0.978, 4: 0.994, 8: 0.991}),
    ("digits", "autoencoder"): (RECONSTRUCTION, {1: 0.225, 2: 0.225, 4: 0.255, 8: 0.296}),
    ("digits", "gan"): (GENERATION, {1: 0.3, 2: 0.2, 4: 0.4, 8: 9.0}),
    ("torch_docs", "transformer"): (LANGUAGE, {1: 2.47, 2: 2.4, 4: 2.39, 8: 2.42}),
}
STUDY = [("digits", "mlp"), ("breast_cancer", "mlp"), ("sunspots", "lstm")]
PARTS = {"gan": ["generator", "discriminator"]}  # networks trained against each other
EPOCHS = 20


def one_record(data: str, model: str, depth: int, seed: int, *, diverged: bool = False, **changes) -> dict:
    """One record, its numbers drawn from a stream of its own."""
    task, levels = CELLS[data, model]
    key = f"{zlib.crc32(f'{data}-{model}-{depth}-{seed}'.encode()):016x}"
    noise = np.random.RandomState(zlib.crc32(key.encode()))
    score = task["score"]["name"]
    final = levels[depth] + noise.normal(0, 0.004)
    parts = PARTS.get(model, [""])
    epochs = [_epoch(epoch, depth, score, final, noise, parts) for epoch in range(3 if diverged else EPOCHS)]
    best = min(epochs, key=lambda row: row["val/loss"])
    gap = {"loss": 0.04 + 0.02 * np.log2(depth) + noise.normal(0, 0.006), score: -0.01}
    gap |= {"train_loss": 0.02, f"train_{score}": 0.99}
    if diverged:
        epochs[-1] |= {"train/loss": None, "val/loss": None}
    flow = [
        ({"part": part} if part else {})
        | {"epoch": epoch, "layer": layer, "activation_gradient": 0.1 * 2.0 ** (layer - depth) / (epoch + 1)}
        | {"weight_gradient": 0.4, "activation_rms": 1.0, "update_ratio": 0.003}
        for epoch in (0, 10, EPOCHS - 1)
        for part in parts
        for layer in range(1, depth + 1)
    ]
    return {
        "key": key,
        "entry": f"{data}-{model}",
        "data": data,
        "model": model,
        **task,
        "depth": depth,
        "matching": "width",
        "seed": seed,
        "data_checksum": "b9e7" * 16,
        "config": {
            "data": {"name": data},
            "model": {"_target_": f"howdeep.nets.{model}.{model.upper()}", "depth": depth, "width": 64},
            "optimizer": {"_target_": "torch.optim.Adam", "_partial_": True, "lr": 0.003},
            "trainer": {"max_epochs": EPOCHS},
            "batch_size": 64,
            "seed": seed,
            "patience": None,
        },
        "state": "diverged" if diverged else "finished",
        "reason": "train/loss became nan in epoch 2" if diverged else None,
        "best_epoch": None if diverged else best["epoch"],
        "epochs": epochs,
        "gap": None
        if diverged
        else {"best": gap, "last": {name: 1.3 * value for name, value in gap.items()}},
        "gradient_flow": flow,
        "cost": {"parameters": 1000 + 4160 * depth, "training_flops": 6 * (1000 + 4096 * depth)},
    } | changes


def _epoch(
    epoch: int, depth: int, score: str, final: float, noise: np.random.RandomState, parts: list[str]
) -> dict:
    progress = 1 - np.exp(-(epoch + 1) / (2 + 0.3 * depth))
    start = 0.1 if score == "accuracy" else 1.0
    loss = 1.6 * (1 - progress) + 0.002
    row = {
        "epoch": epoch,
        "train/loss": loss,
        "val/loss": loss + 0.06 + 0.002 * epoch + abs(noise.normal(0, 0.004)),
        f"val/{score}": start + (final - start) * progress + noise.normal(0, 0.001),
    }
    if epoch % 10 == 0 or epoch == EPOCHS - 1:
        ratio = 1.15 ** (depth - 1 + noise.normal(0, 0.4) * (depth > 1))
        row |= {
            "gap/loss": 0.05,
            f"gap/{score}": -0.01,
            **{f"gradient/{part}_ratio" if part else "gradient/ratio": float(ratio) for part in parts},
            "gradient/first": 0.1,
        }
    return row


def make_records() -> list[dict]:
    """Every cell of the study at every depth with every seed; one run of the deepest lstm diverged."""
    return [
        one_record(data, model, depth, seed, diverged=(model, depth, seed) == ("lstm", 8, 3))
        for data, model in STUDY
        for depth in DEPTHS
        for seed in SEEDS
    ]


GALLERY = [("digits", "cnn"), ("digits", "autoencoder"), ("digits", "gan"), ("torch_docs", "transformer")]


def make_gallery() -> list[dict]:
    """A study whose runs leave something to show; the cnn comes plain as well, and fails when it is deep."""
    records = [one_record(*cell, depth, seed) for cell in GALLERY for depth in DEPTHS for seed in SEEDS]
    for record in [record for record in records if record["model"] == "cnn"]:
        plain = one_record("digits", "cnn", record["depth"], record["seed"], entry="digits-cnn-plain")
        plain |= {"key": f"plain{record['key'][5:]}", "config": {**plain["config"], "residual": False}}
        for row in plain["gradient_flow"]:
            row["activation_gradient"] *= 1e-3 ** (plain["depth"] - row["layer"])
        records.append(plain)
    return records


def make_artifacts(records: list[dict]) -> dict[str, dict]:
    """What these runs left; the first value of an array tells the seed."""
    return {record["key"]: left for record in records if (left := _left(record))}


def _left(record: dict) -> dict:
    noise = np.random.RandomState(zlib.crc32(record["key"].encode()))
    pictures = noise.rand(6, 1, 8, 8).astype(np.float32)
    if record["model"] == "autoencoder":
        plane = {"latent": noise.randn(30, 2).astype(np.float32), "labels": np.arange(30) % 10}
        return {"originals": np.ones_like(pictures), "reconstructions": pictures, **plane}
    if record["model"] == "gan":
        return {"samples": pictures}
    if record["model"] == "transformer":
        return {"sample": f"def <depth> {record['depth']} & seed {record['seed']}:\n    return tensor"}
    return {}


def make_test(records: list[dict]) -> dict:
    """What `evaluate` writes of these records."""
    tested = {}
    for record in records:
        if record["state"] == "finished":
            best, score = record["epochs"][record["best_epoch"]], record["score"]["name"]
            tested[record["key"]] = {"loss": best["val/loss"] + 0.01, score: best[f"val/{score}"] - 0.002}
    classify = {
        "majority": {"val": {"loss": 2.3, "accuracy": 0.101}, "test": {"loss": 2.3, "accuracy": 0.1}},
        "logistic regression": {
            "val": {"loss": 0.1, "accuracy": 0.978},
            "test": {"loss": 0.1, "accuracy": 0.971},
        },
    }
    persistence = {"val": {"loss": 0.34, "mae": 0.44}, "test": {"loss": 0.58, "mae": 0.57}}
    return {
        "runs": tested,
        "baselines": {
            "digits": classify,
            "breast_cancer": classify,
            "sunspots": {"persistence": persistence},
        },
    }


CARDS = {
    "digits": {
        "name": "digits",
        "licence": "CC BY 4.0 (E. Alpaydin, C. Kaynak)",
        "homepage": "https://archive.ics.uci.edu/dataset/80",
        "shape": [64],
        "examples": {"train": 1438, "test": 359},
        "classes": [str(digit) for digit in range(10)],
        "checksums": {"train": "b9e7" * 16, "test": "2d09" * 16},
    },
    "sunspots": {
        "name": "sunspots",
        "licence": "public domain",
        "homepage": "https://www.sidc.be/silso",
        "shape": [1],
        "examples": {"train": 247, "test": 62},
        "checksums": {"train": "7387" * 16, "test": "dce5" * 16},
    },
}


@pytest.fixture(scope="session")
def make_record() -> Callable[..., dict]:
    return one_record


@pytest.fixture(scope="session")
def records() -> list[dict]:
    return make_records()


@pytest.fixture(scope="session")
def gallery() -> list[dict]:
    return make_gallery()


@pytest.fixture(scope="session")
def artifacts(gallery) -> dict[str, dict]:
    return make_artifacts(gallery)


@pytest.fixture(scope="session")
def test_scores(records) -> dict:
    return make_test(records)


@pytest.fixture(scope="session")
def cards() -> dict:
    return CARDS


@pytest.fixture(scope="session")
def provenance(records) -> dict:
    packages = {"torch": "2.13.0", "python": "3.11.9"}
    return {
        record["key"]: {"seconds": 1.5 * record["depth"], "train_seconds": 1.0 * record["depth"]}
        | {
            "commit": "0f3a9c1",
            "dirty": "false",
            "host": "a-host-name",
            "system": "Linux",
            "packages": packages,
        }
        for record in records
    }
