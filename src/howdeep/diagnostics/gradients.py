"""Gradient flow: how much of the loss gradient reaches each hidden layer."""

import copy

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.optim import Optimizer

from howdeep.diagnostics.due import due
from howdeep.tasks.task import Examples, Task
from howdeep.training.history import History


def hidden_layers(net: nn.Module) -> list[nn.Module]:
    """The hidden layers that every architecture keeps in `layers`, in order."""
    return list(net.get_submodule("layers").children())


def weight_of(layer: nn.Module) -> Tensor:
    """The weight that stands for a layer: its first parameter that is a matrix or more."""
    return next(p for p in layer.parameters() if p.ndim >= 2)


def gradient_flow(task: Task, batch: Examples) -> list[dict[str, float]]:
    """Follows the loss gradient of one batch back through the hidden layers, in training mode.

    With a_l the activation of hidden layer l, (batch, ...), and W_l its weight, per layer:
    `activation_gradient` = ||dL/da_l||, `weight_gradient` = ||dL/dW_l||, `activation_rms` = sqrt(mean a_l^2).
    Weight gradients alone mislead: they also hold the size of the layer's input (Glorot and Bengio, 2010).

    Works on a copy, so that running statistics, gradients and random numbers of the training stay as they are.
    """
    net = copy.deepcopy(task.net).train()
    activations: list[Tensor] = []

    def keep(_module: nn.Module, _inputs: object, output: Tensor) -> None:
        activations.append(output)

    hidden = hidden_layers(net)
    for layer in hidden:
        layer.register_forward_hook(keep)
    x, y = batch
    gpus = [task.device] if task.device.type == "cuda" else []
    with torch.random.fork_rng(devices=gpus), torch.enable_grad():
        loss = task.loss(net(x.to(task.device)), y.to(task.device))
    weights = [weight_of(layer) for layer in hidden]
    gradients = torch.autograd.grad(loss, [*activations, *weights])
    depth = len(activations)
    return [
        {
            "layer": index + 1,
            "activation_gradient": float(gradients[index].norm()),
            "weight_gradient": float(gradients[depth + index].norm()),
            "activation_rms": float(activations[index].detach().square().mean().sqrt()),
        }
        for index in range(depth)
    ]


class UpdateRatio:
    """||W_after - W_before|| / ||W_before|| of each layer in the latest step of an optimizer.

    Hooked to the optimizer rather than to Lightning's batches, and only for the epochs that are looked at.
    """

    def __init__(self, net: nn.Module, optimizer: Optimizer) -> None:
        self.weights = [weight_of(layer) for layer in hidden_layers(net)]
        self.before: list[Tensor] = []
        self._handle = optimizer.register_step_pre_hook(self._remember)

    def _remember(self, *_: object) -> None:
        self.before = [w.detach().clone() for w in self.weights]

    def close(self) -> list[float]:
        """The ratio of each layer; removes the hook."""
        self._handle.remove()
        pairs = zip(self.before, self.weights, strict=True)
        return [float((after.detach() - before).norm() / before.norm()) for before, after in pairs]


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
            self._updates = UpdateRatio(pl_module.net, trainer.optimizers[0])  # type: ignore[arg-type]

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._updates is not None:
            ratios, self._updates = self._updates.close(), None
            self._look(trainer.current_epoch, pl_module, ratios)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        epoch = self.history.epochs[-1]["epoch"]
        if self.history.gradient_flow[-1]["epoch"] != epoch:  # stopped early: no step was watched
            layers = hidden_layers(pl_module.get_submodule("net"))
            self._look(int(epoch), pl_module, [float("nan")] * len(layers))

    def _look(self, epoch: int, pl_module: LightningModule, ratios: list[float]) -> None:
        flow = gradient_flow(pl_module, self.batch)  # type: ignore[arg-type]
        for row, ratio in zip(flow, ratios, strict=True):
            self.history.gradient_flow.append({"epoch": epoch, **row, "update_ratio": ratio})
        first, last = flow[0]["activation_gradient"], flow[-1]["activation_gradient"]
        self.history.add(
            epoch, {"gradient/ratio": first / last if last else float("nan"), "gradient/first": first}
        )
