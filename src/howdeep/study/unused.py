"""Settings of Hydra that would do nothing where they stand are refused: whoever wrote them expects something.

Hydra imports this module with its plugins whenever it starts.
"""

from collections.abc import Sequence

from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from howdeep.errors import UserError

OF_SWEEPS = ("hydra.sweeper", "hydra.launcher", "hydra.sweep", "hydra/sweeper", "hydra/launcher")
OF_SINGLE_RUNS = ("hydra.run",)
OF_ALL_JOBS = ("sweeper", "launcher", "callbacks")  # read once, before there are jobs


def typed(hydra: DictConfig) -> list[str]:
    """The overrides of Hydra's own settings as they were typed, with their interpolations."""
    lines = OmegaConf.to_container(hydra.overrides.hydra, resolve=False)
    assert isinstance(lines, list)
    return [str(line) for line in lines]


def check_mode(hydra: DictConfig) -> None:
    """Refuses a setting of sweeps in a single run, and one of single runs in a multirun.

    Args:
        hydra: the node of that name in a composed config.

    Raises:
        UserError: the setting.
    """
    many = hydra.mode == RunMode.MULTIRUN
    for line in typed(hydra):
        key = line.lstrip("+~").partition("=")[0]
        if many and key.startswith(OF_SINGLE_RUNS):
            raise UserError(f"{line} is a setting of single runs: write hydra.sweep.dir with -m")
        if not many and key.startswith(OF_SWEEPS):
            raise UserError(f"{line} is a setting of sweeps: add -m, or leave it out")
    if not many and OmegaConf.select(hydra, "sweeper.params"):
        chosen = f"experiment={hydra.runtime.choices.get('experiment')}"
        raise UserError(f"{chosen} says what a sweep tries (hydra.sweeper.params): add -m, or leave it out")


def check_job(config: DictConfig, master: DictConfig, overrides: Sequence[str]) -> None:
    """Refuses a job of a multirun that brings a sweep of its own, as experiments do: it would be one run of defaults.

    Args:
        config: of the job.
        master: of the multirun.
        overrides: of the job.

    Raises:
        UserError: what it brings, and which overrides do.
    """
    for name in OF_ALL_JOBS:
        own, whole = (OmegaConf.to_container(of.hydra[name], resolve=False) for of in (config, master))
        if own != whole:
            chosen = ", ".join(line for line in overrides if _is_choice(line, config, master))
            raise UserError(
                f"{chosen} brings a sweep of its own (hydra.{name}), which a job of another one cannot run: type a "
                "command for each"
            )


def _is_choice(line: str, config: DictConfig, master: DictConfig) -> bool:
    """Whether an override chooses a file of conf/ in the job that the multirun as a whole has not chosen."""
    group = line.lstrip("+").partition("=")[0]
    own, whole = (of.hydra.runtime.choices.get(group) for of in (config, master))
    return own is not None and own != whole
