"""What a record says of its data is what was trained on: options, files and code of preparing are compared."""

import shutil

import pytest

from howdeep.composition import compose_train
from howdeep.errors import UserError
from howdeep.prepare import ensure_prepared, load_split, place, prepared_card, recipe, train_checksum
from howdeep.project import Project

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
    from howdeep import prepare

    prepare._recipe.cache_clear()
    monkeypatch.setattr("howdeep.fingerprint.preparation_checksum", lambda _: "edited")
    assert recipe(data) != before
    prepare._recipe.cache_clear()


@pytest.mark.parametrize("name", ["train.safetensors", "card.json"])
def test_a_flipped_bit_is_noticed_and_prepared_anew_to_the_same_bytes(here, capsys, name):
    cfg = compose_train(here.conf, [])
    ensure_prepared(cfg.data, here)
    path = place(cfg.data, here) / name
    content = path.read_bytes()
    spoiled = bytearray(content)
    spoiled[len(content) // 2] ^= 1
    path.write_bytes(bytes(spoiled))
    if name != "card.json":  # which says no more how the data were prepared
        with pytest.raises(
            UserError, match=r"expected .*train\.safetensors with sha256 .*run `howdeep prepare"
        ):
            train_checksum(cfg, here)
    ensure_prepared(cfg.data, here)
    assert (place(cfg.data, here) / name).read_bytes() == content
    if name != "card.json":
        assert "does not hold what its card says: it is prepared anew" in capsys.readouterr().err


def test_somebodys_own_files_in_the_place_of_a_data_set_are_left_alone(here):
    (here.root / "data/prepared/digits").mkdir(parents=True)
    photo = here.root / "data/prepared/digits/photo.jpg"
    photo.write_text("precious")
    cfg = compose_train(here.conf, [])
    ensure_prepared(cfg.data, here)  # beside it
    assert photo.read_text() == "precious"
    assert len(load_split(cfg, here).train[0]) == 1078
