"""The pipeline as people use it: a git clone, a real `dvc repro`, processes really killed."""

import csv
import itertools
import json
import os
import re
import shutil
import subprocess
import time
from collections import Counter

import pytest

from howdeep.report.packing import unpacked
from tests.clones import STUDY, TUNED
from tests.commands import ENV

pytestmark = pytest.mark.slow


def test_repro_leaves_a_record_a_run_and_all_declared_outputs(reproduced):
    assert len(reproduced.stamps()) == 8
    for path in ("results/scores.csv", "results/metrics.json", "results/test.json", "reports/index.html"):
        assert (reproduced.folder / path).stat().st_size > 0
    tracked = reproduced.run("git", "ls-files").stdout.splitlines()
    made = {
        path
        for path in tracked
        if path.startswith(("runs/", "results/", "reports/", "provenance/", "data/", "ml"))
    }
    assert made == {"results/metrics.json", "results/summary.csv"}
    assert "dvc.lock" in tracked


def test_a_comparison_ends_with_the_answer_and_its_places(reproduced):
    said = reproduced.run("howdeep", "compare").stderr
    assert "report: reports/index.html" in said
    assert re.search("More layers helped|This study has one depth", said)
    assert said.splitlines()[-1] == "runs: `howdeep ui` (MLflow), tables: results/tables"


def test_declared_outputs_hold_no_host_path_or_commit(reproduced, tmp_path_factory):
    commit = reproduced.run("git", "rev-parse", "HEAD").stdout.strip()
    (run,) = reproduced.store().find(howdeep__kind="entry", howdeep__entry="digits-mlp")
    host = rf"\b{re.escape(os.uname().nodename)}\b"
    folders = re.escape(str(tmp_path_factory.getbasetemp().parent))  # it was made in another one of them
    secrets = re.compile("|".join([folders, commit, run.info.run_id, host]))
    texts = [
        path
        for path in reproduced.folder.glob("r*/**/*.*")
        if path.suffix in (".json", ".csv", ".md", ".svg")
    ]
    assert {path.suffix for path in texts} == {".json", ".csv", ".md", ".svg"}
    for path in texts:
        assert not secrets.search(path.read_text()), path


def test_mlflow_has_a_parent_an_entry_nested_runs_and_the_best_model_of_each_cell(reproduced):
    store = reproduced.store()
    for entry in STUDY["entries"]:
        (parent,) = store.find(howdeep__kind="entry", howdeep__entry=entry)
        runs = store.find(howdeep__kind="run", howdeep__entry=entry)
        assert parent.info.status == "FINISHED"
        assert {run.info.status for run in runs} == {"FINISHED"}
        assert {run.data.tags["mlflow.parentRunId"] for run in runs} == {parent.info.run_id}
        assert len(runs) == 4
        models = [run for run in runs if run.outputs and run.outputs.model_outputs]
        assert len(models) == 2


def test_mlflow_has_the_test_score_of_every_run_and_of_its_model_under_one_name(reproduced):
    store, test = (
        reproduced.store(),
        json.loads((reproduced.folder / "results/test.json").read_text())["runs"],
    )
    models = {
        model.source_run_id: model for model in store.client.search_logged_models([store.experiment_id])
    }
    runs = store.find(howdeep__kind="run")
    assert len(runs) == len(test)
    for run in runs:
        expected = test[run.data.tags["howdeep.key"]][run.data.tags["score"]]
        assert run.data.metrics["test/score"] == expected
        if model := models.get(run.info.run_id):
            assert {metric.value for metric in model.metrics if metric.key == "test/score"} == {expected}
            assert model.name == run.data.tags["howdeep.cell"]


def test_mlflow_says_what_the_study_and_each_of_its_entries_are(reproduced):
    store = reproduced.store()
    tags = store.client.get_experiment(store.experiment_id).tags
    assert {name for name in tags if name.startswith("mlflow.sharedViewState.howdeep-task-")} == {
        f"mlflow.sharedViewState.howdeep-task-{task}" for task in ("classification", "forecasting")
    }
    assert "2 entries on 2 data sets, depths 1, 2" in tags["mlflow.note.content"]
    for entry in store.find(howdeep__kind="entry"):
        note = entry.data.tags["mlflow.note.content"]
        assert f"{STUDY['entries'][entry.info.run_name]['model']} on " in note
        assert note.count("\n|") == 4  # a heading, a rule and two depths


def test_mlflow_has_one_run_that_holds_the_comparison(reproduced):
    store = reproduced.store()
    (run,) = store.find(howdeep__kind="comparison")
    assert run.info.status == "FINISHED"
    metrics = json.loads((reproduced.folder / "results/metrics.json").read_text())
    assert run.data.metrics == metrics
    assert len(metrics) < 10  # each of them is a chart
    note = run.data.tags["mlflow.note.content"]
    assert (reproduced.folder / "results/tables/choices.md").read_text() in note
    paths = {info.path for info in store.client.list_artifacts(run.info.run_id)}
    assert paths == {"index.html", "results"}
    inside = {info.path for info in store.client.list_artifacts(run.info.run_id, "results")}
    tables = {"results/scores.csv", "results/trials.csv", "results/best_so_far.csv"}
    assert {"results/figures", "results/tables", *tables} <= inside


def test_nothing_is_done_when_nothing_changed(reproduced):
    before = reproduced.stamps()
    out = reproduced.repro()
    assert "Running stage" not in out
    assert reproduced.stamps() == before


def test_force_trains_everything_again_to_the_same_lock(clone):
    lock, before = clone.lock, clone.stamps()
    clone.repro("--force")
    assert clone.lock == lock
    after = clone.stamps()
    assert all(after[path] != before[path] for path in before)


def best_trials(clone) -> dict[str, dict[str, str]]:
    """By the name of a run the best of those of its trials that came furthest."""
    rows = list(csv.DictReader((clone.folder / "tuned/digits-mlp/trials.csv").read_text().splitlines()))
    best: dict[str, dict[str, str]] = {}
    for row in sorted(rows, key=lambda row: (-int(row["epochs"]), float(row["last_loss"] or "inf"))):
        best.setdefault(f"depth={row['depth']}-seed={row['seed']}", row)
    return best


def test_a_tuned_study_gives_every_run_as_many_trials_and_its_own_winner(clone):
    clone.write_params(TUNED)
    clone.repro("train")
    folder = clone.folder / "tuned/digits-mlp"
    found = json.loads((folder / "settings.json").read_text())
    trials = list(csv.DictReader((folder / "trials.csv").read_text().splitlines()))
    counts = Counter((t["depth"], t["seed"], t["optimizer"], t["epochs"]) for t in trials)
    for depth, seed in itertools.product("12", "01"):
        of_run = {(name, epochs): n for (*run, name, epochs), n in counts.items() if run == [depth, seed]}
        assert sum(of_run.values()) == 6
        assert sum(n for (_, epochs), n in of_run.items() if epochs == "2") == 2  # the best third of six
    rates = {depth: sorted({(t["seed"], t["lr"]) for t in trials if t["depth"] == depth}) for depth in "12"}
    assert rates["1"] == rates["2"]
    for run, best in best_trials(clone).items():
        assert found[run]["overrides"] == [f"optimizer={best['optimizer']}", f"optimizer.lr={best['lr']}"]
        assert len(found[run]["seconds"]) == 1
        record = json.loads((clone.folder / f"runs/digits-mlp/{run}/record.json").read_text())
        assert record["config"]["optimizer"]["lr"] == float(best["lr"])
        assert record["config"]["optimizer"]["_target_"].lower().endswith(best["optimizer"])
    lock = clone.lock
    clone.repro("--force", "train")
    assert clone.lock == lock


def test_a_new_depth_or_seed_is_tuned_and_the_others_are_not(clone):
    clone.write_params(TUNED)
    clone.repro("tune")
    before = set((clone.folder / "tuned/digits-mlp/trials.csv").read_text().splitlines())
    clone.write_params({**TUNED, "depths": [1, 2, 3], "seeds": [0, 1, 5]})
    done = clone.run("howdeep", "tune-entry", "digits-mlp")
    assert "digits-mlp: 5 of 9 tunings in" in done.stderr
    after = (clone.folder / "tuned/digits-mlp/trials.csv").read_text()
    assert before <= set(after.splitlines())
    forced = clone.run("dvc", "repro", "--force", "tune")
    assert "digits-mlp: 9 of 9 tunings in" in forced.stderr
    assert (clone.folder / "tuned/digits-mlp/trials.csv").read_text() == after


def test_ten_trials_tune_a_momentum_too_which_runs_take_and_dvc_and_the_report_show(clone):
    tune = {**TUNED["tune"], "trials": 10, "optimizers": {"sgd": [0.01, 1.0]}}
    clone.write_params({**TUNED, "seeds": [0], "tune": tune})
    clone.repro()
    trials = list(csv.DictReader((clone.folder / "tuned/digits-mlp/trials.csv").read_text().splitlines()))
    tried = {d: [(t["lr"], t["momentum"]) for t in trials if t["depth"] == d] for d in ("1", "2")}
    assert tried["1"] == tried["2"]
    assert len({momentum for _, momentum in tried["1"]}) == len(tried["1"]) >= 10
    for depth in ("1", "2"):
        best = best_trials(clone)[f"depth={depth}-seed=0"]
        record = json.loads((clone.folder / f"runs/digits-mlp/depth={depth}-seed=0/record.json").read_text())
        assert record["config"]["optimizer"]["lr"] == float(best["lr"])
        assert record["config"]["optimizer"]["momentum"] == float(best["momentum"])
    clone.run("dvc", "plots", "show")
    assert "best_so_far.svg" in (clone.folder / "dvc_plots/index.html").read_text()
    assert '<button type="button">momentum</button>' in unpacked(
        (clone.folder / "reports/index.html").read_text()
    )


def test_a_killed_tuning_goes_on_with_the_trials_that_it_has(clone):
    entry = {**TUNED["entries"]["digits-mlp"], "overrides": {"trainer": {"max_epochs": 60}}}
    clone.write_params({**TUNED, "entries": {"digits-mlp": entry}})
    command = ["howdeep", "tune-entry", "digits-mlp", "--workers", "1"]
    process = subprocess.Popen(command, cwd=clone.folder, env=ENV, stderr=subprocess.PIPE, text=True)
    finished = clone.folder / "scratch/tuning/digits-mlp.jsonl"
    while not finished.exists() or finished.read_text().count('"race"') < 2:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)
    process.kill()
    process.communicate()
    refused = clone.run("howdeep", "train-entry", "digits-mlp", check=False)
    assert refused.returncode == 1
    assert (
        "expected the tuned setting of digits-mlp" in refused.stderr
    )  # what lies there was made without tuning
    with finished.open("a") as file:
        file.write('{"race": "cut o')
    done = clone.run(*command)
    assert re.search(r"digits-mlp: [12] of 4 tunings in", done.stderr)
    assert not finished.exists()
    resumed = (clone.folder / "tuned/digits-mlp/trials.csv").read_text()
    kept = clone.run(*command)
    assert "digits-mlp: its tuning is kept" in kept.stderr
    entry["overrides"] = {"trainer": {"max_epochs": 61}}
    clone.write_params({**TUNED, "entries": {"digits-mlp": entry}})
    stale = clone.run("howdeep", "train-entry", "digits-mlp", check=False)
    assert stale.returncode == 1
    assert "tuned as digits-mlp is now, found others: run `dvc repro tune@digits-mlp`" in stale.stderr
    assert (clone.folder / "tuned/digits-mlp/trials.csv").read_text() == resumed
    entry["overrides"] = {"trainer": {"max_epochs": 60}}
    clone.write_params({**TUNED, "entries": {"digits-mlp": entry}})
    clone.repro("--force", "tune")
    assert (clone.folder / "tuned/digits-mlp/trials.csv").read_text() == resumed  # as without the kill


def test_training_without_the_tuning_that_is_asked_for_is_refused(clone):
    clone.write_params(TUNED)
    done = clone.run("howdeep", "train-entry", "digits-mlp", check=False)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert (
        "expected the tuned setting of digits-mlp at depth=2-seed=0 in tuned/digits-mlp/settings.json" in line
    )


def stages_run(out: str) -> list[str]:
    return re.findall("Running stage '(.*)'", out)


def test_a_comment_in_a_yaml_trains_nothing(clone):
    path = clone.folder / "conf/model/mlp.yaml"
    path.write_text(path.read_text() + "# said\n")
    assert stages_run(clone.repro()) == ["plan"]


def test_an_optimizer_that_did_not_win_trains_nothing(clone):
    hopeless = {**TUNED["tune"]["optimizers"], "rmsprop": [1e-9, 1e-8]}
    clone.write_params({**TUNED, "tune": {**TUNED["tune"], "optimizers": hopeless}})
    clone.repro("train")
    stamps = clone.stamps()
    path = clone.folder / "conf/optimizer/rmsprop.yaml"
    path.write_text(path.read_text() + "centered: true\n")
    assert stages_run(clone.repro("train")) == ["plan", "tune@digits-mlp"]
    assert clone.stamps() == stamps


def test_a_models_yaml_reruns_that_architecture_only(clone):
    before = clone.stamps()
    path = clone.folder / "conf/model/lstm.yaml"
    path.write_text(path.read_text().replace("forget_bias: null", "forget_bias: 1.0"))
    out = clone.repro("train")
    assert "Running stage 'train@sunspots-lstm'" in out
    assert "Running stage 'train@digits-mlp'" not in out
    assert {p for p, t in clone.stamps().items() if before[p] == t} == {
        p for p in before if "digits-mlp" in p
    }


def test_a_new_depth_trains_that_depth_only_and_a_dropped_one_is_removed(clone):
    before = clone.stamps()
    clone.write_params({**STUDY, "depths": [1, 2, 3]})
    clone.repro("train")
    after = clone.stamps()
    assert {path for path in after if "depth=3" in path} == set(after) - set(before)
    assert all(after[path] == before[path] for path in before)
    clone.write_params({**STUDY, "depths": [2, 3]})
    clone.repro("train")
    assert clone.stamps() == {path: stamp for path, stamp in after.items() if "depth=1" not in path}


def test_dvc_shows_metrics_and_plots_and_runs_experiments(clone):
    heading, numbers = clone.run("dvc", "metrics", "show").stdout.splitlines()
    assert max(len(heading), len(numbers)) <= 120
    metrics = json.loads((clone.folder / "results/metrics.json").read_text())
    assert sorted(heading.split()[1:]) == sorted(metrics)
    clone.run("dvc", "plots", "show")
    page = (clone.folder / "dvc_plots/index.html").read_text()
    assert all(f"classification-{name}.svg" in page for name in ("score", "gap"))
    clone.run("dvc", "exp", "run", "-S", "seeds=[0]", "-S", "entries.digits-mlp.overrides.train_examples=200")
    shown = json.loads(clone.run("dvc", "exp", "show", "--json").stdout)
    assert "200" in json.dumps(shown)
    table = (
        "dvc",
        "exp",
        "show",
        "--only-changed",
        "--drop",
        "/|^(conf|plans|tuned|runs|params.yaml)$",
    )  # as in README
    lines = clone.run(*table, "--no-pager").stdout.splitlines()
    assert max(map(len, lines)) <= 120
    assert not re.search("[0-9a-f]{32}", "".join(lines))
    assert len(clone.stamps()) == 4


def test_a_kept_run_that_mlflow_lacks_is_logged_by_its_stage(clone):
    """As after a kill between a run's record and its end in MLflow."""
    store = clone.store()
    lost, other, *_ = store.find(howdeep__kind="run", howdeep__entry="digits-mlp")
    store.client.delete_run(lost.info.run_id)
    store.client.set_terminated(other.info.run_id, "KILLED")
    before = clone.stamps()
    for _ in range(2):
        clone.run("howdeep", "train-entry", "digits-mlp")
        runs = clone.store().find(howdeep__kind="run", howdeep__entry="digits-mlp")
        assert len({run.data.tags["howdeep.key"] for run in runs}) == len(runs) == 4
        assert {run.info.status for run in runs} == {"FINISHED"}
        assert sum(bool(run.outputs and run.outputs.model_outputs) for run in runs) == 2
    assert clone.stamps() == before


def test_a_stage_whose_data_restores_from_the_cache_is_rebuilt_in_mlflow_by_sync(clone):
    for path in clone.folder.glob("mlflow.db*"):
        path.unlink()
    shutil.rmtree(clone.folder / "mlartifacts")
    shutil.rmtree(clone.folder / "runs")
    clone.run("dvc", "checkout")
    assert "8 runs and 4 models added" in clone.run("howdeep", "sync").stderr
    assert "0 runs and 0 models added" in clone.run("howdeep", "sync").stderr
    runs = clone.store().find(howdeep__kind="run")
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert len(runs) == 8
    (comparison,) = clone.store().find(howdeep__kind="comparison")
    assert comparison.info.status == "FINISHED"


def test_a_diverged_run_is_counted_and_the_study_goes_on(clone):
    entry = {
        **STUDY["entries"]["digits-mlp"],
        "overrides": {"optimizer": {"lr": 1e30}, "model": {"normalisation": "none"}},
    }
    clone.write_params({**STUDY, "entries": {**STUDY["entries"], "digits-mlp": entry}})
    clone.repro()
    lines = (clone.folder / "results/scores.csv").read_text().splitlines()
    assert sum("diverged" in line for line in lines) == 4
    assert len(lines) == 9
    assert {
        run.info.status for run in clone.store().find(howdeep__kind="run", howdeep__entry="digits-mlp")
    } >= {"FAILED"}


def test_a_mistake_in_params_stops_the_stage_with_one_line(clone):
    entry = {**STUDY["entries"]["digits-mlp"], "overrides": {"modle": {"width": 3}}}
    clone.write_params({**STUDY, "entries": {**STUDY["entries"], "digits-mlp": entry}})
    done = clone.run("dvc", "repro", check=False)
    assert done.returncode != 0
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("howdeep: ")]
    assert "got 'modle', did you mean 'model'?" in line
    assert "Traceback" not in done.stderr


def test_a_setting_that_cannot_be_trained_removes_no_run(clone):
    before = clone.stamps()
    entry = {**STUDY["entries"]["digits-mlp"], "overrides": {"model": {"dropout": 2}}}
    clone.write_params({**STUDY, "entries": {**STUDY["entries"], "digits-mlp": entry}})
    done = clone.run("dvc", "repro", check=False)
    assert done.returncode != 0
    assert "howdeep: dropout must be a number from 0 to below 1, got 2" in done.stderr
    assert clone.stamps() == before
