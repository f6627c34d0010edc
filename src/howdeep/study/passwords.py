"""Passwords that are typed stay out of what is written: Hydra saves each override, and each config without its values.

An address with a password becomes `${oc.env:HOWDEEP_SECRET_1}` in the command line, and stands in the environment,
which this process and those that it starts read.
"""

import os
import re
from collections.abc import Sequence

from howdeep.errors import masked

NAME = "HOWDEEP_SECRET"
_QUOTED = r"'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\""
_IN_QUOTES = re.compile(r"[A-Za-z][\w+.-]*://\S+")
# A quoted text, or an address as Hydra's grammar ends it outside of quotes.
_PART = re.compile(rf"{_QUOTED}|[A-Za-z][\w+.-]*://(?:\\.|[^\s,\]}})'\"\\])+", re.DOTALL)


def hidden(overrides: Sequence[str]) -> list[str]:
    """The overrides with an interpolation in the place of each address that holds a password."""
    count = 0

    def hide(address: str) -> str:
        nonlocal count
        if "@" not in address and masked(address) == address:  # a token may stand where a name does
            return address
        count += 1
        return in_environment(f"{NAME}_{count}", re.sub(r"\\(.)", r"\1", address))

    def part(found: re.Match[str]) -> str:
        text = found[0]
        if text[0] not in "'\"":
            return hide(text)
        return text[0] + _IN_QUOTES.sub(lambda address: hide(address[0]), text[1:-1]) + text[0]

    return [_PART.sub(part, override) for override in overrides]


def in_environment(name: str, address: str) -> str:
    """Puts an address into the environment; returns the interpolation that reads it."""
    os.environ[name] = address
    return f"${{oc.env:{name}}}"
