"""Which kind of input a data set has."""

from collections.abc import Mapping
from typing import Any

from howdeep.encoding.images import Images
from howdeep.encoding.inputs import Inputs, class_of
from howdeep.encoding.numbers import Numbers


def inputs_of(data: Mapping[str, Any], card: Mapping[str, Any]) -> Inputs:
    """The one that the card names; else images where examples have channels, height and width, and numbers.

    Args:
        data: the config of the data set.
        card: that its preparation wrote.
    """
    named = card.get("encoding")
    if named is not None:
        return class_of(named, Inputs).of(data, card)
    of_images = len(data["in_shape"]) == 3 and "range" in card
    return (Images if of_images else Numbers).of(data, card)
