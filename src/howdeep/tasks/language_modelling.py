"""Language modelling: given the characters so far, which comes next?"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from howdeep.data.examples import ALPHABET, Examples, Split, decode
from howdeep.errors import UserError
from howdeep.tasks.task import Scores, Task

SAMPLED = 240  # characters: a few lines
SEED = 0  # of the sampled text


class LanguageModelling(Task):
    """Cross-entropy of the next character in nats, scored in bits a character: -log2 p(next | so far).

    x holds indices of characters, (batch, time); the net gives logits of the next one at every step, (batch,
    time, vocabulary); y holds the next ones, (batch, time). 2^bits is the perplexity: among how many equally
    likely characters the net is left to guess. Baselines: the unigram and the bigram model (Shannon, 1951),
    with one count added to each character so that none is impossible (Laplace).
    """

    score_name = "bits"
    higher_is_better = False

    def prepare(self, split: Split) -> None:
        """Raises `UserError` unless the net has an output for each character of the alphabet."""
        output = self.first_output(split)
        if output.ndim == 3 and output.shape[2] != len(ALPHABET):
            raise UserError(
                f"language modelling expects an output for each of the {len(ALPHABET)} characters, "
                f"got {output.shape[2]}: set data.out_features={len(ALPHABET)}"
            )

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        if output.ndim != 3 or output.shape[:2] != target.shape:
            raise UserError(
                f"language modelling expects outputs (batch, time, vocabulary) and targets (batch, time), got "
                f"{tuple(output.shape)} and {tuple(target.shape)}: choose data=torch_docs, or another task"
            )
        return functional.cross_entropy(output.flatten(0, 1), target.flatten())

    def score(self, output: Tensor, target: Tensor) -> Tensor:
        return self.loss(output, target) / math.log(2)

    @classmethod
    def baselines(cls, train: Examples, held_out: Examples, model: Mapping[str, Any]) -> Scores:
        characters = int(model["vocabulary"])
        x, y = (part.flatten() for part in train)
        counts = torch.ones(characters, characters, dtype=torch.float64)  # of y (columns) after x (rows)
        counts.index_put_((x, y), torch.ones((), dtype=torch.float64), accumulate=True)
        alone = torch.bincount(y, minlength=characters).double() + 1
        x, y = (part.flatten() for part in held_out)
        logits = {"unigram": alone.log().expand(len(y), -1), "bigram": counts.log()[x]}
        losses = {name: float(functional.cross_entropy(of, y)) for name, of in logits.items()}
        return {name: {"loss": nats, "bits": nats / math.log(2)} for name, nats in losses.items()}

    def artifacts(self, split: Split) -> dict[str, Tensor | str]:
        """The first validation window as `prompt`, and as `sample` what the net writes after it."""
        prompt = split.validation[0][0]  # (time,)
        return {"prompt": decode(prompt), "sample": decode(self.write(prompt, SAMPLED, seed=SEED))}

    @torch.no_grad()
    def write(self, prompt: Tensor, n: int, *, seed: int) -> Tensor:
        """Draws n characters (n,), each from the net's distribution after those before it.

        The net sees as many characters as the prompt (time,) has: windows of the length that it was trained on.
        """
        was_training = self.training
        self.eval()
        generator = torch.Generator().manual_seed(seed)
        text = prompt.cpu()
        for _ in range(n):
            window = text[-len(prompt) :].to(self.device)
            logits = self.net(window[None])[0, -1]  # (vocabulary,)
            following = logits.double().softmax(dim=0).cpu().multinomial(1, generator=generator)
            text = torch.cat([text, following])
        self.train(was_training)
        return text[len(prompt) :]
