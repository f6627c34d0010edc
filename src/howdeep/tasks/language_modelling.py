"""Language modelling: given the characters so far, which comes next?"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from howdeep.data.examples import Examples, Split, decode
from howdeep.errors import UserError
from howdeep.tasks.task import SINGLE, Scores, Task

SAMPLED = 240  # characters: a few lines
SEED = 0  # of the sampled text


class LanguageModelling(Task):
    """Cross-entropy of the next character in nats, scored in bits a character: -log2 p(next | so far).

    x holds indices of characters, (batch, time); the net gives logits of the next one at every step, (batch,
    time, vocabulary); y holds the next ones, (batch, time). 2^bits is the perplexity: among how many equally
    likely characters the net is left to guess. Baselines: the unigram and the bigram model (Shannon, 1951),
    with one count added to each character so that none is impossible (Laplace), and a 5-gram model that falls back on
    shorter contexts (Witten and Bell, 1991).
    """

    score_name = "bits"
    higher_is_better = False
    in_time = True

    def prepare(self, split: Split) -> None:
        """Raises `UserError` unless the net has an output for each character of the alphabet."""
        output = self.first_output(split)
        if output.ndim == 3 and output.shape[2] != (characters := len(split.alphabet)):
            raise UserError(
                f"language modelling expects an output for each of the {characters} characters, "
                f"got {output.shape[2]}: set data.out_features={characters}"
            )

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        _check(output, target)
        return functional.cross_entropy(output.flatten(0, 1), target.flatten())

    def score(self, output: Tensor, target: Tensor) -> Tensor:
        return self.loss(output, target) / math.log(2)

    def single_scores(self, output: Tensor, target: Tensor) -> Tensor:
        _check(output, target)
        return functional.cross_entropy(output.mT, target, reduction="none").mean(1) / math.log(2)

    @classmethod
    def baselines(cls, train: Examples, held_out: Examples, model: Mapping[str, Any]) -> Scores:
        for known, of in (train, held_out):
            if known.ndim != 2 or known.shape != of.shape:
                raise UserError(
                    f"language modelling expects characters (batch, time) and as many next ones, got "
                    f"{tuple(known.shape)} and {tuple(of.shape)}: choose data=torch_docs, or another task"
                )
        characters = int(model["vocabulary"])
        x, y = (part.flatten() for part in train)
        counts = torch.ones(characters, characters, dtype=torch.float64)  # of y (columns) after x (rows)
        counts.index_put_((x, y), torch.ones((), dtype=torch.float64), accumulate=True)
        alone = torch.bincount(y, minlength=characters).double() + 1
        x, y = (part.flatten() for part in held_out)
        windows = held_out[1].shape
        logits = {"unigram": alone.log().expand(len(y), -1), "bigram": counts.log()[x]}
        nats = {name: functional.cross_entropy(of, y, reduction="none") for name, of in logits.items()}
        nats["5-gram"] = -torch.from_numpy(
            np.log(witten_bell(train, held_out, order=5, characters=characters))
        )
        return {
            name: {
                "loss": float(of.mean()),
                "bits": float(of.mean()) / math.log(2),
                SINGLE: of.view(windows).mean(1) / math.log(2),
            }
            for name, of in nats.items()
        }

    def artifacts(self, split: Split) -> dict[str, Tensor | str]:
        """The first validation window as `prompt`, and as `sample` what the net writes after it."""
        prompt = split.validation[0][0]  # (time,)
        written = write(self.net, prompt, SAMPLED, seed=SEED)
        return {"prompt": decode(prompt, split.alphabet), "sample": decode(written, split.alphabet)}


@torch.no_grad()
def write(net: nn.Module, prompt: Tensor, n: int, *, seed: int, temperature: float = 1.0) -> Tensor:
    """Draws n characters (n,), each from the net's distribution after those before it.

    The net sees as many characters as the prompt (time,) has: windows of the length that it was trained on.

    Args:
        net: (1, time) -> (1, time, vocabulary), of logits.
        temperature: by which logits are divided: below 1 likely characters become likelier (Ackley et al., 1985).
    """
    was_training = net.training
    net.eval()
    generator = torch.Generator().manual_seed(seed)
    device = next((of.device for of in net.parameters()), torch.device("cpu"))
    text = prompt.cpu()
    for _ in range(n):
        window = text[-len(prompt) :].to(device)
        logits = net(window[None])[0, -1]  # (vocabulary,)
        likely = (logits.double() / temperature).softmax(dim=0).cpu()
        text = torch.cat([text, likely.multinomial(1, generator=generator)])
    net.train(was_training)
    return text[len(prompt) :]


def _check(output: Tensor, target: Tensor) -> None:
    """Raises `UserError` unless there are logits for each character to come."""
    if output.ndim != 3 or output.shape[:2] != target.shape:
        raise UserError(
            f"language modelling expects outputs (batch, time, vocabulary) and targets (batch, time), got "
            f"{tuple(output.shape)} and {tuple(target.shape)}: choose data=torch_docs, or another task"
        )


def witten_bell(train: Examples, held_out: Examples, *, order: int, characters: int) -> np.ndarray:
    """The probability of each next character of `held_out`, (windows * time,), by an interpolated n-gram model.

    p(c | h) = (n(h c) + T(h) p(c | h')) / (n(h) + T(h)): n counts in the training text, T(h) is how many different
    characters followed h there, and h' is h without its first character; the shortest context is none, and below it all
    characters are alike. Contexts end where their window begins.

    Args:
        order: n; a context has at most n - 1 characters.
        characters: the size of the alphabet.

    Source: Witten and Bell, "The zero-frequency problem" (1991); Chen and Goodman (1999).
    """
    (x, y), (x_held, y_held) = ([part.numpy().astype(np.int64) for part in of] for of in (train, held_out))
    p = np.full(y_held.shape, 1 / characters)
    context, context_held = np.zeros_like(y), np.zeros_like(y_held)
    for length in range(order):
        if length:  # one more character before those so far: that of `length` steps ago
            step = characters ** (length - 1)
            context = context + step * _ago(x, length - 1)
            context_held = context_held + step * _ago(x_held, length - 1)
        known = slice(
            max(length - 1, 0), None
        )  # steps that have so many characters before them in their window
        contexts, followed = np.unique(context[:, known].ravel(), return_counts=True)
        pairs, counted = np.unique((context * characters + y)[:, known].ravel(), return_counts=True)
        kinds = np.bincount(np.searchsorted(contexts, pairs // characters), minlength=len(contexts))
        asked = context_held[:, known]
        n, different = _looked_up(contexts, followed, asked), _looked_up(contexts, kinds, asked)
        n_pair = _looked_up(pairs, counted, asked * characters + y_held[:, known])
        seen = n > 0
        p[:, known] = np.where(
            seen, (n_pair + different * p[:, known]) / np.maximum(n + different, 1), p[:, known]
        )
    return p.ravel()


def _ago(x: np.ndarray, steps: int) -> np.ndarray:
    """(windows, time): at each step the character of so many steps ago, 0 before the first."""
    return x if not steps else np.pad(x[:, :-steps], ((0, 0), (steps, 0)))


def _looked_up(keys: np.ndarray, values: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """The value of each key that is asked for, 0 of one that is not there; keys are sorted."""
    places = np.searchsorted(keys, asked).clip(max=len(keys) - 1)
    return np.where(keys[places] == asked, values[places], 0)
