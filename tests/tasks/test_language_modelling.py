"""Language modelling: bits, counted baselines, and a sample that is drawn from the net's own distribution."""

import math
from collections import Counter

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from howdeep.data.batches import Batches
from howdeep.data.examples import Split, TextSplit, decode
from howdeep.tasks.language_modelling import LanguageModelling, witten_bell, write
from howdeep.tasks.task import SINGLE

ALPHABET = "\n" + "".join(map(chr, range(ord(" "), ord("~") + 1)))  # 96 characters
TEXT = "to be, or not to be: that is the question\n" * 6


def encode(text: str) -> Tensor:
    return torch.tensor([ALPHABET.index(sign) for sign in text])


def windows(text: str, context: int = 5) -> tuple[Tensor, Tensor]:
    indices = encode(text)
    n = (len(indices) - 1) // context
    return indices[: n * context].view(n, context), indices[1:][: n * context].view(n, context)


class Table(nn.Module):
    """A net that knows only the last character: logits (vocabulary, vocabulary)."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = nn.Parameter(logits)
        self.lengths: list[int] = []
        self.modes: set[bool] = set()

    def forward(self, x: Tensor) -> Tensor:
        self.lengths.append(x.shape[1])
        self.modes.add(self.training)
        return self.logits[x]


def task(net: nn.Module) -> LanguageModelling:
    return LanguageModelling(net=net, optimizer=None, schedule=None)  # type: ignore[arg-type]


def uniform() -> Table:
    return Table(torch.zeros(96, 96))


def test_a_net_that_knows_nothing_needs_log2_of_the_vocabulary():
    measured = task(uniform()).measure(Batches(windows(TEXT), batch_size=7))
    assert measured == pytest.approx({"loss": math.log(96), "bits": math.log2(96)})


def test_bits_are_the_mean_of_minus_log2_of_each_probability():
    torch.manual_seed(0)
    net, (x, y) = Table(torch.randn(96, 96)), windows(TEXT)
    shares = net.logits.detach().double().exp()
    shares /= shares.sum(1, keepdim=True)
    total = sum(-math.log2(shares[a, b]) for a, b in zip(x.flatten(), y.flatten(), strict=True))
    measured = task(net).measure(Batches((x, y), batch_size=7))
    assert measured["bits"] == pytest.approx(total / y.numel(), rel=1e-5)
    assert measured["loss"] == pytest.approx(total / y.numel() * math.log(2), rel=1e-5)


def test_the_baselines_are_counted_by_hand():
    train, held_out = windows("abababaac", context=4), windows("abcab", context=4)
    # y of training: b a b a b a a c; pairs: ab ba ab ba ab ba aa ac. Held out: ab bc ca ab
    unigram = [(3 + 1) / 104, (1 + 1) / 104, (4 + 1) / 104, (3 + 1) / 104]
    bigram = [(3 + 1) / (5 + 96), 1 / (3 + 96), 1 / 96, (3 + 1) / (5 + 96)]
    found = LanguageModelling.baselines(train, held_out, {"vocabulary": 96})
    for name, shares in (("unigram", unigram), ("bigram", bigram)):
        bits = sum(-math.log2(share) for share in shares) / 4
        assert (found[name]["loss"], found[name]["bits"]) == pytest.approx((bits * math.log(2), bits))
        assert float(found[name][SINGLE].mean()) == pytest.approx(bits)


def test_a_bigram_of_a_long_text_needs_the_entropy_of_its_pairs():
    text = "abc" * 3000 + "a"  # every character is certain, given the one before it
    found = LanguageModelling.baselines(windows(text), windows(text), {"vocabulary": 96})
    assert found["bigram"]["bits"] < 0.05
    assert found["unigram"]["bits"] == pytest.approx(math.log2(3), abs=0.02)


def by_counting(train, held_out, order):
    """Witten and Bell's recursion word by word, with dictionaries."""
    followers: dict[str, Counter] = {}
    for x, y in zip(*(part.tolist() for part in train), strict=True):
        for step, after in enumerate(y):
            for length in range(min(order - 1, step + 1) + 1):
                followers.setdefault(repr(x[step + 1 - length : step + 1]), Counter())[after] += 1

    def p(context: list[int], after: int) -> float:
        shorter = p(context[1:], after) if context else 1 / 96
        found = followers.get(repr(context))
        if not found:
            return shorter
        return (found[after] + len(found) * shorter) / (found.total() + len(found))

    return [
        p(x[max(0, step + 2 - order) : step + 1], after)
        for x, y in zip(*(part.tolist() for part in held_out), strict=True)
        for step, after in enumerate(y)
    ]


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_the_interpolated_model_is_witten_and_bells_recursion(order):
    random = np.random.default_rng(order)
    train, held_out = (
        windows("".join(random.choice(list("abc d"), n, p=[0.4, 0.3, 0.1, 0.1, 0.1])), context=8)
        for n in (400, 80)
    )
    found = witten_bell(train, held_out, order=order, characters=96)
    assert found == pytest.approx(np.array(by_counting(train, held_out, order)))


def test_the_probabilities_of_all_next_characters_sum_up_to_one():
    train = windows("abababaac" * 5, context=4)
    x = train[0][:1]
    each = [witten_bell(train, (x, torch.full((1, 4), c)), order=5, characters=96) for c in range(96)]
    assert np.sum(each, axis=0) == pytest.approx(np.ones(4))


def test_a_longer_context_needs_fewer_bits_where_it_tells_more():
    text = "abcabd" * 1500  # c or d comes after ab, which only five characters tell
    found = LanguageModelling.baselines(windows(text), windows(text), {"vocabulary": 96})
    assert found["5-gram"]["bits"] < 0.2 < found["bigram"]["bits"]


def test_samples_follow_the_distribution_of_the_net():
    logits = torch.full((96, 96), -torch.inf)
    logits[:, :3] = torch.tensor([0.5, 0.3, 0.2]).log()
    counts = Counter(write(Table(logits), torch.zeros(4, dtype=torch.int64), 3000, seed=1).tolist())
    chi_square = sum((counts[i] - 3000 * p) ** 2 / (3000 * p) for i, p in enumerate((0.5, 0.3, 0.2)))
    assert set(counts) == {0, 1, 2}
    assert chi_square < 13.8  # 99.9 % of cases, 2 degrees of freedom


def test_each_character_follows_from_those_before_it():
    successor = one_hot((torch.arange(96) + 1) % 96, 96).float() * 1e4
    prompt = encode("abc")
    assert decode(write(Table(successor), prompt, 5, seed=0), ALPHABET) == "defgh"


def test_the_net_sees_windows_as_long_as_the_prompt_in_evaluation_mode_and_is_left_as_it_was():
    net = uniform()
    net.train()
    before = torch.get_rng_state()
    write(net, torch.zeros(7, dtype=torch.int64), 20, seed=0)
    assert net.lengths == [7] * 20
    assert net.modes == {False}
    assert net.training
    assert torch.equal(torch.get_rng_state(), before)


def test_artifacts_are_a_prompt_and_a_sample_and_the_same_each_time():
    split = TextSplit(Split(windows(TEXT), windows("To be, or not to be."), None), ALPHABET)
    first, again = (task(uniform()).artifacts(split) for _ in range(2))
    assert first == again
    assert first["prompt"] == "To be"
    assert set(first["sample"]) <= set(ALPHABET)  # type: ignore[arg-type]
    assert 200 <= len(first["sample"]) <= 2000


def test_more_bits_are_worse():
    assert (LanguageModelling.score_name, LanguageModelling.higher_is_better) == ("bits", False)
