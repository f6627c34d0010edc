"""The one rule for names that become folders, files or words of a command: entries, data sets, studies, experiments."""

import re
from typing import TypeGuard

from howdeep.errors import UserError

LONGEST = 100
RULE = f"letters without accents, digits, _ . and -, beginning with none of the last two, at most {LONGEST} of them"
_NAME = re.compile(rf"[A-Za-z0-9_][A-Za-z0-9_.-]{{0,{LONGEST - 1}}}")


def is_name(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and _NAME.fullmatch(value) is not None


def check_name(value: object, what: str) -> str:
    """The name, if it is one.

    Args:
        what: it names, for the message, such as 'data.name' or 'an entry of params.yaml'.

    Raises:
        UserError: anything else, among it whatever could lead out of a folder or be read by a shell.
    """
    if is_name(value):
        return value
    raise UserError(f"{what} must be a name ({RULE}), got {_shown(value)}")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 2 * LONGEST else f"{text[:LONGEST]}... ({len(text)} characters)"
