"""The pipeline of claims in a clone: real DVC, real trainings, real git; and what each edit afterwards does."""

import csv
import json
import re
import shutil

import pytest
import yaml

from howdeep.files.project import Project
from howdeep.results.claims import STALE
from howdeep.stages import ledger
from howdeep.stages.claim import read_judged, verdict_of
from howdeep.study import claim
from howdeep.tracking.store import Store
from tests.clones import Clone

pytestmark = pytest.mark.slow
TINY = {
    "sentence": "Wide networks learn more of their training digits than narrow ones",
    "said_by": "this test", "why": "it must be said", "scope": "300 images", "data": "digits",
    "task": "classification", "depths": [1, 2],
    "overrides": ["model=mlp", "train_examples=300", "trainer.max_epochs=4"],
    "arms": {"narrow": ["model.width=2"], "wide": ["model.width=32"], "wide_once_more": ["model.width=32"]},
    "seeds": {"confirmation": [0, 1, 2, 3], "quick": 2, "exploration": [9, 10]},
    "estimand": {"metric": "gap/train_accuracy", "at": "last", "unit": "training accuracy"},
    "contrast": {"plus": [{"arm": "wide", "depth": 1}], "minus": [{"arm": "narrow", "depth": 1}]},
    "further": [
        {"text": "beyond a linear model", "plus": [{"arm": "wide", "depth": 2}],
         "estimand": {"metric": "test/accuracy", "against": "logistic regression", "unit": "accuracy"}},
        {"text": "random weights", "plus": [{"arm": "wide", "depth": 1}],
         "estimand": {"metric": "inside/attribution_without_training", "unit": "rank correlation"}},
    ],
    "scatter": {"x": {"metric": "cost/training_flops", "unit": "operations"},
                "y": {"metric": "test/accuracy", "unit": "accuracy"}},
    "supports": {"above": 0.05}, "refutes": {"below": 0.05},
    "prediction": {"verdict": "supported", "because": "two units are few"},
    "power": {"standard_deviation": 0.05, "effect": 0.2},
    "published": [{"figure": "none", "source": "nobody"}], "change_of_mind": "another outcome",
}  # fmt: skip
DIVERGES = {
    **{key: value for key, value in TINY.items() if key not in ("further", "scatter")},
    "sentence": "A learning rate of a billion is a good one",
    "arms": {**TINY["arms"], "narrow": ["model.normalisation=none", "model.residual=false", "optimizer.lr=1.0e+30"]},
    "estimand": {"metric": "test/accuracy", "unit": "test accuracy"},
}  # fmt: skip


@pytest.fixture(scope="module")
def judged(request, tmp_path_factory):
    """A clone whose two claims were run once."""
    clone = Clone(request.config.rootpath, tmp_path_factory.mktemp("claims") / "clone")
    for path in (clone.folder / "claims").glob("*.yaml"):
        if path.name != "dvc.yaml":
            path.unlink()
    write(clone, tiny=TINY, diverges=DIVERGES)
    params(clone, "full")
    pipeline = clone.folder / "claims/dvc.yaml"
    text = re.sub(r"(?m)^ {6}- \w+/judged\.json\n", "", pipeline.read_text())
    files = "".join(f"      - {name}/judged.json\n" for name in ("tiny", "diverges"))
    pipeline.write_text(text.replace("      - code/ledger.txt\n", f"{files}      - code/ledger.txt\n"))
    clone.commit()
    clone.run("dvc", "--cd", "claims", "repro")
    return clone


@pytest.fixture
def clone(judged, tmp_path):
    """A copy of it, to be changed."""
    copy = object.__new__(Clone)
    copy.folder = tmp_path / "copy"
    shutil.copytree(judged.folder, copy.folder, symlinks=True)
    return copy


def write(clone, **claims):
    for name, content in claims.items():
        (clone.folder / "claims" / f"{name}.yaml").write_text(yaml.safe_dump(content))


def params(clone, mode):
    content = {"claims": mode, "names": ["tiny", "diverges"], "permuted": ["tiny"]}
    (clone.folder / "claims/params.yaml").write_text(yaml.safe_dump(content))


def rows(clone):
    with (clone.folder / "results/claims/ledger.csv").open() as file:
        return {row["claim"]: row for row in csv.DictReader(file)}


def test_the_ledger_has_every_claim_its_controls_and_a_page(judged):
    found = rows(judged)
    assert list(found) == ["tiny", "diverges", "tiny-permuted"]
    assert found["tiny"]["verdict"] == "SUPPORTED"
    assert found["tiny-permuted"]["verdict"] != "SUPPORTED"
    assert found["diverges"]["verdict"] == "FAILED"
    page = (judged.folder / "reports/claims.html").read_text()
    assert "The experiment failed: narrow at depth 1 diverged with every seed: " in page
    assert page.count("<svg") == 5
    with (judged.folder / "results/claims/further.csv").open() as file:
        further = list(csv.DictReader(file))
    assert [(row["contrast"], row["metric"], row["seeds"]) for row in further] == [
        ("beyond a linear model", "test/accuracy less logistic regression", "4"),
        ("random weights", "inside/attribution_without_training", "4"),
    ]
    assert -0.5 < float(further[0]["estimate"]) < 0.1
    assert "did not stand" not in page


def test_every_verdict_is_what_the_records_of_its_runs_give(judged):
    here = Project(judged.folder)
    for name in ("tiny", "diverges"):
        content, of = read_judged(name, here), claim.read(name, here.claims)
        assert content is not None
        for row in content["values"]:
            if row["metric"] != of.estimand.label:
                continue
            run = f"{of.entry(row['arm'])}/depth={row['depth']}-seed={row['seed']}"
            record = json.loads((here.claim(name).runs / run / "record.json").read_text())
            assert record["key"] == row["key"]
            if name == "tiny":
                assert record["gap"]["last"]["train_accuracy"] == row["value"]
        again, seeds, values = verdict_of(of, content["values"])
        assert again.verdict == content["verdict"]
        assert seeds == [0, 1, 2, 3]
        if name == "tiny":
            by_hand = {
                (row["arm"], row["seed"]): row["value"]
                for row in content["values"]
                if row["depth"] == 1 and row["metric"] == of.estimand.label
            }
            assert values.tolist() == [by_hand["wide", seed] - by_hand["narrow", seed] for seed in seeds]


def test_a_second_time_nothing_runs_and_a_longer_run_keeps_what_is_there(clone):
    ran = clone.run("dvc", "--cd", "claims", "repro").stdout
    assert [line for line in ran.splitlines() if "Running stage" in line] == ["Running stage 'code':"]
    params(clone, "quick")
    said = clone.run("dvc", "--cd", "claims", "repro", "judge@tiny")
    assert "tiny-wide: 0 runs to train, 2 kept, 6 removed" in said.stderr
    assert "tiny: INCONCLUSIVE (power), " in said.stderr
    params(clone, "full")
    said = clone.run("dvc", "--cd", "claims", "repro", "judge@tiny")
    assert "tiny-wide: 6 runs to train, 2 kept, 0 removed" in said.stderr


def test_a_declaration_that_was_changed_after_its_runs_is_stale_until_they_are_judged_anew(clone):
    write(clone, tiny={**TINY, "supports": {"above": 0.06}})
    clone.run("howdeep", "ledger")
    assert rows(clone)["tiny"]["verdict"] == STALE
    assert "they decide nothing" in clone.run("howdeep", "claim", "tiny").stdout
    clone.run("dvc", "--cd", "claims", "repro")
    assert rows(clone)["tiny"]["verdict"] == "SUPPORTED"
    told = clone.run("howdeep", "ledger").stderr
    assert "ledger: tiny: SUPPORTED, its declaration did not stand in the commit of its runs\n" in told
    assert "did not stand in the commit" in (clone.folder / "reports/claims.html").read_text()
    write(clone, tiny={**TINY, "why": "It may be said better."})
    clone.run("howdeep", "ledger")
    assert rows(clone)["tiny"]["verdict"] == STALE  # judged for another region
    clone.run("dvc", "--cd", "claims", "repro")
    assert "tiny: SUPPORTED\n" in clone.run("howdeep", "ledger").stderr


def test_mistakes_are_told_in_one_line_of_the_declaration(clone):
    for content, message in (
        ({**TINY, "data": "digitz"}, "claims/tiny.yaml: "),
        (
            {**TINY, "estimand": {**TINY["estimand"], "metric": "test/acuracy"}},
            "did you mean 'test/accuracy'?",
        ),
        (
            {**TINY, "scatter": {**TINY["scatter"], "x": {"metric": "cost/flops", "unit": "operations"}}},
            "scatter.x.metric names the unknown metric 'cost/flops'",
        ),
        (
            {**TINY, "estimand": {"metric": "inside/attention_on_marks", "unit": "attention"}},
            "which expects a transformer on the adding problem, got MLP on digits (in the arm wide)",
        ),
        ({**TINY, "overrides": ["model=lstm"]}, "lstm"),
        ({**TINY, "arms": {**TINY["arms"], "narrow": ["model.widht=2"]}}, "model.widht"),
    ):
        write(clone, tiny=content)
        failed = clone.run("howdeep", "claim-plan", "tiny", check=False)
        assert failed.returncode == 1
        assert failed.stderr.count("\n") == 1, failed.stderr
        assert "howdeep: claims/tiny.yaml: " in failed.stderr
        assert message in failed.stderr
        assert "params.yaml" not in failed.stderr, failed.stderr


def test_an_unknown_simple_method_is_told_before_anything_is_trained(clone):
    against = {"metric": "test/accuracy", "against": "logistic regresion", "unit": "accuracy"}
    write(clone, tiny={**TINY, "estimand": against})
    clone.run("howdeep", "claim-plan", "tiny")
    failed = clone.run("howdeep", "claim-tune", "tiny", check=False)
    assert failed.returncode == 1
    assert failed.stderr.endswith(
        "howdeep: claims/tiny.yaml: estimand.against names the unknown method 'logistic regresion', did you mean "
        "'logistic regression'?\n"
    ), failed.stderr


def test_mlflow_has_an_experiment_with_a_run_for_each_claim(judged):
    store = Store(f"sqlite:///{judged.folder}/mlflow.db", "claims", judged.folder)
    [of_claim] = store.find(howdeep__kind="claim", howdeep__claim="tiny")
    assert of_claim.data.tags["howdeep.verdict"] == "SUPPORTED"
    arms = store.find(howdeep__kind="entry", howdeep__claim="tiny")
    assert {run.data.tags["mlflow.parentRunId"] for run in arms} == {of_claim.info.run_id}
    assert len(store.find(howdeep__kind="run", howdeep__entry="tiny-wide")) == 8


def seen(store):
    """What MLflow has, by the run: its kind, status, parent, verdict, test score, and whether it has a model."""
    runs = store.find()
    names = {run.info.run_id: run.info.run_name for run in runs}
    return {
        run.info.run_name: (
            run.data.tags["howdeep.kind"], run.info.status, names.get(run.data.tags.get("mlflow.parentRunId")),
            run.data.tags.get("howdeep.verdict"), run.data.metrics.get("test/score"), bool(run.outputs.model_outputs),
        )
        for run in runs
    }  # fmt: skip


def views_of(store):
    tags = store.client.get_experiment(store.experiment_id).tags
    return {name: re.sub(r"experiments/\d+", "experiments/N", text) for name, text in tags.items()}


def test_sync_rebuilds_the_experiment_of_claims_of_what_dvc_keeps_once_and_deletes_what_left(judged, clone):
    def store():
        return Store(f"sqlite:///{clone.folder}/mlflow.db", "claims", clone.folder)

    def ids():
        return {run.info.run_id for run in store().find()}

    first = Store(f"sqlite:///{judged.folder}/mlflow.db", "claims", judged.folder)
    made, described = seen(first), views_of(first)
    assert "howdeep-entry-tiny-wide" in str(described)
    assert "a run for each claim with its verdict" in described["mlflow.note.content"]
    for path in clone.folder.glob("mlflow.db*"):
        path.unlink()
    for name in ("mlartifacts", "provenance", "claims/tiny/results", "claims/diverges/results"):
        shutil.rmtree(clone.folder / name)  # as in a clone that has pulled
    said = clone.run("howdeep", "sync").stderr
    assert "sync: 48 runs and 10 models added to MLflow's experiment 'claims'\n" in said
    assert seen(store()) == made
    assert views_of(store()) == described
    before = ids()
    said = clone.run("howdeep", "sync").stderr
    assert "sync: 0 runs and 0 models added to MLflow's experiment 'claims'\n" in said
    assert ids() == before
    store().delete(store().find(howdeep__kind="claim"))
    clone.run("howdeep", "sync")
    assert seen(store()) == made
    write(
        clone,
        tiny={key: of for key, of in TINY.items() if key not in ("further", "scatter")} | {"depths": [1]},
    )
    clone.run("howdeep", "claim-plan", "tiny")
    (clone.folder / "claims/diverges.yaml").unlink()
    content = {"claims": "full", "names": ["tiny"], "permuted": ["tiny"]}
    (clone.folder / "claims/params.yaml").write_text(yaml.safe_dump(content))
    clone.run("howdeep", "sync")
    arms = {f"tiny-{arm}" for arm in TINY["arms"]}
    runs = {f"{arm} depth 1 seed {seed}" for arm in arms for seed in range(4)}
    there = seen(store())
    assert there.keys() == {"tiny"} | arms | runs
    assert there["tiny"][3] == STALE
    assert "entry-diverges" not in str(views_of(store()))


def test_what_is_not_planned_here_is_left_alone_by_sync(clone):
    shutil.rmtree(clone.folder / "claims/tiny")
    store = Store(f"sqlite:///{clone.folder}/mlflow.db", "claims", clone.folder)
    made = seen(store)
    clone.run("howdeep", "sync")
    there = seen(store)
    assert there.keys() == made.keys()
    assert there["tiny"][3] == "NOT RUN"


def test_a_declaration_is_registered_only_if_it_stood_in_the_history_of_now(judged):
    here = Project(judged.folder)
    of, keys = claim.read("tiny", here.claims), {row["key"] for row in read_judged("tiny", here)["values"]}  # type: ignore[index]
    assert ledger.is_registered(of, keys, here) is True
    assert ledger.is_registered(of, {"unknown"}, here) is None
