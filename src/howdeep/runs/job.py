"""`howdeep train`: a Hydra app that trains one run, or with -m one for each combination."""

import os
import sys
import time
from typing import cast

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException
from pytorch_lightning import Callback, LightningModule, Trainer
from tqdm import tqdm

from howdeep.errors import UserError, line, of_place
from howdeep.files import project
from howdeep.files.project import Project
from howdeep.processes.signals import stop_if_asked, stop_on_signals
from howdeep.runs import options, place
from howdeep.runs.nodes import on_nodes, scheduler
from howdeep.runs.run import execute, job_of
from howdeep.study import passwords
from howdeep.study.complaints import COMPLAINTS, OF_PLUGINS, explain
from howdeep.study.kinds import check_kinds, resolve
from howdeep.study.matching import match
from howdeep.study.unused import check_mode
from howdeep.tracking.store import store_of

MANY = ("-m", "--multirun")


def job(cfg: DictConfig, here: Project, failed: list[UserError]) -> float | list[float] | None:
    """What Hydra calls for each run; a failed one is told and counted, and with -m the next ones still run.

    The project is the one that the command was typed in: Hydra may have changed the folder.

    In a sweep, where a failed run is a failed trial, the sweeper hears of it instead. The config has been composed by
    now, so that a config error from here on is a bug.
    """
    from howdeep.runs import trial

    if trial.is_trial():
        return trial.train_trial(_settled(cfg), cfg, here)
    try:
        check_mode(cast(DictConfig, HydraConfig.get()))
        return train_one(_settled(cfg), cfg, here)
    except (UserError, OSError) as error:
        stop_if_asked()  # in whose place another library's cleanup may have raised this
        mistake = error if isinstance(error, UserError) else of_place(error)
        if mistake is None:
            raise
        failed.append(mistake)
        print(f"howdeep: {line(mistake)}", file=sys.stderr)
        return float("nan")
    except OmegaConfBaseException as error:
        raise RuntimeError(f"howdeep read its config wrongly: {error}") from error


def _settled(composed: DictConfig) -> DictConfig:
    """The config of a job, resolved and checked, with the width that its matching asks for.

    Raises:
        UserError: an interpolation that leads nowhere, a setting of the wrong kind, or a width that cannot be matched.
    """
    cfg = composed.copy()
    resolve(cfg)
    check_kinds(cfg)
    place.keep_paths(cfg)
    match(cfg)
    return cfg


def train_one(cfg: DictConfig, composed: DictConfig, here: Project) -> float:
    """Trains the run of a resolved config; returns its lowest validation loss.

    Args:
        cfg: the config.
        composed: the same before it was resolved.

    Raises:
        UserError: the config cannot be trained, another run lies in its folder, or it diverged.
    """
    from howdeep.runs.examples import ensure_prepared

    clock = time.perf_counter()
    ensure_prepared(cfg.data, here)
    job = job_of(cfg, place.folder(), here)
    with place.of_its_own(job, composed, here):
        away = on_nodes(scheduler(HydraConfig.get(), here), job)
        record = execute(job, here, store_of(cfg, here), callbacks=[EpochBar()], away=away)
    line = summary(record, time.perf_counter() - clock, HydraConfig.get().runtime.choices.get("debug"))
    if record["state"] != "finished":
        raise UserError(
            f"{line}: try a smaller optimizer.lr or trainer.gradient_clip_val=1; record in {job.folder}"
        )
    print(f"{line} -> {place.as_typed(job.folder)}")
    return min(row["val/loss"] for row in record["epochs"])


def main(overrides: list[str]) -> int:
    """Hands the command line to Hydra; its complaints, and those of its jobs, become one line."""
    # Hydra's parser takes an option before all overrides or behind them, not between two.
    overrides = sorted(overrides, key=lambda word: word not in MANY)
    here = project.find()
    stop_on_signals()
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # else Hydra prints errors itself and exits
    sys.argv = ["howdeep train", *passwords.hidden(options.settled(overrides))]
    failed: list[UserError] = []
    app = hydra.main(version_base="1.3", config_path=str(here.conf), config_name="train")(
        lambda cfg: job(cfg, here, failed)
    )
    try:
        app()
    except (*COMPLAINTS, *OF_PLUGINS) as error:
        raise explain(error, here.conf, overrides, typed=True) from error
    return 1 if failed else 0


class EpochBar(Callback):
    """A bar over epochs with the newest losses."""

    _bar: tqdm | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._bar = tqdm(
            total=trainer.max_epochs, initial=trainer.current_epoch, unit="epoch", disable=None, leave=False
        )

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert self._bar is not None
        if not self._bar.disable:
            losses = {
                name: f"{float(trainer.callback_metrics[name]):.4g}" for name in ("train/loss", "val/loss")
            }
            self._bar.set_postfix(losses, refresh=False)
            self._bar.update()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if self._bar is not None:
            self._bar.close()


def summary(record: dict, seconds: float, debug: str | None = None) -> str:
    """A run in one line.

    Args:
        record: of the run.
        seconds: that it took.
        debug: the choice of conf/debug: overfit asks how far the training loss has come, whatever the validation says.
    """
    matching, config = record["matching"], record["config"]
    solved = "" if matching == "width" else f" and width {config['model']['width']}, equal {matching},"
    who = f"{record['model']} depth {record['depth']}{solved} on {record['data']}, seed {record['seed']}"
    if record["state"] != "finished":
        return f"{who}: {record['state']}, {record['reason']} ({seconds:.1f} s)"
    score, epochs = record["score"]["name"], record["epochs"]
    best, gap = epochs[record["best_epoch"]], record["gap"]
    if debug == "overfit":
        loss, reached = (gap["last"][f"train_{name}"] for name in ("loss", score))
        told = f"train loss {_shown(loss)}, train {score} {_shown(reached)} after {len(epochs)} epochs"
    else:
        told = (
            f"val loss {_shown(best['val/loss'])}, val {score} {_shown(best[f'val/{score}'])} in epoch "
            f"{record['best_epoch'] + 1} of {len(epochs)}; overfitting gap {_shown(gap['best']['loss'], '+.3g')}"
        )
    return f"{who}: {told} ({seconds:.1f} s)"


def _shown(value: float | None, how: str = ".4g") -> str:
    """A number of a record, which has null for what is none."""
    return "nan" if value is None else format(value, how)
