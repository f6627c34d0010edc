"""Estimates against hand-computed numbers and SciPy's own."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from howdeep.results.ranks import (
    failures_last,
    rank_sum,
    wilcoxon,
)
from howdeep.results.statistics import (
    against_shallow,
    benjamini_hochberg,
    chance_to_repeat,
    effect_size,
    geometric_mean,
    holm,
    mean_interval,
    seeds_to_decide,
    simultaneous,
    t_test,
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


def test_the_effect_size_is_d_with_hedges_correction():
    # m = 3, s = sqrt(2.5), J(4) = Γ(2) / (sqrt(2) Γ(1.5)) = .797885
    assert effect_size(np.arange(1.0, 6.0)) == pytest.approx(0.797885 * 3 / np.sqrt(2.5), abs=1e-5)
    assert np.isnan(effect_size(np.array([1.0, 2.0])))


def test_the_corrected_effect_size_is_unbiased_where_the_plain_one_is_not():
    samples = np.random.RandomState(0).normal(0.8, 1, (20_000, 6))
    plain = samples.mean(axis=1) / samples.std(axis=1, ddof=1)
    assert np.mean([effect_size(sample) for sample in samples]) == pytest.approx(0.8, abs=0.02)
    assert plain.mean() > 0.9


# --- a family -------------------------------------------------------------------------------------------------


def test_holms_p_by_hand_and_by_statsmodels():
    assert holm([0.01, 0.04, 0.03]).tolist() == pytest.approx([0.03, 0.06, 0.06])
    p = np.random.RandomState(0).uniform(size=9)
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1])


def test_a_test_that_could_not_be_made_stays_in_the_family():
    assert holm([0.02, np.nan, 0.02]).tolist() == pytest.approx([0.06, np.nan, 0.06], nan_ok=True)
    assert holm([]).tolist() == []


def test_benjamini_and_hochbergs_p_by_hand_and_by_statsmodels():
    assert benjamini_hochberg([0.01, 0.04, 0.03]).tolist() == pytest.approx([0.03, 0.04, 0.04])
    p = np.random.RandomState(0).uniform(size=9)
    assert benjamini_hochberg(p) == pytest.approx(multipletests(p, method="fdr_bh")[1])
    assert benjamini_hochberg([0.02, np.nan]).tolist() == pytest.approx([0.04, np.nan], nan_ok=True)
    assert benjamini_hochberg([]).tolist() == []


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


def test_a_failed_run_makes_the_test_a_rank_test_with_failures_last_and_takes_the_interval_away():
    shallow = np.arange(10.0)
    deep = np.stack([shallow + 1 + 0.1 * shallow, shallow - 1])
    deep[0, 0] = np.nan
    [first, second] = against_shallow(shallow, deep)
    assert (first.test, first.sign, first.pairs, first.failed) == ("signed rank", 1, 9, 1)
    assert first.p == wilcoxon(np.array([-100.0, *np.linspace(1.1, 1.9, 9)]))
    assert np.isnan(first.difference.low)
    assert (second.test, second.sign, second.pairs) == ("sign", -1, 10)


def test_a_shallow_run_that_failed_loses_as_well_and_two_failures_decide_nothing():
    shallow, deep = np.array([np.nan, np.nan, 1.0]), np.array([[1.0, np.nan, 2.0]])
    [found] = against_shallow(shallow, deep)
    assert (found.failed, found.failed_shallow, found.test) == (1, 2, "rank sum")
    assert found.p == rank_sum(shallow, deep[0])
    assert failures_last(shallow, deep[0]).tolist() == [np.inf, 0.0, 1.0]


def test_a_depth_all_of_whose_runs_fail_is_worse_with_five_seeds_and_with_ten():
    for seeds, test in ((5, "rank sum"), (10, "signed rank")):
        shallow = np.random.RandomState(seeds).normal(0.9, 0.01, seeds)
        deep = np.stack([np.append(np.full(seeds - 1, np.nan), 0.5), shallow + 0.001, shallow - 0.002])
        found = against_shallow(shallow, deep)[0]
        assert (found.test, found.sign) == (test, -1)
        assert found.adjusted < 0.05


def test_one_collapsed_run_hides_from_students_test_that_all_ten_pairs_are_worse_and_not_from_ranks():
    shallow = np.full(10, 0.97)
    deep = shallow - np.array([0.87, *np.linspace(0.01, 0.02, 9)])
    [by_t], [by_rank] = (against_shallow(shallow, deep[None], collapsed=[seen]) for seen in (False, True))
    assert (by_t.test, by_t.p > 0.1) == ("t", True)
    assert (by_rank.test, by_rank.p, by_rank.sign) == ("signed rank", 2 / 2**10, -1)
    assert by_rank.difference == by_t.difference == mean_interval(deep - shallow)  # not cut at zero
    assert by_rank.typical == pytest.approx(-0.015625)  # of ten the mean of the fifth and the sixth
    [five] = against_shallow(shallow[:5], deep[None, :5], collapsed=[True])
    assert (five.test, five.p, five.sign) == ("rank sum", 2 / 252, -1)


def test_what_is_ahead_in_ranks_and_behind_on_average_is_not_called_ahead():
    """Of thirty pairs 29 are better by .01 and one collapsed, worse by .9: on average the deeper is worse."""
    shallow = np.full(30, 0.9)
    deep = shallow + np.array([-0.9, *np.linspace(0.009, 0.011, 29)])
    [found] = against_shallow(shallow, deep[None], collapsed=[True])
    assert found.p < 0.001 < found.typical
    assert (found.difference.mean < 0, found.sign) == (True, 0)


@pytest.mark.parametrize("rate", [0.0, 0.2])
def test_where_runs_of_all_depths_collapse_alike_verdicts_stay_as_rare_as_they_must(rate):
    random, studies, false = np.random.default_rng(4), 600, 0
    for _ in range(studies):
        fell = random.uniform(size=(4, 10)) < rate
        runs = random.normal(size=(4, 10)) - 20 * fell
        found = against_shallow(runs[0], runs[1:], collapsed=fell[1:].any(axis=1) | fell[0].any())
        false += any(pair.adjusted <= 0.05 for pair in found)
    assert false / studies <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / studies)


def test_students_interval_holds_the_mean_once_a_collapse_is_seen_and_misses_it_where_none_is():
    random, held = np.random.default_rng(5), {True: [], False: []}
    for _ in range(1500):
        fell = random.uniform(size=10) < 0.1
        interval = mean_interval(random.normal(size=10) - 20 * fell)
        held[bool(fell.any())].append(interval.low <= -0.1 * 20 <= interval.high)
    assert np.mean(held[True]) >= 0.95
    assert np.mean(held[False]) <= 0.05
    assert len(held[False]) / 1500 == pytest.approx(0.9**10, abs=0.04)


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


@pytest.mark.parametrize(
    ("p", "chance"), [(0.05, 0.5), (0.005, 0.725), (0.0005, 0.859), (1.0, 0.083), (0.0, 1.0)]
)
def test_the_chance_to_repeat_is_known_at_some_p(p, chance):
    assert chance_to_repeat(p) == pytest.approx(chance, abs=1e-3)


def test_studies_with_the_same_p_repeat_as_often_as_their_chance_says():
    random = np.random.default_rng(0)
    truth = random.uniform(-20, 20, 4_000_000)  # in standard errors; nothing is known of it beforehand
    first, again = truth + random.normal(size=truth.size), truth + random.normal(size=truth.size)
    for p in (0.04, 0.01, 0.001):
        alike = np.abs(first - stats.norm.isf(p / 2)) < 0.05
        assert np.mean(again[alike] > stats.norm.isf(0.025)) == pytest.approx(chance_to_repeat(p), abs=0.01)
