"""Sequence labelling: an accuracy that blanks do not count in, and the chance levels of copying memory."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, log_loss
from torch import nn

from howdeep.data import copying_memory
from howdeep.data.batches import Batches
from howdeep.data.examples import Split
from howdeep.errors import UserError
from howdeep.tasks.sequence_labelling import NEVER, SequenceLabelling
from howdeep.tasks.task import SINGLE

Y = torch.tensor([[0, 2, 1, 0], [0, 0, 0, 3], [1, 1, 1, 2]])


def of(net: nn.Module | None = None) -> SequenceLabelling:
    return SequenceLabelling(net=net or nn.Identity(), optimizer=torch.optim.SGD, schedule=None)


def logits(*sizes: int) -> torch.Tensor:
    return torch.randn(*sizes, generator=torch.Generator().manual_seed(0))


def copying(n: int, steps: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    symbols = copying_memory.symbols_of(np.random.RandomState(seed))(n)
    x, y = copying_memory.sequences(symbols, steps)
    return torch.from_numpy(x).long(), torch.from_numpy(y).long()


def test_single_scores_are_the_shares_of_right_symbols_at_steps_that_are_not_blank():
    answers = torch.tensor([[3, 2, 2, 3], [3, 3, 3, 3], [1, 1, 0, 0]])
    single = of().single_scores(nn.functional.one_hot(answers, 4).float(), Y)
    assert single.tolist() == [1 / 2, 1.0, 2 / 4]
    assert float(of().score(nn.functional.one_hot(answers, 4).float(), Y)) == pytest.approx(2 / 3)


@pytest.mark.parametrize("batch_size", [1, 4, 64])
def test_measures_are_those_of_scikit_learn_however_the_examples_are_batched(batch_size):
    y = torch.randint(4, (11, 5), generator=torch.Generator().manual_seed(1))
    y[:, 2] = 3  # something to be said in each
    output = logits(11, 5, 4)
    measured = of().measure(Batches((output, y), batch_size=batch_size))
    shares = [
        accuracy_score(row[row != 0], of_row[row != 0])
        for row, of_row in zip(y, output.argmax(2), strict=True)
    ]
    assert measured["step_accuracy"] == pytest.approx(np.mean(shares), abs=1e-12)
    assert measured["loss"] == pytest.approx(
        log_loss(y.flatten(), output.flatten(0, 1).double().softmax(1), labels=range(4)), rel=1e-5
    )


def test_always_saying_blank_is_right_nowhere():
    blank = torch.zeros(3, 4, 5)
    blank[:, :, 0] = 9
    assert of().measure(Batches((blank, Y), batch_size=2))["step_accuracy"] == 0


@pytest.mark.parametrize("steps", [21, 30, 120])
def test_whoever_remembers_nothing_of_copying_memory_loses_10_ln_8_and_is_right_once_in_eight(steps):
    found = SequenceLabelling.baselines(copying(500, steps), copying(100, steps, seed=1), {})
    expected = {"loss": 10 * math.log(8) / steps, "step_accuracy": 1 / 8}
    guess = found["memoryless"]
    assert {name: guess[name] for name in expected} == pytest.approx(expected)
    assert guess[SINGLE].tolist() == pytest.approx([1 / 8] * 100)
    # frequencies of 500 examples are next to those of their source
    assert found["majority"]["loss"] == pytest.approx(expected["loss"], rel=0.02)
    assert found["majority"]["step_accuracy"] == pytest.approx(1 / 8, abs=0.05)


def test_baselines_are_counted_by_hand():
    # step 0 is always 1; step 1 has 2, 2, 3; at a varying step the symbols 2 and 3 are likely
    train = torch.zeros(3, 2).long(), torch.tensor([[1, 2], [1, 2], [1, 3]])
    held = torch.zeros(2, 2).long(), torch.tensor([[1, 3], [1, 2]])
    found = SequenceLabelling.baselines(train, held, {})
    majority = found["majority"]  # one more of each: 3 and 2 of 5
    assert majority["loss"] == pytest.approx(-(math.log(2 / 5) + math.log(3 / 5)) / 4)
    assert majority[SINGLE].tolist() == [1 / 2, 1.0]
    assert found["memoryless"]["loss"] == pytest.approx(2 * math.log(2) / 4)
    assert found["memoryless"][SINGLE].tolist() == [3 / 4, 3 / 4]


def test_a_symbol_that_was_never_seen_at_a_step_costs_much_but_not_everything():
    train, held = (
        (torch.zeros(1, 1).long(), torch.tensor([[1]])),
        (torch.zeros(1, 1).long(), torch.tensor([[2]])),
    )
    for method in SequenceLabelling.baselines(train, held, {}).values():
        assert (method["loss"], method["step_accuracy"]) == (pytest.approx(-math.log(NEVER)), 0)


def test_fewer_outputs_than_symbols_are_refused():
    split = Split((Y, Y), (Y, Y), None)
    with pytest.raises(UserError, match=r"each of the 4 symbols, got 3: set data\.out_features=4"):
        of(nn.Embedding(4, 3)).prepare(split)
    of(nn.Embedding(4, 9)).prepare(split)


def test_sequences_in_which_nothing_is_to_be_said_are_refused():
    blank = torch.cat([Y, torch.zeros(1, 4).long()])
    for split in (Split((blank, blank), (Y, Y), None), Split((Y, Y), (blank, blank), None)):
        with pytest.raises(UserError, match=r"a target that is not blank \(0\) in each sequence"):
            of(nn.Embedding(4, 4)).prepare(split)


def test_held_out_sequences_of_another_length_are_refused():
    with pytest.raises(UserError, match="sequences of one length, got 4 and 3 steps"):
        SequenceLabelling.baselines((Y, Y), (Y[:, 1:], Y[:, 1:]), {})
