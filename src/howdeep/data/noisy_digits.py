"""The digits with labels that mean nothing: can a network learn them by heart? (Zhang et al., 2017.)

The files are those of digits, with all labels right; `examples.mislabelled` draws those of the training examples.
"""

from howdeep.data.digits import prepare

__all__ = ["prepare"]
