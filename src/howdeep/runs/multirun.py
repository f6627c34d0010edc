"""What a multirun came to: a line for each combination of settings, its seeds taken together."""

import math
import statistics
from collections.abc import Sequence

# of Hydra: one job after the other in this process
LOCAL = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"


def table(jobs: Sequence[tuple[Sequence[str], float]]) -> str:
    """Mean and lowest validation loss of all runs that differ in nothing but their seed; nothing of a single run.

    Args:
        jobs: of each run its overrides, and its lowest validation loss; NaN if it failed.
    """
    if len(jobs) < 2:
        return ""
    common = set.intersection(*(set(overrides) for overrides, _ in jobs))
    found: dict[str, list[float]] = {}
    for overrides, loss in jobs:
        own = [word for word in overrides if word not in common and not word.startswith("seed=")]
        found.setdefault(" ".join(own) or "all", []).append(loss)
    width = max(map(len, found))
    lines = [f"{'':{width}}  runs  mean val/loss  lowest"]
    for name, losses in found.items():
        finished = [loss for loss in losses if math.isfinite(loss)]
        failed = f"  {len(losses) - len(finished)} failed" if len(finished) < len(losses) else ""
        mean, lowest = (f"{of(finished):.4g}" if finished else "-" for of in (statistics.fmean, min))
        lines.append(f"{name:{width}}  {len(losses):4}  {mean:>13}  {lowest:>6}{failed}")
    return "\n".join(lines)
