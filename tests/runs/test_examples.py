"""What a record says of its data is what was trained on: options, files and code of preparing are compared."""

import shutil

import pytest

from howdeep.errors import UserError
from howdeep.files.project import Project
from howdeep.runs import examples as module
from howdeep.runs.examples import ensure_prepared, load_split, place, prepare, prepared_card, pull, recipe
from howdeep.study.composition import compose_train

HALF = "data.prepare.test_fraction=0.5"


@pytest.fixture
def here(project, tmp_path) -> Project:
    shutil.copytree(project.conf, tmp_path / "conf")
    return Project(tmp_path)


def sizes(here: Project, *overrides: str) -> tuple[int, int]:
    cfg = compose_train(here.conf, list(overrides))
    ensure_prepared(cfg.data, here)
    split = load_split(cfg, here, test=True)
    assert split.test is not None
    assert len(split.test[0]) == prepared_card(cfg, here)["examples"]["test"]
    return len(split.train[0]) + len(split.validation[0]), len(split.test[0])


@pytest.mark.parametrize("first", [HALF, ""])
def test_each_command_has_the_split_that_it_asks_for_whichever_came_first(here, first):
    usual, half = (1438, 359), (899, 898)  # of 1797 digits
    order = [(HALF, half), ("", usual)] if first else [("", usual), (HALF, half)]
    for overrides, expected in [*order, *order]:
        assert sizes(here, *overrides.split()) == expected


def test_an_address_or_a_mirror_is_no_part_of_what_is_prepared(here):
    plain, other = (
        compose_train(here.conf, ["data=mnist", *more]).data
        for more in ([], ["data.mirror=/media/mirror", "data.sources.0.url=http://elsewhere/x.gz"])
    )
    assert recipe(plain) == recipe(other)
    assert recipe(plain) != recipe(compose_train(here.conf, ["data=mnist", "data.sources.0.md5=0"]).data)


def test_other_code_prepares_anew(here, monkeypatch):
    data = compose_train(here.conf, []).data
    before = recipe(data)
    module._recipe.cache_clear()
    monkeypatch.setattr("howdeep.records.fingerprint.preparation_checksum", lambda _: "edited")
    assert recipe(data) != before
    module._recipe.cache_clear()


@pytest.mark.parametrize("name", ["train.safetensors", "test.safetensors", "card.json"])
def test_a_flipped_bit_is_told_and_preparing_again_gives_the_same_bytes(here, name):
    cfg = compose_train(here.conf, [])
    ensure_prepared(cfg.data, here)
    path = place(cfg.data, here) / name
    content = path.read_bytes()
    spoiled = bytearray(content)
    spoiled[len(content) // 2] ^= 1
    path.write_bytes(bytes(spoiled))
    with pytest.raises(UserError, match=rf"{name}.*: run `howdeep prepare data=digits`"):
        load_split(cfg, here, test=True)
    if name != "test.safetensors":  # which only evaluate reads
        with pytest.raises(UserError, match=rf"{name}.*: run `howdeep prepare data=digits`"):
            ensure_prepared(cfg.data, here)
    prepare(cfg.data, here)
    assert path.read_bytes() == content


def test_somebodys_own_files_in_the_place_of_a_data_set_are_left_alone(here):
    (here.root / "data/prepared/digits").mkdir(parents=True)
    photo = here.root / "data/prepared/digits/photo.jpg"
    photo.write_text("precious")
    data = compose_train(here.conf, []).data
    with pytest.raises(UserError, match=r"card\.json, found no such file"):
        ensure_prepared(data, here)
    pull(data, here)
    with pytest.raises(UserError, match="found what howdeep did not make: move it away"):
        prepare(data, here)
    assert photo.read_text() == "precious"
