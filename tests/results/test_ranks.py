"""Tests by ranks, and the probability of improvement: against SciPy's, every permutation, and simulated runs."""

import itertools
from typing import Any

import numpy as np
import pytest
from scipy import stats

from howdeep.results.ranks import (
    improvement,
    improvement_interval,
    least_rank_sum,
    least_wilcoxon,
    rank_sum,
    sign_test,
    signed_rank_sign,
    wilcoxon,
)


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


@pytest.mark.parametrize("runs", [(5, 5), (3, 7), (10, 10)])
def test_the_rank_sum_test_is_scipys_exact_one(runs):
    random = np.random.RandomState(sum(runs))
    for shift in (0.0, 0.8, 3.0):
        shallow, deep = random.normal(0, 1, runs[0]), random.normal(shift, 1, runs[1])
        expected: Any = stats.mannwhitneyu(deep, shallow, method="exact")
        assert rank_sum(shallow, deep) == pytest.approx(expected.pvalue)


def test_the_rank_sum_test_counts_every_choice_of_the_deep_runs_with_failures_last_and_ties_shared():
    shallow, deep = np.array([0.9, 0.8, 0.9, 0.7, np.nan]), np.array([np.nan, np.nan, 0.7, np.nan, 0.6])
    ranks = stats.rankdata(np.nan_to_num(np.concatenate([deep, shallow]), nan=-1.0))
    sums = np.array([ranks[list(chosen)].sum() for chosen in itertools.combinations(range(10), 5)])
    less, more = (sums <= ranks[:5].sum()).mean(), (sums >= ranks[:5].sum()).mean()
    assert rank_sum(shallow, deep) == pytest.approx(2 * min(less, more))
    assert rank_sum(deep, shallow) == pytest.approx(2 * min(less, more))
    assert np.isnan(rank_sum(np.array([]), deep))


def test_five_runs_can_decide_where_all_deep_ones_failed_and_five_pairs_cannot():
    shallow, failed = np.arange(5.0), np.full(5, np.nan)
    assert rank_sum(shallow, failed) == pytest.approx(least_rank_sum(5, 5)) == pytest.approx(2 / 252)
    assert 3 * least_rank_sum(5, 5) < 0.05 < least_wilcoxon(5)  # in a family of three depths, too
    assert least_rank_sum(1, 1) == 1.0


@pytest.mark.parametrize("runs", [5, 10])
def test_the_rank_sum_test_of_runs_that_fail_at_random_keeps_its_level(runs):
    random = np.random.RandomState(runs)
    false = 0
    for _ in range(2000):
        shallow, deep = (
            np.where(random.uniform(size=runs) < 0.3, np.nan, random.normal(size=runs)) for _ in range(2)
        )
        false += rank_sum(shallow, deep) <= 0.05
    assert false / 2000 < 0.06


def test_the_sign_test_counts_wins_and_losses():
    assert sign_test(5, 0) == pytest.approx(2 / 2**5)
    assert sign_test(0, 7) == pytest.approx(2 / 2**7)
    assert np.isnan(sign_test(0, 0))


def test_the_probability_of_improvement_is_mann_whitneys_u_and_failures_lose():
    shallow, deep = np.array([1.0, 2, 3]), np.array([2.0, 3, 4])
    assert improvement(shallow, deep) == (6 + 2 * 0.5) / 9
    assert improvement(shallow, deep) == stats.mannwhitneyu(deep, shallow).statistic / 9
    assert improvement(np.array([1.0, 1]), np.array([np.nan, 2])) == 0.5
    assert improvement(np.array([np.nan]), np.array([np.nan])) == 0.5


def test_the_interval_of_the_probability_of_improvement_ends_where_newcombes_equation_holds():
    share, n, m = 0.8, 10, 10
    low, high = improvement_interval(share, n, m)
    for p in (low, high):
        variance = p * (1 - p) / (n * m) * (1 + (10 - 1) * ((1 - p) / (2 - p) + p / (1 + p)))
        assert abs(share - p) == pytest.approx(1.959964 * np.sqrt(variance), rel=1e-5)
    assert low < share < high
    assert improvement_interval(1 - share, n, m) == pytest.approx((1 - high, 1 - low))


def test_the_interval_has_a_width_where_every_deep_run_wins_and_stays_within_0_and_1():
    low, high = improvement_interval(1.0, 5, 5)
    assert 0.5 < low < 0.75
    assert high == 1.0
    assert improvement_interval(0.0, 10, 10)[0] == 0.0
    assert np.isnan(improvement_interval(np.nan, 5, 5)).all()


@pytest.mark.parametrize("shift", [0.0, 1.0, 2.5])
def test_the_interval_of_the_probability_of_improvement_covers_it(shift):
    random, true = np.random.RandomState(7), stats.norm.cdf(shift / np.sqrt(2))
    held = 0
    for _ in range(1000):
        shallow, deep = random.normal(0, 1, 10), random.normal(shift, 1, 10)
        low, high = improvement_interval(improvement(shallow, deep), 10, 10)
        held += low <= true <= high
    assert held / 1000 >= 0.93


def test_the_side_with_the_larger_sum_of_ranks_is_ahead_however_few_its_differences_are():
    assert signed_rank_sign(np.array([1.0, 2, 3, -9, -8])) == -1  # 1 + 2 + 3 < 5 + 4
    assert signed_rank_sign(np.array([1.0, 2, -3])) == signed_rank_sign(np.zeros(3)) == 0
    assert signed_rank_sign(np.array([0.0, 1, 1, -1, np.inf, -np.inf])) == 1  # 2 + 2 + 4.5 > 2 + 4.5
