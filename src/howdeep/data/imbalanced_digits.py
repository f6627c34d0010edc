"""The digits, some of them rare in training: does a network forget them? (Buda et al., 2018.)

The files are those of digits, with all images; `examples.thinned` leaves some out of the training examples.
"""

from howdeep.data.digits import prepare

__all__ = ["prepare"]
