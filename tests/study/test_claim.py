"""The declarations of claims: what is refused, in one line, before anything is run."""

import copy
import math
from pathlib import Path

import numpy as np
import pytest
import yaml

from howdeep.errors import UserError
from howdeep.stages.claim import PILOT, check_power, further_of, verdict_of
from howdeep.study import claim, params

FOLDER = Path(__file__).parents[2] / "claims"
DECLARED = yaml.safe_load((FOLDER / "degradation.yaml").read_text())
ALL = sorted(path.stem for path in FOLDER.glob("*.yaml") if path.stem not in ("params", "dvc"))


def changed(**nodes):
    content = copy.deepcopy(DECLARED)
    for path, value in nodes.items():
        *parents, last = path.split("__")
        node = content
        for name in parents:
            node = node[name]
        if value is None:
            del node[last]
        else:
            node[last] = value
    return content


@pytest.mark.parametrize("name", ALL)
def test_every_declaration_is_well_formed_and_its_seeds_find_the_effect_that_it_is_about(name):
    check_power(claim.read(name, FOLDER))


def test_the_ledger_the_pipeline_and_the_folder_name_the_same_claims():
    told = claim.ledger(FOLDER)
    assert sorted(told.names) == ALL
    stages = yaml.safe_load((FOLDER / "dvc.yaml").read_text())["stages"]
    deps = [dep for dep in stages["ledger"]["deps"] if dep.endswith("judged.json")]
    assert sorted(deps) == [f"{name}/judged.json" for name in ALL]


def test_there_are_two_false_claims_and_one_with_permuted_labels():
    controls = [name for name in ALL if claim.read(name, FOLDER).control]
    assert len(controls) >= 2
    assert claim.ledger(FOLDER).permuted


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ({"prediction": None}, "lacks the key 'prediction', what we expect and why"),
        ({"refutes": None}, "lacks the key 'refutes', the outcome that refutes"),
        ({"prediction__because": ""}, "prediction.because: string should have at least 1 character"),
        ({"predicton": {}}, "has the unknown key 'predicton', did you mean 'prediction'?"),
        ({"estimand__metric": "accuracy"}, "estimand.metric must be KIND/NAME"),
        ({"contrast__plus": [{"arm": "plane", "depth": 56}]}, "unknown arm 'plane', did you mean 'plain'?"),
        ({"contrast__plus": [{"arm": "plain", "depth": 20}]}, "depth 20, which `depths` lacks"),
        ({"arms__plain": ["model.depth=3"]}, "the arm 'plain' sets model.depth, which is what cells differ in"),
        ({"overrides": ["model=mlp", "seed=3"]}, "`overrides` sets seed"),
        ({"arms__plain": ["model.residual"]}, "must be NAME=VALUE, got 'model.residual'"),
        ({"arms__plain": ["++model.depth=3"]}, r"the arm 'plain' sets \+\+model.depth, which is what cells differ in"),
        ({"arms__plain": ["data.examples.seed=3"]}, "the arm 'plain' sets data.examples.seed"),
        ({"arms__plain": ["model.width=["]}, r"the override 'model.width=\[' cannot be read: expected"),
        ({"arms__plain": ["model.width=${"]}, r"the override 'model.width=\$\{' cannot be read: "),
        ({"arms__plain arm": []}, "an arm must be a name .*, got 'plain arm'"),
        ({"tune_arms": {"plane": {"trials": 4}}}, "tune_arms names the unknown arm 'plane', did you mean 'plain'?"),
        ({"supports__above": math.nan}, "supports.above: input should be a finite number, got nan"),
        ({"power__effect": math.inf}, "power.effect: input should be a finite number, got inf"),
        ({"contrast": {"plus": [{"arm": "plain", "depth": 56}], "minus": [{"arm": "plain", "depth": 56}]}},
         "contrast: must not add and subtract one cell: plain at depth 56"),
        ({"seeds__exploration": [3, 100]}, r"seeds \[3\] stand in both confirmation and exploration"),
        ({"further": [{"text": "it", "plus": [{"arm": "plan", "depth": 56}]}]},
         "further 'it' names the unknown arm 'plan', did you mean 'plain'?"),
        ({"further": [{"plus": [{"arm": "plain", "depth": 56}]}]}, "lacks the key 'further.0.text'"),
        ({"further": [{"text": "it", "plus": [{"arm": "plain", "depth": 56}], "estimand": {"metric": "test"}}]},
         "further.0.estimand.metric must be KIND/NAME"),
        ({"scatter": {"x": {"metric": "cost/parameters", "unit": "weights"}}}, "lacks the key 'scatter.y'"),
        ({"supports__above": -0.2}, "`supports` and `refutes` overlap"),
        ({"supports": {}}, "supports: must have `above`, `below` or both"),
        ({"depths": [0, 56]}, "depths.0: input should be greater than or equal to 1, got 0"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_in_one_line(nodes, message):
    with pytest.raises(UserError, match=message) as error:
        claim.parse(changed(**nodes), "degradation")
    assert str(error.value).startswith("claims/degradation.yaml: ")
    assert "\n" not in str(error.value)


def test_too_few_seeds_for_the_effect_are_refused():
    few = claim.parse(changed(power__standard_deviation=1.0), "degradation")
    with pytest.raises(UserError, match=r"8 of them find 1\.15 only: declare more seeds"):
        check_power(few)


def test_seeds_on_which_a_claim_was_planned_decide_nothing_however_large_the_effect():
    of = claim.parse(DECLARED, "degradation")
    for seeds, verdict in ((of.seeds.exploration, PILOT), (of.seeds.confirmation, "REFUTED")):
        rows = [
            {"metric": of.estimand.label, "arm": arm, "depth": depth, "seed": seed,
             "value": 0.1 if (arm, depth) == ("plain", 56) else 0.99}
            for arm in of.arms for depth in of.depths for seed in seeds
        ]  # fmt: skip
        assert verdict_of(of, rows)[0].verdict == verdict


def test_a_name_that_the_pipeline_has_for_itself_is_refused():
    with pytest.raises(UserError, match="another name than code"):
        claim.parse(DECLARED, "code")


def test_an_unknown_claim_has_near_names():
    with pytest.raises(UserError, match="got 'degradaton', did you mean 'degradation'"):
        claim.read("degradaton", FOLDER)


def test_prose_may_be_mended_and_what_decides_may_not():
    digest = claim.parse(DECLARED, "degradation").digest
    assert claim.parse(changed(why="Otherwise."), "degradation").digest == digest
    for nodes in ({"supports__above": -0.01}, {"arms__plain": []}, {"prediction__verdict": "supported"}):
        assert claim.parse(changed(**nodes), "degradation").digest != digest


@pytest.mark.parametrize("mode", claim.MODES)
def test_a_claim_is_a_study_of_its_arms(mode, tmp_path):
    of = claim.parse(DECLARED, "degradation")
    from howdeep.files.writing import yaml_text

    (tmp_path / "params.yaml").write_text(yaml_text(of.study(mode)))
    study = params.read(tmp_path / "params.yaml")
    assert study.name == "claims"
    everything = ["plain", "residual", "plain_cnn", "residual_cnn"]
    assert list(study.entries) == [
        f"degradation-{arm}" for arm in (["plain"] if mode == "quick" else everything)
    ]
    plain = study.entries["degradation-plain"]
    assert (plain.data, plain.model, plain.task) == ("digits", "mlp", "classification")
    assert "model.residual=false" in plain.overrides
    assert plain.seeds == {
        "full": tuple(DECLARED["seeds"]["confirmation"]), "quick": (0, 1, 2), "pilot": (100, 101, 102, 103)
    }[mode]  # fmt: skip
    assert {cell.depth for cell in study.cells(plain)} == ({1, 56} if mode == "quick" else {1, 8, 56})


def test_a_further_contrast_is_told_with_an_interval_of_what_it_measures_and_decides_nothing():
    of = claim.parse(
        changed(further=[
            {"text": "of the verdict", "plus": [{"arm": "plain", "depth": 8}], "minus": [{"arm": "plain", "depth": 1}]},
            {"text": "another", "plus": [{"arm": "residual", "depth": 8}],
             "estimand": {"metric": "test/accuracy", "unit": "accuracy"}},
            {"text": "not run", "plus": [{"arm": "residual", "depth": 56}]},
        ]),
        "degradation",
    )  # fmt: skip
    rows = [
        {"metric": metric, "arm": arm, "depth": depth, "seed": seed, "value": value + seed / 100}
        for metric, arm, depth, value in (
            ("gap/train_accuracy at last", "plain", 1, 0.9),
            ("gap/train_accuracy at last", "plain", 8, 0.5),
            ("gap/train_accuracy at last", "plain", 56, 0.1),
            ("test/accuracy", "residual", 8, 0.7),
        )
        for seed in range(8)
    ]
    first, second, third = further_of(of, rows)
    assert [*first[1]] == pytest.approx([-0.4] * 3)
    spread = 2.3646 * np.std(np.arange(8) / 100, ddof=1) / math.sqrt(8)  # t of 7 degrees of freedom
    assert [*second[1]] == pytest.approx([0.735, 0.735 - spread, 0.735 + spread], rel=1e-4)
    assert (first[2], second[2], third[2]) == (8, 8, 0)
    assert verdict_of(of, rows)[0].interval.mean == pytest.approx(-0.8)


def test_a_ledger_that_names_no_file_or_lacks_one_is_refused(tmp_path):
    (tmp_path / "degradation.yaml").write_text("")
    for names, message in (
        ("[degradation, depth]", "names the claim 'depth'"),
        ("[depth]", "names the claim"),
    ):
        (tmp_path / "params.yaml").write_text(f"claims: full\nnames: {names}\npermuted: [degradation]\n")
        with pytest.raises(UserError, match=message):
            claim.ledger(tmp_path)
    (tmp_path / "other.yaml").write_text("")
    (tmp_path / "params.yaml").write_text("claims: full\nnames: [degradation]\npermuted: [degradation]\n")
    with pytest.raises(UserError, match="lacks other: add it there"):
        claim.ledger(tmp_path)
    (tmp_path / "params.yaml").write_text("claims: slow\nnames: [degradation]\npermuted: [degradation]\n")
    with pytest.raises(UserError, match="claims: input should be 'full', 'quick' or 'pilot', got 'slow'"):
        claim.ledger(tmp_path)
