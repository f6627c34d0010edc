"""The stage `inspect` on networks that are really trained, a little: what it writes, and what it must not read."""

import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml
from safetensors.torch import load_file
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from howdeep.data import card, sunspots
from howdeep.errors import UserError
from howdeep.files.project import Project
from howdeep.records import fingerprint
from howdeep.records.cell import Cell
from howdeep.records.record import config_of, describe, read_record, results_of, write_record
from howdeep.runs.examples import load_split, recipe, train_checksum
from howdeep.stages.evaluate import trained_task
from howdeep.stages.inspect import inspect
from howdeep.study.composition import compose_train
from howdeep.training.run import train

pytestmark = pytest.mark.slow  # the networks are really trained

ENTRIES = {
    "digits-cnn": {"data": "digits", "model": "cnn", "task": "classification"},
    "digit_sequences-transformer": {
        "data": "digit_sequences",
        "model": "transformer",
        "task": "classification",
    },
    "sunspots-rnn": {"data": "sunspots", "model": "rnn", "task": "forecasting"},
    "torch_docs-lstm": {"data": "torch_docs", "model": "lstm", "task": "language_modelling"},
    "digits-autoencoder": {"data": "digits", "model": "autoencoder", "task": "reconstruction"},
    "digits-gan": {"data": "digits", "model": "gan", "task": "generation"},
}
DEPTHS, SEEDS = (1, 2), (0, 1)


def add_run(here: Project, name: str, depth: int, seed: int, state: str = "finished") -> None:
    entry = ENTRIES[name]
    overrides = [f"{group}={entry[group]}" for group in ("data", "model", "task")]
    short = ["trainer.max_epochs=1", "train_examples=150", "tracking.uri=null"]
    cfg = compose_train(here.conf, [*overrides, f"model.depth={depth}", f"seed={seed}", *short])
    outcome = train(cfg, load_split(cfg, here), resume_point=here.scratch / "resume.ckpt", identity={})
    checksum, config = train_checksum(cfg, here), fingerprint.settings(cfg)
    key = f"{name}-{depth}-{seed}"
    record = describe(cfg, key=key, entry=name, checksum=checksum, config=config)
    record |= results_of(outcome)
    folder = here.runs / name / Cell(entry["data"], entry["model"], depth).run_name(seed)
    diverged = state == "diverged"
    write_record(folder, record | {"state": state}, None if diverged else outcome.weights, {})


@pytest.fixture(scope="module")
def trained(project, tmp_path_factory) -> Project:
    """A study of six entries; the first seed of the deeper rnn diverged. There are no test examples."""
    here = Project(tmp_path_factory.mktemp("trained"))
    shutil.copytree(project.conf, here.conf)
    study = yaml.safe_load(project.params.read_text())
    data_sets = ["digits", "digit_sequences", "sunspots", "torch_docs"]
    study |= {"data": data_sets, "depths": list(DEPTHS), "seeds": list(SEEDS)}
    point = {
        **ENTRIES["digits-cnn"],
        "overrides": {"train_examples": 20},
    }  # without runs: nobody may look for them
    study |= {"entries": {**ENTRIES, "digits-cnn-20": point}, "matching": ["width"]}
    here.params.write_text(yaml.safe_dump(study, sort_keys=False))
    for data in study["data"]:
        shutil.copytree(project.prepared(data), here.prepared(data))
        (here.prepared(data) / "test.safetensors").unlink()
    for name in ENTRIES:
        for depth in DEPTHS:
            for seed in SEEDS if name == "sunspots-rnn" else SEEDS[:1]:
                lost = (name, depth, seed) == ("sunspots-rnn", 2, 0)
                add_run(here, name, depth, seed, "diverged" if lost else "finished")
    inspect(here)
    return here


@pytest.fixture
def table(trained):
    return lambda name: pd.read_csv(trained.results / "inspection" / f"{name}.csv")


def test_points_of_a_learning_curve_are_left_out(table):
    assert set(table("similarity")["entry"]) == set(ENTRIES)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_every_layer_of_the_first_seed_that_finished_is_probed_before_and_after_training(table):
    found = table("representations")
    layers = found.groupby(["entry", "depth"])["layer"].apply(list).to_dict()
    assert layers == {
        (name, depth): list(range(2 * depth + 2 if "autoencoder" in name else depth + 1))
        for name in ENTRIES
        for depth in DEPTHS
    }
    assert (found["probe"] <= 1).all()
    inputs = found[found["layer"] == 0]
    pd.testing.assert_series_equal(inputs["probe"], inputs["untrained"], check_names=False)
    assert (found.loc[found["layer"] == 0, "part"] == "input").all()
    assert found.query("part == 'code'")[["entry", "layer"]].to_numpy().tolist() == [
        ["digits-autoencoder", 2],
        ["digits-autoencoder", 3],
    ]
    last = found[found["layer"] == found.groupby(["entry", "depth"])["layer"].transform("max")]
    assert (last["probe"] != last["untrained"]).all()


def test_of_a_gan_the_discriminator_is_looked_into_and_asked_for_the_digit(trained, table):
    folder = trained.runs / "digits-gan" / Cell("digits", "gan", 2).run_name(0)
    record = read_record(folder)
    cfg = config_of(record)
    layers = trained_task(cfg, folder, record).eval().get_submodule("net.discriminator.layers").children()
    (x, y), (x_held, y_held), _ = load_split(cfg, trained)
    h, h_held = x.flatten(1), x_held.flatten(1)
    with torch.no_grad():
        for layer in layers:
            h, h_held = layer(h), layer(h_held)
    scale = StandardScaler().fit(h)
    oracle = LogisticRegression(C=0.1, max_iter=1000).fit(scale.transform(h), y)
    found = (
        table("representations").query("entry == 'digits-gan' and depth == 2 and layer == 2")["probe"].item()
    )
    assert found == pytest.approx(oracle.score(scale.transform(h_held), y_held), abs=0.006)
    assert len(table("similarity").query("entry == 'digits-gan'")) == 3 + 6 + 6


def test_language_models_are_asked_for_the_next_character(trained, table):
    found = table("representations").query("entry == 'torch_docs-lstm'")
    cfg = compose_train(trained.conf, ["data=torch_docs", "model=lstm"])
    (_, y), (_, y_held), _ = load_split(cfg, trained)
    commonest = y[:, -8:].flatten().mode().values
    guess = float((y_held[: 1000 // 8, -8:] == commonest).double().mean())
    assert (
        guess < found.query("layer == 0")["probe"].iloc[0] < 0.5
    )  # one character tells something, and not all
    assert found["probe"].between(0, 1).all()


def test_the_probe_of_the_input_is_logistic_regression_on_its_pixels(trained, table):
    cfg = compose_train(trained.conf, ["data=digits", "model=cnn"])
    (x, y), (x_held, y_held), _ = load_split(cfg, trained)
    scale = StandardScaler().fit(x.flatten(1))
    oracle = LogisticRegression(C=0.1, max_iter=1000).fit(scale.transform(x.flatten(1)), y)
    found = table("representations").query("entry == 'digits-cnn' and layer == 0")["probe"]
    assert found.tolist() == pytest.approx(
        2 * [oracle.score(scale.transform(x_held.flatten(1)), y_held)], abs=0.006
    )


def test_layers_are_compared_within_a_network_and_with_the_shallowest(table):
    found = table("similarity").query("entry == 'digits-cnn'")
    pairs = found.groupby(["depth", "with"]).size().to_dict()
    assert pairs == {(1, "itself"): 3, (2, "itself"): 6, (2, "shallowest"): 6}
    same = found[(found["with"] == "itself") & (found["layer"] == found["other_layer"])]
    assert same["cka"].tolist() == pytest.approx([1] * len(same))
    assert found["cka"].abs().max() <= 1 + 1e-6


def test_transformers_show_attention_and_image_classifiers_attributions(trained, table):
    pictures = load_file(trained.results / "inspection" / "pictures.safetensors")
    assert pictures["digit_sequences-transformer/width/2/attention"].shape == (2, 4, 16, 16)
    assert pictures["digits-cnn/width/1/attributions"].shape == (8, 1, 8, 8)
    assert {name.split("/")[0] for name in pictures} == {"digit_sequences-transformer", "digits-cnn"}
    assert len(table("attention")) == (1 + 2) * 4
    assert table("attention")["spread"].between(0, 1).all()
    agreement = table("attribution")
    assert agreement["entry"].tolist() == ["digits-cnn"] * 2
    assert agreement["agreement"].between(-1, 1).all()
    assert (agreement["completeness_error"] < 0.1).all()


def test_the_same_runs_give_the_same_bytes(trained):
    before = contents(trained.results / "inspection")
    inspect(trained)
    assert contents(trained.results / "inspection") == before
    assert not any(str(trained.root).encode() in content for content in before.values())


def test_other_training_examples_than_those_of_the_run_are_refused_and_the_old_results_kept(
    trained, project, tmp_path
):
    here = Project(tmp_path / "copy")
    shutil.copytree(trained.root, here.root)
    raw = project.raw("sunspots")
    other = compose_train(here.conf, ["data=sunspots"]).data
    content = sunspots.prepare(raw, test_fraction=0.2)
    content.train["series"][0] += 1
    card.write(content, here.prepared("sunspots"), data=other, raw=raw, recipe=recipe(other))
    before = contents(here.results / "inspection")
    with pytest.raises(
        UserError, match="expected the training examples of sunspots that sunspots-rnn was trained on"
    ):
        inspect(here)
    assert contents(here.results / "inspection") == before
