"""Generation: can new examples be made that look like the real ones?"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count, islice
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer
from torchmetrics.image.kid import poly_mmd

from howdeep.data.batches import Batches
from howdeep.data.examples import Examples, Split
from howdeep.errors import UserError
from howdeep.nets import checks
from howdeep.tasks.task import Scores, Task

SAMPLES = 16  # among the artifacts
MOST_COMPARED = 2048  # real examples, with as many generated ones; the cost grows with the square
NEIGHBOURS = 3  # of precision and recall; what their authors recommend
HIGH_QUALITY = 3  # standard deviations: how near to a mode
JUDGE_WIDTHS = (128, 64)  # the last one is the number of features
JUDGE_STEPS = 1000


class Losses(NamedTuple):
    """What each net lowers: the discriminator, given logits of real and of generated examples, and the generator."""

    discriminator: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor], Tensor]


LOSSES = {
    # With p = sigmoid(D), the probability of being real: -log p(x) - log(1 - p(G(z))), and -log p(G(z)).
    "non-saturating": Losses(
        lambda real, fake: functional.softplus(-real).mean() + functional.softplus(fake).mean(),
        lambda fake: functional.softplus(-fake).mean(),
    ),
    # max(0, 1 - D(x)) + max(0, 1 + D(G(z))), and -D(G(z)).
    "hinge": Losses(
        lambda real, fake: functional.relu(1 - real).mean() + functional.relu(1 + fake).mean(),
        lambda fake: -fake.mean(),
    ),
}


class Generation(Task):
    """A game of two nets; what one of them makes is scored by its kernel distance to real examples.

    In each step the discriminator learns to tell a batch of real examples from generated ones, then the
    generator to have its own taken for real (Goodfellow et al., 2014). `train/loss` is the sum of both losses,
    and no measure of quality. Validation loss and score are one number, the kernel inception distance
    (Binkowski et al., 2018) on the features f of a small classifier, see `Judge`: the unbiased squared maximum
    mean discrepancy of real examples x and as many generated ones g, these always from the same noise,

        kid = mean k(f(x), f(x')) + mean k(f(g), f(g')) - 2 mean k(f(x), f(g)),  k(a, b) = (a.b / features + 1)^3.

    0 is perfect, and what has no bias may fall a little below. The overfitting gap is the distance to
    validation less that to training examples. Of points of a plane, whose classes are the modes that they come from, it
    is also told how many modes are found, see `Modes`. Baselines: uniform noise over the range of the training values,
    and the training examples themselves.

    Args:
        net: a `generator` of noise (batch, `latent`), a `discriminator` and `fixed_noise`, as `GAN` has them.
        optimizer, schedule: as in `Task`; each net has its own.
        loss: "non-saturating" or "hinge" (Lim and Ye, 2017; Miyato et al., 2018).
        gradient_clip_val: largest norm of the gradient of either net; None for any.

    Raises:
        UserError: another net, no such loss, or a norm that is no number above 0.
    """

    score_name = "kid"
    more_score_names = ("coverage", "precision", "recall", "modes", "high_quality")
    higher_is_better = False
    expects = "latent"

    def __init__(
        self,
        *,
        net: nn.Module,
        optimizer: Callable[[Iterable[nn.Parameter]], Optimizer],
        schedule: Callable[[float], float] | None,
        loss: str,
        gradient_clip_val: float | None,
    ) -> None:
        if not (hasattr(net, "generator") and hasattr(net, "discriminator")):
            raise UserError(
                f"generation expects a net with a generator and a discriminator, got {type(net).__name__}: "
                "choose model=gan, or another task"
            )
        checks.choice(LOSSES, loss=loss)
        if gradient_clip_val is not None:
            checks.number(gradient_clip_val=gradient_clip_val)
            if gradient_clip_val <= 0:
                raise UserError(f"gradient_clip_val must be above 0, or null, got {gradient_clip_val!r}")
        super().__init__(net=net, optimizer=optimizer, schedule=schedule)
        self.automatic_optimization = False
        self._losses, self._clip = LOSSES[loss], gradient_clip_val

    def prepare(self, split: Split) -> None:
        """Trains the judge, once a process.

        Raises:
            UserError: examples without classes.
        """
        self._judge, self._modes = judge_of(split.train), modes_of(split.train)

    def check_trainer(self, trainer: Mapping[str, Any]) -> None:
        """Refuses what Lightning does to the one loss that it lowers by itself: here are two."""
        if trainer["precision"] == "16-mixed":
            raise UserError(
                "trainer.precision=16-mixed scales one loss, but generation lowers two: use 32-true or bf16-mixed"
            )
        if trainer["gradient_clip_val"]:
            raise UserError(
                f"trainer.gradient_clip_val must be null for generation, got {trainer['gradient_clip_val']}: "
                "set task.gradient_clip_val, which clips each of both nets by itself"
            )

    def configure_optimizers(self) -> Any:
        net: Any = self.net
        optimizers = [self._optimizer(part.parameters()) for part in (net.generator, net.discriminator)]
        return optimizers, self.schedulers(*optimizers)

    def training_step(self, batch: Examples, batch_idx: int) -> Tensor:
        (x, _), net = batch, self.net
        # Torch's own: Lightning's wrappers take a small net as long as its step. Our loop counts the steps.
        by_generator, by_discriminator = self.trainer.optimizers
        generated = net.generator(torch.randn(len(x), net.latent, device=x.device))  # type: ignore[operator]
        discriminator_loss = self._discriminator_loss(net, x, generated)
        self._lower(discriminator_loss, by_discriminator)
        generator_loss = self._generator_loss(net, generated)
        self._lower(generator_loss, by_generator)
        for config in self.trainer.lr_scheduler_configs:
            config.scheduler.step()  # type: ignore[call-arg]
        loss = (discriminator_loss + generator_loss).detach()
        self.running_loss.add(loss, len(x))
        return loss

    def _lower(self, loss: Tensor, optimizer: Optimizer) -> None:
        """A step of one net; the gradient of the other is not even computed."""
        own = [p for group in optimizer.param_groups for p in group["params"]]
        optimizer.zero_grad()
        loss.backward(inputs=own)
        if self._clip is not None:
            clip_grad_norm_(own, self._clip)
        optimizer.step()

    def _discriminator_loss(self, net: Any, x: Tensor, generated: Tensor) -> Tensor:
        """Both halves in one go: no example tells on another, since there is no normalisation over a batch."""
        logits = net.discriminator(torch.cat([x, generated.detach()]))  # (2 * batch,)
        return self._losses.discriminator(*logits.split(len(x)))

    def _generator_loss(self, net: Any, generated: Tensor) -> Tensor:
        return self._losses.generator(net.discriminator(generated))

    def gradient_losses(
        self, net: nn.Module, x: Tensor, y: Tensor
    ) -> dict[str, tuple[list[nn.Module], Tensor]]:
        """The parts "generator" and "discriminator", each with the loss that it lowers."""
        of: Any = net
        generated = of.generator(of.fixed_noise(len(x)))
        losses = {"generator": self._generator_loss(net, generated)}
        # Last, since activations are those of a layer's latest call, and the first one was for the generator.
        losses["discriminator"] = self._discriminator_loss(net, x, generated)
        return {part: (list(getattr(net, part).layers), loss) for part, loss in losses.items()}

    def validate(self, batches: Iterable[Examples]) -> dict[str, float]:
        """How far as many generated examples are from the given ones, of which at most 2048 are compared.

        Returns:
            `loss` and `kid`, which are the same.
        """
        (x, _), generated = self._compared(batches)
        return self._judge.score(x, generated)

    def more_scores(self, batches: Iterable[Examples]) -> dict[str, float]:
        """`coverage`, `precision`, `recall` of the same examples (`Judge.shares`); of a plane also `Modes.shares`."""
        real, generated = self._compared(batches)
        return self._judge.shares(real, generated) | (self._modes.shares(generated) if self._modes else {})

    def _compared(self, batches: Iterable[Examples]) -> tuple[Examples, Tensor]:
        """The first real examples of all batches, and as many generated ones, on the processor."""
        xs, ys = zip(*batches, strict=True)
        x, y = torch.cat(xs)[:MOST_COMPARED].cpu(), torch.cat(ys)[:MOST_COMPARED].cpu()
        return (x, y), self._generated(len(x))

    @torch.no_grad()
    def _generated(self, n: int) -> Tensor:
        """n examples, (n, *in_shape), from the same noise each time, in evaluation mode."""
        was_training, net = self.training, self.net
        self.eval()
        generated = net.generator(net.fixed_noise(n)).cpu()  # type: ignore[operator]
        self.train(was_training)
        return generated

    @classmethod
    def baselines(cls, train: Examples, held_out: Examples, model: Mapping[str, Any]) -> Scores:
        judge, modes = judge_of(train), modes_of(train)
        n = min(len(train[0]), len(held_out[0]), MOST_COMPARED)
        real, known = (held_out[0][:n], held_out[1][:n]), train[0][:n]
        low, high = train[0].min(), train[0].max()
        noise = low + (high - low) * torch.rand(known.shape, generator=torch.Generator().manual_seed(0))
        return {
            name: judge.score(real[0], made)
            | judge.shares(real, made)
            | (modes.shares(made) if modes else {})
            for name, made in (("uniform noise", noise), ("training examples", known))
        }

    def artifacts(self, split: Split) -> dict[str, Tensor | str]:
        """A few generated images, `samples` (n, channels, height, width); nothing of what is no image."""
        return {"samples": self._generated(SAMPLES)} if split.train[0].ndim == 4 else {}


class Judge(NamedTuple):
    """A classifier of real examples, and how it sees them: the units of its last hidden layer.

    It stands in for the Inception network of the kernel inception distance, which knows photographs.

    Args:
        features: (batch, *in_shape) -> (batch, features), their mean square 1 over the training examples.
        logits: (batch, features) -> (batch, classes).
    """

    features: nn.Module
    logits: nn.Module

    @torch.no_grad()
    def distance(self, x: Tensor, generated: Tensor) -> float:
        """The kernel inception distance of as many generated examples as real ones, see `Generation`.

        Raises:
            UserError: fewer than 2 of each.
        """
        if len(x) < 2:
            raise UserError(
                f"generation is scored on at least 2 examples, got {len(x)}: choose more examples "
                "(train_examples, diagnostics.gap_examples, data.validation_fraction)"
            )
        return float(poly_mmd(self.features(x).double(), self.features(generated).double()))

    def score(self, x: Tensor, generated: Tensor) -> dict[str, float]:
        """The distance, as `loss` and as `kid`."""
        kid = self.distance(x, generated)
        return {"loss": kid, "kid": kid}

    @torch.no_grad()
    def shares(self, real: Examples, generated: Tensor) -> dict[str, float]:
        """What generated examples have in common with as many real ones, x and their classes.

        Returns:
            `coverage`: what the frequencies of the classes have in common, sum_c min(p(c), q(c)); 1 if every
            class is generated as often as it is real, 1 / classes if only one of equally frequent ones is.
            `precision` and `recall`: the share of generated examples among the real ones, and of real among
            generated; among are those within the distance of some member's third neighbour (Kynkaanniemi et
            al., 2019).
        """
        x, y = real
        seen, made = self.features(x), self.features(generated)  # (n, features)
        between = _distances(made, seen)
        return {
            "coverage": overlap(y, self.logits(made).argmax(1)),
            "precision": _share(between, _radius(seen)),
            "recall": _share(between.T, _radius(made)),
        }


class Modes(NamedTuple):
    """Where the points of a plane gather: the means of their classes, and one standard deviation of each coordinate."""

    centres: Tensor  # (modes, 2)
    deviation: float

    def shares(self, generated: Tensor) -> dict[str, float]:
        """What is found of the modes by points (n, 2), as Srivastava et al. (2017) count.

        Returns:
            `high_quality`: the share of points within 3 standard deviations of a mode; of the modes' own Gaussians
            1 - exp(-9 / 2) are. `modes`: how many have such a point.
        """
        near = torch.cdist(generated.double(), self.centres) <= HIGH_QUALITY * self.deviation  # (n, modes)
        return {"modes": float(near.any(0).sum()), "high_quality": float(near.any(1).double().mean())}


def modes_of(train: Examples) -> Modes | None:
    """The modes of points of a plane x (n, 2) with their classes y (n,); None of other examples."""
    x, y = train
    if x.shape[1:] != (2,):
        return None
    parts = [x[y == label].cpu().double() for label in y.unique().tolist()]
    centres = torch.stack([part.mean(0) for part in parts])
    spread = torch.cat([part - centre for part, centre in zip(parts, centres, strict=True)])
    return Modes(centres, float(spread.square().mean().sqrt()))


def overlap(labels: Tensor, others: Tensor) -> float:
    """sum_c min(p(c), q(c)) of the frequencies of classes in either, (n,) and (m,)."""
    classes = int(max(labels.max(), others.max())) + 1
    p, q = (torch.bincount(of, minlength=classes).double() / len(of) for of in (labels, others))
    return float(torch.minimum(p, q).sum())


def share_among(points: Tensor, members: Tensor) -> float:
    """The share of points (n, features) as near to some member (m, features) as its third neighbour or nearer."""
    return _share(_distances(points, members), _radius(members))


def _share(between: Tensor, radius: Tensor) -> float:
    """The share of points within the radius (m,) of some member, given the distances (n, m) between them."""
    return float((between <= radius).any(1).double().mean())


def _radius(members: Tensor) -> Tensor:
    """How far each member's third neighbour is, (m,); the nearest of all is the member itself."""
    neighbour = min(NEIGHBOURS, len(members) - 1)
    return _distances(members, members).topk(neighbour + 1, dim=1, largest=False).values[:, -1]


def _distances(points: Tensor, members: Tensor) -> Tensor:
    """(n, m), by products of matrices: in single precision a point would not even be near itself."""
    return torch.cdist(points.double(), members.double(), compute_mode="use_mm_for_euclid_dist")


_judges: dict[str, Judge] = {}


def judge_of(train: Examples) -> Judge:
    """The judge of these training examples: always the same one, whatever the seed of a run; trained once a process.

    Raises:
        UserError: x holds no numbers, or y no classes.
    """
    x, y = train
    if not (x.is_floating_point() and y.ndim == 1 and y.dtype == torch.int64):
        raise UserError(
            "generation expects examples of numbers with a class each, which tell how to judge what is made, "
            f"got x of {_told(x)} and y of {_told(y)}: choose data=digits or data=mnist"
        )
    digest = hashlib.sha256()
    for part in (x, y):
        digest.update(part.cpu().contiguous().numpy().tobytes())
    key = f"{tuple(x.shape)} {digest.hexdigest()}"
    if key not in _judges:
        with _reproducibly():
            _judges[key] = _trained_judge(x.cpu(), y.cpu())
    return _judges[key]


def _told(part: Tensor) -> str:
    return f"{str(part.dtype).removeprefix('torch.')} {list(part.shape)}"


@contextmanager
def _reproducibly() -> Iterator[None]:
    """Fixed random numbers and one thread, on whose number rounding depends; then both as they were."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            torch.default_generator.manual_seed(0)
            yield
    finally:
        torch.set_num_threads(threads)


def _trained_judge(x: Tensor, y: Tensor) -> Judge:
    """A classifier with two hidden layers, trained for `JUDGE_STEPS` steps."""
    wide, n_features = JUDGE_WIDTHS
    last, logits = nn.Linear(wide, n_features), nn.Linear(n_features, int(y.max()) + 1)
    features = nn.Sequential(nn.Flatten(), nn.Linear(x[0].numel(), wide), nn.ReLU(), last, nn.ReLU())
    optimizer = torch.optim.Adam([*features.parameters(), *logits.parameters()], fused=True)
    for batch, classes in islice(_endlessly((x, y)), JUDGE_STEPS):
        optimizer.zero_grad()
        functional.cross_entropy(logits(features(batch)), classes).backward()
        optimizer.step()
    with torch.no_grad():
        scale = features(x).square().mean().sqrt()
        for parameter in last.parameters():
            parameter.div_(scale)
        logits.weight.mul_(scale)
    return Judge(features.requires_grad_(False), logits.requires_grad_(False))


def _endlessly(examples: Examples) -> Iterator[Examples]:
    batches = Batches(examples, batch_size=64, seed=0)
    for epoch in count():
        batches.set_epoch(epoch)
        yield from batches
