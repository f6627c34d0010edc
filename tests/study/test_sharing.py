"""Jobs of a multirun that share what Hydra composes: each config is Hydra's own for that job."""

import itertools

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import ConfigCompositionException
from hydra.types import HydraContext
from omegaconf import OmegaConf

from hydra_plugins.howdeep_jobs import sharing

GRIDS = [
    [["seed=1", "seed=2"], ["model.depth=1", "model.depth=4"], ["optimizer.lr=0.1", "optimizer.lr=1e-3"]],
    [["model=mlp", "model=lstm"], ["model.depth=2", "model.depth=3"], ["optimizer=sgd"], ["trainer.max_epochs=2"]],
    [["model.depth=1", "model.depth=2"], ["model={depth:5}"]],  # the later one wins
    [["model.depth=1", "model.depth=2"], ["hydra.job.name=x"], ["+note=1", "+note=2"], ["patience=null", "patience=3"]],
    [["model.depth=1", "model.depth=2.5", "model.depth=true", "model.depth=null", "model.depth=${seed}"]],
    [["hydra.job.config.override_dirname.exclude_keys=[seed]"], ["seed=1", "seed=2"], ["batch_size=8", "batch_size=9"]],
    [["optimizer=sgd"], ["optimizer.momentum=0.5", "optimizer.momentum=0"]],  # the default optimizer has none
]  # fmt: skip


@pytest.fixture
def contexts(project):
    """Hydra's context and the sharing one, and the config of a multirun."""
    with initialize_config_dir(str(project.conf.resolve()), version_base="1.3", job_name="train"):
        loader = GlobalHydra.instance().config_loader()
        hydras = HydraContext(config_loader=loader, callbacks=None)  # type: ignore[arg-type]
        yield hydras, sharing(hydras), compose("train", return_hydra_config=True)


@pytest.mark.parametrize("grid", GRIDS)
def test_a_job_has_the_config_that_hydra_composes_for_it(contexts, grid):
    hydras, sharing, master = contexts
    for job in itertools.product(*grid):
        wanted = hydras.config_loader.load_sweep_config(master, list(job))
        for _ in ("to check it", "to run it"):
            found = sharing.config_loader.load_sweep_config(master, list(job))
            assert OmegaConf.to_container(found) == OmegaConf.to_container(wanted)
            assert OmegaConf.is_struct(found)
            found.seed = 77  # what one job does to its config is no other's concern
            found.hydra.job.num = 77


def test_jobs_that_differ_in_numbers_are_composed_once(contexts, monkeypatch):
    hydras, sharing, master = contexts
    composed = []
    own = type(hydras.config_loader).load_configuration
    monkeypatch.setattr(
        type(hydras.config_loader),
        "load_configuration",
        lambda *args, **kwargs: composed.append(1) or own(*args, **kwargs),
    )
    for seed, depth in itertools.product(range(5), range(1, 4)):
        sharing.config_loader.load_sweep_config(master, [f"seed={seed}", f"model.depth={depth}"])
    assert len(composed) == 1


def test_a_config_may_hold_a_type_that_hydra_has_imported_once_more(contexts, monkeypatch):
    from hydra import conf

    _, sharing, master = contexts
    monkeypatch.setattr(
        conf, "JobConf", type("JobConf", (), {})
    )  # a reloaded module has another of this name
    found = sharing.config_loader.load_sweep_config(master, ["seed=1"])
    assert OmegaConf.get_type(found.hydra.job) is OmegaConf.get_type(master.hydra.job)


@pytest.mark.parametrize("wrong", ["model.dept=3", "seed.x=1", "model=mlpp"])
def test_a_job_that_cannot_be_composed_is_refused_as_by_hydra(contexts, wrong):
    hydras, sharing, master = contexts
    told = []
    for of in (hydras, sharing):
        with pytest.raises(ConfigCompositionException) as caught:
            of.config_loader.load_sweep_config(master, [wrong])
        told.append(str(caught.value))
    assert told[0] == told[1]
