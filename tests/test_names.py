"""Names that could lead out of a folder, or be read by a shell, are refused wherever they come from."""

import pytest

from howdeep.errors import UserError, line, masked
from howdeep.names import check_name, is_name

HOSTILE = (
    "", ".", "..", "../..", "/", "/etc", "a/b", "a\\b", "-rf", ".git", "~", "x; touch pwned #", "$(touch pwned)",
    "`id`", "a b", "a\n", "a\nb", "a\0", "ä", "a" * 101, "x'y", 'x"y', "*", "${oc.env:HOME}", "a:b", "a@b",
)  # fmt: skip
GOOD = ("digits", "digits-mlp", "a", "_", "1", "digits-mlp-100", "v1.2_final", "a" * 100, "A..b")


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_name_is_refused_in_one_line(name):
    with pytest.raises(UserError) as refused:
        check_name(name, "an entry")
    assert str(refused.value).startswith("an entry must be a name (letters")
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize("value", [None, True, 5, 1.5, ["a"], {"a": 1}])
def test_what_is_no_text_is_no_name(value):
    assert not is_name(value)


@pytest.mark.parametrize("name", GOOD)
def test_a_name_is_taken_as_it_is(name):
    assert check_name(name, "an entry") == name


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://me:PW@host:5000/x", "http://me:***@host:5000/x"),
        ("postgresql://me:p/w@host/db", "postgresql://me:***@host/db"),
        ("see 'http://me:p@ss@host': it", "see 'http://me:***@host': it"),
        ("postgresql://me@host/db?a=b&password=xy&c=d", "postgresql://me@host/db?a=b&password=***&c=d"),
        ("sqlite:///mlflow.db", "sqlite:///mlflow.db"),
        ("http://127.0.0.1:5000/x", "http://127.0.0.1:5000/x"),
    ],
)
def test_passwords_are_masked_and_nothing_else(text, shown):
    assert masked(text) == shown


def test_a_message_is_one_line_whatever_came_in_it():
    assert line("got a\nb\r\x1b[31m http://me:pw@host") == "got a\\nb\\r\\x1b[31m http://me:***@host"
    assert line("größe 5 µm, 3") == "größe 5 µm, 3"
