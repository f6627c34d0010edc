"""Which settings can be trained: each is refused by name, before anything is built, or means what it says."""

import math
import os
import re
from typing import Any

import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from lightning_fabric.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig, OmegaConf
from torch import nn

from howdeep.errors import UserError, near
from howdeep.nets import checks
from howdeep.training import targets

LARGEST = 2**31 - 1  # of batches and epochs
MOST_LAYERS = 1000  # more of them would fill the memory before anything could be said
PRECISIONS = ("32-true", "16-mixed", "bf16-mixed")
ALGORITHMS = ("norm", "value")

TRAINER = (  # what conf/trainer has
    "accelerator", "devices", "max_epochs", "gradient_clip_val", "deterministic", "precision", "limit_train_batches",
    "profiler",
)  # fmt: skip
ADDED = ("gradient_clip_algorithm",)  # what may be added to it
_SIDE_BY_SIDE = "a run is trained on one device; train several runs side by side instead"
_EPOCHS = "a run ends after trainer.max_epochs, or when patience is out"
_VALIDATED = "all validation examples are looked at after each epoch"
_NO_PART = "runs have no use for it"
REFUSED = {  # all else that Lightning's trainer takes, and why it would mean nothing here, or something else
    **dict.fromkeys(("strategy", "num_nodes", "use_distributed_sampler", "sync_batchnorm"), _SIDE_BY_SIDE),
    **dict.fromkeys(("min_epochs", "max_steps", "min_steps"), _EPOCHS),
    "max_time": f"{_EPOCHS}, at the same step on every machine",
    **dict.fromkeys(("val_check_interval", "check_val_every_n_epoch", "limit_val_batches"), _VALIDATED),
    **dict.fromkeys(("num_sanity_val_steps", "inference_mode"), _VALIDATED),
    **dict.fromkeys(("limit_test_batches", "limit_predict_batches"), "training opens no test examples"),
    "accumulate_grad_batches": "set batch_size, the examples of a step",
    "overfit_batches": "set train_examples, or debug=overfit",
    "fast_dev_run": "use debug=smoke",
    "barebones": "use debug=profile to see where the time goes",
    "benchmark": "it may choose other kernels each time, and the same seed must give the same bits",
    "detect_anomaly": "a loss that is no finite number ends the run as it is",
    "reload_dataloaders_every_n_epochs": "all examples stay in memory",
    "logger": "set tracking.uri, null for none",
    "log_every_n_steps": "each epoch is logged",
    "enable_checkpointing": "set checkpoint_seconds",
    "enable_progress_bar": "a terminal shows a bar, a file none",
    "enable_model_summary": "the record has the number of parameters",
    "default_root_dir": "set hydra.run.dir",
    **dict.fromkeys(("callbacks", "plugins", "enable_autolog_hparams", "model_registry"), _NO_PART),
}


def build(node: DictConfig, **kwargs: Any) -> Any:
    """Instantiates a `_target_`; a value that the target refuses is the user's mistake.

    Raises:
        UserError: what the target's constructor said of its values.
    """
    try:
        return instantiate(node, **kwargs)
    except InstantiationException as error:
        cause = error.__cause__
        if isinstance(cause, UserError):
            raise cause from None
        if isinstance(cause, RuntimeError | TypeError) and re.search("allocate|[Oo]verflow", str(cause)):
            raise UserError(
                f"{node._target_} is too large for this machine's memory: choose smaller sizes"
            ) from cause
        if isinstance(cause, ValueError | TypeError | MisconfigurationException):
            raise UserError(f"{node._target_} refuses its values: {cause}".splitlines()[0]) from cause
        raise


def call(node: DictConfig, *args: Any, **kwargs: Any) -> Any:
    """Instantiates a partial `_target_` and calls it.

    Raises:
        UserError: as `build`.
    """
    target = build(node)
    try:
        return target(*args, **kwargs)
    except UserError:
        raise
    except (ValueError, TypeError, RuntimeError, IndexError) as error:
        raise _refuses(node, error) from error


def _refuses(node: DictConfig, error: Exception) -> UserError:
    return UserError(f"{node._target_} refuses its values: {error}".splitlines()[0])


def check_settings(cfg: DictConfig) -> None:
    """Refuses settings that no training can use, and those that would silently mean nothing.

    Raises:
        UserError: the setting, what was expected and what came.
    """
    if not isinstance(cfg.diagnostics, DictConfig):
        raise UserError(
            f"diagnostics must hold its settings, as in diagnostics.every=5, got {cfg.diagnostics!r}"
        )
    whole = ["batch_size", "trainer.max_epochs", "diagnostics.every", "diagnostics.gap_examples"]
    optional = [name for name in ("patience", "steps_per_epoch", "train_examples") if cfg[name] is not None]
    for name in [*whole, "diagnostics.gradient_examples", *optional]:
        value = cfg[name] if "." not in name else cfg[name.split(".")[0]][name.split(".")[1]]
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= LARGEST:
            raise UserError(
                f"{name} must be a whole number of at least 1, and at most {LARGEST}, got {value!r}"
            )
    if not isinstance(cfg.seed, int) or isinstance(cfg.seed, bool) or cfg.seed < 0:
        raise UserError(f"seed must be a whole number of at least 0, got {cfg.seed!r}")
    plain = OmegaConf.to_container(cfg)
    assert isinstance(plain, dict)
    targets.verify({str(name): node for name, node in plain.items()})
    _check_trainer(cfg.trainer)
    _check_sizes(cfg)
    if not isinstance(cfg.checkpoint_seconds, int | float) or cfg.checkpoint_seconds < 0:
        raise UserError(f"checkpoint_seconds must be a number of at least 0, got {cfg.checkpoint_seconds!r}")
    lr = cfg.optimizer.lr
    if not isinstance(lr, int | float) or isinstance(lr, bool) or not 0 < lr < float("inf"):
        raise UserError(f"optimizer.lr must be a number above 0, got {lr!r}: try optimizer.lr=0.001")
    call(cfg.schedule, 0.0)  # checks its values only when it is called, in the middle of a fit
    _check_optimizer(cfg)
    _check_no_nan(plain)


def _check_no_nan(node: Any, name: str = "") -> None:
    if isinstance(node, float) and not math.isfinite(node):
        raise UserError(f"{name} must be a finite number, got {node!r}")
    if isinstance(node, dict):
        for key, value in node.items():
            _check_no_nan(value, f"{name}.{key}" if name else str(key))
    if isinstance(node, list):
        for value in node:
            _check_no_nan(value, name)


def _check_trainer(trainer: DictConfig) -> None:
    """What Lightning would ignore, take as something else than is meant here, or refuse in the middle of a fit."""
    for name in map(str, trainer):
        if name in REFUSED:
            raise UserError(f"trainer.{name} must not be there, got {trainer[name]!r}: {REFUSED[name]}")
        if name not in (*TRAINER, *ADDED, "_target_"):
            known = [*TRAINER, *ADDED]
            raise UserError(f"expected a setting of the trainer, got trainer.{name}{near(name, known)}")
    for name in (f"PL_TRAINER_{name.upper()}" for name in (*TRAINER, *ADDED, *REFUSED)):
        if os.environ.get(name):  # Lightning takes settings from there too, and no record would tell
            raise UserError(
                f"{name} must not be set in the environment: set what the trainer is to do in its config"
            )
    checks.choice(("cpu", "gpu", "cuda"), **{"trainer.accelerator": trainer.accelerator})
    checks.choice(PRECISIONS, **{"trainer.precision": trainer.precision})
    if trainer.precision == "16-mixed" and trainer.accelerator == "cpu":
        raise UserError("trainer.precision must be 32-true or bf16-mixed on a processor, got '16-mixed'")
    checks.flag(**{"trainer.deterministic": trainer.deterministic})
    if trainer.devices != 1 or isinstance(trainer.devices, bool):
        raise UserError(
            f"trainer.devices must be 1, got {trainer.devices!r}: train several runs side by side instead"
        )
    limit = trainer.limit_train_batches
    if isinstance(limit, bool) or not ((isinstance(limit, int) and limit >= 1) or limit == 1.0):
        raise UserError(
            f"trainer.limit_train_batches must be 1.0 for all, or a whole number of batches, got {limit!r}"
        )
    _check_clipping(trainer)
    if trainer.profiler is not None:
        checks.choice(("simple", "advanced", "pytorch"), **{"trainer.profiler": trainer.profiler})


def _check_clipping(trainer: DictConfig) -> None:
    if (norm := trainer.gradient_clip_val) is not None:
        checks.number(**{"trainer.gradient_clip_val": norm})
        if norm <= 0:
            raise UserError(f"trainer.gradient_clip_val must be above 0, or null, got {norm!r}")
    if "gradient_clip_algorithm" in trainer:
        checks.choice(ALGORITHMS, **{"trainer.gradient_clip_algorithm": trainer.gradient_clip_algorithm})
        if norm is None:
            raise UserError("trainer.gradient_clip_algorithm needs trainer.gradient_clip_val, got null")


def _check_sizes(cfg: DictConfig) -> None:
    """The net is built for the examples that it is given, and for as many layers as can be built at all."""
    for name in ("in_shape", "out_features", "vocabulary", "every_step"):
        if name in cfg.model and cfg.model[name] != cfg.data[name]:
            raise UserError(
                f"model.{name} must be what the data has, {cfg.data[name]}, got {cfg.model[name]!r}: "
                f"set data.{name} instead"
            )
    if cfg.data.vocabulary is not None and "vocabulary" not in cfg.data.examples:
        raise UserError(
            f"data.vocabulary must be null, since {cfg.data.name} holds numbers, got {cfg.data.vocabulary!r}"
        )
    if isinstance(cfg.model.depth, int) and cfg.model.depth > MOST_LAYERS:
        raise UserError(f"model.depth must be at most {MOST_LAYERS}, got {cfg.model.depth}")


def _check_optimizer(cfg: DictConfig) -> None:
    """Takes a step with it: some refuse their values only then, and some cannot be stepped as all networks here are."""
    on_gpu = cfg.trainer.accelerator != "cpu"
    fused = "fused" in cfg.optimizer and cfg.optimizer.fused
    if fused and cfg.trainer.precision != "32-true" and cfg.trainer.gradient_clip_val is not None:
        raise UserError(
            f"trainer.precision={cfg.trainer.precision} cannot clip the gradients of a fused optimizer: "
            "set optimizer.fused=false"
        )
    with torch.device("cpu"):
        parameter = nn.Parameter(torch.zeros(1))
        parameter.grad = torch.zeros(1)
        optimizer = call(cfg.optimizer, [parameter])
        if on_gpu and "capturable" in cfg.optimizer:
            return  # steps on a GPU alone
        try:
            optimizer.step()
        except (ValueError, TypeError, RuntimeError, AssertionError) as error:
            raise _refuses(cfg.optimizer, error) from error
