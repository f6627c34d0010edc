"""The two ways a command ends early that are nobody's bug: a mistake of the user, and a request to stop."""

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(ValueError):
    """A mistake of the user, told in one line: what was expected, what came, what to do.

    The command prints the message without a traceback and exits with 1. Any other exception is a bug of
    howdeep and keeps its traceback.
    """


class Stopped(BaseException):
    """SIGINT or SIGTERM arrived: close what is open and end. Not an `Exception`, so that no handler keeps it."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum


def near(name: object, names: Iterable[str]) -> str:
    """`", did you mean 'lstm'?"` if one of `names` is close to `name`, else the list: `"; there are: gru, lstm"`."""
    known = sorted(names)
    if found := get_close_matches(str(name), known, n=1, cutoff=0.5):
        return f", did you mean '{found[0]}'?"
    return f"; there are: {', '.join(known)}"
