"""One training: a composed config and its examples in, an `Outcome` out; the only file is its resume point."""

import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch
from lightning_fabric.plugins.io.checkpoint_io import CheckpointIO
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
from howdeep.tasks.task import Task
from howdeep.training.best_weights import BestWeights
from howdeep.training.loop import run_whole_epochs
from howdeep.training.memory import keep_memory
from howdeep.training.resume import CheckedIO, ResumePoint, check
from howdeep.training.schedules import constant
from howdeep.training.seeding import SeedEpochs, seed_everything
from howdeep.training.settings import build, call, check_settings

EVALUATION_BATCH = 1024

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


def prepare_task(cfg: DictConfig) -> Task:
    """The seeded net inside its task: the same seed gives the same weights, bit for bit."""
    check_settings(cfg)
    if cfg.data.vocabulary is not None and "vocabulary" not in cfg.model:
        raise UserError(
            f"{cfg.model._target_.split('.')[-2]} reads numbers, but {cfg.data.name} holds symbols: "
            "choose model=lstm or model=transformer, or another data set"
        )
    seed_everything(cfg.seed, 0)
    net = build(cfg.model)
    schedule = build(cfg.schedule)
    # Hydra's partial checks its target anew at each call, and a schedule is called once a step.
    schedule = partial(schedule.func, *schedule.args, **schedule.keywords)
    schedule = None if schedule.func is constant else schedule
    task = call(cfg.task, net=net, optimizer=build(cfg.optimizer), schedule=schedule)
    if task.expects not in cfg.model:
        name, model = (node._target_.split(".")[-2] for node in (cfg.task, cfg.model))
        raise UserError(
            f"{name} expects a model with {task.expects}, but {model} has none: leave out task={name}, "
            "or choose another model"
        )
    task.check_trainer(cfg.trainer)
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
    stopping = []
    if cfg.patience:  # judged where the losses come from, at the end of each epoch
        stopping.append(
            EarlyStopping(
                "val/loss", patience=cfg.patience, check_finite=False, check_on_train_epoch_end=True
            )
        )
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
