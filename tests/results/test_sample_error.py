"""The test sample's own error: hand-computed numbers, SciPy's, and simulated studies."""

from typing import Any

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats

from howdeep.results.sample_error import (
    accuracy_difference_error,
    accuracy_error,
    at_moments,
    crossed,
    long_run_variance,
    resampled,
    widened,
    widened_p,
    widened_rank_p,
    with_sample_error,
)
from howdeep.results.statistics import Interval, against_shallow, holm, mean_interval, seeds_to_decide


def test_the_error_of_an_accuracy_is_the_binomials():
    assert accuracy_error(0.9, 100) == pytest.approx(0.03)


def test_no_two_networks_can_differ_more_by_their_test_examples_than_said():
    """Oracle: the variance of a paired difference, for every share of examples on which both err."""
    n, first, second = 200, 0.95, 0.9
    both_wrong = np.linspace(0, 0.05, 50)  # at most all of the better one's errors
    disagree = (0.05 - both_wrong) + (0.1 - both_wrong)
    errors = np.sqrt((disagree - 0.05**2) / n)
    assert accuracy_difference_error(first, second, n) == pytest.approx(errors.max())
    assert accuracy_difference_error(1.0, 1.0, n) == 0


def test_two_sources_of_error_add_in_squares():
    assert widened(Interval(1, -2, 4), float(4 / stats.norm.ppf(0.975))) == pytest.approx((1, -4, 6))
    assert widened(Interval(1, -2, 4), 0) == (1, -2, 4)
    assert np.isnan(widened(Interval(1, -2, 4), np.nan).low)


# right answers of the deeper network minus those of the shallow one: 2 seeds x 3 examples
TABLE = np.array([[1, 0, 1], [1, -1, 0]])


def test_the_errors_of_crossed_seeds_and_examples_by_hand():
    """Means 2/3 and 0 of the seeds, 1, -1/2, 1/2 of the examples, 1/3 of all.

    Squares: 2 * 3 * (1/3)^2 = 2/3 between seeds (1 free), 2 * (4/9 + 25/36 + 1/36) = 7/3 between examples (2 free), of
    10/3 in all, which leaves 1/3 (2 free). Mean squares 2/3, 7/6, 1/6; over the six values 1/9, 7/36, 1/36.
    """
    found = crossed(TABLE)
    assert found == pytest.approx((np.sqrt(1 / 9), np.sqrt(7 / 36), np.sqrt(1 / 9 + 7 / 36 - 1 / 36)))
    assert found.added == pytest.approx(np.sqrt(1 / 6))


def test_the_error_through_seeds_is_that_of_the_paired_t_and_through_examples_likewise():
    values = np.random.RandomState(0).normal(size=(5, 40)) + np.arange(5)[:, None]
    found = crossed(values)
    for error, axis in ((found.seeds, 1), (found.examples, 0)):
        t: Any = stats.ttest_1samp(values.mean(axis), 0)
        assert error == pytest.approx(values.mean() / t.statistic)


def test_for_one_seed_the_error_through_examples_is_mcnemars():
    """Of 200 examples 11 that the deeper alone gets right, 4 that the shallow does: (b + c - (b - c)^2 / n) / n^2."""
    values = np.repeat([1.0, -1.0, 0.0], [11, 4, 185])[None]
    found = crossed(values)
    assert found.examples * np.sqrt(199 / 200) == pytest.approx(np.sqrt((15 - 7**2 / 200) / 200**2))
    assert np.isnan([found.seeds, found.both, found.added]).all()


def test_errors_without_a_source_of_their_own_are_not_counted_and_never_imaginary():
    same_examples = np.repeat([[0.1], [0.2], [0.4]], 7, axis=1)  # examples do not matter
    found = crossed(same_examples)
    assert found == pytest.approx((found.seeds, 0, found.seeds))
    assert found.added == 0
    balanced = np.array([[1.0, -1.0], [-1.0, 1.0]])  # all in the rest, which is subtracted
    assert crossed(balanced) == (0, 0, 0)
    assert np.isnan(crossed(np.zeros((0, 5)))).all()
    assert np.isnan(crossed(np.zeros((5, 1))).examples)


def test_the_errors_agree_with_the_pigeonhole_bootstrap():
    """Oracle: seeds and examples are drawn again, each on their own (Owen, 2007).

    It counts the rest three times instead of once: with S seeds and N examples its variance is (S - 1) / S M_seeds +
    (N - 1) / N M_examples + (1 - 1 / S)(1 - 1 / N) M_rest, over SN; what `crossed` says of the three gives the same.
    """
    random = np.random.RandomState(0)
    values = random.normal(0, 0.5, (6, 1)) + random.normal(0, 2, (1, 50)) + random.normal(size=(6, 50))
    drawn = [
        values[np.ix_(random.randint(6, size=6), random.randint(50, size=50))].mean() for _ in range(6000)
    ]
    seeds, examples, both = np.square(crossed(values))
    rest = seeds + examples - both
    expected = 5 / 6 * seeds + 49 / 50 * examples + 5 / 6 * 49 / 50 * rest
    assert np.var(drawn) == pytest.approx(expected, rel=0.06)


@pytest.mark.parametrize(
    ("variances", "most", "most_alone"),
    [
        ((0.01, 1, 1), 0.98, 0.9),
        ((0.1, 1, 1), 0.98, 0.96),
        ((0.01, 5, 1), 0.98, 0.7),
        ((0, 0, 1), 1.0, 0.98),
    ],
    ids=["both matter", "seeds matter most", "examples matter most", "neither matters on its own"],
)
def test_intervals_with_both_errors_hold_the_truth_where_those_over_seeds_alone_do_not(
    variances, most, most_alone
):
    """Other seeds and other examples each time, of known variances; the intervals are those of 95 %."""
    random, studies, seeds, examples = np.random.default_rng(3), 800, 5, 150
    of_seed, of_example, rest = np.sqrt(variances)
    both = alone = 0
    for _ in range(studies):
        values = random.normal(0, of_seed, (seeds, 1)) + random.normal(0, of_example, (1, examples))
        values = values + random.normal(0, rest, (seeds, examples))
        interval = mean_interval(values.mean(axis=1))
        wide = widened(interval, crossed(values).added)
        alone += interval.low <= 0 <= interval.high
        both += wide.low <= 0 <= wide.high
    error = 3 * np.sqrt(0.05 * 0.95 / studies)
    assert 0.95 - error <= both / studies <= most
    assert alone / studies <= most_alone


def test_the_p_of_two_sources_is_students_or_the_normal_ones_where_one_is_alone():
    assert widened_p(0.03, 0.01, 4, 0.0) == pytest.approx(2 * stats.t.sf(3, 4))
    assert widened_p(-0.02, 0.0, 4, 0.01) == pytest.approx(2 * stats.norm.sf(2))
    assert widened_p(0.0, 0.01, 4, 0.01) == 1
    assert widened_p(9.0, 0.0, 4, 0.01) == 0
    assert np.isnan([widened_p(0.03, 0.01, 4, np.nan), widened_p(0.03, 0.0, 4, 0.0)]).all()


def test_the_p_of_two_sources_is_the_level_at_which_the_widened_interval_ends_at_zero():
    differences, error = np.array([0.01, 0.03, 0.02, 0.04, 0.05]), 0.004
    p = widened_p(0.03, float(differences.std(ddof=1) / np.sqrt(5)), 4, error)
    assert widened(mean_interval(differences, 1 - p), error, level=1 - p).low == pytest.approx(0, abs=1e-9)


def test_with_the_test_samples_error_comparisons_follow_the_same_rules_and_are_never_surer():
    random = np.random.RandomState(1)
    for _ in range(100):
        shallow, deeper = random.normal(size=6), random.normal([[0], [1], [2], [3]], 1, (4, 6))
        found = against_shallow(shallow, deeper)
        for pair, same in zip(found, with_sample_error(found, [0.0] * 4), strict=True):
            assert (same.p, same.adjusted) == pytest.approx((pair.p, pair.adjusted))
            assert same.difference == pytest.approx(pair.difference)
        for pair, wide in zip(found, with_sample_error(found, [0.3, 0.3, 0.1, 0.1]), strict=True):
            assert wide.p > pair.p
            assert wide.difference.low <= pair.difference.low + 1e-12
            assert wide.difference.high >= pair.difference.high - 1e-12
            excludes = wide.difference.low >= 0 or wide.difference.high <= 0
            assert excludes == (wide.adjusted <= 0.05)


def test_the_p_of_a_rank_test_takes_the_other_error_as_that_of_a_normal_estimate_does():
    mean, error, other = -0.03, 0.01, 0.02
    alone = float(2 * stats.norm.sf(3))  # |mean| / error
    assert widened_rank_p(alone, mean, other) == pytest.approx(
        2 * stats.norm.sf(0.03 / np.hypot(error, other))
    )
    assert widened_rank_p(alone, mean, 0.0) == alone
    assert widened_rank_p(alone, 0.0, other) == widened_rank_p(1.0, mean, other) == 1
    assert np.isnan(widened_rank_p(np.nan, mean, other))


def test_where_a_run_collapsed_the_error_is_held_against_the_typical_difference():
    """Nine of ten seeds lose one of 36 examples, one collapsed: the mean is far from zero, the typical is not."""
    shallow = np.ones(10)
    deep = shallow - np.array([1 / 36] * 9 + [0.9])
    found = against_shallow(shallow, deep[None], collapsed=[True])
    [sure], [unsure] = (with_sample_error(found, [error]) for error in (0.001, 1 / 36))
    assert found[0].p == 2 / 2**10
    assert sure.p == pytest.approx(found[0].p, rel=0.1)
    assert unsure.p > 2 * stats.norm.sf(1)  # more than the examples alone leave
    assert unsure.difference == pytest.approx(widened(found[0].difference, 1 / 36))


def test_a_comparison_whose_error_is_not_known_stays_in_the_family():
    shallow = np.zeros(5)
    found = against_shallow(shallow, np.array([[1.0, 2, 3, 4, 5], [1, 1, 1, 1, 1], [1, 2, 3, 4, np.nan]]))
    known, no_spread, failed = with_sample_error(found, [0.1, 0.1, np.nan])
    assert no_spread.p == pytest.approx(2 * stats.norm.sf(10))  # no seed ever differed: other examples might
    z = stats.norm.isf(0.05 / 6)
    assert no_spread.difference == pytest.approx((1, 1 - 0.1 * z, 1 + 0.1 * z))
    assert failed.p == found[2].p
    assert np.isnan(failed.difference.low)
    assert [p.adjusted for p in (known, no_spread, failed)] == pytest.approx(
        holm([known.p, no_spread.p, failed.p])
    )


@pytest.mark.parametrize("n", [30, 200])
def test_the_long_run_variance_is_that_of_newey_and_west(n):
    random = np.random.RandomState(n)
    values = np.convolve(random.normal(size=n + 9), np.ones(10), "valid")
    lags = int(np.ceil(1.3 * np.sqrt(n)))
    fit = sm.OLS(values, np.ones(n)).fit(cov_type="HAC", cov_kwds={"maxlags": lags, "use_correction": False})
    assert long_run_variance(values) * (n - 1) / n**2 == pytest.approx(float(fit.bse[0]) ** 2)


@pytest.mark.parametrize(("correlation", "least"), [(0.0, 0.9), (0.6, 0.88)])
def test_intervals_of_a_mean_in_time_hold_it_where_neighbours_err_alike(correlation, least):
    random, n, held, naive = np.random.RandomState(5), 200, 0, 0
    for _ in range(500):
        noise = random.normal(size=n)
        for place in range(1, n):
            noise[place] += correlation * noise[place - 1]
        held += abs(noise.mean()) <= 1.96 * np.sqrt(long_run_variance(noise) / n)
        naive += abs(noise.mean()) <= 1.96 * noise.std(ddof=1) / np.sqrt(n)
    assert held / 500 >= least
    assert correlation == 0.0 or naive / 500 < 0.75


# --- splits drawn anew by each seed -----------------------------------------------------------------------------


def test_scores_at_one_moment_become_one_and_keep_the_mean():
    values, moments = np.array([1.0, 2.0, 6.0, 4.0, 5.0]), np.array([0, 0, 0, 4, 9])
    found = at_moments(values, moments)
    assert found.tolist() == pytest.approx([9 * 3 / 5, 4 * 3 / 5, 5 * 3 / 5])
    assert found.mean() == pytest.approx(values.mean())
    assert at_moments(values, np.arange(5)).tolist() == values.tolist()


def test_series_that_err_together_tell_no_more_than_one():
    """Ten copies of a series: the error through the examples is that of a single one."""
    one = np.random.RandomState(0).randn(4, 30)
    ten, moments = np.repeat(one, 10, axis=1), np.repeat(np.arange(30), 10)
    joined = np.stack([at_moments(of, moments) for of in ten])
    assert crossed(joined, in_time=True) == pytest.approx(crossed(one, in_time=True))
    assert crossed(ten).examples < 0.4 * crossed(one).examples


def test_nadeau_and_bengios_interval_and_p_by_hand():
    """Differences .01, .02, .03: mean .02, s .01; with n_test / n_train 2/3 the error is .01 sqrt(1/3 + 2/3) = .01.

    t = 2 with 2 degrees of freedom: p = 1 - 2 / sqrt(2 + 4) = .1835; t(.975) = 4.3027.
    """
    (alone,) = against_shallow(np.zeros(3), np.array([[0.01, 0.02, 0.03]]))
    (found,) = resampled([alone], 2 / 3)
    assert found.p == pytest.approx(1 - 2 / np.sqrt(6))
    assert found.difference == pytest.approx((0.02, 0.02 - 0.043027, 0.02 + 0.043027), abs=1e-6)
    assert alone.p == pytest.approx(2 * stats.t.sf(2 * np.sqrt(3), 2))  # of other splits of these very data


def test_without_overlap_it_is_the_paired_t_and_with_it_more_seeds_never_decide():
    random = np.random.RandomState(0)
    shallow, deeper = random.normal(size=8), random.normal(size=(3, 8))
    alone = against_shallow(shallow, deeper)
    for before, after in zip(alone, resampled(alone, 0.0), strict=True):
        assert after.p == pytest.approx(before.p)
        assert after.adjusted == pytest.approx(before.adjusted)
        assert after.difference == pytest.approx(before.difference)
    many = against_shallow(np.zeros(10_000), 0.5 + random.normal(size=(1, 10_000)))
    assert many[0].p < 1e-12
    assert resampled(many, 1 / 3)[0].p > 0.3  # 0.5 / sqrt(1 / 3) = .87 standard errors
    assert seeds_to_decide(0.5, 1.0, 0.0, 1, overlap=1 / 3) is None
    assert seeds_to_decide(0.5, 1.0, 0.0, 1) is not None


def test_holm_and_bonferroni_are_those_of_the_whole_family():
    random = np.random.RandomState(1)
    alone = against_shallow(np.zeros(6), random.normal(0.3, 0.3, (3, 6)))
    found = resampled(alone, 0.25)
    assert [of.adjusted for of in found] == pytest.approx(holm([of.p for of in found]).tolist())
    for before, after in zip(alone, found, strict=True):
        error = before.spread * np.sqrt(1 / 6 + 0.25)
        low, high = stats.t.interval(1 - 0.05 / 3, 5, before.difference.mean, error)
        assert after.difference.low in (pytest.approx(low), 0)
        assert after.difference.high in (pytest.approx(high), 0)


def test_where_a_run_failed_the_rank_test_stays():
    alone = against_shallow(np.arange(8.0), np.array([[*np.arange(7.0), np.nan]]))
    assert alone[0].test != "t"
    assert resampled(alone, 1 / 3)[0].p == alone[0].p


def test_of_learners_that_are_alike_it_finds_few_to_differ_where_the_paired_t_finds_many():
    """Two nearest-centroid learners, each of features of its own with the same distribution: neither is better.

    200 data sets of 120 examples, 8 splits of each: 24 for the test, 72 to learn from, 24 unused (for validation).
    """
    random, studies, n, splits, test, train = np.random.default_rng(0), 200, 120, 8, 24, 72
    plain = corrected = 0
    for _ in range(studies):
        y = random.integers(0, 2, n)
        x = random.normal(size=(n, 2, 3)) + y[:, None, None]  # two learners, three features each
        scores = np.empty((2, splits))
        for split in range(splits):
            order = random.permutation(n)
            held, seen = order[:test], order[-train:]
            centres = np.stack([x[seen][y[seen] == label].mean(0) for label in (0, 1)])
            nearest = ((x[held][:, None] - centres) ** 2).sum(-1).argmin(1)  # (test, learner)
            scores[:, split] = (nearest == y[held][:, None]).mean(0)
        alone = against_shallow(scores[0], scores[1:])
        plain += alone[0].p < 0.05
        corrected += resampled(alone, test / train)[0].p < 0.05
    assert plain / studies > 0.12
    assert corrected / studies <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / studies)
