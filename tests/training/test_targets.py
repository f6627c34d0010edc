"""A `_target_` that came with a file runs nothing that its place is not for, and imports nothing either."""

import copy
import subprocess
import sys

import pytest

from howdeep.errors import UserError
from howdeep.records.fingerprint import settings
from howdeep.records.record import config_of
from howdeep.training import targets

# Of each place what would run something, or be something else than it is for.
HOSTILE = {
    "model": [
        *(
            "os.system",
            "psutil.Popen",
            "subprocess.Popen",
            "builtins.exec",
            "hydra.utils.instantiate",
            "torch.load",
        ),
        *(
            "howdeep.nets.mlp.torch.load",
            "howdeep.nets.mlp.nn",
            "howdeep.nets.mlp.nn.Linear",
            "howdeep.nets.mlp.MPL",
        ),
        *(
            "howdeep.nets.mlp.MLP.__init__",
            "howdeep.nets.mlp.MLP.load_state_dict",
            "howdeep.nets.checks.whole",
        ),
        *(
            "howdeep.nets.nothing.MLP",
            "howdeep.nets..MLP",
            "howdeep.nets.mlp.__builtins__",
            "howdeep.nets.mlp.UserError",
        ),
        *("howdeep.processes.workers.run_all", "howdeep.nets.mlp.MLP\n", "MLP", "", None, 5, ["os.system"]),
    ],
    "task": [
        *("howdeep.tasks.task.torch.hub.load", "howdeep.tasks.classification.Tensor", "os.system"),
        *(
            "howdeep.nets.mlp.MLP",
            "howdeep.tasks.task.LightningModule",
            "howdeep.tasks.classification.classification",
        ),
    ],
    "data.examples": [
        *(
            "howdeep.data.mnist.gzip.open",
            "howdeep.data.mnist.gzip",
            "howdeep.data.sources.pull",
            "os.system",
        ),
        *(
            "howdeep.data.prepared.write",
            "howdeep.data.digits.Path",
            "howdeep.data.examples.Split",
            "howdeep.data.digits",
        ),
    ],
    "data.prepare": [
        "howdeep.data.sources.os.system",
        "howdeep.data.sources.check",
        "MLP",
        None,
        "subprocess.run",
    ],
    "schedule": ["howdeep.training.schedules.math.cos", "howdeep.training.schedules.UserError", "time.sleep"],
    "optimizer": [
        "torch.optim.lr_scheduler.StepLR",
        "torch.optim.lr_scheduler",
        "torch.optim.adam.torch.load",
    ],
    "trainer": ["pytorch_lightning.seed_everything", "lightning.Trainer", "pytorch_lightning.Trainer.fit"],
}


@pytest.fixture(scope="module")
def record(compose):
    return {"entry": "digits-mlp", "key": "0" * 16, "config": settings(compose())}


@pytest.mark.parametrize(("place", "target"), [(place, t) for place, of in HOSTILE.items() for t in of])
def test_a_record_names_only_what_its_places_are_for(record, place, target):
    found = changed(record, place, _target_=target)
    with pytest.raises(UserError, match=rf"cannot be read: {place}\._target_ must be ") as refused:
        config_of(found)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "place", ["model.width", "data.in_shape", "data", "diagnostics", "optimizer.betas", "extra"]
)
def test_no_other_place_has_a_target(record, place):
    found = changed(record, place, _target_="howdeep.nets.mlp.MLP")
    with pytest.raises(UserError, match=r"_target_ must not be there"):
        config_of(found)


@pytest.mark.parametrize(
    "text", ["${oc.create:{_target_: os.system}}", "${model}", "${oc.env:HOME}", "???", r"\${x}"]
)
def test_a_record_holds_no_interpolation_that_could_become_one(record, text):
    for place in ("model", "data", "optimizer"):
        with pytest.raises(UserError, match="found an interpolation"):
            config_of(changed(record, place, other=text))


@pytest.mark.parametrize("name", ["..", "../../x", "/etc", 5])
def test_a_record_names_its_data_by_a_name(record, name):
    with pytest.raises(UserError, match=r"cannot be read: data\.name must be a name"):
        config_of(changed(record, "data", name=name))


def test_what_was_composed_is_taken(compose):
    for overrides in (
        *(["data=torch_docs", "model=transformer", "optimizer=adamw"], ["model=gan", "optimizer=rmsprop"]),
        *(["model=autoencoder", "schedule=cosine"], ["data=digit_sequences", "model=gru", "optimizer=sgd"]),
    ):
        config = settings(compose(*overrides))
        assert config_of({"config": config}) == config


def test_nothing_is_imported_to_refuse_a_target():
    names = [f"{module}.run" for module in ("antigravity", "howdeep.warm", "howdeep.nets.mlp.antigravity")]
    told = subprocess.run(
        [sys.executable, "-c", IMPORTS_NOTHING, *names], capture_output=True, text=True, check=True
    )
    assert told.stdout.split() == ["refused"] * 3


IMPORTS_NOTHING = """
import sys
from howdeep.errors import UserError
from howdeep.training import targets
for name in sys.argv[1:]:
    before = set(sys.modules)
    try:
        targets.verify({"model": {"_target_": name}})
    except UserError:
        print("refused" if set(sys.modules) == before else f"imported{set(sys.modules) - before}")
"""


def test_a_place_that_is_called_later_is_partial(record):
    found = changed(record, "data.examples", _partial_=False)
    with pytest.raises(UserError, match=r"data\.examples\._partial_ must be true"):
        config_of(found)
    with pytest.raises(UserError, match=r"model\._partial_ must not be there"):
        config_of(changed(record, "model", _partial_=True))


def test_a_near_name_is_offered():
    with pytest.raises(UserError, match="did you mean 'MLP'"):
        targets.verify({"model": {"_target_": "howdeep.nets.mlp.MPL"}})
    with pytest.raises(UserError, match=r"there is no file howdeep/nets/mpl\.py"):
        targets.verify({"model": {"_target_": "howdeep.nets.mpl.MLP"}})


def changed(record: dict, place: str, **values: object) -> dict:
    """A copy of the record with other values in a place of its config."""
    found = copy.deepcopy(record)
    node = found["config"]
    *above, last = place.split(".")
    for name in above:
        node = node[name]
    node[last] = {**(node[last] if isinstance(node.get(last), dict) else {}), **values}
    return found
