"""The simulated intervals of benchmarks.coverage are what they are called, and its rules show the essential."""

import numpy as np
import pytest
from scipy import stats

from benchmarks import coverage
from howdeep.results.ranks import wilcoxon
from howdeep.results.statistics import mean_interval

STUDIES = np.random.default_rng(0).normal(0.3, 1, (5, 10))


def test_students_and_johnsons_intervals_are_the_same_but_for_the_skew():
    for study, *ends in zip(STUDIES, *coverage.student(STUDIES), strict=True):
        assert ends == pytest.approx(mean_interval(study)[1:])
    moved = coverage.johnson(STUDIES)[0] - coverage.student(STUDIES)[0]
    skew = stats.skew(STUDIES, axis=1, bias=False)
    assert moved == pytest.approx(skew * STUDIES.std(axis=1, ddof=1) / 60)  # μ3 / (6 s² n), μ3 = skew s³


def test_the_signed_rank_interval_ends_where_the_signed_rank_test_stops_to_refuse():
    for study, low, high in zip(STUDIES, *coverage.signed_rank(STUDIES), strict=True):
        for outside, inside in ((low - 1e-6, low + 1e-6), (high + 1e-6, high - 1e-6)):
            assert wilcoxon(study - outside) < 0.05 < wilcoxon(study - inside)


def test_yuens_interval_forgets_how_far_the_outer_fifths_lie():
    far = np.sort(STUDIES, axis=1)
    far[:, :2] -= 100
    near = far.copy()
    near[:, :2] = near[:, [2]]
    assert np.array(coverage.yuen(far)) == pytest.approx(np.array(coverage.yuen(near)))


def test_bca_is_scipys():
    _, (low, high) = coverage.bootstraps(STUDIES, np.random.default_rng(1))
    for study, *ends in zip(STUDIES, low, high, strict=True):
        found = stats.bootstrap((study,), np.mean, n_resamples=5000, rng=np.random.default_rng(2))
        assert ends == pytest.approx(found.confidence_interval, abs=0.15)


def test_ranks_find_a_depth_that_is_worse_and_collapses_where_students_test_does_not():
    worse = next(truth for truth in coverage.TRUTHS if truth.name == "worse and collapses")
    found = coverage.shares(worse, seeds=10, families=150, random=np.random.default_rng(0))
    assert found["howdeep"][2] > 0.9
    assert max(found[rule][2] for rule in ("student", "both", "always both")) < 0.6


def test_without_collapses_howdeeps_rule_is_students():
    for truth in coverage.TRUTHS[:1] + coverage.TRUTHS[3:5]:
        found = coverage.shares(truth, seeds=10, families=50, random=np.random.default_rng(0))
        assert found["howdeep"] == found["student"]
