"""Lightning's training loop without its price for each step: a whole epoch in one go.

Lightning asks every callback, logger and plugin before and after every step, which takes a small network several
times as long as the step itself. `WholeEpoch` takes the place of the loop over batches and does what is left of it
when nobody listens: the same steps in the same order, so that the parameters are the same bit for bit. Where
somebody does listen (a callback between steps, a profiler, mixed precision), it leaves the work to Lightning.
"""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from pytorch_lightning import Callback, Trainer
from pytorch_lightning.loops.training_epoch_loop import _TrainingEpochLoop
from pytorch_lightning.profilers import PassThroughProfiler
from pytorch_lightning.trainer.connectors import callback_connector
from pytorch_lightning.utilities.model_helpers import is_overridden
from torch.nn.utils import clip_grad_norm_

HOOKS_OF_A_STEP = (
    "on_train_batch_start", "on_train_batch_end", "on_before_zero_grad", "on_before_backward", "on_after_backward",
    "on_before_optimizer_step",
)  # fmt: skip


# A run is what its config says: no other package may add callbacks to it. To look for them, Lightning would read
# what each installed package says of itself, for every run anew.
callback_connector._load_external_callbacks = lambda group: []  # type: ignore[assignment]


def run_whole_epochs(trainer: Trainer) -> None:
    """Makes a trainer that has not started yet run its epochs in one go."""
    own = trainer.fit_loop.epoch_loop
    trainer.fit_loop.epoch_loop = WholeEpoch(trainer, min_steps=own.min_steps, max_steps=own.max_steps)


class WholeEpoch(_TrainingEpochLoop):
    """Lightning's loop over the batches of an epoch; `advance` runs all of them, where it may."""

    def advance(self, data_fetcher: Any) -> None:
        before = self.batch_progress.current.completed
        if self.restarting or not self._nobody_listens():
            super().advance(data_fetcher)
        else:
            self._run_epoch()
        if not self.trainer.lightning_module.automatic_optimization:
            # What `global_step` counts: the task steps torch's own optimizers, of which Lightning knows nothing.
            steps = (self.batch_progress.current.completed - before) * len(self.trainer.optimizers)
            self.manual_optimization.optim_step_progress.increment_by(steps)

    def _nobody_listens(self) -> bool:
        trainer: Any = self.trainer
        return (
            isinstance(trainer.profiler, PassThroughProfiler)
            and trainer.precision == "32-true"
            and trainer.accumulate_grad_batches == 1
            and trainer.max_steps == -1
            and trainer.gradient_clip_algorithm in (None, "norm")
            and not any(
                is_overridden(hook, c, Callback) for c in trainer.callbacks for hook in HOOKS_OF_A_STEP
            )
        )

    def _run_epoch(self) -> None:
        task, steps = self.trainer.lightning_module, int(self.trainer.num_training_batches)
        step = self._optimized(task) if task.automatic_optimization else task.training_step
        for index, batch in enumerate(self._batches(steps)):
            step(batch, index)
        if task.automatic_optimization:
            progress = self.automatic_optimization.optim_progress.optimizer  # what `global_step` counts
            progress.step.increment_by(steps)
            progress.zero_grad.increment_by(steps)
        self.batch_progress.increment_by(steps, is_last_batch=True)

    def _batches(self, steps: int) -> Iterator[Any]:
        loader: Any = self.trainer.train_dataloader
        for index, batch in enumerate(islice(loader, steps)):
            self.batch_progress.is_last_batch = index + 1 == steps
            yield batch

    def _optimized(self, task: Any) -> Callable[[Any, int], None]:
        """A step of the optimizer, in the order in which Lightning takes it."""
        trainer: Any = self.trainer
        (optimizer,) = trainer.optimizers
        schedulers = [config.scheduler for config in trainer.lr_scheduler_configs]
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        norm = trainer.gradient_clip_val

        def step(batch: Any, index: int) -> None:
            loss = task.training_step(batch, index)
            optimizer.zero_grad()
            loss.backward()
            if norm:
                clip_grad_norm_(parameters, norm)
            optimizer.step()
            for scheduler in schedulers:
                scheduler.step()

        return step
