"""What a person sees while something trains: a bar with an ETA at a terminal, quiet lines otherwise."""

import sys

from tqdm import tqdm

tqdm.monitor_interval = 0  # its thread would make the process unsafe to fork


def say(line: str) -> None:
    """One line for a person, beside a bar that may be drawn; whole, though other processes write at the same time."""
    tqdm.write(line + "\n", file=sys.stderr, end="")  # in one piece
