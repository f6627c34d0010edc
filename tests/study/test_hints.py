"""What to type instead of a mistyped override: whoever follows a hint gets what was meant."""

import re
import shlex

import pytest

from howdeep.errors import UserError
from howdeep.study.composition import compose_train
from howdeep.study.hints import as_text, composed, of_key, of_several, of_unreadable

PATHS = (
    "runs/digits-mlp/depth=1-seed=0/x.ckpt",
    "/data/of~me", "/a,b", "/mésures", "it's", 'a "b"', "C:\\data\\x=1", "http://host/p?a=1&b=2", "a#b;c", "(x)y=",
)  # fmt: skip


def refusal(project, *overrides) -> str:
    with pytest.raises(UserError) as refused:
        compose_train(project.conf, overrides)
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize("path", PATHS[:-1])
def test_a_path_that_hydra_cannot_read_is_shown_in_quotes_that_keep_it(project, path):
    said = refusal(project, f"data.mirror={path}")
    (typed,) = shlex.split(re.split(" as in | text as ", said)[1])
    assert compose_train(project.conf, [typed]).data.mirror == path


def test_a_home_is_written_out(project, monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert refusal(project, "resume=~/x.ckpt").endswith(": write resume=/home/me/x.ckpt")
    assert """'resume="/home/me/a=1"'""" in refusal(project, "resume=~/a=1")
    assert """'hydra.run.dir="/home/me/a=1"'""" in of_unreadable("hydra.run.dir=~/a=1", project.conf)


@pytest.mark.parametrize("override", ["model.depth=4!", "model=mlp~", "optimizer.lr==5", "model.depth=[1,"])
def test_no_quotes_are_offered_where_no_text_belongs(project, override):
    assert refusal(project, override).endswith(": write key=value, and quote lists")
    assert as_text("data.mirror=[a,") is None


@pytest.mark.parametrize("override", ["model.depth=1,model.width=2", "model=mlp model.depth=2"])
def test_two_overrides_in_one_word_are_told_apart(project, override):
    assert "write each key=value as a word of its own" in refusal(project, override)


def test_several_values_want_m_or_brackets_or_quotes_by_what_the_setting_is(project):
    def hint(override, many=True):
        return of_several(override, project.conf, many=many)

    for sweep in ("model.depth=1,2,4", "data=digits,sunspots", "model.depth=range(1,4)"):
        assert hint(sweep) == "add -m to train with each of them"
    assert hint("data=digits,mnist", many=False) == "choose one"
    assert hint("hydra.run.dir=a,b") == """write one text as 'hydra.run.dir="a,b"'"""
    (typed,) = shlex.split(hint("optimizer.betas=0.8,0.99").partition("as in ")[2])
    assert list(compose_train(project.conf, [typed]).optimizer.betas) == [0.8, 0.99]


FIXED = "optimizer.momentum=0.5"


@pytest.mark.parametrize("swept", ["sgd,rmsprop", "choice(sgd,rmsprop)", "glob([sgd,rms*])"])
def test_a_fixed_key_of_a_swept_group_is_set_with_two_plus_signs(project, swept):
    said = of_key("optimizer.momentum", project.conf, [f"optimizer={swept}", FIXED])
    (typed,) = shlex.split(said.partition(": write ")[2])
    for name in ("sgd", "rmsprop"):
        assert compose_train(project.conf, [f"optimizer={name}", typed]).optimizer.momentum == 0.5


@pytest.mark.parametrize("swept", ["sgd,adam", "adam", None])
def test_a_key_that_a_choice_lacks_names_those_that_have_it(project, swept):
    said = of_key("optimizer.momentum", project.conf, [f"optimizer={swept}", FIXED] if swept else [FIXED])
    assert said == ", which optimizer=adam lacks and optimizer=rmsprop,sgd has"


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["model=lstm", "data=sunspots", "model.forget_bia=1"], "did you mean 'model.forget_bias'?"),
        (["model={dept: 3}"], "got 'model.dept', did you mean 'model.depth'?"),
        (["~model.dept"], "got 'model.dept', did you mean 'model.depth'?"),
        (["modle=lstm"], "got 'modle', did you mean 'model'?"),
        (["+model.depth=3"], "got 'model.depth', which is there: leave out the +"),
        (["hydra/job_logging=nonne"], "got hydra/job_logging=nonne, did you mean 'none'?"),
    ],
)
def test_a_near_key_is_one_of_the_files_that_were_chosen(project, overrides, words):
    assert words in refusal(project, *overrides)


def test_a_near_key_is_no_key_of_another_file(project):
    cfg = composed(project.conf, ["optimizer=sgd"])
    found = re.search(r"'optimizer\.(\w+)'", of_key("optimizer.momentun", project.conf, ["optimizer=sgd"]))
    assert cfg is not None
    assert found is not None
    assert found[1] in cfg.optimizer
