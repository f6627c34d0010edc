"""What other libraries say of a net or a file that they do not take, in one line of howdeep's own."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from howdeep.errors import UserError

LONGEST = 200  # characters of a reason


def reason(error: BaseException) -> str:
    """The first line of what began an error, which exporters wrap in advice to their own developers."""
    while error.__cause__:
        error = error.__cause__
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:LONGEST]}" if lines else type(error).__name__


@contextmanager
def refusing(what: str, remedy: str) -> Iterator[None]:
    """Raises `UserError` for any error inside: what is not possible, the reason, and what to do.

    Exporters and runtimes name no common class for what they refuse.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{what} ({reason(error)}): {remedy}") from error


@contextmanager
def quiet(*loggers: str) -> Iterator[None]:
    """Lets some loggers say nothing for a while: what fails is raised, and said once."""
    known = [logging.getLogger(name) for name in loggers]
    levels = [logger.level for logger in known]
    for logger in known:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(known, levels, strict=True):
            logger.setLevel(level)
