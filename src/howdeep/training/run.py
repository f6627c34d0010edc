"""One training: a composed config and its examples in, an `Outcome` out; the only file is its resume point."""

import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig
from pytorch_lightning import Callback
from pytorch_lightning.callbacks import EarlyStopping
from torch import Tensor

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
from howdeep.training.resume import ResumePoint, check
from howdeep.training.seeding import SeedEpochs, seed_everything

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
        if isinstance(cause, ValueError | TypeError):
            raise UserError(f"{node._target_} refuses its values: {cause}".splitlines()[0]) from cause
        raise


def check_settings(cfg: DictConfig) -> None:
    """Refuses numbers that no training can use.

    Raises:
        UserError: the setting, what was expected and what came.
    """
    whole = ["batch_size", "trainer.max_epochs", "diagnostics.every", "diagnostics.gap_examples"]
    optional = [name for name in ("patience", "train_examples") if cfg[name] is not None]
    for name in [*whole, "diagnostics.gradient_examples", *optional]:
        value = cfg[name] if "." not in name else cfg[name.split(".")[0]][name.split(".")[1]]
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise UserError(f"{name} must be a whole number of at least 1, got {value!r}")
    if not isinstance(cfg.seed, int) or isinstance(cfg.seed, bool) or cfg.seed < 0:
        raise UserError(f"seed must be a whole number of at least 0, got {cfg.seed!r}")
    lr = cfg.optimizer.lr
    if not isinstance(lr, int | float) or isinstance(lr, bool) or not 0 < lr < float("inf"):
        raise UserError(f"optimizer.lr must be a number above 0, got {lr!r}: try optimizer.lr=0.001")
    if cfg.matching != "width":
        raise UserError(f"matching must be 'width', the only one there is yet, got {cfg.matching!r}")
    build(cfg.schedule)(0.0)  # a schedule checks its parameters when it is called
    try:  # torch checks the rest, but only when the optimizer is made, in the middle of a fit
        build(cfg.optimizer)([torch.nn.Parameter(torch.zeros(1))])
    except (ValueError, TypeError, RuntimeError) as error:
        raise UserError(
            f"optimizer {cfg.optimizer._target_} refuses its values: {error}".splitlines()[0]
        ) from error


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
    return build(cfg.task)(net=net, optimizer=build(cfg.optimizer), schedule=schedule)


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
    torch.set_num_threads(1)  # small networks lose by a second thread, and the rounding depends on it
    task = prepare_task(cfg)
    task.prepare(split)
    if resume is not None:
        check(resume, identity)
    cost = {
        "parameters": parameters(task.net),
        "training_flops": training_flops(task.net, split.train[0][:1]),
    }
    device = _device(cfg.trainer.accelerator)
    train_set, val_set = (
        (x.to(device), y.to(device)) for x, y in (_first(split.train, cfg.train_examples), split.validation)
    )
    seen = Batches(_first(train_set, cfg.diagnostics.gap_examples), batch_size=EVALUATION_BATCH)
    unseen = Batches(val_set, batch_size=EVALUATION_BATCH)
    history, best, every = History(), BestWeights(), cfg.diagnostics.every
    trainer = build(
        cfg.trainer,
        callbacks=[
            history,
            best,
            SeedEpochs(cfg.seed),
            OverfittingGap(history, train=seen, val=unseen, every=every),
            GradientFlow(history, batch=_first(train_set, cfg.diagnostics.gradient_examples), every=every),
            *([EarlyStopping("val/loss", patience=cfg.patience, check_finite=False)] if cfg.patience else []),
            *callbacks,
            ResumePoint(resume_point, identity, cfg.checkpoint_seconds),
        ],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    run_whole_epochs(trainer)
    batches = Batches(train_set, batch_size=cfg.batch_size, seed=cfg.seed)
    try:
        trainer.fit(task, batches, unseen, ckpt_path=resume, weights_only=False)
    except Diverged as reason:
        return Outcome("diverged", str(reason), history, best.epoch, None, cost, None)
    last = overfitting_gap(task, seen, unseen)
    task.net.load_state_dict(best.weights)
    gap = {"best": overfitting_gap(task, seen, unseen), "last": last}
    weights = {name: w.cpu().contiguous() for name, w in best.weights.items()}
    return Outcome(
        "finished", None, history, best.epoch, gap, cost, weights, _artifacts(task, split, cfg.seed)
    )


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
