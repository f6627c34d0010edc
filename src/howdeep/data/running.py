"""Means and deviations of examples that come in blocks, some of whose numbers are missing."""

import numpy as np

from howdeep.encoding.scale import standardise


class Statistics:
    """What standardising needs of training examples (n, features): of one block what `splits.moments` says, to the bit.

    Missing numbers, NaN, are taken for the mean of those that are there: they change no mean and make deviations
    smaller. Blocks are merged without loss of precision (Chan, Golub and LeVeque, "Algorithms for computing the sample
    variance", 1983).
    """

    def __init__(self, features: int) -> None:
        self._rows = 0
        self._known = np.zeros(features, dtype=np.int64)
        self._mean, self._squares = np.zeros(features), np.zeros(features)
        self._lowest, self._highest = np.full(features, np.inf), np.full(features, -np.inf)

    def add(self, x: np.ndarray) -> None:
        """More examples, (rows, features) float64."""
        counts, lowest, highest = np.full(x.shape[1], len(x)), x.min(axis=0), x.max(axis=0)
        holes = np.isnan(lowest)
        if holes.any():
            some = x[:, holes]
            known = ~np.isnan(some)
            counts[holes] = of = known.sum(axis=0)
            sums = np.where(known, some, 0).sum(axis=0)
            x = x.copy()
            x[:, holes] = np.where(known, some, np.divide(sums, of, out=np.zeros(len(of)), where=of > 0))
            lowest[holes] = np.where(known, some, np.inf).min(axis=0)
            highest[holes] = np.where(known, some, -np.inf).max(axis=0)
        mean = x.mean(axis=0)
        squares = np.square(x - mean).sum(axis=0)
        both = self._known + counts
        share = np.divide(counts, both, out=np.zeros(x.shape[1]), where=both > 0)
        apart = mean - self._mean
        self._mean = self._mean + apart * share  # of the first examples to the bit theirs: 0 + (mean - 0) * 1
        self._squares = self._squares + squares + apart * (apart * (self._known * share))
        self._known, self._rows = both, self._rows + len(x)
        self._lowest, self._highest = np.minimum(self._lowest, lowest), np.maximum(self._highest, highest)

    @property
    def extremes(self) -> tuple[np.ndarray, np.ndarray]:
        """The lowest and the highest of each feature, 0 where all are missing."""
        none = self._known == 0
        return np.where(none, 0.0, self._lowest), np.where(none, 0.0, self._highest)

    def moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of each feature, (features,), as `splits.moments` has them."""
        lowest, highest = self.extremes
        constant = lowest == highest
        mean = np.where(constant, lowest, self._mean)
        return mean, np.where(constant, 1.0, np.sqrt(self._squares / self._rows))

    def card(self, rows: dict[str, int]) -> dict:
        """What the data card says of examples that are standardised with them.

        Args:
            rows: examples of each part.
        """
        (mean, std), ends = self.moments(), self.extremes
        standardised = [standardise(end, mean, std) for end in ends]  # rounding keeps their order
        return {
            "shape": [len(mean)],
            "examples": rows,
            "range": {
                "raw": [float(ends[0].min()), float(ends[1].max())],
                "standardised": [float(standardised[0].min()), float(standardised[1].max())],
            },
            "mean": mean.tolist(),
            "std": std.tolist(),
        }
