"""`howdeep train -m hydra/sweeper=optuna`: the command, its folders, its study and its MLflow runs, for real."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from howdeep.errors import UserError
from howdeep.runs import job
from howdeep.runs.run import job_of
from howdeep.study.composition import compose_train
from howdeep.sweeping.space import Choice, FloatRange, IntRange
from hydra_plugins.howdeep_jobs import GridSweeper
from hydra_plugins.howdeep_optuna import space_of
from tests.amount import first
from tests.sweeper.sweeps import ROOT, SMALL, named, trials_of

# What the user types


@pytest.mark.parametrize(
    ("typed", "dimension"),
    [
        ("a=sgd,adam", Choice(("sgd", "adam"))),
        ("a=choice(1,2.5,true)", Choice((1, 2.5, True))),
        ("a=[0.9,0.99],[0.5,0.9]", Choice(("[0.9,0.99]", "[0.5,0.9]"))),
        ("a=range(1,9)", IntRange(1, 8)),
        ("a=range(1,10,3)", IntRange(1, 7, 3)),
        ("a=range(9,0,-4)", IntRange(1, 9, 4)),
        ("a=range(1,2)", IntRange(1, 1)),
        ("a=range(0,1,0.25)", FloatRange(0, 0.75, step=0.25)),
        ("a=range(0.3,0.7,0.1)", FloatRange(0.3, 0.6, step=0.1)),
        ("a=range(0.7,1,0.1)", FloatRange(0.7, 0.9, step=0.1)),
        ("a=range(1,0.7,-0.1)", FloatRange(0.8, 1, step=0.1)),
        ("a=range(1,1000000000000)", IntRange(1, 999_999_999_999)),
        ("a=tag(log, range(1,65))", IntRange(1, 64, log=True)),
        ("a=interval(0,1)", FloatRange(0, 1)),
        ("a=tag(log, interval(1e-4, 1))", FloatRange(1e-4, 1, log=True)),
        ("a=int(interval(1,64))", IntRange(1, 64)),
        ("a=tag(log, int(interval(1,64)))", IntRange(1, 64, log=True)),
    ],
)
def test_hydras_grammar_is_read_as_it_is_meant(typed, dimension):
    assert space_of(OverridesParser.create().parse_overrides([typed]), [], {}).dimensions == {"a": dimension}


def test_a_grid_has_the_decimals_that_were_typed():
    """Hydra would add 1, the end, to the first range: it sums the binary neighbours of .7 and .1."""
    typed = OverridesParser.create().parse_overrides(["a=range(0.7,1,0.1)", "b=range(1,3)"])
    (jobs,) = GridSweeper.split_arguments(typed, None)
    assert jobs == [[f"a={a}", f"b={b}"] for a in (0.7, 0.8, 0.9) for b in (1, 2)]


BAD = [
    (["model.depth=range(1,9,0)"], "model.depth=range(1,9,0): a range needs finite ends and a step other than 0"),
    (["model.dropout=range(0,inf,0.1)"], "a range needs finite ends and a step other than 0"),
    (["model.depth=range(9,1)"], "model.depth=range(9,1): a range needs at least one number, got none"),
    (["optimizer.lr=tag(log, range(0.1,1,0.1))"], "a logarithmic range of real numbers has no step, got 0.1 to 0.9"),
    (["model.depth=1,2", "hydra.sweeper.take_over=true"], "take_over must be the name of a host that is gone, or null"),
    (["model=mlp"], "the search space is empty: expected something to try, such as model.depth=1,2,4"),
    (["model.depth=1,2", "hydra.sweeper.n_trials=0"], "n_trials must be a whole number of at least 1, got 0"),
    (["model.depth=1,2", "hydra.sweeper.n_jobs=0"], "n_jobs must be a whole number of at least 1, or null"),
    (["model.depth=1,2", "hydra.sweeper.sampler=tpee"], "expected a sampler, got 'tpee', did you mean 'tpe'?"),
    (["model.depth=1,2", "hydra.sweeper.pruner=medain"], "expected a pruner, got 'medain', did you mean 'median'?"),
    (
        ["optimizer.lr=interval(0.1,1)", "hydra.sweeper.sampler=grid"],
        "the grid sampler cannot list the values of optimizer.lr, which is 0.1 to 1: give choices",
    ),
    (["optimizer.lr=interval(1,0.1)"], "optimizer.lr=interval(1,0.1): a range must not end below its start"),
    (["optimizer.lr=tag(log, interval(0,1))"], "a logarithmic range must start above 0, got 0 to 1 (log)"),
    (["optimizer=sgd,adm"], "expected one of the files in conf/optimizer/, got optimizer=adm, did you mean 'adam'?"),
    (
        ["model.depth=1,2", "hydra.sweeper.n_trial=3"],
        "expected a setting of the sweeper, got 'hydra.sweeper.n_trial', did you mean 'hydra.sweeper.n_trials'?",
    ),
    (
        ["model.depth=1,2", "hydra.sweeper.n_jobs=3", "hydra/sweeper=basic"],
        "hydra.sweeper.n_jobs is a setting of the Optuna sweeper: add hydra/sweeper=optuna",
    ),
    (["model.dpeth=1,2"], "expected a key of the config, got 'model.dpeth', did you mean 'model.depth'?"),
    (
        ["optimizer=adam", "optimizer.momentum=interval(0,0.9)"],
        "optimizer.momentum is tried only where optimizer is sgd, but it is adam: leave optimizer.momentum out",
    ),
    (
        ["model.depth=1,2", "hydra.sweeper.objectives={val/lss: minimize}"],
        "no run logs the objective 'val/lss', did you mean 'val/loss'?",
    ),
    (
        ["model.depth=1,2", "hydra.sweeper.objectives={training_flops: minimize}", "hydra.sweeper.pruner=median"],
        "the pruner median needs an objective that is measured after each epoch, such as val/loss",
    ),
    (
        ["model.depth=1,2", "hydra.sweeper.objectives={val/loss: min}"],
        "the objective val/loss has the direction 'min', did you mean 'minimize'?",
    ),
    (
        ["model.depth=1,2", "hydra.sweeper.objectives={val/loss: minimize, parameters: minimize}",
         "hydra.sweeper.pruner=median"],
        "the pruner median looks at one objective, got val/loss, parameters: pruner=none",
    ),
    (
        ["model.depth=1,2", "hydra.sweeper.sampler_options={trials: 3}"],
        "the sampler tpe refuses its options {'trials': 3}",
    ),
    (["model.depth=1,2", "hydra.sweeper.max_failure_rate=2"], "max_failure_rate must be a number from 0 to 1"),
    (
        ["model.depth=1,2", "hydra.sweeper.storage=postgresql://me:secret@127.0.0.1:1/db"],
        "the storage postgresql://me:***@127.0.0.1:1/db cannot be used",
    ),
    (["model.depth=1,2", "hydra.sweeper.storage=README.md"], "is no journal of Optuna, or damaged in line 1"),
]  # fmt: skip


@pytest.mark.parametrize(("typed", "line"), BAD)
def test_a_mistake_is_one_line_and_trains_nothing(sweep, home, typed, line):
    (home.root / "README.md").write_text("not a journal\n")
    with pytest.raises(UserError) as caught:
        sweep(*typed)
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list(home.root.glob("multirun/*/*/run"))


# What it does


@pytest.mark.slow
def test_a_sweep_goes_on_where_it_was_stopped_and_mlflow_finds_its_parent_again(sweep, home, tracked, capsys):
    def run(n: int) -> int:
        return sweep("model.depth=range(1,4)", "optimizer=sgd,adam", *named("twice", n), tracked=True)

    assert run(2) == 0
    folders = {path: path.read_bytes() for path in (home.root / "multirun/twice").glob("*/run/record.json")}
    assert sorted(path.parts[-3] for path in folders) == ["0", "1"]
    assert run(5) == 0
    assert "twice: 5 trials, 2 done; the same command goes on where it was stopped" in capsys.readouterr().err
    assert all(path.read_bytes() == content for path, content in folders.items())
    (parent,) = tracked.find(howdeep__kind="sweep")
    assert (parent.info.run_name, parent.info.status) == ("twice", "FINISHED")
    runs = tracked.find(howdeep__kind="trial", howdeep__study="twice")
    assert sorted(run.data.tags["howdeep.trial"] for run in runs) == list("01234")
    for run in runs:
        (folder,) = (home.root / "multirun/twice").glob(f"{run.data.tags['howdeep.trial']}/run")
        record = json.loads((folder / "record.json").read_text())
        assert run.info.status == "FINISHED"
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert run.data.params["model.depth"] == str(record["depth"])
        assert {"val/loss", "gap/loss"} <= set(run.data.metrics)


@pytest.mark.slow
def test_a_trial_has_the_key_of_the_same_run_outside_of_a_sweep_and_returns_the_best_of_its_epochs(
    sweep, home
):

    assert sweep("model.depth=1,2", "optimizer.lr=0.3", *named("key", 1)) == 0
    record = json.loads((home.root / "multirun/key/0/run/record.json").read_text())
    cfg = compose_train(home.conf, [*SMALL, f"model.depth={record['depth']}", "optimizer.lr=0.3"])
    assert record["key"] == job_of(cfg, home.scratch, home).key
    losses = [row["val/loss"] for row in record["epochs"]]
    assert trials_of(home, "key")[0].value == min(losses)


@pytest.mark.slow
def test_pruned_and_diverged_trials_are_told_apart_everywhere(sweep, home, tracked):
    typed = ("optimizer=sgd", "optimizer.lr=0.1,1e-9,1e30", "hydra.sweeper.sampler=grid", "seed=0,1")
    pruner = ("hydra.sweeper.pruner=median", "hydra.sweeper.pruner_options={n_startup_trials: 1}")
    assert (
        sweep(*typed, *pruner, *named("ends", 6), "hydra.sweeper.max_failure_rate=1", tracked=True, n_jobs=1)
        == 0
    )
    ended = {trial.number: trial for trial in trials_of(home, "ends")}
    runs = {
        int(r.data.tags["howdeep.trial"]): r
        for r in tracked.find(howdeep__kind="trial", howdeep__study="ends")
    }
    assert len(ended) == len(runs) == 6
    for number, trial in ended.items():
        record = home.root / f"multirun/ends/{number}/run/record.json"
        status, pruned = runs[number].info.status, runs[number].data.tags.get("pruned")
        if trial.params["optimizer.lr"] == 1e30:
            assert (trial.state.name, status, pruned) == ("FAIL", "FAILED", None)
            assert "loss became" in trial.user_attrs["reason"]
            assert json.loads(record.read_text())["state"] == "diverged"
        elif trial.state.name == "PRUNED":
            assert (status, pruned) == ("KILLED", "true")
            assert not record.exists()
        else:
            assert (trial.state.name, status, pruned) == ("COMPLETE", "FINISHED", None)
    assert any(trial.state.name == "PRUNED" for trial in ended.values())
    assert not list(home.scratch.glob("*.ckpt"))
    (parent,) = tracked.find(howdeep__kind="sweep", howdeep__study="ends")
    assert parent.info.status == "FINISHED"


@pytest.mark.slow
def test_too_many_failures_end_the_sweep_and_fail_its_parent(sweep, tracked):
    with pytest.raises(
        UserError, match=r"^2 of \d trials failed, more than max_failure_rate=0.2 of 6 .*loss became"
    ):
        sweep(
            "optimizer=sgd", "optimizer.lr=interval(1e29,1e30)", *named("hopeless", 6),
            "hydra.sweeper.max_failure_rate=0.2", tracked=True,
        )  # fmt: skip
    (parent,) = tracked.find(howdeep__kind="sweep", howdeep__study="hopeless")
    assert parent.info.status == "FAILED"


@pytest.mark.slow
def test_momentum_is_tried_beside_sgd_only(sweep, home):
    typed = ("optimizer=sgd,adam", "optimizer.momentum=0.0,0.9", "hydra.sweeper.sampler=grid")
    assert sweep(*typed, *named("conditional", 9), "debug=smoke") == 0
    points = [trial.params for trial in trials_of(home, "conditional")]
    assert sorted(tuple(point.values()) for point in points) == [("adam",), ("sgd", 0.0), ("sgd", 0.9)]


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "conf/experiment").glob("*.yaml")))
def test_an_experiment_runs_with_the_command_at_its_top(sweep, home, name):
    command = (ROOT / f"conf/experiment/{name}.yaml").read_text().splitlines()[1]
    typed = command.removeprefix("# howdeep train ").split()
    short = ("debug=smoke", "trainer.max_epochs=1", *named(name, 2), "hydra.sweeper.n_jobs=1")
    assert job.main([*typed, *short]) == 0
    assert [trial.state.name for trial in trials_of(home, name)] == ["COMPLETE", "COMPLETE"]


@pytest.mark.slow
@pytest.mark.parametrize("launcher", first(["submitit_local", "joblib"], 1))
def test_other_launchers_take_the_trials_in_batches(home, tracked, launcher):
    command = [
        sys.executable,
        "-m",
        "howdeep",
        "train",
        "-m",
        "hydra/sweeper=optuna",
        *SMALL,
        *named(launcher, 3),
    ]
    command += [
        "model.depth=1,2",
        "optimizer.lr=0.1,1e-2",
        "hydra.sweeper.sampler=grid",
        "hydra.sweeper.n_jobs=2",
    ]
    # In a process of its own, since joblib keeps its workers for the next batch until the process ends.
    subprocess.run([*command, f"hydra/launcher={launcher}"], cwd=home.root, check=True, capture_output=True)
    trials = trials_of(home, launcher)
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 3
    for trial in trials:
        record = json.loads((home.root / f"multirun/{launcher}/{trial.number}/run/record.json").read_text())
        assert record["depth"] == trial.params["model.depth"]
        assert trial.value == min(row["val/loss"] for row in record["epochs"])
    (parent,) = tracked.find(howdeep__kind="sweep", howdeep__study=launcher)
    nested = tracked.find(howdeep__kind="trial", howdeep__study=launcher)
    assert {run.data.tags["mlflow.parentRunId"] for run in nested} == {parent.info.run_id}


@pytest.mark.slow
def test_killed_twice_at_random_moments_the_same_command_reaches_exactly_the_total(home, tracked):
    total, moments = 8, random.Random(5)
    command = [sys.executable, "-m", "howdeep", "train", "-m", "hydra/sweeper=optuna", *SMALL]
    command += ["model.depth=range(1,5)", "optimizer.lr=interval(0.001,0.1)", "hydra.sweeper.n_jobs=2"]
    command += [*named("killed", total), "trainer.max_epochs=20"]
    journal = home.root / "multirun/killed/study.journal"

    def ended() -> int:
        return journal.read_bytes().count(b'"datetime_complete"') if journal.exists() else 0

    for _ in range(2):
        process = subprocess.Popen(command, cwd=home.root, start_new_session=True, stderr=subprocess.DEVNULL)
        before = ended()
        while ended() == before and process.poll() is None:
            time.sleep(0.02)
        time.sleep(moments.uniform(0, 0.5))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    done = subprocess.run(command, cwd=home.root, check=True, capture_output=True, text=True)
    assert "killed: 8 complete, 0 pruned, 0 failed" in done.stdout
    counted = [trial for trial in trials_of(home, "killed") if "interrupted" not in trial.user_attrs]
    assert [trial.state.name for trial in counted] == ["COMPLETE"] * total
    runs = tracked.find(howdeep__kind="trial", howdeep__study="killed")
    finished = {int(run.data.tags["howdeep.trial"]) for run in runs if run.info.status == "FINISHED"}
    assert finished == {trial.number for trial in counted}
    assert not [run for run in runs if run.info.status == "RUNNING"]
    (parent,) = tracked.find(howdeep__kind="sweep", howdeep__study="killed")
    assert parent.info.status == "FINISHED"


@pytest.mark.slow
def test_a_trial_whose_worker_is_killed_is_tried_again_and_mlflow_keeps_one_run_of_it(
    sweep, home, tracked, capfd
):
    from howdeep.training import best_weights

    real = best_weights.BestWeights.on_train_epoch_end

    def die_once(self, trainer, module):  # in the second epoch of the first trial
        real(self, trainer, module)
        if trainer.current_epoch == 1 and not (home.root / "died").exists():
            (home.root / "died").touch()
            os.kill(os.getpid(), signal.SIGKILL)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(best_weights.BestWeights, "on_train_epoch_end", die_once)
        assert sweep("model.depth=1,2", *named("death", 3), tracked=True, n_jobs=1) == 0
    err = capfd.readouterr().err
    assert (
        "death: a worker ended by signal SIGKILL: its trial is tried once more, finished ones are kept" in err
    )
    runs = tracked.find(howdeep__kind="trial", howdeep__study="death")
    assert sorted(run.data.tags["howdeep.trial"] for run in runs) == ["1", "2", "3"]
    assert {run.info.status for run in runs} == {"FINISHED"}
    trials = trials_of(home, "death")
    assert trials[1].user_attrs["retry_of"] == 0
    assert trials[1].params == trials[0].params


def test_hydra_starts_without_optuna_and_torch():
    heavy = "{'optuna', 'torch', 'mlflow'}"
    script = f"import hydra_plugins.howdeep_optuna, sys; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
