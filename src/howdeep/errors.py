"""The two ways a command ends early that are nobody's bug: a mistake of the user, and a request to stop."""

import errno
import re
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


# What a full, broken or forbidden place looks like to Python; every other OSError is ours.
PLACE = {
    errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST, errno.EFBIG,
    errno.EIO,
}  # fmt: skip


PATH = {errno.ENAMETOOLONG, errno.ELOOP}  # what is no path to any place
SHOWN = 60  # signs of a path


def of_place(error: OSError) -> UserError | None:
    """The line for a place that cannot be written, or that no path leads to; None for all else, which is a bug."""
    if error.errno in PATH:
        name = str(error.filename)
        shown = name if len(name) <= SHOWN else f"{name[:SHOWN]}..."
        return UserError(
            f"expected a path that leads to a place, got {shown} ({error.strerror}): write another"
        )
    if error.errno not in PLACE:
        return None
    place = f" {error.filename}" if error.filename else ""
    return UserError(
        f"cannot write{place}: {error.strerror}: make room there or allow writing, then try again"
    )


def near(name: object, names: Iterable[str]) -> str:
    """`", did you mean 'lstm'?"` if one of `names` is close to `name`, else the list: `"; there are: gru, lstm"`.

    What was typed is never its own remedy. Nothing if there are no others.
    """
    known = sorted(set(names) - {str(name)})
    if found := get_close_matches(str(name), known, n=1, cutoff=0.5):
        return f", did you mean '{found[0]}'?"
    return f"; there are: {', '.join(known)}" if known else ""


_USER = re.compile(r"(\w+://[^\s:/@'\"]*):[^\s'\"]*@")  # up to the last @: a password may hold / and @
_QUERY = re.compile(r"([?&;](?:\w*pass\w*|pwd|\w*token|\w*secret\w*|\w*key)=)[^&;\s'\"]+", re.IGNORECASE)


def masked(text: str) -> str:
    """A text without the passwords of the addresses in it: http://me:***@host, ?password=***."""
    return _QUERY.sub(r"\1***", _USER.sub(r"\1:***@", text))


def line(message: object) -> str:
    """A message as it is printed: in one line, whatever came in it, and without passwords."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in masked(str(message)))
