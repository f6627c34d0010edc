"""Every YAML composes, builds and trains one step; a mistyped override is one line with a near match."""

import hashlib
import itertools
import json
import pickle
import re
import shutil
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from howdeep.errors import UserError
from howdeep.runs.examples import load_split
from howdeep.study import composition
from howdeep.study.complaints import explain
from howdeep.study.composition import Compositions, compose_train
from howdeep.training.run import train
from tests.choices import EMBEDDED, MODELS, OPTIMIZERS

CONF = Path(__file__).parents[2] / "conf"
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
    compose_train(CONF, [f"{group}={name}"])


def test_what_is_composed_once_is_what_hydra_composes_each_time(tmp_path):
    """With values that interpolations take up, values set twice, and a width that each depth solves for itself."""
    once, read = Compositions(CONF, tmp_path), Compositions(CONF, tmp_path)
    for group in (
        ["data=sunspots", "model=lstm"],
        ["data=digits", "model=mlp", "++model.width=${model.depth}"],
    ):
        for own in (
            ["model.depth=2"],
            ["model.depth=7", "optimizer.lr=1e-2", "model.dropout=0.5"],
            ["optimizer=sgd", "model.depth=3", "model.depth=4", "optimizer.lr=0.25"],
        ):
            overrides = [*group, *own]
            assert once.of(overrides) == compose_train(CONF, overrides) == read.of(overrides)
    matched = ["model=mlp", "matching=parameters", "reference.depth=4", "model.depth=1"]
    assert once.of(matched) == compose_train(CONF, matched) == read.of(matched)
    assert once.of(matched).model.width != once.of([*matched, "model.depth=4"]).model.width


def test_what_a_stage_has_composed_is_read_until_a_yaml_is_edited(tmp_path, monkeypatch):
    conf = shutil.copytree(CONF, tmp_path / "conf")
    overrides = ["model=cnn", "model.depth=4"]
    composed = Compositions(conf, tmp_path / "kept").of(overrides)

    def no_more(*_: object, **__: object) -> None:
        raise AssertionError("composed again")

    with monkeypatch.context() as without:
        without.setattr(composition, "compose", no_more)
        assert Compositions(conf, tmp_path / "kept").of(overrides) == composed
    yaml = conf / "model" / "cnn.yaml"
    yaml.write_text(yaml.read_text().replace("width: 16", "width: 24"))
    assert Compositions(conf, tmp_path / "kept").of(overrides).model.width == 24
    assert len(list((tmp_path / "kept").iterdir())) == 1


def kept(folder: Path) -> list[Path]:
    """The files in a folder of compositions: of the defaults, and of what was asked for."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def signed(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode() + b"\n" + content


class Runs:
    """What a pickle can do when it is read."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self):
        return Path.touch, (self.file,)


def hostile(content: bytes, canary: Path) -> dict[str, bytes]:
    """What may stand there in place of a composition, in well-formed JSON with its checksum or not."""
    config = json.loads(content.partition(b"\n")[2])
    runs = {"_target_": "pathlib.Path.touch", "self": {"_target_": "pathlib.Path", "_args_": [str(canary)]}}
    changed = {
        "a target": config | {"model": runs},
        "a target that is made": config
        | {"model": f"${{oc.create:{{_target_: os.system, command: touch {canary}}}}}"},
        "a target elsewhere": config | {"model": "${data.extra}", "data": config["data"] | {"extra": runs}},
        "no model": {name: node for name, node in config.items() if name != "model"},
        "no data": config | {"data": None},
        "another name": config | {"data": config["data"] | {"name": "../.."}},
        "a cycle": config | {"seed": "${batch_size}", "batch_size": "${seed}"},
        "a list": [config],
        "nothing": None,
        "text": "model",
    }
    spoiled = bytearray(content)
    spoiled[len(content) // 2] ^= 1
    found = {name: signed(json.dumps(other).encode()) for name, other in changed.items()}
    found |= {"a pickle": pickle.dumps(Runs(canary)), "a signed pickle": signed(pickle.dumps(Runs(canary)))}
    found |= {"a bit": bytes(spoiled), "cut": content[:-20], "empty": b"", "deep": signed(b"[" * 100_000)}
    return found | {"no number": signed(content.partition(b"\n")[2].replace(b'"seed": 0', b'"seed": NaN'))}


@pytest.mark.slow
def test_what_is_no_composition_of_ours_runs_nothing_and_is_composed_anew(tmp_path):
    overrides = ["model=mlp", "model.depth=4", "optimizer=adam"]
    wanted = Compositions(CONF, tmp_path / "kept").of(overrides)
    places = kept(tmp_path / "kept")
    assert len(places) == 2
    for place in places:
        content = place.read_bytes()
        for name, other in hostile(content, tmp_path / "canary").items():
            place.write_bytes(other)
            assert Compositions(CONF, tmp_path / "kept").of(overrides) == wanted, name
        place.unlink()
        place.mkdir()
        assert Compositions(CONF, tmp_path / "kept").of(overrides) == wanted
    assert not (tmp_path / "canary").exists()


def test_a_kept_config_is_what_was_composed_to_the_last_flag(tmp_path):
    for overrides in (
        ["model=lstm", "data=sunspots"],
        ["model=gan"],
        ["+note={a: [1, 2.0, true, null]}", "seed=???"],
    ):
        first = Compositions(CONF, tmp_path)._read_or_compose(tuple(overrides))
        read = Compositions(CONF, tmp_path)._read_or_compose(tuple(overrides))
        assert repr(read) == repr(first)
        assert OmegaConf.to_yaml(read) == OmegaConf.to_yaml(first)  # interpolations too
        assert OmegaConf.is_struct(read)


@pytest.mark.parametrize("override", ["+data.names={1: one}", "+data.least=inf", "+data.none=nan"])
def test_what_json_does_not_know_is_composed_each_time(tmp_path, override):
    for _ in range(2):
        cfg = Compositions(CONF, tmp_path)._read_or_compose((override,))
        assert set(cfg.data) & {"names", "least", "none"}
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_no_other_folder_is_removed_where_compositions_are_kept(tmp_path):
    (tmp_path / "kept" / "mine").mkdir(parents=True)
    (tmp_path / "kept" / ("0" * 16)).mkdir()
    Compositions(CONF, tmp_path / "kept").of(["model.depth=2"])
    assert (tmp_path / "kept" / "mine").exists()
    assert not (tmp_path / "kept" / ("0" * 16)).exists()


def test_a_place_is_read_from_the_environment_of_who_asks(tmp_path, monkeypatch):
    for place in ("/one", "/other"):
        monkeypatch.setenv("HOWDEEP_MIRROR", place)
        assert Compositions(CONF, tmp_path).of(["model.depth=2"]).data.mirror == place


@pytest.mark.parametrize("wrong", ["optimizer.lr=[", "model.depht=3", "model=mpl", "optimizer.lr=${nothing}"])
def test_what_cannot_be_composed_once_is_told_as_hydra_tells_it(wrong, tmp_path):
    with pytest.raises(UserError) as told:
        compose_train(CONF, ["model.depth=2", wrong])
    with pytest.raises(UserError, match=re.escape(str(told.value))):
        Compositions(CONF, tmp_path).of(["model.depth=2", wrong])


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


def pairwise(data: str, model: str, optimizer: str) -> bool:
    """Whether a combination is one of the few in which any two choices meet, whatever the third."""
    return (EMBEDDED.index(data) + MODELS.index(model) - OPTIMIZERS.index(optimizer)) % len(OPTIMIZERS) == 0


ALL = list(itertools.product(EMBEDDED, MODELS, OPTIMIZERS))
COMBINATIONS = [choices for choices in ALL if pairwise(*choices)]


def test_any_two_choices_meet_in_a_test():
    for one, other in itertools.combinations(range(3), 2):
        assert {(of[one], of[other]) for of in COMBINATIONS} == {(of[one], of[other]) for of in ALL}


@pytest.mark.slow
@pytest.mark.parametrize(("data", "model", "optimizer"), COMBINATIONS)
def test_a_combination_trains_or_is_refused_in_one_line(compose, project, tmp_path, data, model, optimizer):
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
