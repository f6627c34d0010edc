"""Estimates against hand-computed numbers and SciPy's own."""

import itertools
from typing import Any

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from howdeep.results.statistics import (
    Interval,
    accuracy_difference_error,
    accuracy_error,
    against_shallow,
    crossed,
    effect_size,
    friedman,
    geometric_mean,
    holm,
    improvement,
    interquartile_mean,
    least_wilcoxon,
    mean_interval,
    seeds_to_decide,
    sign_test,
    simultaneous,
    stratified_bootstrap,
    t_test,
    widened,
    widened_p,
    wilcoxon,
    with_sample_error,
    without_spread,
)


def test_the_interval_of_one_to_five_is_the_one_of_the_textbook():
    # mean 3, s = sqrt(2.5), t(0.975, 4) = 2.776445: 3 -+ 2.776445 * sqrt(2.5 / 5)
    assert mean_interval([1, 2, 3, 4, 5]) == pytest.approx((3, 1.036757, 4.963243), abs=1e-6)


@pytest.mark.parametrize("level", [0.5, 0.9, 0.95, 0.99])
@pytest.mark.parametrize("n", [2, 3, 5, 20])
def test_the_interval_is_that_of_scipys_t_test(n, level):
    values = np.random.RandomState(n).normal(0.9, 0.02, n)
    low, high = stats.ttest_1samp(values, 0).confidence_interval(level)
    assert mean_interval(values, level) == pytest.approx((values.mean(), low, high))


def test_95_of_100_intervals_hold_the_true_mean():
    random = np.random.RandomState(0)
    intervals = [mean_interval(random.normal(1, 3, 5)) for _ in range(4000)]
    share = np.mean([interval.low <= 1 <= interval.high for interval in intervals])
    assert share == pytest.approx(0.95, abs=0.01)  # three standard errors of a share of 4000


def test_equal_values_have_an_interval_of_no_width():
    assert mean_interval([0.5, 0.5, 0.5]) == (0.5, 0.5, 0.5)


def test_one_value_has_no_interval_and_none_has_no_mean():
    one, none = mean_interval([0.5]), mean_interval([])
    assert one.mean == 0.5
    assert np.isnan([one.low, one.high, *none]).all()


@pytest.mark.parametrize(("values", "level"), [([[1.0, 2.0]], 0.95), ([1.0, 2.0], 1.0), ([1.0, 2.0], 0.0)])
def test_another_shape_or_an_impossible_level_is_refused(values, level):
    with pytest.raises(ValueError, match="expected values of shape"):
        mean_interval(values, level)


def test_the_geometric_mean_treats_a_ratio_and_its_inverse_alike():
    assert geometric_mean([8, 1 / 8]) == pytest.approx(1)
    assert geometric_mean([1, 10, 100]) == pytest.approx(stats.gmean([1, 10, 100]))
    assert geometric_mean([0.0, 4.0]) == 0
    assert np.isnan(geometric_mean([]))


# --- paired differences ---------------------------------------------------------------------------------------


def test_the_paired_t_test_is_scipys_on_two_samples_and_the_textbooks_on_one_to_five():
    # t = 3 / sqrt(2.5 / 5) = 4.2426, and P(|t4| > 4.2426) = .0132
    assert t_test(np.arange(1.0, 6.0)) == pytest.approx(0.013236, abs=1e-6)
    a, b = np.random.RandomState(0).normal(size=(2, 8))
    assert t_test(b - a) == pytest.approx(stats.ttest_rel(b, a).pvalue)


def test_equal_differences_and_single_pairs_have_no_t_test():
    assert np.isnan([t_test(np.full(5, 0.1) + np.arange(5) * 1e-13), t_test(np.array([1.0]))]).all()
    assert not without_spread(np.array([0.1, 0.1, 0.2]))


def test_five_pairs_cannot_reach_significance_in_a_signed_rank_test_and_six_can():
    assert least_wilcoxon(5) == wilcoxon(np.arange(1.0, 6.0)) == 0.0625
    assert least_wilcoxon(10) == wilcoxon(np.arange(1.0, 11.0)) == pytest.approx(2 / 2**10)
    assert (
        wilcoxon(np.array([1.0, -2, 3, 4, 5])) == 0.1875
    )  # by hand: 6 of the 32 sign patterns are as extreme
    assert np.isnan(wilcoxon(np.zeros(3)))


def test_ties_are_ranked_exactly_so_that_few_pairs_never_claim_more_than_they_can():
    tied = np.array([1.0, 1, 1, 2, 2])
    assert wilcoxon(tied) == least_wilcoxon(5)  # the normal approximation says .034
    mixed = np.array([1.0, 1, -1, 2, 0, 3])
    signs = np.array(list(itertools.product([-1, 1], repeat=5)))
    sums = signs @ stats.rankdata([1, 1, 1, 2, 3])
    assert wilcoxon(mixed) == (np.abs(sums) >= np.abs(2 + 2 - 2 + 4 + 5)).mean()


@pytest.mark.parametrize("pairs", [3, 7, 12])
def test_the_signed_rank_test_is_scipys_with_ties_and_without(pairs):
    differences = np.random.RandomState(pairs).normal(0.3, 1, pairs)
    exact: Any = stats.wilcoxon(differences, method="exact")
    assert wilcoxon(differences) == pytest.approx(exact.pvalue)
    tied = np.round(2 * differences) / 2
    every_sign: Any = stats.PermutationMethod()
    permuted: Any = stats.wilcoxon(tied[tied != 0], method=every_sign)
    assert wilcoxon(tied) == pytest.approx(permuted.pvalue)


def test_many_pairs_are_approximated_as_scipy_does():
    tied = np.repeat([1.0, -1, 2, 3], 15)
    expected: Any = stats.wilcoxon(tied, method="approx")
    assert wilcoxon(tied) == expected.pvalue


def test_the_sign_test_counts_wins_and_losses():
    assert sign_test(5, 0) == pytest.approx(2 / 2**5)
    assert sign_test(0, 7) == pytest.approx(2 / 2**7)
    assert np.isnan(sign_test(0, 0))


def test_the_effect_size_is_d_with_hedges_correction():
    # m = 3, s = sqrt(2.5), J(4) = Γ(2) / (sqrt(2) Γ(1.5)) = .797885
    assert effect_size(np.arange(1.0, 6.0)) == pytest.approx(0.797885 * 3 / np.sqrt(2.5), abs=1e-5)
    assert np.isnan(effect_size(np.array([1.0, 2.0])))


def test_the_corrected_effect_size_is_unbiased_where_the_plain_one_is_not():
    samples = np.random.RandomState(0).normal(0.8, 1, (20_000, 6))
    plain = samples.mean(axis=1) / samples.std(axis=1, ddof=1)
    assert np.mean([effect_size(sample) for sample in samples]) == pytest.approx(0.8, abs=0.02)
    assert plain.mean() > 0.9


def test_the_probability_of_improvement_is_mann_whitneys_u_and_failures_lose():
    shallow, deep = np.array([1.0, 2, 3]), np.array([2.0, 3, 4])
    assert improvement(shallow, deep) == (6 + 2 * 0.5) / 9
    assert improvement(shallow, deep) == stats.mannwhitneyu(deep, shallow).statistic / 9
    assert improvement(np.array([1.0, 1]), np.array([np.nan, 2])) == 0.5
    assert improvement(np.array([np.nan]), np.array([np.nan])) == 0.5


# --- a family -------------------------------------------------------------------------------------------------


def test_holms_p_by_hand_and_by_statsmodels():
    assert holm([0.01, 0.04, 0.03]).tolist() == pytest.approx([0.03, 0.06, 0.06])
    p = np.random.RandomState(0).uniform(size=9)
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1])


def test_a_test_that_could_not_be_made_stays_in_the_family():
    assert holm([0.02, np.nan, 0.02]).tolist() == pytest.approx([0.06, np.nan, 0.06], nan_ok=True)
    assert holm([]).tolist() == []


def test_the_intervals_of_a_family_are_bonferronis():
    differences = np.arange(1.0, 6.0)
    low, high = stats.ttest_1samp(differences, 0).confidence_interval(1 - 0.05 / 3)
    assert simultaneous(differences, family=3) == pytest.approx((3, low, high))
    assert simultaneous(differences, family=1) == mean_interval(differences)
    assert np.isnan(simultaneous(np.full(5, 0.1), family=1).low)


def test_the_intervals_agree_with_holms_tests_in_every_family():
    random = np.random.RandomState(1)
    cut = 0
    for _ in range(200):
        shallow, deeper = random.normal(size=6), random.normal([[0], [1], [2], [3]], 1, (4, 6))
        for pair in against_shallow(shallow, deeper):
            excludes = pair.difference.low >= 0 or pair.difference.high <= 0
            assert excludes == (pair.adjusted <= 0.05)
            cut += 0 in pair.difference
    assert cut > 10  # the sharper test decides alone now and then


@pytest.mark.parametrize(
    ("truth", "holds"),
    [
        pytest.param((0, 0, 0), 0.95, id="no depth differs"),
        pytest.param((9, 9, 9), 0.95, id="all differ", marks=pytest.mark.slow),
        pytest.param((0, 9, 9), 0.9, id="two of three differ", marks=pytest.mark.slow),
        pytest.param((0, 0, 0.8), 0.9, id="one differs a little"),
    ],
)
def test_intervals_cover_and_false_findings_stay_rare_whatever_is_true(truth, holds):
    """Seeds are shared: the differences of one family are correlated, as they are in a study."""
    random, studies, seeds = np.random.RandomState(2), 800, 5
    covered, false = 0, 0
    for _ in range(studies):
        shallow = random.normal(size=seeds)
        found = against_shallow(shallow, random.normal(np.array(truth)[:, None], 1, (3, seeds)))
        covered += all(p.difference.low <= t <= p.difference.high for p, t in zip(found, truth, strict=True))
        false += any(p.adjusted <= 0.05 for p, t in zip(found, truth, strict=True) if t == 0)
    error = 3 * np.sqrt(0.05 * 0.95 / studies)
    assert covered / studies >= holds - error
    assert false / studies <= 0.05 + error


def test_a_failed_run_makes_the_test_a_sign_test_and_takes_the_interval_away():
    shallow = np.arange(10.0)
    deep = np.stack([shallow + 1 + 0.1 * shallow, shallow - 1])
    deep[0, 0] = np.nan
    [first, second] = against_shallow(shallow, deep)
    assert (first.test, first.sign, first.pairs, first.failed) == ("sign", 1, 9, 1)
    assert first.p == sign_test(9, 1)  # the failed run is a loss, however well the others did
    assert np.isnan([first.difference.low, first.difference.high]).all()
    assert (second.test, second.p) == ("sign", sign_test(0, 10))  # no spread
    assert second.adjusted == pytest.approx(2 * second.p)


def test_a_shallow_run_that_failed_loses_as_well_and_two_failures_decide_nothing():
    shallow, deep = np.array([np.nan, np.nan, 1.0]), np.array([[1.0, np.nan, 2.0]])
    [found] = against_shallow(shallow, deep)
    assert (found.failed, found.failed_shallow, found.p) == (1, 2, sign_test(2, 0))


def test_arrays_of_other_shapes_are_refused():
    with pytest.raises(ValueError, match=r"\(seeds,\) and \(depths, seeds\), got \(3,\), \(2, 4\)"):
        against_shallow(np.zeros(3), np.zeros((2, 4)))


def test_as_many_seeds_as_said_decide_four_of_five_studies():
    needed = seeds_to_decide(0.8, 1.0, margin=0.0, family=1)
    assert needed == 15  # G*Power: 15 for d = .8, power .8, two-sided .05
    random = np.random.RandomState(0)
    found = [t_test(random.normal(0.8, 1, needed)) <= 0.05 for _ in range(1500)]
    assert np.mean(found) == pytest.approx(0.8, abs=0.03)


def test_a_family_and_a_smaller_difference_need_more_seeds_and_a_margin_fewer():
    alone, of_three = (seeds_to_decide(0.8, 1, 0, family=family) or 0 for family in (1, 3))
    assert of_three > alone
    hard, easy = (seeds_to_decide(0.1, 1, margin, family=1) or 0 for margin in (0, 0.9))
    assert hard > easy
    assert seeds_to_decide(0.0, 1, 0, family=1) is None
    assert seeds_to_decide(1e-6, 1, 0, family=1) is None
    assert seeds_to_decide(np.nan, 1, 1, family=1) is None


# --- the test sample ------------------------------------------------------------------------------------------


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


def test_a_comparison_whose_error_is_not_known_stays_in_the_family():
    shallow = np.zeros(5)
    found = against_shallow(shallow, np.array([[1.0, 2, 3, 4, 5], [1, 1, 1, 1, 1], [1, 2, 3, 4, np.nan]]))
    known, no_spread, failed = with_sample_error(found, [0.1, 0.1, np.nan])
    assert known.adjusted == pytest.approx(3 * known.p)
    assert np.isnan([no_spread.p, failed.p, no_spread.difference.low, failed.difference.low]).all()


# --- across data sets -----------------------------------------------------------------------------------------


def test_the_interquartile_mean_forgets_both_quarters():
    assert interquartile_mean(np.array([-100.0, 1, 2, 3, 4, 5, 6, 100])) == 3.5
    assert interquartile_mean(np.arange(16.0).reshape(2, 8)).tolist() == [3.5, 11.5]


def test_the_bootstrap_draws_within_data_sets_and_gives_the_same_interval_again():
    groups = [np.array([1.0, 1, 1]), np.array([9.0, 9, 9])]
    assert stratified_bootstrap(groups, lambda x: x.mean(axis=-1)) == (5, 5, 5)
    spread = [np.random.RandomState(0).normal(size=10) for _ in range(3)]
    first = stratified_bootstrap(spread, seed=3)
    assert first == stratified_bootstrap(spread, seed=3) != stratified_bootstrap(spread, seed=4)
    assert first.low < first.mean < first.high
    assert np.isnan(stratified_bootstrap([np.array([])]).mean)


def test_the_bootstrap_of_many_runs_agrees_with_students_interval():
    values = np.random.RandomState(0).normal(size=400)
    assert stratified_bootstrap([values], lambda x: x.mean(axis=-1)) == pytest.approx(
        mean_interval(values), abs=0.01
    )


def test_depths_are_ranked_over_data_sets_if_there_are_enough():
    random = np.random.RandomState(0)
    scores = random.normal([0, 0, 5], 1, (8, 3))
    found = friedman(scores)
    assert found is not None
    assert found.p == pytest.approx(stats.friedmanchisquare(*scores.T).pvalue)
    assert found.ranks[2] == 1
    # Nemenyi: studentised range with infinite degrees of freedom (Demsar 2006, equation 2)
    q = (found.ranks[0] - found.ranks[2]) / np.sqrt(3 * 4 / (6 * 8)) * np.sqrt(2)
    assert found.nemenyi[0, 2] == pytest.approx(stats.studentized_range.sf(q, 3, np.inf), abs=1e-4)
    assert friedman(scores[:5]) is None
    assert friedman(scores[:, :2]) is None
