"""The schedules against PyTorch's own schedulers, step by step."""

import inspect
import math
from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, LRScheduler

from howdeep.errors import UserError
from howdeep.training import schedules

CONFIGS = sorted((Path(__file__).parents[2] / "conf" / "schedule").rglob("*.yaml"))
STEPS, WARMUP_STEPS = 50, 10


def factors(scheduler: type[LRScheduler], steps: int, **options) -> list[float]:
    """The factors that one of PyTorch's schedulers gives after 0, 1, ... steps."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs, found = scheduler(optimizer, **options), []
    for _ in range(steps + 1):
        found.append(theirs.get_last_lr()[0])
        optimizer.step()
        theirs.step()
    return found


def test_constant_is_one():
    assert {schedules.constant(step / STEPS) for step in range(STEPS + 1)} == {1.0}


def test_cosine_agrees_with_torch():
    ours = [schedules.cosine(step / STEPS) for step in range(STEPS + 1)]
    assert ours == pytest.approx(factors(CosineAnnealingLR, STEPS, T_max=STEPS), abs=1e-12)


def test_warmup_agrees_with_torch_and_starts_above_zero():
    ours = [schedules.warmup_cosine(step / STEPS, warmup=0.2) for step in range(WARMUP_STEPS + 1)]
    oracle = factors(LinearLR, WARMUP_STEPS, start_factor=0.01, total_iters=WARMUP_STEPS)
    assert ours == pytest.approx(oracle, abs=1e-12)
    assert ours[0] == 0.01


def test_cosine_after_warmup_agrees_with_torch():
    left = STEPS - WARMUP_STEPS
    ours = [schedules.warmup_cosine((WARMUP_STEPS + s) / STEPS, warmup=0.2) for s in range(left + 1)]
    assert ours == pytest.approx(factors(CosineAnnealingLR, left, T_max=left), abs=1e-12)


def test_no_warmup_is_cosine():
    assert all(schedules.warmup_cosine(p / 20, warmup=0) == schedules.cosine(p / 20) for p in range(21))


@pytest.mark.parametrize("warmup", [-0.1, 1, 1.0, math.nan, "ten", None, True])
def test_a_warmup_that_is_no_share_is_refused_at_once(warmup):
    with pytest.raises(UserError, match="warmup must be a number from 0 to below 1, got"):
        schedules.warmup_cosine(0.5, warmup=warmup)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_conf_schedule_is_the_function_of_its_name_with_factors_from_0_to_1(path):
    config = OmegaConf.load(path)
    schedule = instantiate(config)
    assert schedule.func is getattr(schedules, path.stem)
    options = set(inspect.signature(schedule.func).parameters) - {"progress"}
    assert set(config) == options | {"_target_", "_partial_"}
    assert all(0 <= schedule(progress=step / 1000) <= 1 for step in range(1001))
    assert path.read_text().startswith(f"# howdeep train schedule={path.stem}")
