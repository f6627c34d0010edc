"""`howdeep train`: a Hydra app that trains one run, or with -m one for each combination."""

import os
import sys
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from howdeep import passwords, progress, project
from howdeep.composition import COMPLAINTS, check_kinds, explain, resolve
from howdeep.errors import UserError, line, of_place
from howdeep.matching import match
from howdeep.processes import stop_if_asked, stop_on_signals

if TYPE_CHECKING:  # commands start without MLflow
    from howdeep.tracking import Store


def job(cfg: DictConfig, failed: list[UserError]) -> float | list[float] | None:
    """What Hydra calls for each run; a failed one is told and counted, and with -m the next ones still run.

    In a sweep, where a failed run is a failed trial, the sweeper hears of it instead. The config has been composed by
    now, so that a config error from here on is a bug.
    """
    from howdeep import trials

    if trials.is_trial():
        _settle(cfg)
        return trials.train_trial(cfg)
    try:
        _settle(cfg)
        return train_one(cfg)
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


def _settle(cfg: DictConfig) -> None:
    """Resolves and checks the config of a job, and gives it the width that its matching asks for.

    Raises:
        UserError: an interpolation that leads nowhere, a setting of the wrong kind, or a width that cannot be matched.
    """
    resolve(cfg)
    check_kinds(cfg)
    match(cfg)


def train_one(cfg: DictConfig) -> float:
    """Trains the run of a resolved config; returns its lowest validation loss.

    Raises:
        UserError: the config cannot be trained, or the run diverged.
    """
    from howdeep import runs
    from howdeep.prepare import ensure_prepared

    here = project.find()
    clock = time.perf_counter()
    ensure_prepared(cfg.data, here)
    store = store_of(cfg, here)
    folder = Path(HydraConfig.get().runtime.output_dir) / "run"
    record = runs.execute(runs.job(cfg, folder, here), here, store, [progress.EpochBar()])
    line = progress.summary(record, time.perf_counter() - clock)
    if record["state"] != "finished":
        raise UserError(
            f"{line}: try a smaller optimizer.lr or trainer.gradient_clip_val=1; record in {folder}"
        )
    print(f"{line} -> {os.path.relpath(folder)}")
    return min(row["val/loss"] for row in record["epochs"])


def store_of(cfg: DictConfig, here: project.Project) -> "Store | None":
    """The MLflow store of a config, None if it is not tracked."""
    from howdeep.tracking import locate

    if not cfg.tracking.uri:
        return None
    return _store(locate(cfg.tracking.uri, here.root), cfg.tracking.experiment, here.root)


@cache  # the jobs of a multirun share it: to open it takes as long as a small training
def _store(uri: str, experiment: str, root: Path) -> "Store":
    from howdeep.tracking import Store

    store = Store(uri, experiment, root)
    store.close_abandoned()
    return store


def main(overrides: list[str]) -> int:
    """Hands the command line to Hydra; its complaints, and those of its jobs, become one line."""
    here = project.find()
    stop_on_signals()
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # else Hydra prints errors itself and exits
    sys.argv = ["howdeep train", *passwords.hidden(overrides)]
    failed: list[UserError] = []
    app = hydra.main(version_base="1.3", config_path=str(here.conf), config_name="train")(
        lambda cfg: job(cfg, failed)
    )
    try:
        app()
    except COMPLAINTS as error:
        raise explain(error, here.conf) from error
    return 1 if failed else 0
