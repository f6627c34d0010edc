"""Numbers on the scale of the training examples."""

import numpy as np


def standardise(x: np.ndarray, mean: np.ndarray, std: np.ndarray) -> np.ndarray:
    """(x - mean) / std in single precision; mean and std are those of the training examples alone."""
    return ((x - mean) / std).astype(np.float32)
