"""What the stage `inspect` found inside the networks: the content of results/inspection."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

NAMES = {"entry": str, "matching": str, "depth": float}
TABLES = {  # the columns of each, and what they hold
    "representations": {"layer": float, "part": str, "probe": float, "untrained": float},
    "similarity": {"with": str, "other_layer": float, "layer": float, "cka": float},
    "attention": {"layer": float, "head": float, "spread": float, "distance": float},
    "attribution": {"agreement": float, "completeness_error": float, "examples": float},
}


@dataclass(frozen=True)
class Inspection:
    """What the stage `inspect` wrote; empty for a study whose networks nobody looked into.

    Args:
        tables: by name, see `howdeep.stages.inspect`.
        pictures: arrays by `<entry>/<matching>/<depth>/<name>`.
    """

    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    pictures: Mapping[str, np.ndarray] = field(default_factory=dict)


NOTHING = Inspection()
