"""Samplers and pruners by name, so that a config can choose them."""

import hashlib
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from howdeep.errors import UserError, near
from howdeep.sweeping.space import Space

if TYPE_CHECKING:
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler

SAMPLERS = ("tpe", "random", "qmc", "grid", "gp", "nsga2", "nsga3")
PRUNERS = ("none", "median", "halving", "hyperband")
# They look at what the other trials have drawn, to draw something else: one trial is drawn at a time.
DRAW_IN_TURN = ("qmc", "grid")


def sampler(name: str, options: Mapping[str, Any], space: Space, seed: int, number: int) -> "BaseSampler":
    """The sampler of one trial.

    Its seed is made of the study's and the trial's number: a study that is resumed does not draw again what it has
    drawn, and one that is repeated by one worker draws the same.

    Raises:
        UserError: no such sampler, or an option that it does not have.
    """
    from optuna import samplers

    own_seed = int.from_bytes(hashlib.sha256(f"{seed}/{number}".encode()).digest()[:4], "big")
    kinds = {
        "tpe": lambda **o: samplers.TPESampler(
            **{"seed": own_seed, "multivariate": True, "group": True, "constant_liar": True, **o}
        ),
        "random": lambda **o: samplers.RandomSampler(own_seed, **o),
        "grid": lambda **o: samplers.RandomSampler(own_seed, **o),  # `Study` enqueues the points
        "qmc": lambda **o: _qmc(space, seed, own_seed, **o),
        "gp": lambda **o: samplers.GPSampler(**{"seed": own_seed, "warn_independent_sampling": False, **o}),
        "nsga2": lambda **o: samplers.NSGAIISampler(**{"seed": own_seed, **o}),
        "nsga3": lambda **o: samplers.NSGAIIISampler(**{"seed": own_seed, **o}),
    }
    return _make(name, kinds, options, "sampler")


def _qmc(space: Space, seed: int, own_seed: int, **options: Any) -> "BaseSampler":
    from optuna.samplers import QMCSampler, RandomSampler

    class QMC(QMCSampler):
        """Optuna's learns the space from the first trial, which draws at random; here the space is known."""

        def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, Any]:
            distributions = {name: d.distribution() for name, d in space.dimensions.items()}
            return {name: d for name, d in distributions.items() if not d.single()}

    independent = RandomSampler(own_seed)
    return QMC(
        **{
            "scramble": True,
            "seed": seed,
            "independent_sampler": independent,
            "warn_independent_sampling": False,
        }
        | options
    )


def pruner(name: str, options: Mapping[str, Any]) -> "BasePruner":
    """
    Raises:
        UserError: no such pruner, or an option that it does not have.
    """
    from optuna import pruners

    kinds = {
        "none": pruners.NopPruner,
        "median": pruners.MedianPruner,
        "halving": pruners.SuccessiveHalvingPruner,
        "hyperband": pruners.HyperbandPruner,
    }
    return _make(name, kinds, options, "pruner")


def _make(name: str, kinds: Mapping[str, Any], options: Mapping[str, Any], what: str) -> Any:
    if name not in kinds:
        raise UserError(f"expected a {what}, got '{name}'{near(name, kinds)}")
    from optuna.exceptions import ExperimentalWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        try:
            return kinds[name](**options)
        except (TypeError, ValueError) as error:
            line = str(error).splitlines()[0]
            raise UserError(f"the {what} {name} refuses its options {dict(options)}: {line}") from None
