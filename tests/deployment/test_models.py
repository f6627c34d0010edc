"""What people call a model is found, whichever of its names they use; what they mistype is told."""

from typing import Any

import numpy as np
import pytest
import torch

from howdeep.deployment.models import predictor_of, trained
from howdeep.encoding.inputs import Source
from howdeep.errors import UserError
from howdeep.intake.reading import Sheet
from howdeep.records.record import config_of, read_record
from howdeep.runs.examples import prepared_card, split_of


def rows_of(x: np.ndarray) -> Sheet:
    flat = x.reshape(len(x), -1)
    names = [f"x{place}" for place in range(1, flat.shape[1] + 1)]
    return Sheet(names, [[repr(float(value)) for value in row] for row in flat], list(range(2, len(x) + 2)))


def test_a_run_is_found_by_its_folder_by_its_place_below_runs_and_by_its_key(run, here):
    folder = run("model=mlp", "data=digits", entry="digits-mlp")
    key = read_record(folder)["key"]
    for word in (str(folder), "digits-mlp/depth=1-seed=0", key, key[:8], "digits-mlp"):
        [found] = trained(word)
        assert found.record["key"] == key


def test_an_entry_is_its_best_cell_by_validation_score_and_there_the_run_with_the_least_loss(run):
    for depth, seed, val in ((1, 0, 0.1), (1, 1, 0.9), (2, 0, 0.7), (2, 1, 0.6)):
        run("model=mlp", "data=digits", f"model.depth={depth}", entry="digits-mlp", seed=seed, val=val)
    # accuracy: the mean of depth 2 is better, 0.65 against 0.5; in it the loss of seed 1 is the least
    [found] = trained("digits-mlp")
    assert (found.record["depth"], found.record["seed"]) == (2, 1)
    assert [of.record["seed"] for of in trained("digits-mlp", ensemble=True)] == [1, 0]


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("digits-mpl", "got 'digits-mpl', did you mean 'digits-mlp'"),
        ("0123456789abcdef", "expected the folder of a run, its key, or an entry"),
        ("", "got ''"),
        ("nowhere/at/all", "this study has digits-mlp"),
    ],
)
def test_a_name_that_is_none_is_told_with_what_is_near(run, word, told):
    run("model=mlp", "data=digits", entry="digits-mlp")
    with pytest.raises(UserError, match=told):
        trained(word)


def test_an_ensemble_needs_several_seeds(run):
    run("model=mlp", "data=digits", entry="digits-mlp")
    with pytest.raises(UserError, match="--ensemble must have several seeds of a cell, found one"):
        trained("digits-mlp", ensemble=True)


@pytest.mark.parametrize(
    ("model", "data", "task"),
    [
        ("mlp", "breast_cancer", "classification"), ("cnn", "digits", "classification"),
        ("rnn", "digit_sequences", "classification"), ("gru", "sunspots", "forecasting"),
        ("lstm", "elnino", "forecasting"), ("autoencoder", "digits", "reconstruction"),
        ("transformer", "dyck", "classification"), ("gru", "adding", "regression"),
        ("lstm", "copying_memory", "sequence_labelling"), ("transformer", "torch_docs", "language_modelling"),
    ],
)  # fmt: skip
def test_raw_rows_are_answered_as_the_network_answers_what_was_prepared_of_them(run, here, model, data, task):
    """Of every task: prepared examples are taken back to raw numbers, and asked about."""
    folder = run(f"model={model}", f"data={data}", "model.depth=2", f"task={task}")
    [of] = trained(str(folder))
    x = split_of(of.record, here).validation[0][:5]
    card = prepared_card(config_of(of.record), here)
    with torch.no_grad():
        output = of.net(x).double().numpy()
    if task == "language_modelling":
        inputs: Any = of.predictor().inputs
        alphabet = inputs.alphabet
        texts = ["".join(alphabet[number] for number in row) for row in x.tolist()]
        found = of.predictor().predict(Sheet(["text"], [[text] for text in texts], [1] * 5), Source("rows"))
        assert found.columns["prediction"] == [alphabet[place] for place in output[:, -1].argmax(1)]
        return
    mean, std = (np.array(card.get(name, neutral)) for name, neutral in (("mean", 0.0), ("std", 1.0)))
    raw = x.double().numpy().reshape(len(x), -1, mean.size) * std + mean
    if task == "forecasting":  # one window, of which the last row has an answer
        found = of.predictor().predict(rows_of(raw[0]), Source("rows"))
        told = np.array([[column[-1] for column in found.columns.values()]])
        assert found.errors[-1] is None
        np.testing.assert_allclose(told, output[:1] * std + mean, rtol=1e-5, atol=1e-6)
        return
    found = of.predictor().predict(rows_of(raw), Source("rows"))
    assert found.errors == [None] * 5
    told = np.array([[value for value in column] for column in found.columns.values()]).T
    if task == "classification":
        shares = np.exp(output) / np.exp(output).sum(1, keepdims=True)
        assert told[:, 0].tolist() == [str(card["classes"][place]) for place in output.argmax(1)]
        np.testing.assert_allclose(told[:, 1:].astype(float), shares, rtol=1e-4, atol=1e-6)
    elif task == "regression":
        np.testing.assert_allclose(told.astype(float), output.reshape(5, -1), rtol=1e-5, atol=1e-6)
    elif task == "reconstruction":
        error = ((output.reshape(5, -1) - x.double().numpy().reshape(5, -1)) ** 2).mean(1)
        np.testing.assert_allclose(told[:, 0].astype(float), error, rtol=1e-5)
    else:
        assert told.tolist() == output.argmax(2).tolist()


def test_an_ensemble_answers_with_the_mean_of_its_networks_and_their_spread(run, here):
    for seed in range(3):
        run("model=mlp", "data=breast_cancer", entry="b", seed=seed)
    [of, *others] = trained("b", ensemble=True)
    x = split_of(of.record, here).validation[0][:4]
    card = prepared_card(config_of(of.record), here)
    raw = x.double().numpy() * np.array(card["std"]) + np.array(card["mean"])
    with torch.no_grad():
        shares = torch.stack([each.net(x).double().softmax(1) for each in (of, *others)]).numpy()
    found = predictor_of("b", ensemble=True).predict(rows_of(raw), Source("rows"))
    for place, name in enumerate(card["classes"]):
        np.testing.assert_allclose(found.columns[f"probability_{name}"], shares.mean(0)[:, place], rtol=1e-4)
        np.testing.assert_allclose(
            found.columns[f"spread_{name}"], shares.std(0, ddof=1)[:, place], rtol=1e-3
        )


def test_a_gan_is_not_asked_but_makes_examples(run):
    folder = run("model=gan", "data=digits", entry="digits-gan")
    with pytest.raises(UserError, match="got a gan, which makes them: `howdeep sample digits-gan`"):
        predictor_of(str(folder))
