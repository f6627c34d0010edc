"""Which study a sweep fills, what it takes over, and what it does not train again."""

import json
import os
import signal
from contextlib import closing

import pytest
from optuna.trial import TrialState, create_trial

from howdeep.errors import UserError
from howdeep.runs import job, run
from howdeep.sweeping.storage import Storage
from tests.sweeper.sweeps import named, trials_of


@pytest.mark.slow
def test_the_same_command_after_an_edit_fills_another_study_and_after_its_undoing_the_first_one(
    sweep, home, capsys
):
    typed = ("model.depth=1,2", "hydra.sweeper.sampler=grid", "seed=11")
    yaml = home.conf / "model/mlp.yaml"
    before = yaml.read_text()

    def studies() -> dict[str, list[bytes]]:
        records = home.root.glob("multirun/mlp-digits-sweep-*/*/run/record.json")
        found: dict[str, list[bytes]] = {}
        for path in sorted(records):
            found.setdefault(path.parts[-4], []).append(path.read_bytes())
        return found

    assert sweep(*typed, "hydra.sweeper.n_trials=1") == 0
    ((first, kept),) = studies().items()
    try:
        yaml.write_text(before.replace("activation: relu", "activation: tanh"))
        capsys.readouterr()
        assert sweep(*typed, "hydra.sweeper.n_trials=2") == 0
    finally:
        yaml.write_text(before)
    (second,) = set(studies()) - {first}
    assert (
        f"{second}: not {first}, the study of this command last time, since the setting model.activation was relu and "
        "is now tanh; that one keeps its trials" in capsys.readouterr().err
    )
    assert studies()[first] == kept
    assert {json.loads(record)["config"]["model"]["activation"] for record in studies()[second]} == {"tanh"}
    assert sweep(*typed, "seed=11", "batch_size=64", "hydra.sweeper.n_trials=2") == 0
    assert {name: len(of) for name, of in studies().items()} == {first: 2, second: 2}
    assert studies()[first][0] == kept[0]


@pytest.mark.slow
def test_a_named_study_does_not_go_on_with_another_config(sweep, home):
    assert sweep("model.depth=1,2", *named("mine", 1)) == 0
    yaml = home.conf / "model/mlp.yaml"
    before = yaml.read_text()
    try:
        yaml.write_text(before.replace("activation: relu", "activation: tanh"))
        with pytest.raises(
            UserError,
            match=r"^the study mine cannot go on: the setting model.activation was relu and is now tanh;",
        ):
            sweep("model.depth=1,2", *named("mine", 2))
    finally:
        yaml.write_text(before)


@pytest.mark.slow
def test_trials_are_not_written_over_those_of_a_study_that_its_storage_has_lost(sweep, home):
    assert sweep("model.depth=1,2", *named("lost", 1)) == 0
    (home.root / "multirun/lost/study.journal").unlink()
    with pytest.raises(
        UserError, match=r"^multirun/lost holds trials that multirun/lost/study.journal does not"
    ):
        sweep("model.depth=1,2", *named("lost", 1))


@pytest.mark.slow
def test_a_point_that_is_drawn_again_is_not_trained_again(sweep, home, tracked, capsys):
    typed = ("model.depth=1,2", "hydra.sweeper.sampler=random", "hydra.sweeper.pruner=median")
    assert sweep(*typed, *named("again", 6), tracked=True) == 0
    trials = trials_of(home, "again")
    again = [trial for trial in trials if "repeats" in trial.user_attrs]
    points = {trial.params["model.depth"] for trial in trials}
    assert len(again) == 6 - len(points)
    assert (
        f"again: 6 complete, 0 pruned, 0 failed; {len(again)} tried what another" in capsys.readouterr().out
    )
    for trial in again:
        other = trials[trial.user_attrs["repeats"]]
        assert (trial.params, trial.values) == (other.params, other.values)
        assert trial.intermediate_values == other.intermediate_values
        folders = [home.root / f"multirun/again/{of.number}/run" for of in (trial, other)]
        own, its = ({path.name: path.read_bytes() for path in of.iterdir()} for of in folders)
        assert own == its
    runs = tracked.find(howdeep__kind="trial", howdeep__study="again")
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert sorted(run.data.tags["howdeep.trial"] for run in runs) == list("012345")


@pytest.mark.slow
def test_a_trial_that_is_killed_once_its_record_is_written_loses_nothing(sweep, home, tracked):
    real = run.write_record

    def die(folder, *content):
        real(folder, *content)
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            run, "write_record", lambda folder, *c: (die if folder.parent.name == "0" else real)(folder, *c)
        )
        typed = ("model.depth=1,2", "optimizer.lr=0.4", "checkpoint_seconds=0")
        assert sweep(*typed, *named("written", 1), tracked=True, n_jobs=1) == 0
    _, second = trials_of(home, "written")
    assert (second.user_attrs["retry_of"], second.user_attrs["repeats"], second.state.name) == (
        0,
        0,
        "COMPLETE",
    )
    own, its = (home.root / f"multirun/written/{n}/run/record.json" for n in (0, 1))
    assert own.read_bytes() == its.read_bytes()
    (found,) = tracked.find(howdeep__kind="trial", howdeep__study="written")
    assert (found.data.tags["howdeep.trial"], found.info.status) == ("1", "FINISHED")
    assert not list(home.scratch.glob("*.ckpt"))


@pytest.mark.slow
def test_a_trial_is_trained_once_more_from_what_it_left(sweep, home, monkeypatch):
    assert sweep("model.depth=2,3", "optimizer.lr=0.3", *named("left", 1)) == 0
    trial = home.root / "multirun/left/0"
    monkeypatch.chdir(home.root / "multirun")
    assert job.main(["--config-path", "left/0/.hydra", "--config-name", "config", "hydra.run.dir=once"]) == 0
    first, second = (
        (folder / "run/record.json").read_bytes() for folder in (trial, home.root / "multirun/once")
    )
    assert first == second


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        (["--experimental-rerun", "config.pickle"], r"^--experimental-rerun reads a pickle, .* --config-name config"),
        (["--exp=config.pickle"], "^--experimental-rerun reads a pickle"),
        (["--config-path", "nowhere"], "^--config-path must be a folder of configs, got nowhere"),
        (["-cp=nowhere"], "^--config-path must be a folder of configs, got nowhere"),
    ],
)  # fmt: skip
def test_a_run_that_cannot_be_repeated_so_is_one_line(sweep, typed, line):
    with pytest.raises(UserError, match=line):
        job.main(typed)


@pytest.mark.slow
def test_the_trials_of_a_host_that_is_gone_are_taken_over_in_the_storage_and_in_mlflow(
    sweep, home, tracked, capsys
):
    typed = ("model.depth=1,2", "optimizer.lr=0.2", *named("gone", 2))
    assert sweep(*typed[:-1], "hydra.sweeper.n_trials=1", tracked=True) == 0
    journal = home.root / "multirun/gone/study.journal"
    (first,) = tracked.find(howdeep__kind="trial", howdeep__study="gone")
    tracked.set_tags(first.info.run_id, {"howdeep.process": "old-box:1:2.00"})
    tracked.client.update_run(first.info.run_id, status="RUNNING")
    with closing(Storage(str(journal))) as storage:
        ((study,),) = [storage.optuna.get_all_studies()]
        attrs = {"owner": "old-box:1:2.00", "sweep": "old-box:1:2.00"}
        running = create_trial(state=TrialState.RUNNING, user_attrs=attrs)
        storage.optuna.create_new_trial(study._study_id, running)
    capsys.readouterr()
    assert sweep(*typed, "hydra.sweeper.take_over=old-box", tracked=True) == 0
    assert "gone: 1 trials and 1 runs in MLflow taken over from the host old-box" in capsys.readouterr().err
    counted = [trial for trial in trials_of(home, "gone") if "interrupted" not in trial.user_attrs]
    assert [trial.state.name for trial in counted] == ["COMPLETE", "COMPLETE"]


@pytest.mark.slow
def test_a_changed_space_is_refused_and_a_wider_one_goes_on(sweep):
    def run(depths: str) -> int:
        return sweep(f"model.depth={depths}", *named("space", 2), "debug=smoke")

    assert run("range(1,4)") == 0
    with pytest.raises(
        UserError, match=r"the study space cannot go on: model.depth was 1 to 3 and is now 1,2;"
    ):
        run("1,2")
    with pytest.raises(UserError, match="the setting seed was 0 and is now 7"):
        sweep("model.depth=range(1,4)", "seed=7", *named("space", 2), "debug=smoke")
    assert run("range(1,9)") == 0
