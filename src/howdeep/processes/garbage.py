"""How often Python looks for garbage."""

import gc


def collect_seldom() -> None:
    """Importing torch makes a million objects that live for ever: Python would look through them many times while they
    are made, which takes a process several seconds. What is not garbage by its links is freed at once as ever.
    """
    gc.set_threshold(50_000, 20, 50)
