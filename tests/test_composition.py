"""Every YAML composes, builds and trains one step; a mistyped override is one line with a near match."""

from pathlib import Path

import pytest

from howdeep.composition import compose_train, explain, files, options
from howdeep.errors import UserError
from howdeep.prepare import load_split
from howdeep.training.run import train

CONF = Path(__file__).parents[1] / "conf"
GROUPS = sorted(path.name for path in CONF.iterdir() if path.is_dir())
YAMLS = sorted(str(path.relative_to(CONF).with_suffix("")) for path in CONF.glob("*/**/*.yaml"))


def test_the_yamls_are_found():
    assert {"data/mnist", "model/lstm", "optimizer/sgd", "schedule/cosine", "debug/smoke"} <= set(YAMLS)


@pytest.mark.parametrize("path", YAMLS)
def test_every_yaml_begins_with_a_command_that_selects_it(path):
    group, _, name = path.rpartition("/")
    first, second = (CONF / f"{path}.yaml").read_text().splitlines()[:2]
    line = second if first == "# @package _global_" else first
    assert line.startswith("# howdeep train ")
    assert f"{group}={name}" in line.split()


@pytest.mark.parametrize("path", YAMLS)
def test_every_yaml_composes(path):
    group, _, name = path.rpartition("/")
    assert path.startswith("hydra/") or f"{path}.yaml" in files(CONF, [f"{group}={name}"])
    compose_train(CONF, [f"{group}={name}"])


SEQUENCES = {"digit_sequences", "sunspots", "elnino", "torch_docs"}
READS = {  # what an architecture is there to read; whatever else it is given it reads or refuses
    "mlp": {"digits", "digit_sequences", "breast_cancer", "sunspots", "elnino"},
    "cnn": {"digits"},
    "rnn": SEQUENCES,
    "gru": SEQUENCES,
    "lstm": SEQUENCES,
    "transformer": SEQUENCES,
    "autoencoder": {"digits", "digit_sequences", "breast_cancer"},
    "gan": {"digits"},
}
DATA = sorted(set(options(CONF, "data")) - {"mnist"})  # too large for a test of every combination


@pytest.mark.parametrize("optimizer", sorted(options(CONF, "optimizer")))
@pytest.mark.parametrize("model", sorted(options(CONF, "model")))
@pytest.mark.parametrize("data", DATA)
def test_every_combination_trains_or_is_refused_in_one_line(
    compose, project, tmp_path, data, model, optimizer
):
    cfg = compose(f"data={data}", f"model={model}", f"optimizer={optimizer}", "debug=smoke", "model.depth=2")
    try:
        outcome = train(cfg, load_split(cfg, project), resume_point=tmp_path / "x.ckpt", identity={})
    except UserError as error:
        refused = str(error)
    else:
        refused = ""
        assert outcome.state == "finished"
        assert len(outcome.history.epochs) == 1
        assert outcome.cost["parameters"] > 0
    assert "\n" not in refused
    assert not (refused and data in READS.get(model, ())), refused


def test_sunspots_choose_forecasting():
    assert compose_train(CONF, ["data=sunspots"]).task._target_.endswith("Forecasting")
    assert compose_train(CONF, ["data=digits"]).task._target_.endswith("Classification")


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("data=digit", "conf/data/, got data=digit, did you mean 'digits'?"),
        ("model=ltsm", "got model=ltsm, did you mean 'lstm'?"),
        ("optimizer=adm", "did you mean 'adam'?"),
        ("optimizer=xyz", "there are: adam, adamw, rmsprop, sgd"),
        ("model.dpeth=4", "expected a key of the config, got 'model.dpeth', did you mean 'model.depth'?"),
        ("modle=mlp", "got 'modle', did you mean 'model'?"),
        ("sede=1", "did you mean 'seed'?"),
        ("model.depth", "write key=value"),
        ("model.depth=[1", "got 'model.depth=[1': write key=value"),
        ("seed=${nothing}", "nothing"),
    ],
)
def test_a_mistyped_override_is_one_line_with_a_near_match(override, words):
    with pytest.raises(UserError) as caught:
        compose_train(CONF, [override])
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_any_other_complaint_of_hydra_keeps_its_first_line():
    from hydra.errors import HydraException

    assert str(explain(HydraException("what\nwhere"), CONF)) == "the config cannot be composed: what"


def test_debug_overrides_the_defaults():
    assert compose_train(CONF, ["debug=smoke"]).tracking.uri is None
    overfit = compose_train(CONF, ["debug=overfit"])
    assert (overfit.train_examples, overfit.trainer.max_epochs, overfit.tracking.uri) == (32, 200, None)
    assert compose_train(CONF, ["debug=overfit", "train_examples=8"]).train_examples == 8
