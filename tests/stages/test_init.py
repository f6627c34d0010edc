"""`howdeep init`: what it prints, what it writes, and what it refuses, of tables, series and texts."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from omegaconf import OmegaConf

from howdeep.errors import UserError
from howdeep.files.project import Project
from howdeep.intake import sampling
from howdeep.runs import examples
from howdeep.runs.examples import load_split
from howdeep.stages import init_table, proposals
from howdeep.stages.init import init
from howdeep.stages.proposals import Asked
from howdeep.study import params
from howdeep.study.composition import compose_train

N = 120


@pytest.fixture
def table(tmp_path) -> Path:
    random = np.random.RandomState(0)
    path = tmp_path / "flowers and more.csv"
    pd.DataFrame({
        "id": np.arange(N) + 1, "size": random.randn(N).round(3), "colour": random.choice(["red", "blue"], N),
        "who": [f"p{place % 8}" for place in range(N)],
        "when": pd.date_range("2020-01-01", periods=N).strftime("%d.%m.%Y"), "species": np.arange(N) % 3,
    }).to_csv(path, index=False, sep=";")  # fmt: skip
    return path


def made(asked: Asked, data: str):
    """The split of a project that was made, as a run sees it."""
    init(asked)
    here = Project(asked.folder)
    study = params.read(here.params)
    entry = next(iter(study.entries.values()))
    cfg = compose_train(here.conf, study.overrides(entry, next(study.cells(entry))))
    assert cfg.data.name == data
    examples.pull(cfg.data, here)
    examples.prepare(cfg.data, here)
    return cfg, load_split(cfg, here, test=True)


def test_a_table_becomes_a_project_whose_study_and_examples_fit(table, tmp_path, capsys):
    cfg, split = made(Asked(tmp_path / "new", table), "flowers_and_more")
    said = capsys.readouterr().out
    for told in ("separated by semicolons", "counts the rows", "all values are dates as %d.%m.%Y", "dvc repro",
                 "beware: rows have dates ('when')"):  # fmt: skip
        assert told in said
    assert split.train[0].shape[1:] == tuple(cfg.data.in_shape) == (16,)
    assert [len(part[0]) for part in split if part] == [72, 24, 24]
    assert cfg.data.out_features == 3
    for name in (
        "params.yaml",
        "dvc.yaml",
        ".gitignore",
        "README.md",
        ".git",
        ".dvc",
        "source/flowers_and_more.csv",
    ):
        assert (tmp_path / "new" / name).exists(), name
    assert list(tmp_path.glob(".new*")) == []
    assert (tmp_path / "new").stat().st_mode == table.parent.joinpath("new/conf").stat().st_mode


def test_options_choose_target_task_group_and_time(table, tmp_path):
    cfg, split = made(Asked(tmp_path / "one", table, ["size"], time="when", name="sized"), "sized")
    assert cfg.task._target_.endswith("Regression")
    assert split.train[0][:, 12].max() < split.validation[0][:, 12].min() < split.test[0][:, 12].min()  # type: ignore[index]
    columns = yaml.safe_load((tmp_path / "one/conf/data/sized.yaml").read_text())["prepare"]["columns"]
    assert columns["species"]["kind"] == "number"
    cfg, split = made(Asked(tmp_path / "two", table, group="who", task="regression", name="by"), "by")
    assert split.train[1].shape[1:] == (1,)


def test_a_series_becomes_windows(tmp_path, capsys):
    path = tmp_path / "sales.csv"
    days = pd.date_range("2021-01-01", periods=N)
    pd.DataFrame(
        {"day": days.strftime("%Y-%m-%d"), "sold": np.sin(np.arange(N)), "left": np.cos(np.arange(N))}
    ).to_csv(path, index=False)
    cfg, split = made(Asked(tmp_path / "new", path, kind="series"), "sales")
    assert "a step is 1 day, by 'day'" in capsys.readouterr().out
    assert split.train[0].shape[1:] == tuple(cfg.data.in_shape) == (18, 2)


def test_texts_with_classes_become_sequences(tmp_path):
    path = tmp_path / "said.csv"
    pd.DataFrame({"text": ["so good", "so bad", "güt", "bäd day"] * 30, "label": ["+", "-"] * 60}).to_csv(
        path, index=False
    )
    cfg, split = made(Asked(tmp_path / "new", path, kind="text"), "said")
    assert split.train[0].shape[1:] == tuple(cfg.data.in_shape)
    assert cfg.data.out_features == 2
    assert int(split.train[0].max()) < cfg.data.vocabulary


def test_a_running_text_becomes_windows_of_its_characters(tmp_path):
    path = tmp_path / "tale.txt"
    path.write_bytes("Es war einmal ein König.\r\n".encode("cp1252") * 700)
    cfg, split = made(Asked(tmp_path / "new", path), "tale")
    assert cfg.data.vocabulary == len(split.alphabet)
    assert "ö" in split.alphabet
    assert "\r" not in split.alphabet


def test_a_dry_run_writes_nothing(table, tmp_path, capsys):
    init(Asked(tmp_path / "new", table, dry_run=True))
    assert "Nothing was written" in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.iterdir()) == [table.name]


def test_a_project_is_never_overwritten(table, tmp_path):
    init(Asked(tmp_path / "new", table))
    before = {path: path.read_bytes() for path in (tmp_path / "new").rglob("*.yaml")}
    with pytest.raises(UserError, match=r"is a project already .data sets of its own: .*flowers_and_more"):
        init(Asked(tmp_path / "new", table))
    assert {path: path.read_bytes() for path in (tmp_path / "new").rglob("*.yaml")} == before


def test_what_a_repository_has_already_stays(table, tmp_path):
    folder = tmp_path / "new"
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    (folder / ".gitignore").write_text("mine\n")
    init(Asked(folder, table))
    assert "mine\n" in (folder / ".gitignore").read_text()
    assert "/runs/" in (folder / ".gitignore").read_text()
    inner = tmp_path / "new/inner"
    init(Asked(inner, table))
    assert not (inner / ".git").exists()
    assert (inner / ".dvc").exists()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"target": ["specis"]}, "got 'specis', did you mean 'species'"),
        ({"kind": "tabel"}, "--kind must be one of .*, got 'tabel', did you mean 'table'"),
        ({"task": "regresion"}, "--task must be classification or regression"),
        ({"group": "colour", "time": "when"}, "expected one of --group and --time"),
        ({"time": "colour"}, "expected dates or numbers in --time 'colour'"),
        ({"group": "colour"}, "expected 3 different values at least in --group 'colour'.* got 2"),
        ({"group": "color"}, "as --group, got 'color', did you mean 'colour'"),
        ({"name": "../x"}, "--name must be letters"),
        ({"data": Path("none.csv")}, "expected a file or folder as --data, found none at none.csv"),
        ({"kind": "series", "target": ["colour"]}, "expected numbers to forecast"),
        ({"kind": "series", "task": "regression"}, "expected no --task for a series"),
    ],
)
def test_what_makes_no_sense_is_told_in_one_line_and_nothing_is_made(table, tmp_path, change, told):
    with pytest.raises(UserError, match=told) as error:
        init(Asked(tmp_path / "new", table)._replace(**change))
    assert "\n" not in str(error.value)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("a,y\n1,2\n3,4\n", "expected 20 rows at least"),
        ("y\n" + "1\n2\n" * 20, "expected a column that networks can learn from, got targets alone"),
        (
            "name,y\n" + "".join(f"n{i},{'ab'[i % 2]}\n" for i in range(40)),
            r"got 'name', which is left out \(text: every value is there once\): add one, or say --kind text",
        ),
        ("a,y\n" + "1,u\n2,\n3,v\n2,\n" * 10, "expected a target in every row, but 20 of 40 have none"),
    ],
)
def test_a_table_that_is_too_small_or_has_nothing_to_learn_from_is_refused(tmp_path, content, told):
    path = tmp_path / "of.csv"
    path.write_text(content)
    with pytest.raises(UserError, match=told):
        init(Asked(tmp_path / "new", path))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_place_that_cannot_be_written_is_an_error_of_the_place(table, tmp_path):
    tmp_path.joinpath("closed").mkdir(mode=0o500)
    with pytest.raises(PermissionError):
        init(Asked(tmp_path / "closed/new", table))


def test_a_folder_that_holds_something_is_left_alone(table, tmp_path):
    folder = tmp_path / "full"
    folder.mkdir()
    (folder / "letter.txt").write_text("mine")
    with pytest.raises(UserError, match=r"expected an empty folder at .*full, found letter\.txt"):
        init(Asked(folder, table))
    assert [path.name for path in folder.iterdir()] == ["letter.txt"]


def test_a_horizon_is_written_and_kept_by_the_windows(tmp_path):
    path = tmp_path / "steps.csv"
    pd.DataFrame({"value": np.arange(N) % 50 + np.arange(N) / 100}).to_csv(path, index=False)
    cfg, split = made(Asked(tmp_path / "new", path, kind="series", horizon=6), "steps")
    near, _ = made(Asked(tmp_path / "near", path, kind="series"), "steps")
    assert (cfg.data.examples.horizon, near.data.examples.horizon) == (6, 1)
    assert len(split.train[0]) == 72 - cfg.data.context - 5
    with pytest.raises(UserError, match="--horizon must be at most 18, a quarter of the 72 training steps"):
        init(Asked(tmp_path / "far", path, kind="series", horizon=19))


def test_many_series_have_a_class_each(tmp_path, capsys):
    path = tmp_path / "signals.csv"
    pd.DataFrame([
        {"who": f"s{of}", "t": step, "v": np.sin(step * (1 + of % 2)), "kind": ["slow", "fast"][of % 2]}
        for of in range(60) for step in range(5 + of % 9)
    ]).to_csv(path, index=False)  # fmt: skip
    asked = Asked(tmp_path / "new", path, ["kind"], kind="series", group="who", time="t")
    cfg, split = made(asked, "signals")
    assert "series have 5 to 13 steps" in capsys.readouterr().out
    assert split.train[0].shape[1:] == tuple(cfg.data.in_shape) == (13, 2)
    assert cfg.data.out_features == 2
    for change in ({"known": ["v"]}, {"horizon": 2}):
        with pytest.raises(UserError, match=f"expected no --{next(iter(change))} for series with classes"):
            init(asked._replace(folder=tmp_path / "other", **change))


def shops(**lengths: int) -> pd.DataFrame:
    return pd.concat(
        pd.DataFrame({"shop": name, "day": pd.date_range("2021-01-01", periods=n).strftime("%Y-%m-%d"),
                      "sold": np.sin(np.arange(n)).round(3), "size": len(name)})
        for name, n in lengths.items()
    )  # fmt: skip


def test_many_series_are_forecast_where_the_target_changes_within_them(tmp_path, capsys):
    path = tmp_path / "shops.csv"
    shops(one=100, two=60).to_csv(path, index=False)
    cfg, split = made(
        Asked(tmp_path / "new", path, ["sold"], kind="series", group="shop", time="day"), "shops"
    )
    said = capsys.readouterr().out
    for told in (
        "told: the next sold of each of 2 series, by 'shop'; a step is 1 day, by 'day'",
        "the last fifth of the steps of each series is the test; networks see 9 steps",
        "beware: the shortest series, 'two', has 60 steps",
        "beware: series end at different times",
    ):
        assert told in said
    assert split.train[0].shape[1:] == tuple(cfg.data.in_shape) == (9, 1)
    assert [len(part[0]) for part in split if part] == [60 - 9 + 36 - 9, 20 + 12, 20 + 12]
    by_default, _ = made(Asked(tmp_path / "more", path, kind="series", group="shop"), "shops")
    assert by_default.data.prepare == cfg.data.prepare


def test_what_is_known_ahead_is_seen_with_the_step_that_is_told(tmp_path):
    path = tmp_path / "shops.csv"
    table = shops(one=100, two=100)
    table["price"], table["rain"] = [np.arange(200) * factor % 11 for factor in (7, 3)]
    table.to_csv(path, index=False)
    asked = Asked(
        tmp_path / "new", path, ["sold"], kind="series", group="shop", known=["price", "day"], horizon=2
    )
    cfg, split = made(asked, "shops")
    assert tuple(cfg.data.in_shape) == split.train[0].shape[1:] == (15, 1 + 1 + 1 + 3)
    assert (cfg.data.out_features, split.train[1].shape[1]) == (1, 1)
    assert cfg.data.prepare.known == ["price", "day"]


@pytest.mark.parametrize(
    ("table", "change", "told"),
    [
        (shops(a=100, b=19, c=3), {}, "expected 20 steps at least of each series, by 'shop', for a test of 4, but 'b' "
                                      "has 19, 'c' has 3: leave such series out"),
        (shops(a=100, b=40), {"horizon": 7}, "--horizon must be at most 6, a quarter of the 24 training steps of the"),
        (shops(a=100, b=40), {"target": ["shop"]}, "a column of its own for --target and --group, got 'shop' twice"),
        (shops(a=100, b=40).iloc[1:], {"target": ["day"]}, "for --target and --time, got 'day' twice"),
        (pd.concat([shops(a=40), shops(b=40).iloc[::-1]]), {}, "shop 'b', column 'day': expected times that grow"),
        (pd.concat([shops(a=40), shops(a=1)]), {}, "shop 'a', column 'day': expected times that grow, got .* in"),
        (shops(a=40, b=40), {"known": ["sold"]}, "for --target and --known, got 'sold' twice"),
        (shops(a=40, b=40), {"known": ["price"]}, "expected a column of shops.csv as --known, got 'price'"),
        (shops(a=40, b=40), {"kind": "table", "known": ["size"], "time": None}, "expected no --known for a table"),
        (shops(a=40, b=40), {"group": None}, "expected times that grow, got '2021-01-01' in line 42"),
    ],
)  # fmt: skip
def test_several_series_that_cannot_be_forecast_are_named(tmp_path, table, change, told):
    path = tmp_path / "shops.csv"
    table.to_csv(path, index=False)
    asked = Asked(tmp_path / "new", path, ["sold"], kind="series", group="shop", time="day")
    with pytest.raises(UserError, match=told):
        init(asked._replace(**change))
    assert not (tmp_path / "new").exists()


HOSTILE = [
    *(
        "$HOME",
        "a: b",
        "[x]",
        "{y: 1}",
        "# no",
        "yes",
        "007",
        "1e3",
        "'q'",
        '"',
        "\\",
        "a,b",
        "é",
        "*",
        "&",
        "!t",
        "%",
    ),
    *("~", "null"),
]


def test_words_and_names_that_yaml_or_hydra_would_read_otherwise_stay_what_they_are(tmp_path):
    classes = HOSTILE[:-1]  # null is a missing target
    n = 20 * len(HOSTILE)
    content = {
        "$x": [HOSTILE[place % len(HOSTILE)] for place in range(n)],
        "b: c": [str(place % 7) for place in range(n)],
        "no": [HOSTILE[place * 7 % len(HOSTILE)] for place in range(n)],
        "y": [classes[place * 5 % len(classes)] for place in range(n)],
    }
    path = tmp_path / "hostile.csv"
    pd.DataFrame(content).to_csv(path, index=False)
    cfg, split = made(Asked(tmp_path / "new", path), "hostile")
    assert cfg.data.out_features == len(classes)
    columns: Any = OmegaConf.to_container(cfg.data.prepare.columns, resolve=True)
    assert sorted(columns["y"]["classes"]) == sorted(classes)
    assert sorted(columns["$x"]["values"]) == sorted(columns["no"]["values"]) == sorted(HOSTILE)
    assert list(columns) == list(content)
    assert split.train[0].shape[1] == 2 * (len(HOSTILE) + 1) + 1


@pytest.mark.parametrize("column", ["word", "y"])
def test_words_that_hydra_would_take_for_references_get_into_no_config(tmp_path, capsys, column):
    words = ["${oc.env:HOME}", "b"] * 40
    plain = ["u", "v", "w", "x"] * 20
    content = {"x": [str(place % 9) for place in range(80)], "word": plain, "y": plain} | {column: words}
    path = tmp_path / "of.csv"
    pd.DataFrame(content).to_csv(path, index=False)
    if column == "y":
        with pytest.raises(UserError, match=r"column 'y': expected classes without \$\{"):
            init(Asked(tmp_path / "new", path))
    else:
        _, split = made(Asked(tmp_path / "new", path), "of")
        assert split.train[0].shape[1] == 1
        assert "would be read as a reference" in capsys.readouterr().out


def test_a_large_table_is_guessed_from_a_sample_and_says_so(table, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sampling, "CELLS", 6 * 80)  # 40 rows, and one of 2 of the others
    _, split = made(Asked(tmp_path / "new", table, name="large"), "large")
    said = capsys.readouterr().out
    assert "120 rows" in said
    assert "guessed from 80 of them, the first 40 and evenly spaced ones" in said
    assert "counts the rows" in said
    assert [len(part[0]) for part in split if part] == [72, 24, 24]


def test_what_a_sample_did_not_show_is_refused_with_its_line_when_it_is_prepared(
    table, tmp_path, monkeypatch
):
    monkeypatch.setattr(sampling, "CELLS", 6 * 80)
    rows = table.read_text().splitlines()
    rows[42] = (
        rows[42].rpartition(";")[0] + ";9"
    )  # a class of which there is no other row, in a place that is left out
    table.write_text("\n".join(rows))
    with pytest.raises(UserError, match=r"column 'species': expected one of the classes, got '9' in line 43"):
        made(Asked(tmp_path / "new", table, name="large"), "large")


def test_the_estimate_knows_that_recurrent_networks_take_every_step(tmp_path, capsys):
    random, minutes = np.random.RandomState(0), {}
    for steps in (500, 20_000):
        pd.DataFrame({"a": random.randn(steps)}).to_csv(tmp_path / f"s{steps}.csv", index=False)
        init(Asked(tmp_path / f"of{steps}", tmp_path / f"s{steps}.csv", kind="series"))
        (told,) = re.findall(r"about (\d+) minutes on", capsys.readouterr().out)
        minutes[steps] = int(told)
    # 24 steps a window: an epoch of 12,000 windows in batches of 64 is 188 batches of some 11 ms
    assert minutes[500] < 8 < minutes[20_000]


def test_the_estimate_grows_with_the_rows(table, tmp_path, capsys, monkeypatch):
    init(Asked(tmp_path / "small", table))
    small = capsys.readouterr().out
    true = proposals.sample_table

    def with_more_rows(asked):
        found, *told = true(asked)
        return (found._replace(rows=10_000_000), *told)

    monkeypatch.setattr(init_table, "sample_table", with_more_rows)
    init(Asked(tmp_path / "large", table))
    assert re.search(r"about \d minutes on", small)
    assert re.search(r"about \d+ hours on", capsys.readouterr().out)
    assert "batch_size: 1024" in (tmp_path / "large/params.yaml").read_text()
