"""What `evaluate` keeps of single test examples is what the scores are the means of."""

import numpy as np
import pytest
import torch

from howdeep.data.batches import Batches
from howdeep.runs.examples import load_split
from howdeep.stages.evaluate import answers, single_scores
from howdeep.tasks.task import SINGLE
from howdeep.training.run import prepare_task

TASKS = {
    "mae": ("model=lstm", "data=elnino", "task=forecasting"),
    "bits": ("model=gru", "data=torch_docs", "task=language_modelling", "model.width=8"),
    "mse_ratio": ("model=autoencoder", "data=digits"),
}


@pytest.mark.parametrize("score", TASKS)
def test_the_mean_of_the_scores_of_single_examples_is_the_score(compose, project, score):
    cfg = compose(*TASKS[score], "model.depth=2")
    split, task = load_split(cfg, project), prepare_task(cfg)
    task.prepare(split)
    single = single_scores(task, split.validation)
    assert single is not None
    assert single.shape == (len(split.validation[0]),)
    measured = task.measure(Batches(split.validation, batch_size=64))[score]
    assert float(single.double().mean()) == pytest.approx(measured, rel=1e-5)
    for found in type(task).baselines(split.train, split.validation, dict(cfg.model)).values():
        assert float(found[SINGLE].double().mean()) == pytest.approx(found[score], rel=1e-5)


def test_a_score_that_no_example_has_alone_has_none(compose, project):
    cfg = compose("model=gan", "data=digits", "model.depth=1")
    split, task = load_split(cfg, project), prepare_task(cfg)
    task.prepare(split)
    assert single_scores(task, split.validation) is None


def test_answers_of_a_classifier_are_the_largest_logits_and_their_probability(compose, project):
    cfg = compose("model=mlp", "data=digits")
    split, task = load_split(cfg, project), prepare_task(cfg)
    found = answers(task, split.validation)
    with torch.no_grad():
        logits = task.eval().net(split.validation[0])
    assert found["predicted"].tolist() == logits.argmax(1).tolist()
    right = np.asarray(found["predicted"]) == split.validation[1].numpy()
    measured = task.measure(Batches(split.validation, batch_size=100))
    assert measured["accuracy"] == pytest.approx(right.mean(), abs=1e-12)
