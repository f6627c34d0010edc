"""Gradient flow: how much of the loss gradient reaches each hidden layer."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.optim import Optimizer

from howdeep.data.examples import Examples
from howdeep.diagnostics.due import due
from howdeep.diagnostics.history import History
from howdeep.tasks.task import Task

Row = dict[str, float | str]


def weight_of(layer: nn.Module) -> Tensor:
    """The weight that stands for a layer: its first parameter that is a matrix or more."""
    return next(p for p in layer.parameters() if p.ndim >= 2)


def gradient_flow(task: Task, batch: Examples) -> list[Row]:
    """Follows the loss gradient of one batch back through the hidden layers, in training mode.

    With a_l the activation of hidden layer l, (batch, ...), and W_l its weight, per layer:
    `activation_gradient` = ||dL/da_l||, `weight_gradient` = ||dL/dW_l||, `activation_rms` = sqrt(mean a_l^2).
    Weight gradients alone mislead: they also hold the size of the layer's input (Glorot and Bengio, 2010).
    `weight` is the weight's name. Networks that are trained against each other are a `part` each, with its own loss.

    Running statistics, gradients and random numbers of the training stay as they are.
    """
    net = task.net
    x, y = (part.to(task.device) for part in batch)
    names: dict[Tensor, str] = {weight: name for name, weight in net.named_parameters()}
    rows: list[Row] = []
    with _left_as_it_was(net, task.device), _activations(net) as activations, torch.enable_grad():
        for part, (layers, loss) in task.gradient_losses(net, x, y).items():
            weights = [weight_of(layer) for layer in layers]
            flow = _flow([activations[layer] for layer in layers], weights, loss)
            named = {"part": part} if part else {}
            rows += [{**named, **row, "weight": names[w]} for row, w in zip(flow, weights, strict=True)]
    return rows


@contextmanager
def _left_as_it_was(net: nn.Module, device: torch.device) -> Iterator[None]:
    """In training mode for a while; then mode, buffers (running statistics) and random numbers as before."""
    was_training, buffers = net.training, [(buffer, buffer.clone()) for buffer in net.buffers()]
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        try:
            net.train()
            yield
        finally:
            net.train(was_training)
            for buffer, before in buffers:
                buffer.copy_(before)


@contextmanager
def _activations(net: nn.Module) -> Iterator[dict[nn.Module, Tensor]]:
    """The latest output of each layer of a list of layers, by layer."""
    found: dict[nn.Module, Tensor] = {}

    def keep(module: nn.Module, _inputs: object, output: Tensor) -> None:
        found[module] = output

    lists = [module for module in net.modules() if isinstance(module, nn.ModuleList)]
    handles = [layer.register_forward_hook(keep) for layers in lists for layer in layers]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def _flow(activations: list[Tensor], weights: list[Tensor], loss: Tensor) -> list[Row]:
    gradients = torch.autograd.grad(loss, [*activations, *weights], retain_graph=True)
    by_activation, by_weight = gradients[: len(activations)], gradients[len(activations) :]
    return [
        {
            "layer": index + 1,
            "activation_gradient": float(by_activation[index].norm()),
            "weight_gradient": float(by_weight[index].norm()),
            "activation_rms": float(activations[index].detach().square().mean().sqrt()),
        }
        for index in range(len(activations))
    ]


class UpdateRatio:
    """||W_after - W_before|| / ||W_before|| of each layer's weight in the latest step of its optimizer.

    Hooked to the optimizers rather than to Lightning's batches, and only for the epochs that are looked at.

    Args:
        wanted: whether the step that comes is to be watched; a copy of all weights costs more than some steps.
    """

    def __init__(self, optimizers: Iterable[Optimizer], wanted: Callable[[], bool] = lambda: True) -> None:
        self._wanted = wanted
        self._before: dict[Tensor, Tensor] = {}
        self._handles = [optimizer.register_step_pre_hook(self._remember) for optimizer in optimizers]

    def _remember(self, optimizer: Optimizer, *_: object) -> None:
        if self._wanted():
            for group in optimizer.param_groups:
                self._before |= {w: w.detach().clone() for w in group["params"] if w.ndim >= 2}

    def close(self) -> dict[Tensor, float]:
        """The ratio of each weight; removes the hooks."""
        for handle in self._handles:
            handle.remove()
        return {w: float((w.detach() - before).norm() / before.norm()) for w, before in self._before.items()}


class GradientFlow(Callback):
    """Adds the table of `gradient_flow` and the update ratios to the history every `every` epochs and in the last.

    The rows of the epoch hold a summary: `gradient/ratio`, the first layer's activation gradient over the
    last layer's. Well below 1 it vanishes on its way to the first layer, well above 1 it explodes.
    """

    def __init__(self, history: History, *, batch: Examples, every: int) -> None:
        self.history, self.batch, self.every = history, batch, every
        self._updates: UpdateRatio | None = None

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if due(trainer, self.every):
            self._updates = UpdateRatio(trainer.optimizers, lambda: trainer.is_last_batch)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._updates is not None:
            ratios, self._updates = self._updates.close(), None
            self._look(trainer.current_epoch, pl_module, ratios)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        epoch = int(self.history.epochs[-1]["epoch"])
        if self.history.gradient_flow[-1]["epoch"] != epoch:  # stopped early: no step was watched
            self._look(epoch, pl_module, {})

    def _look(self, epoch: int, task: LightningModule, ratios: dict[Tensor, float]) -> None:
        assert isinstance(task, Task)
        flow = gradient_flow(task, self.batch)
        weights = dict(task.net.named_parameters())
        for row in flow:
            ratio = ratios.get(weights[str(row.pop("weight"))], float("nan"))
            self.history.gradient_flow.append({"epoch": epoch, **row, "update_ratio": ratio})
        for part in dict.fromkeys(row.get("part") for row in flow):
            norms = [float(row["activation_gradient"]) for row in flow if row.get("part") == part]
            prefix = f"gradient/{part}_" if part else "gradient/"
            ratio = norms[0] / norms[-1] if norms[-1] else float("nan")
            self.history.add(epoch, {f"{prefix}ratio": ratio, f"{prefix}first": norms[0]})
