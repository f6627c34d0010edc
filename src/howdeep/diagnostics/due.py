"""When diagnostics look: every k epochs, and in the last."""

from pytorch_lightning import Trainer


def due(trainer: Trainer, every: int) -> bool:
    """Whether this epoch is the first, an `every`-th one or the last planned.

    An early stop is known only after the callbacks have run; what the last epoch looks like then is
    measured once more when training has ended.
    """
    epoch = trainer.current_epoch
    return epoch % every == 0 or epoch + 1 == trainer.max_epochs
