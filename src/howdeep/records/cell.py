"""What is compared: a cell, its name and its runs' names."""

from dataclasses import dataclass

MATCHINGS = ("width", "parameters", "flops")


def cell_name(depth: int, matching: str) -> str:
    """What tells the cells of an entry apart: 'depth=4', or 'matching=flops-depth=4'."""
    return f"depth={depth}" if matching == "width" else f"matching={matching}-depth={depth}"


def run_name(depth: int, matching: str, seed: int) -> str:
    """The folder of a run: 'depth=4-seed=0'."""
    return f"{cell_name(depth, matching)}-seed={seed}"


@dataclass(frozen=True)
class Cell:
    """One (data set, architecture, depth, matching); with a seed, a run."""

    data: str
    model: str
    depth: int
    matching: str = "width"

    @property
    def name(self) -> str:
        return cell_name(self.depth, self.matching)

    def run_name(self, seed: int) -> str:
        """The run's folder: 'depth=4-seed=0'."""
        return run_name(self.depth, self.matching, seed)
