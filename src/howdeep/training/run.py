"""One training: a composed config and its examples in, an `Outcome` out; the only file is its resume point."""

import logging
import math
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from lightning_fabric.plugins.io.checkpoint_io import CheckpointIO
from lightning_fabric.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.callbacks import EarlyStopping
from torch import Tensor, nn

from howdeep.data.batches import Batches
from howdeep.data.examples import Examples, Split
from howdeep.diagnostics.cost import parameters, training_flops
from howdeep.diagnostics.gap import OverfittingGap, overfitting_gap
from howdeep.diagnostics.gradients import GradientFlow
from howdeep.diagnostics.history import Diverged, History
from howdeep.errors import UserError
from howdeep.nets import checks
from howdeep.tasks.task import Task
from howdeep.training import targets
from howdeep.training.best_weights import BestWeights
from howdeep.training.loop import run_whole_epochs
from howdeep.training.memory import keep_memory
from howdeep.training.resume import CheckedIO, ResumePoint, check
from howdeep.training.schedules import constant
from howdeep.training.seeding import SeedEpochs, seed_everything

EVALUATION_BATCH = 1024
LARGEST = 2**31 - 1  # of batches and epochs
MOST_LAYERS = 1000  # more of them would fill the memory before anything could be said
PRECISIONS = ("32-true", "16-mixed", "bf16-mixed")

# Its notes on hardware and its tips would be repeated for each of a thousand runs.
logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
logging.getLogger("pytorch_lightning.profilers").setLevel(
    logging.INFO
)  # but what debug=profile asks for is told
# Lightning 2.6 warns of its own use of torch 2.13; nobody here can do anything about it.
warnings.filterwarnings("ignore", message=r"`isinstance\(treespec, LeafSpec\)` is deprecated")


@dataclass(frozen=True)
class Outcome:
    """What a training gave. A diverged one has its history and cost, but neither weights nor gap."""

    state: str  # "finished" or "diverged"
    reason: str | None
    history: History
    best_epoch: int | None
    gap: dict[str, dict[str, float]] | None  # at the "best" and at the "last" epoch
    cost: dict[str, int]
    weights: dict[str, Tensor] | None  # of the best epoch
    artifacts: dict[str, Tensor | str] = field(
        default_factory=dict
    )  # of the best epoch, see `Task.artifacts`


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


def check_settings(cfg: DictConfig) -> None:
    """Refuses numbers that no training can use.

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
    # Both check their values only when they are called, in the middle of a fit.
    _call(cfg.schedule, 0.0)
    _call(cfg.optimizer, [torch.nn.Parameter(torch.zeros(1))])
    _check_no_nan(plain)


def _call(node: DictConfig, *args: Any, **kwargs: Any) -> Any:
    """Instantiates a partial `_target_` and calls it, as `build` does."""
    target = build(node)
    try:
        return target(*args, **kwargs)
    except UserError:
        raise
    except (ValueError, TypeError, RuntimeError, IndexError) as error:
        raise UserError(f"{node._target_} refuses its values: {error}".splitlines()[0]) from error


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
    """What Lightning would take as something else than is meant here, or refuse in the middle of a fit."""
    checks.choice(("cpu", "gpu", "cuda"), **{"trainer.accelerator": trainer.accelerator})
    checks.choice(PRECISIONS, **{"trainer.precision": trainer.precision})
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
    if (norm := trainer.gradient_clip_val) is not None:
        checks.number(**{"trainer.gradient_clip_val": norm})
        if norm <= 0:
            raise UserError(f"trainer.gradient_clip_val must be above 0, or null, got {norm!r}")
    if trainer.profiler is not None:
        checks.choice(("simple", "advanced", "pytorch"), **{"trainer.profiler": trainer.profiler})


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


def prepare_task(cfg: DictConfig) -> Task:
    """The seeded net inside its task: the same seed gives the same weights, bit for bit."""
    check_settings(cfg)
    if cfg.data.vocabulary is not None and "vocabulary" not in cfg.model:
        raise UserError(
            f"{cfg.model._target_.split('.')[-2]} reads numbers, but {cfg.data.name} holds characters: "
            "choose model=lstm or model=transformer, or another data set"
        )
    seed_everything(cfg.seed, 0)
    net = build(cfg.model)
    schedule = build(cfg.schedule)
    # Hydra's partial checks its target anew at each call, and a schedule is called once a step.
    schedule = partial(schedule.func, *schedule.args, **schedule.keywords)
    schedule = None if schedule.func is constant else schedule
    task = _call(cfg.task, net=net, optimizer=build(cfg.optimizer), schedule=schedule)
    if task.expects not in cfg.model:
        name, model = (node._target_.split(".")[-2] for node in (cfg.task, cfg.model))
        raise UserError(
            f"{name} expects a model with {task.expects}, but {model} has none: leave out task={name}, "
            "or choose another model"
        )
    return task


def train(
    cfg: DictConfig,
    split: Split,
    *,
    resume_point: Path,
    identity: dict,
    resume: Path | None = None,
    callbacks: Sequence[Callback] = (),
) -> Outcome:
    """Trains one network, from the start or from a checkpoint, to the same numbers.

    Args:
        cfg: a composed `conf/train.yaml`.
        split: the examples; the test part is not read.
        resume_point: where to write the checkpoint from which a killed run goes on.
        identity: what the run is; a checkpoint with another identity is refused.
        resume: a checkpoint to go on from.
        callbacks: more callbacks, run after the diagnostics.

    Raises:
        UserError: a setting that cannot be trained, or a checkpoint of another run.
    """
    task, train_set, val_set = ready(cfg, split)
    if resume is not None:
        check(resume, identity)
    cost = _cost(cfg.model, task.net, split.train[0][:1])
    seen = Batches(_first(train_set, cfg.diagnostics.gap_examples), batch_size=EVALUATION_BATCH)
    unseen = Batches(val_set, batch_size=EVALUATION_BATCH)
    history, best, every = History(unseen), BestWeights(), cfg.diagnostics.every
    trainer = trainer_of(
        cfg,
        CheckedIO(),
        history,
        best,
        OverfittingGap(history, train=seen, every=every),
        GradientFlow(history, batch=_first(train_set, cfg.diagnostics.gradient_examples), every=every),
        *callbacks,
        ResumePoint(resume_point, identity, cfg.checkpoint_seconds),
    )
    batches = batches_of(cfg, train_set)
    try:
        trainer.fit(task, batches, ckpt_path=resume, weights_only=True)
    except Diverged as reason:
        return Outcome("diverged", str(reason), history, best.epoch, None, cost, None)
    rows = {int(row["epoch"]): row for row in history.epochs}
    last = overfitting_gap(task, history.epochs[-1], train=seen, val=unseen)
    assert best.epoch is not None  # no loss has diverged, so that some epoch is the best
    task.net.load_state_dict(best.weights)
    gap = {"best": overfitting_gap(task, rows[best.epoch], train=seen, val=unseen), "last": last}
    weights = {name: w.cpu().contiguous() for name, w in best.weights.items()}
    return Outcome(
        "finished", None, history, best.epoch, gap, cost, weights, _artifacts(task, split, cfg.seed)
    )


def ready(cfg: DictConfig, split: Split) -> tuple[Task, Examples, Examples]:
    """The seeded net inside its task, and training and validation examples on the device where they stay."""
    torch.set_num_threads(1)  # small networks lose by a second thread, and the rounding depends on it
    # Where Lightning asks for determinism, PyTorch would first fill each new tensor with NaN, lest one be read before
    # it is written: a twentieth of the time of small networks.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    keep_memory()
    task = prepare_task(cfg)
    task.prepare(split)
    device = _device(cfg.trainer.accelerator)
    train_set, val_set = (
        (x.to(device), y.to(device)) for x, y in (_first(split.train, cfg.train_examples), split.validation)
    )
    return task, train_set, val_set


def batches_of(cfg: DictConfig, train_set: Examples) -> Batches:
    """The batches of each epoch of a run."""
    return Batches(train_set, batch_size=cfg.batch_size, seed=cfg.seed, steps=cfg.steps_per_epoch)


def trainer_of(cfg: DictConfig, io: CheckpointIO, history: History, *callbacks: Callback) -> Trainer:
    """The trainer of a config; history comes first, since others read what it measured."""
    stopping = [EarlyStopping("val/loss", patience=cfg.patience, check_finite=False)] if cfg.patience else []
    trainer = build(
        cfg.trainer,
        callbacks=[history, SeedEpochs(cfg.seed), *stopping, *callbacks],
        plugins=[io],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    run_whole_epochs(trainer)
    return trainer


_costs: dict[str, dict[str, int]] = {}


def _cost(model: DictConfig, net: nn.Module, x: Tensor) -> dict[str, int]:
    """What a net of this config costs: whatever its seed, so that it is counted once a process."""
    key = f"{OmegaConf.to_container(model)} {tuple(x.shape)} {x.dtype}"
    if key not in _costs:
        _costs[key] = {"parameters": parameters(net), "training_flops": training_flops(net, x)}
    return dict(_costs[key])


@torch.no_grad()
def _artifacts(task: Task, split: Split, seed: int) -> dict[str, Tensor | str]:
    seed_everything(seed, 1)
    return task.cpu().eval().artifacts(split)  # type: ignore[return-value]


def _first(examples: Examples, n: int | None) -> Examples:
    x, y = examples
    return x[:n], y[:n]


def _device(accelerator: str) -> torch.device:
    """The device of the data, which stays there for the whole training."""
    if accelerator not in ("gpu", "cuda"):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise UserError("trainer=gpu expects a GPU that this PyTorch can use, found none: use trainer=cpu")
    return torch.device("cuda", 0)
