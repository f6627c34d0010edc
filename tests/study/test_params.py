"""The study of params.yaml: read whole, or refused in one line."""

from importlib import import_module
from pathlib import Path

import pytest
import yaml
from dvc.utils.serialize import modify_yaml

from howdeep import tasks
from howdeep.errors import UserError
from howdeep.records.cell import Cell
from howdeep.study import params

GOOD = {
    "study": "s",
    "data": ["digits"],
    "depths": [1, 4, 2],
    "matching": ["width"],
    "seeds": [0, 1],
    "split": "fixed",
    "optimizer": "adam",
    "schedule": "constant",
    "trainer": "cpu",
    "margins": {"accuracy": 0.01, "mae": 0},
    "tune": None,
    "entries": {
        "digits-mlp": {
            "data": "digits",
            "model": "mlp",
            "task": "classification",
            "overrides": {"model": {"width": 16, "residual": False}, "patience": None, "optimizer.lr": 0.01},
        }
    },
}


def write(tmp_path, **changes):
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump({**GOOD, **changes}, sort_keys=False))
    return path


def test_an_entry_becomes_hydra_overrides_with_its_own_last(tmp_path):
    plan = params.read(write(tmp_path))
    assert plan.overrides(plan.entry("digits-mlp"), Cell("digits", "mlp", 4)) == [
        "data=digits", "model=mlp", "task=classification", "optimizer=adam", "schedule=constant", "trainer=cpu",
        "model.depth=4", "model.width=16", "model.residual=false", "patience=null", "optimizer.lr=0.01",
    ]  # fmt: skip


def test_an_entrys_own_group_takes_the_place_of_the_studys(tmp_path):
    entries = {"a": {**GOOD["entries"]["digits-mlp"], "overrides": {"optimizer": "sgd"}}}
    plan = params.read(write(tmp_path, entries=entries))
    found = plan.overrides(plan.entry("a"), Cell("digits", "mlp", 4))
    assert [override for override in found if override.startswith("optimizer")] == ["optimizer=sgd"]


def test_an_entry_has_the_studys_seeds_or_its_own(tmp_path):
    entries = {"a": GOOD["entries"]["digits-mlp"], "b": {**GOOD["entries"]["digits-mlp"], "seeds": [5, 6, 7]}}
    plan = params.read(write(tmp_path, entries=entries))
    runs = [(cell.depth, seed) for cell, seed in plan.runs(plan.entry("a"))]
    assert runs == [(depth, seed) for depth in (4, 2, 1) for seed in (0, 1)]
    assert {seed for _, seed in plan.runs(plan.entry("b"))} == {5, 6, 7}


def test_the_deepest_cell_comes_first(tmp_path):
    plan = params.read(write(tmp_path))
    assert [cell.depth for cell in plan.cells(plan.entry("digits-mlp"))] == [4, 2, 1]


ENTRY = GOOD["entries"]["digits-mlp"]


def test_an_entry_has_the_study_s_matchings_or_its_own(tmp_path):
    entries = {"a": ENTRY, "b": {**ENTRY, "matching": ["flops"]}}
    plan = params.read(write(tmp_path, matching=["width", "parameters"], entries=entries))
    cells = [(cell.depth, cell.matching) for cell in plan.cells(plan.entry("a"))]
    assert cells == [(depth, matching) for depth in (4, 2, 1) for matching in ("width", "parameters")]
    assert {cell.matching for cell in plan.cells(plan.entry("b"))} == {"flops"}


def test_a_matched_cell_is_as_large_as_the_deepest_network_unless_its_entry_names_another(tmp_path):
    entry = {**ENTRY, "overrides": {"reference": {"depth": 2}}}
    plan = params.read(write(tmp_path, entries={"a": ENTRY, "b": entry}))
    of_a, of_b = (plan.overrides(plan.entry(n), Cell("digits", "mlp", 1, "flops")) for n in ("a", "b"))
    assert {"model.depth=1", "matching=flops", "reference.depth=4"} < set(of_a)
    assert of_b[-1] == "reference.depth=2"


TUNE = {"trials": 4, "epochs": [0.1, 0.5], "optimizers": {"adam": [0.001, 0.01], "sgd": [0.1, 1]}}


def test_an_entry_changes_what_it_names_of_the_study_s_tuning(tmp_path):
    entry = {"data": "digits", "model": "mlp", "task": "classification", "tune": {"epochs": 1}}
    plan = params.read(write(tmp_path, tune=TUNE, entries={"a": entry}))
    optimizers = {"adam": (0.001, 0.01), "sgd": (0.1, 1.0)}
    assert plan.entry("a").tuning == params.Tuning(4, (1.0,), optimizers)


def test_a_cluster_is_an_address_and_changes_nothing_that_is_computed(tmp_path):
    plain, sent = (
        params.read(write(tmp_path, **of)) for of in ({}, {"cluster": {"scheduler": "tcp://127.0.0.1:8786"}})
    )
    assert plain.cluster is None
    assert str(sent.cluster) == "tcp://127.0.0.1:8786"
    entry, cell = plain.entry("digits-mlp"), Cell("digits", "mlp", 2)
    assert sent.overrides(sent.entry("digits-mlp"), cell) == plain.overrides(entry, cell)


def test_an_entry_s_own_patience_wins_over_the_study_s(tmp_path):
    entries = {"a": {**ENTRY, "overrides": {}}, "b": {**ENTRY, "overrides": {"patience": 3}}}
    plan = params.read(write(tmp_path, patience=7, entries=entries))
    cell = Cell("digits", "mlp", 2)
    of = {name: plan.overrides(plan.entry(name), cell) for name in entries}
    assert [line for line in of["a"] if "patience" in line] == ["patience=7"]
    assert [line for line in of["b"] if "patience" in line] == ["patience=3"]


def test_a_momentum_may_be_set_where_only_learning_rates_are_tuned(tmp_path):
    entry = {**ENTRY, "overrides": {"optimizer.momentum": 0.5}}
    plan = params.read(write(tmp_path, tune={**TUNE, "trials": 9}, entries={"a": entry}))
    assert plan.entry("a").overrides == ("optimizer.momentum=0.5",)


def test_a_tuned_setting_takes_the_place_of_the_study_s_optimizer_and_comes_last(tmp_path):
    plan = params.read(write(tmp_path))
    cell = Cell("digits", "mlp", 4)
    overrides = plan.overrides(plan.entry("digits-mlp"), cell, ["optimizer=sgd", "optimizer.lr=0.5"])
    assert overrides[-2:] == ["optimizer=sgd", "optimizer.lr=0.5"]
    assert "optimizer=adam" not in overrides


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"depths": [1, 0]}, r"depths .* at least 1, got \[1, 0\]"),
        ({"depths": [1, 1]}, "depths .* different"),
        ({"depths": [True]}, "depths"),
        ({"depths": "two"}, "depths .* got 'two'"),
        ({"seeds": []}, "seeds"),
        ({"split": "random"}, "split in params.yaml must be fixed, seeds or all, got 'random'"),
        ({"matching": "width"}, r"matching .* list of different names such as .* got 'width'"),
        ({"matching": ["width", "width"]}, "matching .* different names"),
        ({"matching": ["parameter"]}, "unknown matching 'parameter', did you mean 'parameters'?"),
        ({"entries": {"a": {**ENTRY, "matching": []}}}, r"entries.a.matching .* got \[\]"),
        (
            {"entries": {"a": {**ENTRY, "overrides": {"matching": "flops"}}}},
            "entries.a.overrides sets matching: write entries.a.matching",
        ),
        (
            {"entries": {"a": {**ENTRY, "overrides": {"model": {"depth": 3}}}}},
            "entries.a.overrides sets model.depth: write `depths` of the study, a list, instead",
        ),
        (
            {"entries": {"a": {**ENTRY, "overrides": {"seed": 3}}}},
            "overrides sets seed: write entries.a.seeds",
        ),
        ({"entries": {"a": {**ENTRY, "seeds": []}}}, r"entries.a.seeds .* got \[\]"),
        (
            {"tune": TUNE, "entries": {"a": {**ENTRY, "overrides": {"optimizer": "sgd"}}}},
            "entries.a.overrides sets optimizer, which is tuned: set entries.a.tune.optimizers instead",
        ),
        (
            {"tune": {**TUNE, "epochs": [0.3, 0.1]}},
            "tune.epochs must rise, such as",
        ),
        ({"seedz": [0]}, "unknown key 'seedz', did you mean 'seeds'?"),
        (
            {"margins": {"accuracy": -1}},
            r"margins.accuracy in params.yaml must be a number of at least 0, .* got -1",
        ),
        (
            {"margins": {"accuracy": {"margin": True, "reason": "a"}}},
            "margins.accuracy .* number of at least 0, or a map",
        ),
        ({"margins": {"accuracy": {"reason": "a"}}}, "margins.accuracy .* number .* got {'reason': 'a'}"),
        ({"margins": {"accuracy": {"margin": 0.1}}}, "margins.accuracy .* must say its reason in words"),
        (
            {"margins": {"accuracy": {"margin": 0.1, "reason": " "}}},
            "margins.accuracy .* must say its reason in words",
        ),
        (
            {"margins": {"accuracy": {"margin": 0.1, "reason": 3}}},
            "margins.accuracy .* must say its reason in words",
        ),
        (
            {"margins": {"accuracy": {"margin": 0.1, "reasons": "a"}}},
            "margins.accuracy .* unknown key 'reasons', did you mean 'reason'?",
        ),
        ({"margins": 0.01}, "margins .* must be a map"),
        (
            {"patience": 0},
            "patience in params.yaml must be a whole number of epochs of at least 1, or null, got 0",
        ),
        ({"patience": True}, "patience in params.yaml must be a whole number"),
        (
            {"cluster": "tcp://127.0.0.1:1"},
            "cluster in params.yaml must be null, or a map such as {scheduler: tls://",
        ),
        (
            {"cluster": {"scheduler": 5}},
            "cluster.scheduler in params.yaml must be the address of a scheduler",
        ),
        (
            {"cluster": {"scheduler": "tcp://127.0.0.1:1", "secret": 1}},
            "cluster in params.yaml must be null, or a map such as",
        ),
        ({"tune": 4}, "tune must be a map with trials, epochs, optimizers, or null, got 4"),
        ({"tune": {"trials": 4}}, "tune in params.yaml lacks the key 'epochs'"),
        ({"tune": {**TUNE, "trial": 4}}, "tune has the unknown key 'trial', did you mean 'trials'?"),
        ({"tune": {**TUNE, "trials": 0}}, "tune.trials must be a whole number of at least 1, got 0"),
        ({"tune": {**TUNE, "epochs": 2}}, "tune.epochs must be shares .* got 2"),
        ({"tune": {**TUNE, "epochs": []}}, "tune.epochs must be shares"),
        ({"tune": {**TUNE, "epochs": [0.1, True]}}, "tune.epochs must be shares"),
        ({"tune": {**TUNE, "seed": 1}}, "tune has the unknown key 'seed'"),
        ({"tune": {**TUNE, "optimizers": {"sgd": 0.1}}}, "tune.optimizers must be a map of optimizers"),
        (
            {"tune": {**TUNE, "optimizers": {"sgd": [0.1, 0.1]}}},
            "tune.optimizers must be a map of optimizers",
        ),
        ({"tune": TUNE}, "entries.digits-mlp.overrides sets optimizer.lr, which is tuned"),
        (
            {
                "tune": {**TUNE, "trials": 10},
                "entries": {"a": {**ENTRY, "overrides": {"optimizer.momentum": 0.5}}},
            },
            "overrides sets optimizer.momentum, which is tuned: remove it, or set tune.trials to 9 at most",
        ),
        ({"entries": {"a": {**ENTRY, "tune": [1]}}}, "entries.a.tune must be a map"),
        ({"entries": {}}, "entries .* must be a map"),
        ({"entries": {"a": 3}}, "entries.a must be a map"),
        (
            {"entries": {"a": {**ENTRY, "data": "digit"}}},
            "'digit', which the list `data` lacks, did you mean 'digits'",
        ),
        ({"entries": {"a": {"data": "digits", "task": "t"}}}, "entries.a lacks the key 'model'"),
        ({"entries": {"a": {**ENTRY, "modle": "x"}}}, "unknown key 'modle', did you mean 'model'?"),
        ({"entries": {"a": {**ENTRY, "overrides": [1]}}}, "overrides must be a map"),
    ],
)
def test_a_mistake_is_named_in_one_line(tmp_path, changes, words):
    with pytest.raises(UserError, match=words) as caught:
        params.read(write(tmp_path, **changes))
    assert "\n" not in str(caught.value)


WRITTEN = {  # as YAML reads it -> what is said
    "study:": "study in params.yaml must be a name, found nothing",
    "study: ../../x": "study in params.yaml must be a name .*, got '../../x'",
    "study: false": "study in params.yaml must be a name, got False, which YAML takes for true or false: put",
    "study: 1.5": "got 1.5, which YAML takes for a number",
    "study: 2020-01-01": "which YAML takes for a date",
    "study: [a]": r"study in params.yaml must be a name, got \['a'\]",
    "data: [digits, false]": "each name in the list `data` of params.yaml must be a name, got False, which YAML takes",
    "data: [digits, ..]": "each name in the list `data` .* got '..'",
    "data: [digits, Digits]": "'digits' and 'Digits', which differ in upper and lower case alone",
    "data: [digits, digits]": "data in params.yaml must be a list of different names",
    "data: []": "data in params.yaml must be a list of different names",
    "optimizer: ../x": "optimizer in params.yaml must be a name",
    "schedule:": "schedule in params.yaml must be a name, found nothing",
    "trainer: {a: b}": "trainer in params.yaml must be a name, got",
    "margins: {acuracy: 0.01}": "unknown score 'acuracy', did you mean 'accuracy'?",
    "margins: {false: 0.01}": "each score in `margins` of params.yaml must be a name, got False",
    "tune: {trials: 1, epochs: 1, optimizers: {'x;y': [0.1, 1]}}": "each key of tune.optimizers must be a",
    "tune: {trials: 1, epochs: 1, optimizers: {false: [0.1, 1]}}": "each key of tune.optimizers must be a name",
}


@pytest.mark.parametrize("line", WRITTEN)
def test_what_is_no_name_is_refused_with_what_yaml_takes_it_for(tmp_path, line):
    content = {name: value for name, value in GOOD.items() if name != line.partition(":")[0]}
    (tmp_path / "params.yaml").write_text(f"{line}\n{yaml.safe_dump(content)}")
    with pytest.raises(UserError, match=WRITTEN[line]) as caught:
        params.read(tmp_path / "params.yaml")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "name", ["..", ".", "../../x", "/tmp/x", "x; touch pwned #", "-x", "false", "1.5", "2020-01-01"]
)
def test_an_entry_has_a_name_that_leads_nowhere(tmp_path, name):
    content = {name: value for name, value in GOOD.items() if name != "entries"}
    text = yaml.safe_dump(ENTRY, default_flow_style=True)
    written = f"'{name}'" if "#" in name else name
    (tmp_path / "params.yaml").write_text(f"{yaml.safe_dump(content)}\nentries:\n  {written}: {text}")
    with pytest.raises(UserError, match=r"each entry of params.yaml must be a name"):
        params.read(tmp_path / "params.yaml")


def test_entries_that_differ_in_case_alone_would_share_a_folder(tmp_path):
    with pytest.raises(UserError, match=r"entries in params.yaml has 'a' and 'A', which differ in upper"):
        params.read(write(tmp_path, entries={"a": ENTRY, "A": ENTRY}))


def test_an_override_whose_name_is_no_text_is_refused(tmp_path):
    entries = {"a": {**ENTRY, "overrides": {"model": {False: 1}}}}
    with pytest.raises(UserError, match=r"the key model.False, which YAML takes for no text"):
        params.read(write(tmp_path, entries=entries))


def test_a_word_that_was_true_or_false_before_yaml_1_2_sets_nothing(tmp_path):
    for word in ("yes", "No", "ON", "off"):
        entries = {"a": {**ENTRY, "overrides": {"optimizer": {"fused": word}}}}
        with pytest.raises(UserError, match=f"set optimizer.fused to {word}, .*: write true or false"):
            params.read(write(tmp_path, entries=entries))


def test_numbers_are_those_that_dvc_writes(tmp_path):
    """As after `dvc exp run -S 'tune.optimizers.adam=[0.00001,0.01]'`."""
    tune = {"trials": 2, "epochs": [0.5], "optimizers": {"adam": [0.001, 0.01]}}
    path = write(tmp_path, tune=tune, entries={"a": {**ENTRY, "overrides": {}}})
    with modify_yaml(path) as content:
        content["tune"]["optimizers"]["adam"] = [1e-5, 1e-2]
        content["margins"]["mae"] = 1e-6
    assert "1e-05" in path.read_text()
    found = params.read(path)
    tuning = found.entry("a").tuning
    assert tuning is not None
    assert tuning.optimizers == {"adam": (1e-5, 1e-2)}
    assert found.margins["mae"] == 1e-6


def test_a_margin_is_a_number_or_carries_its_reason_in_one_line(tmp_path):
    margins = {"accuracy": {"margin": 0.01, "reason": "one of a hundred;\n a convention."}, "mae": 0}
    plan = params.read(write(tmp_path, margins=margins))
    assert plan.margins == {"accuracy": 0.01, "mae": 0}
    assert plan.reasons == {"accuracy": "one of a hundred; a convention"}


def test_the_scores_that_have_margins_are_those_of_the_tasks():
    found = {
        part.score_name
        for file in Path(tasks.__file__).parent.glob("*.py")
        for part in vars(import_module(f"howdeep.tasks.{file.stem}")).values()
        if isinstance(part, type) and hasattr(part, "score_name")
    }
    assert params.scores() == found


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("study: a\nstudy: b\n", "params.yaml line 2 has the key 'study' twice"),
        ("study: &a [*a]\n", "params.yaml line 1 holds itself"),
        ("study: [1\ndata: x\n", "params.yaml line 2, column 5 is no YAML: expected ',' or"),
        ("study: @x\n", "params.yaml line 1, column 8 is no YAML: found character '@'"),
        ("study: !!python/object/apply:os.system [ls]\n", "could not determine a constructor for the tag"),
        ("? [a]\n: b\n", r"params.yaml has the unknown key '\('a',\)'"),
        ("\tstudy: a\n", "line 1, column 1 is no YAML"),
        ("[" * 2000, "nested too deep"),
        ("study: \x00\n", "is no YAML: special characters are not allowed"),
        ("study: 2020-13-45\n", "is no YAML: month must be in 1..12"),
    ],
)
def test_what_is_no_yaml_has_its_line(tmp_path, monkeypatch, text, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(UserError, match=words) as caught:
        params.read(tmp_path / "params.yaml")
    assert "\n" not in str(caught.value)


def test_bytes_that_are_no_text_are_no_yaml(tmp_path):
    (tmp_path / "params.yaml").write_bytes(b"study: \xff\n")
    with pytest.raises(UserError, match=r"params.yaml is no YAML: "):
        params.read(tmp_path / "params.yaml")


def test_one_part_may_stand_in_many_places(tmp_path):
    shared = (
        "entries: {a: &a {data: digits, model: mlp, task: classification}, b: *a, c: {<<: *a, seeds: [3]}}"
    )
    content = {name: value for name, value in GOOD.items() if name != "entries"}
    (tmp_path / "params.yaml").write_text(f"{yaml.safe_dump(content)}{shared}\n")
    assert params.read(tmp_path / "params.yaml").entry("c").seeds == (3,)


@pytest.mark.parametrize("key", GOOD)
def test_a_missing_key_is_named(tmp_path, key):
    content = {name: value for name, value in GOOD.items() if name != key}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(UserError, match=f"lacks the key '{key}'"):
        params.read(tmp_path / "params.yaml")


def test_a_file_that_is_absent_or_no_yaml_is_named(tmp_path):
    with pytest.raises(UserError, match="found no such file"):
        params.read(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("a: [1, 2\nb: {")
    with pytest.raises(UserError, match="is no YAML") as caught:
        params.read(tmp_path / "params.yaml")
    assert "\n" not in str(caught.value)


def test_an_unknown_entry_gets_a_near_match(tmp_path):
    with pytest.raises(UserError, match="did you mean 'digits-mlp'"):
        params.read(write(tmp_path)).entry("digit-mlp")


def test_entries_that_differ_in_the_number_of_examples_alone_are_a_curve():
    def entry(name: str, *overrides: str, model: str = "mlp") -> params.Entry:
        return params.Entry(name, "digits", model, "classification", overrides)

    small, least = entry("b", "train_examples=300"), entry("c", "train_examples=20")
    assert params.learning_curves([least, entry("a"), small]) == {"a": ["b", "c"]}
    # Without an entry on all examples, the largest stands for them.
    assert params.learning_curves([least, small]) == {"b": ["c"]}
    narrow = entry("d", "train_examples=20", "model.width=8")
    assert params.learning_curves([entry("a"), narrow, entry("e", "train_examples=20", model="cnn")]) == {}
    assert params.learning_curves([narrow, entry("f", "model.width=8")]) == {"f": ["d"]}
    assert params.learning_curves([entry("a"), entry("twice")]) == {}
