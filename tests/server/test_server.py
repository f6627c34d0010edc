"""A study on one MLflow with passwords, PostgreSQL and S3: taken elsewhere, refused, and served by what breaks."""

import json
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import LoggedModelOutput

from howdeep.tracking.models import drop
from howdeep.tracking.words import CELL
from tests.clones import STUDY, Clone, at
from tests.commands import ENV, Command, Done, howdeep
from tests.postgresql import terminating
from tests.server.servers import ADMIN, ANN, BOB, Servers, started

pytestmark = pytest.mark.slow
SERVER_MD = (Path(__file__).parents[2] / "docs/server.md").read_text()
ENTRY = "digits-mlp"
SMALL = STUDY | {"data": ["digits"], "seeds": [0, 1], "entries": {ENTRY: STUDY["entries"][ENTRY]}}
TRAIN = ["train", "data=digits", "trainer.max_epochs=1", "train_examples=64", "model.width=4"]


@pytest.fixture(scope="module")
def servers(postgresql, tmp_path_factory):
    with started(tmp_path_factory.mktemp("servers"), postgresql) as of:
        yield of


def typed(folder: Path, *words: str, **env: str) -> Done:
    done = howdeep(folder, *words, **{"PYTHONPATH": str(folder / "src")} | env)
    done.check_words()
    return done


@pytest.fixture(scope="module")
def first(root, servers, tmp_path_factory) -> Clone:
    """The study, trained by ann against the server."""
    clone = Clone(root, tmp_path_factory.mktemp("studies") / "first")
    clone.write_params(SMALL)
    done = typed(clone.folder, "dvc", "repro", "--quiet", **servers.client())
    assert done.code == 0, done.err
    assert "MLflow's store" not in done.err
    return clone


def keys(clone: Clone) -> Counter:
    """Of all runs that were trained."""
    return Counter(json.loads(path.read_text())["key"] for path in clone.folder.glob("runs/*/*/record.json"))


def keys_of(found: list) -> Counter:
    return Counter(run.data.tags["howdeep.key"] for run in found)


def as_admin(servers: Servers, call: str) -> None:
    """As docs/server.md types it."""
    words = (
        f"from mlflow.server import get_app_client\nget_app_client('basic-auth', '{servers.mlflow}').{call}"
    )
    subprocess.run([sys.executable, "-c", words], check=True, env=ENV | servers.client(ADMIN))


def in_mlflow(servers: Servers, monkeypatch, experiment: str = "test") -> list:
    """The runs of the study that are on the server, as ann sees them."""
    for name, value in servers.client().items():
        monkeypatch.setenv(name, value)
    client = MlflowClient(servers.mlflow)
    found = client.get_experiment_by_name(experiment)
    assert found is not None
    return client.search_runs([found.experiment_id], "tags.`howdeep.kind` = 'run'")


def test_every_run_is_on_the_server_once_with_its_files_in_s3(servers, first, monkeypatch):
    found = in_mlflow(servers, monkeypatch)
    assert keys_of(found) == keys(first)
    assert {run.info.status for run in found} == {"FINISHED"}
    stored = [item.key for item in servers.bucket.objects.filter(Prefix="mlflow/")]
    for run in found:
        assert any(run.info.run_id in name and name.endswith("record.json") for name in stored)
    assert not (first.folder / "mlflow.db").exists()


def test_another_clone_pulls_the_study_and_its_report_is_the_same_to_the_byte(servers, first, tmp_path):
    env = servers.client()
    for words in (
        "dvc remote add --force --default store s3://howdeep/dvc",
        f"dvc remote modify store endpointurl {servers.s3}",
        "dvc remote modify --local store access_key_id howdeep",
        f"dvc remote modify --local store secret_access_key {env['AWS_SECRET_ACCESS_KEY']}",
        "dvc add --quiet provenance",
    ):
        first.run(*words.split())
    first.commit()
    first.run("dvc", "push", "--quiet")
    first.run("git", "clone", "-q", ".", str(tmp_path / "second"))
    second = at(tmp_path / "second")
    shutil.copy(first.folder / ".dvc/config.local", second.folder / ".dvc/config.local")
    second.run("dvc", "pull", "--quiet")
    for server, added in ((env, "sync: 0 runs and 0 models"), ({}, "sync: 4 runs and 2 models")):
        done = typed(second.folder, "sync", **server)
        assert (done.code, added in done.err) == (0, True), done.err
    assert typed(second.folder, "report").code == 0
    page = (second.folder / "reports/index.html").read_bytes()
    assert page == (first.folder / "reports/index.html").read_bytes()
    assert second.run("git", "status", "--short").stdout == ""


def test_a_registered_network_is_found_from_the_server_alone(servers, first, monkeypatch):
    for _ in range(2):
        done = typed(first.folder, "register", **servers.client())
        assert done.code == 0, done.err
    in_mlflow(servers, monkeypatch)  # as ann
    version = MlflowClient(servers.mlflow).get_model_version_by_alias(f"test-{ENTRY}", "champion")
    assert str(version.source).startswith("models:/m-")


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {"MLFLOW_TRACKING_PASSWORD": "wrong"},
            "does not know this user with this password): set MLFLOW_TRACK",
        ),
        ({"MLFLOW_TRACKING_USERNAME": "", "MLFLOW_TRACKING_PASSWORD": ""}, "does not know this user"),
        ({"MLFLOW_TRACKING_URI": "http://127.0.0.1:1"}, "(connection refused): `howdeep sync` adds"),
    ],
    ids=["wrong", "none", "no server"],
)
def test_who_is_refused_is_told_why_in_one_line_and_loses_nothing(servers, first, changes, line):
    env = servers.client() | changes
    done = typed(first.folder, "sync", **env)
    assert done.code == 1
    assert line in done.complaints[0]
    assert ANN[1] not in done.err + done.out
    done = typed(first.folder, *TRAIN, "hydra.run.dir=outputs/refused", "seed=9", **env)
    assert (done.code, len(done.complaints)) == (0, 1), done.err
    assert "the work goes on without it" in done.complaints[0]
    assert (first.folder / "outputs/refused/run/record.json").exists()
    shutil.rmtree(first.folder / "outputs")


def test_another_user_cannot_write_into_a_study_and_is_told_so(servers, first, monkeypatch):
    before = {run.info.run_id: run.info.status for run in in_mlflow(servers, monkeypatch)}
    done = typed(first.folder, "register", **servers.client(BOB))
    assert done.code == 1
    assert "does not let this user write there" in done.complaints[0]
    assert {run.info.run_id: run.info.status for run in in_mlflow(servers, monkeypatch)} == before
    assert typed(first.folder, "register", **servers.client()).code == 0  # bob has not taken the name


def test_a_run_that_names_a_model_which_was_broken_off_gets_what_it_lacks(servers, first, monkeypatch):
    """The server refuses to write to a model that is not there as if it were that of another user."""
    run = in_mlflow(servers, monkeypatch)[0].info
    client = MlflowClient(servers.mlflow)
    model = client.create_logged_model(run.experiment_id, "model", run.run_id).model_id
    client.log_outputs(run.run_id, [LoggedModelOutput(model, step=0)])
    drop(client, model)
    client.delete_tag(run.run_id, CELL)
    done = typed(first.folder, "sync", **servers.client())
    assert done.code == 0, done.err
    assert CELL in client.get_run(run.run_id).data.tags


def test_the_admin_gives_a_study_to_its_owner_that_mlflow_has_made_without_one(servers, first, monkeypatch):
    """As it does where PostgreSQL ends the connection between the experiment and the right to it."""
    run = in_mlflow(servers, monkeypatch)[0].info
    MlflowClient(servers.mlflow).delete_run(run.run_id)  # which is to be added again
    as_admin(servers, f"revoke_user_permission('ann', 'experiment', '{run.experiment_id}')")
    done = typed(first.folder, "sync", **servers.client())
    assert (done.code, len(done.complaints)) == (1, 1), done.err
    assert "does not let this user write there" in done.complaints[0]
    grant = "grant_user_permission('ann', 'experiment', '1', 'MANAGE')"
    assert grant in SERVER_MD
    as_admin(servers, grant.replace("'1'", f"'{run.experiment_id}'"))
    done = typed(first.folder, "sync", **servers.client())
    assert (done.code, "sync: 1 runs" in done.err) == (0, True), done.err


def test_the_ui_of_a_server_is_its_own(servers, first):
    done = typed(first.folder, "ui", **servers.client())
    assert (done.code, servers.mlflow in done.complaints[0]) == (1, True)


def test_connections_of_postgresql_that_end_while_a_study_trains_cost_no_run(
    servers, first, tmp_path, monkeypatch
):
    other = at(tmp_path / "other")
    shutil.copytree(
        first.folder, other.folder, ignore=shutil.ignore_patterns("warm-*.sock", "outputs", "scratch")
    )
    other.write_params(SMALL | {"study": "cut"})
    shutil.rmtree(other.folder / "runs")
    typed(other.folder, "plan", **servers.client())
    made = typed(
        other.folder, "sync", **servers.client()
    )  # the experiment, which else may have no owner: see above
    assert made.code == 0, made.err
    with terminating(servers.runs, 0.3) as ended:
        command = Command(
            other.folder, "train-entry", ENTRY, **servers.client(), PYTHONPATH=f"{other.folder}/src"
        )
        done = command.wait()
    done.check_words()
    assert done.code == 0, done.err
    assert sum(ended) > 0
    assert keys(other) == keys(first)
    assert typed(other.folder, "sync", **servers.client()).code == 0
    finished = [run for run in in_mlflow(servers, monkeypatch, "cut") if run.info.status == "FINISHED"]
    assert keys_of(finished) == keys(first)
    assert not [run for run in in_mlflow(servers, monkeypatch, "cut") if run.info.status == "RUNNING"]


def test_a_bucket_that_is_gone_is_one_line_and_sync_adds_what_was_lacking(servers, first):
    servers.bucket.objects.delete()
    servers.bucket.delete()
    done = typed(first.folder, *TRAIN, "hydra.run.dir=outputs/bucket", "seed=8", **servers.client())
    assert (done.code, len(done.complaints)) == (0, 1), done.err
    assert "the server failed: its log says whether its database or its bucket is gone" in done.complaints[0]
    done = typed(first.folder, "sync", **servers.client())
    assert (done.code, len(done.complaints)) == (1, 1), done.err
    servers.make_bucket()
    done = typed(first.folder, "sync", **servers.client())
    assert done.code == 0, done.err
    assert "1 single runs and trials" in done.err
