"""The table of variables, on runs whose errors are known."""

import pytest

from howdeep.report import variables
from howdeep.report.analysis import analyse
from howdeep.report.page import page
from howdeep.results.tables import markdown


@pytest.fixture
def study(make_record):
    records = [make_record("sunspots", "lstm", depth, seed) for depth in (1, 2) for seed in (0, 1)]
    runs = {
        record["key"]: {"loss": 0.3, "mae": 0.5, "mae_1": 0.9, "mae_2": 0.1 * record["depth"]}
        for record in records
    }
    persistence = {"mae": 1.0, "mae_1": 1.25, "mae_2": 0.75}
    methods = {"sunspots": {"persistence": {"val": persistence, "test": persistence}}}
    return analyse(records, {"runs": runs, "baselines": methods})


def test_each_variable_has_a_row_of_its_own_at_each_depth(study):
    found = variables.table(study.runs, study.test, study.names)
    assert markdown(found).splitlines()[2:] == [
        "| sunspots | lstm | 1 | 1 | 0.900 [0.900, 0.900] | 1.250 |",
        "| sunspots | lstm | 2 | 1 | 0.100 [0.100, 0.100] | 0.750 |",
        "| sunspots | lstm | 1 | 2 | 0.900 [0.900, 0.900] | 1.250 |",
        "| sunspots | lstm | 2 | 2 | 0.200 [0.200, 0.200] | 0.750 |",
    ]
    assert "Each variable by itself" in page(study, study="several", cards={}, provenance={})


def test_a_study_of_single_variables_has_no_such_table(records, test_scores):
    one = analyse(records, test_scores)
    assert variables.table(one.runs, one.test, one.names).rows == []
    assert "Each variable by itself" not in page(one, study="one", cards={}, provenance={})
