"""docs/export.md against what can be exported today."""

import pytest

from tests.amount import FULL
from tests.choices import MODELS
from tests.export.cases import SIZES, VALUES, parameters
from tests.export.table import ROWS, row, written

TRIED = ROWS if FULL else ROWS[::9]  # all of them take five minutes
OF_DATA = {"in_shape", "out_features", "vocabulary", "every_step"}


def test_the_table_has_a_row_for_every_architecture_and_option():
    assert list(written()) == ROWS


@pytest.mark.parametrize("model", MODELS)
def test_every_option_is_tried(model):
    assert parameters(model) - OF_DATA - set(SIZES) <= set(VALUES)


@pytest.mark.slow
@pytest.mark.parametrize(("model", "option"), TRIED)
def test_the_table_says_what_can_be_exported(model, option):
    assert row(model, option) == written()[model, option], "python -m tests.export.table writes it anew"
