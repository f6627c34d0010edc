"""The same digits with the same split, read as sequences: `data.in_shape` says how many pixels a step has."""

from howdeep.data.digits import prepare

__all__ = ["prepare"]
