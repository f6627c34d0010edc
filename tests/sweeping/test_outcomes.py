"""What a sweep ends with, and what a person is told of it meanwhile."""

from contextlib import closing

import pytest

from howdeep.cli import main
from howdeep.errors import UserError
from howdeep.names import is_name
from howdeep.runs.trial import objective_values
from howdeep.sweeping import told
from howdeep.sweeping.outcomes import Result, best, pareto_front
from howdeep.sweeping.plan import Plan
from howdeep.sweeping.pool import Outcome
from howdeep.sweeping.space import FloatRange, IntRange, Space
from howdeep.sweeping.storage import Storage
from howdeep.sweeping.study import Counts, Study
from hydra_plugins.howdeep_optuna import _name


def result(number: int, *values: float) -> Result:
    return Result(number, {"model.depth": number}, "complete", values, None, {}, 1.0)


def test_the_pareto_front_holds_what_nothing_beats():
    results = [
        result(0, 1.0, 9.0),
        result(1, 2.0, 5.0),
        result(2, 2.0, 6.0),
        result(3, 3.0, 1.0),
        result(4, 9.0, 9.0),
    ]
    front = pareto_front(results, {"a": "minimize", "b": "minimize"})
    assert [trial.number for trial in front] == [0, 1, 3]
    assert [t.number for t in pareto_front(results, {"a": "maximize", "b": "maximize"})] == [4]


def test_the_best_is_the_first_of_equals_in_the_direction_of_the_objective():
    results = [result(0, 2.0), result(1, 1.0), result(2, 1.0), result(3, 3.0)]
    assert [best(results, {"a": way}).number for way in ("minimize", "maximize")] == [1, 3]  # type: ignore[union-attr]
    assert best([], {"a": "minimize"}) is None


def test_all_objectives_are_taken_in_the_epoch_where_the_first_is_best():
    record = {
        "epochs": [
            {"epoch": 0, "val/loss": 2.0, "val/accuracy": 0.9},
            {"epoch": 1, "val/loss": 1.0, "val/accuracy": 0.5},
            {"epoch": 2, "val/loss": 3.0, "val/accuracy": 0.7},
        ],
        "best_epoch": 1,
        "cost": {"training_flops": 12, "parameters": 3},
        "gap": {"best": {"loss": 0.25}},
    }

    def values(**objectives: str) -> list[float]:
        return objective_values(record, {name.replace("__", "/"): way for name, way in objectives.items()})

    assert values(val__loss="minimize", val__accuracy="maximize", training_flops="minimize") == [
        1.0,
        0.5,
        12.0,
    ]
    assert values(val__accuracy="maximize", val__loss="minimize") == [0.9, 2.0]
    assert values(gap__loss="minimize", parameters="minimize") == [0.25, 3.0]


def test_a_person_is_told_how_far_it_is_what_is_best_and_what_failed(capsys, monkeypatch):
    monkeypatch.setattr(told, "SECONDS_BETWEEN_LINES", -1.0)
    plan = Plan("s", Space({"model.depth": IntRange(1, 9)}), 10)
    top = result(3, 0.125)
    failed = Result(4, {"model.depth": 2}, "failed", None, "train/loss became nan", {}, 1.0)
    with told.Progress([plan], 3, "s") as progress:
        progress(Outcome("s", top, Counts(10, 2, 1, 1, 1), top))
        progress(Outcome("s", failed, Counts(10, 2, 1, 2, 1), top))
    first, failure, second = capsys.readouterr().err.splitlines()
    assert first.startswith(
        "s: 4 of 10 trials, best val/loss 0.125 (trial 3: model.depth=3), 1 pruned, 1 failed, about "
    )
    assert failure == "s: trial 4 (model.depth=2) failed: train/loss became nan"
    assert second.startswith(
        "s: 5 of 10 trials, best val/loss 0.125 (trial 3: model.depth=3), 1 pruned, 2 failed"
    )


def test_a_study_of_the_same_name_that_is_not_howdeeps_is_refused(tmp_path):
    import optuna

    with closing(Storage(str(tmp_path / "j"))) as storage:
        study = optuna.create_study(study_name="s", storage=storage.optuna)
        study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
        with pytest.raises(UserError, match="the study s was not made by howdeep: name another study"):
            Study(Plan("s", Space({"x": FloatRange(0, 1)}), 3), storage).open()


@pytest.mark.parametrize("name", ["..", "../../x", "/tmp/x", "'x;y'", "'-x'"])
def test_a_study_whose_name_leads_elsewhere_is_refused(project, monkeypatch, capfd, name):
    monkeypatch.chdir(project.root)
    arguments = ["hydra/sweeper=optuna", f"hydra.sweeper.study={name}", "model.depth=1,2"]
    assert main(["train", "-m", "tracking.uri=null", *arguments]) == 1
    said = capfd.readouterr().err
    assert said.startswith("howdeep: hydra.sweeper.study must be a name (letters")
    assert said.count("\n") == 1


def test_a_study_that_is_named_by_itself_has_a_name():
    space = Space({"model.depth": IntRange(1, 2)}, {})
    plan = Plan("", space, 1)
    for name in ("[a/../b;c]", "x" * 300, "../..", ""):
        assert is_name(_name({"data.name": name, "model._target_": f"howdeep.nets.{name}.Net"}, plan))
    assert is_name(_name({}, plan))
    known = {"model._target_": "howdeep.nets.mlp.MLP", "data.name": "digits"}
    assert _name(known, plan).startswith("mlp-digits-sweep-")
