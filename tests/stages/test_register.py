"""The registry has the best networks of a study under names that servers ask for, each with a card."""

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from sklearn.datasets import load_digits

from howdeep.records.record import read_record, run_folders
from howdeep.tracking.words import KEY

pytestmark = pytest.mark.slow


def test_the_best_networks_of_each_entry_are_registered_once_and_found_by_their_aliases(clone):
    said = clone.run("howdeep", "register").stderr.splitlines()
    assert [line.partition("@")[0] for line in said] == [
        "models:/test-digits-mlp",
        "models:/test-sunspots-lstm",
    ]
    again = clone.run("howdeep", "register").stderr.splitlines()
    assert all(line.endswith("(0 new)") for line in again)

    client = MlflowClient(f"sqlite:///{clone.folder}/mlflow.db")
    records = {of["key"]: of for of in map(read_record, run_folders(clone.folder / "runs" / "digits-mlp"))}
    found = {
        alias: client.get_model_version_by_alias("test-digits-mlp", alias)
        for alias in ("champion", "shallow", "deep")
    }
    depths = {alias: records[of.tags[KEY]]["depth"] for alias, of in found.items()}
    assert (depths["shallow"], depths["deep"]) == (1, 2)
    for alias, depth in depths.items():
        own = [of for of in records.values() if of["depth"] == depth]
        losses = {of["key"]: of["epochs"][of["best_epoch"]]["val/loss"] for of in own}
        assert found[alias].tags[KEY] == min(losses, key=lambda key: losses[key])
    scores = pd.read_csv(clone.folder / "results" / "summary.csv")
    cells = scores[scores["entry"] == "digits-mlp"].set_index("depth")
    assert cells.loc[depths["champion"], "val_score"] == cells["val_score"].max()
    assert found["shallow"].tags["verdict"] == "shallowest"
    for of in found.values():
        assert of.description is not None
        assert of.description.startswith("# digits-mlp, depth ")
        assert f"{cells.loc[int(of.tags['depth']), 'test_score']:.3f}" in of.description
        assert "## Limits" in of.description
        assert of.run_id is not None
        assert "model_card.md" in {file.path for file in client.list_artifacts(of.run_id)}


def test_a_model_that_was_deleted_is_told_with_the_way_back(clone):
    client = MlflowClient(f"sqlite:///{clone.folder}/mlflow.db")
    clone.run("howdeep", "register")
    version = client.get_model_version_by_alias("test-digits-mlp", "deep")
    client.delete_logged_model(str(version.source).removeprefix("models:/"))
    done = clone.run("howdeep", "register", check=False)
    assert done.returncode == 1
    assert f"`mlflow runs delete --run-id {version.run_id}`" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert version.run_id is not None
    client.delete_run(version.run_id)
    clone.run("howdeep", "sync")
    clone.run("howdeep", "register")
    assert client.get_model_version_by_alias("test-digits-mlp", "deep").source != version.source


def test_results_that_lack_an_entry_are_told(clone):
    path = clone.folder / "results" / "summary.csv"
    cells = pd.read_csv(path)
    cells[cells["entry"] != "digits-mlp"].to_csv(path, index=False)
    done = clone.run("howdeep", "register", check=False)
    assert done.returncode == 1
    assert "expected digits-mlp in results/summary.csv, found older results: `dvc repro`" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_registered_model_answers_as_its_entry_does(clone):
    clone.run("howdeep", "register")
    pd.DataFrame(load_digits(return_X_y=True)[0][:20]).to_csv(clone.folder / "new.csv", index=False)
    for word, name in (("digits-mlp", "a.csv"), ("models:/test-digits-mlp@champion", "b.csv")):
        clone.run("howdeep", "predict", word, "new.csv", "-o", name)
    a, b = (pd.read_csv(clone.folder / name) for name in ("a.csv", "b.csv"))
    assert a["prediction"].tolist() == b["prediction"].tolist()
    np.testing.assert_allclose(a["probability_3"], b["probability_3"], rtol=1e-5)
    done = clone.run("howdeep", "predict", "models:/test-digits-mlp@best", "new.csv", check=False)
    assert done.returncode == 1
    assert "models:/test-digits-mlp@champion" in done.stderr
    assert len(done.stderr.splitlines()) == 1
