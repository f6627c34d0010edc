"""How a trial ends other than with a value."""

from howdeep.errors import UserError


class Pruned(Exception):
    """The trial is not worth its remaining epochs, beside what others reached. A result, not a bug."""


class Hopeless(UserError):
    """A mistake that every other trial would repeat: the sweep ends with this line."""
