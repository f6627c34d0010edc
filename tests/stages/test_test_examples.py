"""Nothing but `evaluate` opens the test examples: the other stages are run with the file away."""

import json
import shutil
from pathlib import Path

import pytest
import yaml
from safetensors.numpy import load_file

from howdeep.files.project import Project
from howdeep.runs.examples import ensure_prepared
from howdeep.study.composition import compose_train
from howdeep.study.seeds import of_seed
from tests.commands import completed as howdeep

pytestmark = pytest.mark.slow


def small_study(project: Project, folder: Path, **changes: object) -> Project:
    """A project of one small entry, prepared."""
    shutil.copytree(project.conf, folder / "conf")
    study = yaml.safe_load(project.params.read_text())
    entry = {
        "data": "digits", "model": "mlp", "task": "classification",
        "overrides": {"trainer": {"max_epochs": 1}, "tracking": {"uri": None}},
    }  # fmt: skip
    study |= {"data": ["digits"], "depths": [1, 2], "matching": ["width"], "seeds": [0, 1]}
    study["entries"] = {"digits-mlp": entry}
    study["tune"] |= {"trials": 2, "epochs": 1.0, "optimizers": {"adam": [1e-3, 1e-2]}}
    (folder / "params.yaml").write_text(yaml.safe_dump(study | changes, sort_keys=False))
    here = Project(folder)
    shutil.copytree(project.prepared("digits"), here.prepared("digits"))
    return here


@pytest.fixture
def without_test_examples(project, tmp_path) -> Project:
    """One whose file of test examples is then put away."""
    here = small_study(project, tmp_path)
    (here.prepared("digits") / "test.safetensors").rename(tmp_path / "away.safetensors")
    return here


def test_tuning_training_comparing_and_reporting_never_open_the_test_examples_and_evaluate_does(
    without_test_examples,
):
    here = without_test_examples
    for stage in ("tune-entry", "train-entry"):
        done = howdeep(here.root, stage, "digits-mlp")
        assert done.returncode == 0, done.stderr
    assert len(list(here.runs.glob("**/record.json"))) == 4
    refused = howdeep(here.root, "evaluate")
    assert refused.returncode == 1
    assert "test.safetensors" in refused.stderr
    assert not (here.results / "test.json").exists()

    test = here.prepared("digits") / "test.safetensors"
    (here.root / "away.safetensors").rename(test)
    assert howdeep(here.root, "evaluate").returncode == 0
    scored = json.loads((here.results / "test.json").read_text())
    assert len(scored["runs"]) == 4
    assert scored["examples"] == {"digits-mlp": 359}
    assert scored["classes"] == {"digits-mlp": [str(digit) for digit in range(10)]}
    answered = load_file(here.results / "answers.safetensors")
    for key, measured in scored["runs"].items():
        right = answered[f"{key}/predicted"] == answered["digits-mlp/label"]
        assert right.mean() == pytest.approx(measured["accuracy"], abs=1e-6)
        confidence = answered[f"{key}/confidence"]
        assert 0.1 <= confidence.min() < confidence.max() <= 1

    test.unlink()
    for stage in ("compare", "report"):
        done = howdeep(here.root, stage)
        assert done.returncode == 0, done.stderr
    assert (here.reports / "index.html").stat().st_size > 0


def test_where_each_seed_draws_test_examples_nothing_but_evaluate_opens_them_either(project, tmp_path):
    """Each split of a seed lies in a folder of its own, made before the test files are put away."""
    here = small_study(project, tmp_path, split="all", seeds=[1, 2], tune=None)
    for seed in (1, 2):
        cfg = of_seed(compose_train(here.conf, ["data=digits"]), seed, "all")
        ensure_prepared(cfg.data, here)
    tests = [
        *here.root.glob("scratch/prepared/*/test.safetensors"),
        here.prepared("digits") / "test.safetensors",
    ]
    assert len(tests) == 3
    content = {path: path.read_bytes() for path in tests}
    assert len(set(content.values())) == 3
    for path in tests:
        path.unlink()
    for stage in ("tune-entry", "train-entry"):
        done = howdeep(here.root, stage, "digits-mlp")
        assert done.returncode == 0, done.stderr
    records = [json.loads(path.read_text()) for path in here.runs.glob("**/record.json")]
    assert {(of["seed"], of["config"]["data"]["prepare"]["seed"]) for of in records} == {(1, 1), (2, 2)}
    assert howdeep(here.root, "inspect").returncode == 0
    refused = howdeep(here.root, "evaluate")
    assert refused.returncode == 1
    assert "test.safetensors" in refused.stderr

    for path in tests[:2]:  # those of the seeds; that of the pipeline tests no run
        path.write_bytes(content[path])
    done = howdeep(here.root, "evaluate")
    assert done.returncode == 0, done.stderr
    scored = json.loads((here.results / "test.json").read_text())
    assert scored["resampled"] == {"digits-mlp": 359 / 1078}
    assert set(scored["baselines"]["digits"]["majority"]["splits"]) == {"1", "2"}
    answered = load_file(here.results / "answers.safetensors")
    labels = {}
    for record in records:
        own = answered[f"{record['key']}/label"]
        right = answered[f"{record['key']}/predicted"] == own
        assert right.mean() == pytest.approx(scored["runs"][record["key"]]["accuracy"], abs=1e-6)
        labels.setdefault(record["seed"], []).append(own)
    for shallow, deep in labels.values():
        assert (shallow == deep).all()
    assert (labels[1][0] != labels[2][0]).any()

    for path in tests[:2]:
        path.unlink()
    for stage in ("compare", "report"):
        done = howdeep(here.root, stage)
        assert done.returncode == 0, done.stderr
    assert "Nadeau and Bengio" in (here.reports / "index.html").read_text()
