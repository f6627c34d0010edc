"""What holds where some deep runs collapse? Simulated intervals and verdicts: python -m benchmarks.coverage

A difference of two runs is normal with the standard deviation 1, and with the probability `rate` lower by `fall`.

intervals   how often 95 % intervals from n seeds hold the mean difference: Student's, Johnson's, the bootstrap-t, BCa;
            Yuen's is asked for the trimmed mean that it estimates, the signed-rank interval for the pseudo-median;
            `unseen` is the share of studies in which no run collapsed, `seen` the coverage in the others
verdicts    how often families of three depths (the shallow one beside them) have a verdict, by the rule
            student   the t-test alone
            both      where a run collapsed the t-test and a rank test must agree; `always both` asks both everywhere
            howdeep   where a run collapsed a rank test: `statistics.against_shallow`

Sources: Johnson, "Modified t tests and confidence intervals for asymmetrical populations" (1978); Efron, "Better
bootstrap confidence intervals" (1987), of both bootstraps; Yuen, "The two-sample trimmed t for unequal population
variances" (1974); Hodges, Lehmann, "Estimates of location based on rank tests" (1963).
"""

import argparse
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr, ndtri, stdtrit
from scipy.stats import trim_mean

from howdeep.results.statistics import against_shallow, holm

LEVEL, RESAMPLES = 0.95, 599
Ends = tuple[np.ndarray, np.ndarray]  # (studies,) each


def student(x: np.ndarray) -> Ends:
    """m ± t s / sqrt(n). `x` is (studies, seeds), here and below."""
    return _around(x.mean(axis=1), x.std(axis=1, ddof=1) / np.sqrt(x.shape[1]), x.shape[1] - 1)


def johnson(x: np.ndarray) -> Ends:
    """Student's, its middle moved by the third moment: m + μ3 / (6 s² n)."""
    n, mean, spread = x.shape[1], x.mean(axis=1), x.std(axis=1, ddof=1)
    third = ((x - mean[:, None]) ** 3).sum(axis=1) * n / ((n - 1) * (n - 2))
    return _around(mean + third / (6 * spread**2 * n), spread / np.sqrt(n), n - 1)


def yuen(x: np.ndarray) -> Ends:
    """The mean without a fifth at either end, its error from the winsorised variance."""
    n, cut, ordered = x.shape[1], x.shape[1] // 5, np.sort(x, axis=1)
    kept = n - 2 * cut
    winsorised = np.clip(ordered, ordered[:, [cut]], ordered[:, [n - cut - 1]]).var(axis=1, ddof=1)
    error = np.sqrt(winsorised * (n - 1) / (kept * (kept - 1)))
    return _around(ordered[:, cut : n - cut].mean(axis=1), error, kept - 1)


def signed_rank(x: np.ndarray) -> Ends:
    """The exact interval of the pseudo-median, from the sorted means of all pairs."""
    n = x.shape[1]
    first, second = np.triu_indices(n)
    means = np.sort((x[:, first] + x[:, second]) / 2, axis=1)
    ways = np.ones(1)
    for rank in range(1, n + 1):
        ways = np.convolve(ways, np.eye(1, rank + 1, 0)[0] + np.eye(1, rank + 1, rank)[0])
    cut = int(np.count_nonzero(ways.cumsum() / 2**n <= (1 - LEVEL) / 2))
    cut = max(cut, 1)  # five pairs have no interval of more than 94 %
    return means[:, cut - 1], means[:, -cut]


def bootstraps(x: np.ndarray, random: np.random.Generator) -> tuple[Ends, Ends]:
    """The bootstrap-t and BCa intervals of the mean, from the same resamples."""
    tails, n = [(1 - LEVEL) / 2, (1 + LEVEL) / 2], x.shape[1]
    of_t, bca = [], []
    for study in x:
        mean, error = study.mean(), study.std(ddof=1) / np.sqrt(n)
        drawn = study[random.integers(n, size=(RESAMPLES, n))]
        means, errors = drawn.mean(axis=1), drawn.std(axis=1, ddof=1) / np.sqrt(n)
        low, high = np.quantile(((means - mean)[errors > 0] / errors[errors > 0]), tails)
        of_t.append((mean - high * error, mean - low * error))
        bias = ndtri(np.clip((means < mean).mean(), 1 / RESAMPLES, 1 - 1 / RESAMPLES))
        pulled = study - mean  # the jackknife's, up to a factor that cancels
        speed = (pulled**3).sum() / (6 * (pulled**2).sum() ** 1.5)
        z = bias + ndtri(tails)
        bca.append(np.quantile(means, ndtr(bias + z / (1 - speed * z))))
    return tuple(np.array(of_t).T), tuple(np.array(bca).T)  # pyright: ignore[reportReturnType]


def _around(middle: np.ndarray, error: np.ndarray, free: int) -> Ends:
    half = stdtrit(free, (1 + LEVEL) / 2) * error
    return middle - half, middle + half


def drawn(random: np.random.Generator, rate: float, fall: float, shape: tuple[int, ...]) -> Ends:
    """Differences, and which of them hold a collapsed run."""
    fell = random.uniform(size=shape) < rate
    return random.normal(size=shape) - fall * fell, fell


def coverage(seeds: int, rate: float, fall: float, studies: int, random: np.random.Generator) -> list[float]:
    """A row of the first table."""
    x, fell = drawn(random, rate, fall, (studies, seeds))
    many = drawn(random, rate, fall, (400_000,))[0]
    pseudo_median = float(np.median((many + random.permutation(many)) / 2))
    mean, seen = -rate * fall, fell.any(axis=1)

    def held(ends: Ends, truth: float) -> np.ndarray:
        return (ends[0] <= truth) & (truth <= ends[1])

    of_mean = [held(ends, mean) for ends in (student(x), johnson(x), *bootstraps(x, random))]
    given_seen = float(of_mean[0][seen].mean()) if seen.any() else np.nan
    others = [held(yuen(x), float(trim_mean(many, 0.2))), held(signed_rank(x), pseudo_median)]
    return [
        float((~seen).mean()),
        *(float(h.mean()) for h in of_mean),
        given_seen,
        *(float(h.mean()) for h in others),
    ]


class Truth(NamedTuple):
    """What is so of the deepest of three depths; the two others are as the shallow one is."""

    name: str
    shift: float  # of a run that does not collapse
    rate: float  # of collapses of the deepest
    everywhere: float = 0.0  # of collapses of all others, the shallow one too


TRUTHS = (
    Truth("no difference", 0.0, 0.0),
    Truth("no difference, all collapse", 0.0, 0.1, 0.1),
    Truth("no difference, all collapse", 0.0, 0.3, 0.3),
    Truth("better, no collapse", 1.5, 0.0),
    Truth("worse, no collapse", -1.5, 0.0),
    *(Truth("worse and collapses", -2.0, rate) for rate in (0.1, 0.2, 0.3)),
    *(Truth("typically the same, collapses", 0.0, rate) for rate in (0.1, 0.2, 0.3)),
    *(Truth("typically better, mean zero", 20 * rate, rate) for rate in (0.1, 0.2, 0.3)),
)
RULES = ("student", "both", "always both", "howdeep")
FALL = 20.0
Verdicts = dict[str, list[int]]  # of each rule: 1, -1 or 0 for each depth


def family(truth: Truth, seeds: int, random: np.random.Generator) -> Verdicts:
    """What each rule says of one family."""
    shallow, deeper = random.normal(0, 0.5**0.5, seeds), random.normal(0, 0.5**0.5, (3, seeds))
    deeper[-1] += truth.shift
    rates = np.array([truth.everywhere, truth.everywhere, truth.rate])[:, None]
    fell, fell_shallow = (
        random.uniform(size=(3, seeds)) < rates,
        random.uniform(size=seeds) < truth.everywhere,
    )
    shallow, deeper = shallow - FALL * fell_shallow, deeper - FALL * fell
    seen = fell.sum(axis=1) + fell_shallow.sum() > 0
    by_t = against_shallow(shallow, deeper)
    by_rank = against_shallow(shallow, deeper, collapsed=np.ones(3, dtype=bool))
    found = against_shallow(shallow, deeper, collapsed=seen)
    strict = [(max(t.p, r.p), t.sign if t.sign == r.sign else 0) for t, r in zip(by_t, by_rank, strict=True)]
    alone = [(t.p, t.sign) for t in by_t]
    both = [s if is_seen else t for s, t, is_seen in zip(strict, alone, seen, strict=True)]
    told = {"student": alone, "both": both, "always both": strict, "howdeep": [(f.p, f.sign) for f in found]}
    return {
        rule: [
            sign if p <= 1 - LEVEL else 0 for p, (_, sign) in zip(holm([p for p, _ in of]), of, strict=True)
        ]
        for rule, of in told.items()
    }


def shares(
    truth: Truth, seeds: int, families: int, random: np.random.Generator
) -> dict[str, tuple[float, ...]]:
    """Of each rule: how often any depth has a verdict, the deepest is better, the deepest is worse."""
    of_rule: dict[str, list[list[int]]] = {rule: [] for rule in RULES}
    for _ in range(families):
        for rule, verdict in family(truth, seeds, random).items():
            of_rule[rule].append(verdict)
    told = {rule: np.array(of) for rule, of in of_rule.items()}
    return {
        rule: (float(of.any(axis=1).mean()), float((of[:, -1] > 0).mean()), float((of[:, -1] < 0).mean()))
        for rule, of in told.items()
    }


def intervals_table(studies: int, random: np.random.Generator) -> Iterator[str]:
    names = "seeds rate fall unseen Student Johnson bootstrap-t BCa Student,seen Yuen signed-rank"
    yield f"| {' | '.join(names.split())} |"
    yield "| ---: " * 11 + "|"
    for seeds in (5, 10):
        for fall in (5.0, 20.0):
            for rate in (0.0, 0.05, 0.1, 0.2, 0.3):  # at 0 there is no fall: the same twice, with other draws
                row = coverage(seeds, rate, fall, studies, random)
                yield f"| {seeds} | {rate} | {fall:g} | {' | '.join(f'{value:.3f}' for value in row)} |"


def verdicts_table(families: int, random: np.random.Generator) -> Iterator[str]:
    yield "| seeds | truth of the deepest | rate | rule | any verdict | deepest better | deepest worse |"
    yield "| ---: | --- | ---: | --- | ---: | ---: | ---: |"
    for seeds in (5, 10):
        for truth in TRUTHS:
            for rule, row in shares(truth, seeds, families, random).items():
                told = " | ".join(f"{value:.3f}" for value in row)
                yield f"| {seeds} | {truth.name} | {truth.rate} | {rule} | {told} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--studies", type=int, default=2000, help="of each row")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    tables: tuple[Callable[[int, np.random.Generator], Iterator[str]], ...] = (
        intervals_table,
        verdicts_table,
    )
    for table in tables:
        for line in table(options.studies, np.random.default_rng(options.seed)):
            print(line, flush=True)
        print()


if __name__ == "__main__":
    main()
