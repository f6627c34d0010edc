"""Where a killed run goes on: a Lightning checkpoint at the end of an epoch."""

import hashlib
import io
import os
import pickle
import time
from pathlib import Path
from typing import Any

import torch
from lightning_fabric.plugins.io.checkpoint_io import CheckpointIO
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Checkpoint

from howdeep.errors import UserError

HEAD = b"howdeep checkpoint\n"  # then the SHA-256 of what follows, 32 bytes


class CheckedIO(CheckpointIO):
    """Checkpoints with a digest of their own, that hold tensors and plain values and run nothing when they are read.

    Written aside and renamed. A flipped bit is refused: torch itself reads it as another number.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        content = io.BytesIO()
        torch.save(checkpoint, content)
        place, whole = Path(path), content.getbuffer()
        aside = place.with_name(f".{place.name}.{os.getpid()}.tmp")
        try:
            with aside.open("wb") as file:
                file.writelines((HEAD, hashlib.sha256(whole).digest(), whole))
            aside.replace(place)
        finally:
            aside.unlink(missing_ok=True)

    def load_checkpoint(
        self, path: Any, map_location: Any = "cpu", weights_only: bool | None = None
    ) -> dict[str, Any]:
        """The checkpoint in a file.

        Raises:
            ValueError: it is none, or is damaged.
        """
        head, digest, whole = _parts(Path(path).read_bytes())
        if head != HEAD:
            raise ValueError("it does not begin as one")
        if hashlib.sha256(whole).digest() != digest:
            raise ValueError("it is damaged")
        return torch.load(io.BytesIO(whole), map_location=map_location, weights_only=True)

    def remove_checkpoint(self, path: Any) -> None:
        Path(path).unlink(missing_ok=True)


def _parts(content: bytes) -> tuple[bytes, bytes, memoryview]:
    start = len(HEAD)
    return content[:start], content[start : start + 32], memoryview(content)[start + 32 :]


class ResumePoint(Checkpoint):
    """Writes a checkpoint at the end of an epoch, if the last one is `seconds` old.

    As a `Checkpoint` it runs after all other callbacks, so that it holds what they know of this epoch.

    Args:
        path: the file; deleted by who runs the training, once its result is safe.
        identity: what the run is, e.g. `{"key": ..., "model": ..., "depth": ...}`; `check` compares it.
        seconds: training time that a kill may cost at most.
    """

    def __init__(self, path: Path, identity: dict, seconds: float) -> None:
        self.path = path
        self.identity = identity
        self.seconds = seconds
        self._saved = time.monotonic()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # A run that is about to end is not saved: resumed from there it would train one epoch too many.
        last = trainer.should_stop or trainer.current_epoch + 1 == trainer.max_epochs
        if last or time.monotonic() - self._saved < self.seconds:
            return
        trainer.save_checkpoint(self.path)
        self._saved = time.monotonic()

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict) -> None:
        checkpoint["howdeep"] = self.identity


def check(path: Path, identity: dict) -> None:
    """Refuses a checkpoint that is no file of ours, is damaged, or was written by another run.

    Raises:
        UserError: what the checkpoint holds and what this run is.
    """
    try:
        found = CheckedIO().load_checkpoint(path)["howdeep"]
        if not isinstance(found, dict):
            raise TypeError(f"howdeep is {type(found).__name__}")
    except FileNotFoundError:
        raise UserError(f"expected a checkpoint at {path}, found no such file: check `resume`") from None
    except (
        OSError,
        ValueError,
        RuntimeError,
        LookupError,
        TypeError,
        EOFError,
        pickle.UnpicklingError,
    ) as error:
        reason = str(error).splitlines()[0][:100] if str(error) else type(error).__name__
        raise UserError(
            f"{path} is not a readable howdeep checkpoint ({reason}): delete it or name another"
        ) from None
    differ = [name for name in identity if found.get(name) != identity[name]]
    if differ:
        theirs, ours = ({name: of.get(name) for name in differ} for of in (found, identity))
        raise UserError(
            f"the checkpoint {path} is of another run: expected {ours}, found {theirs}; name its own run"
        )
