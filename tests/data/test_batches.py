"""Minibatches: their order is a function of (seed, epoch), and Lightning sets the epoch."""

import math

import pytest
import pytorch_lightning as lightning
import torch
from torch.utils.data import DataLoader, TensorDataset

from howdeep.data.batches import Batches
from howdeep.errors import UserError

N = 23
EXAMPLES = torch.arange(N * 2.0).view(N, 2), torch.arange(N)


def order(batches: Batches) -> list[int]:
    return torch.cat([y for _, y in batches]).tolist()


def shuffled(seed: int, epoch: int) -> list[int]:
    batches = Batches(EXAMPLES, batch_size=5, seed=seed)
    batches.set_epoch(epoch)
    return order(batches)


@pytest.mark.parametrize("batch_size", [1, 5, 22, 23, 24])
def test_without_a_seed_batches_are_those_of_a_data_loader(batch_size):
    oracle = list(DataLoader(TensorDataset(*EXAMPLES), batch_size=batch_size))
    batches = list(Batches(EXAMPLES, batch_size=batch_size))
    assert len(batches) == len(oracle) == math.ceil(N / batch_size)
    for (x, y), (x_oracle, y_oracle) in zip(batches, oracle, strict=True):
        assert torch.equal(x, x_oracle)
        assert torch.equal(y, y_oracle)


@pytest.mark.parametrize("batch_size", [1, 5, 23, 24])
def test_the_length_is_the_number_of_batches(batch_size):
    batches = Batches(EXAMPLES, batch_size=batch_size, seed=0)
    assert len(batches) == len(list(batches))


def test_an_epoch_sees_each_example_once_with_its_own_label():
    batches = Batches(EXAMPLES, batch_size=5, seed=0)
    assert sorted(order(batches)) == list(range(N))
    for x, y in batches:
        assert torch.equal(x[:, 0], 2.0 * y)


def test_seed_and_epoch_alone_decide_the_order():
    torch.manual_seed(1)
    first = shuffled(3, 7)
    torch.manual_seed(2)
    used = Batches(EXAMPLES, batch_size=5, seed=3)
    for epoch in (0, 1, 7):
        used.set_epoch(epoch)
        again = order(used)
    assert again == first


def test_shuffling_does_not_draw_from_the_global_generator():
    before = torch.get_rng_state()
    shuffled(0, 0)
    assert torch.equal(torch.get_rng_state(), before)


def test_no_two_seeds_or_epochs_share_an_order():
    orders = {tuple(shuffled(seed, epoch)) for seed in range(8) for epoch in range(8)}
    assert len(orders) == 64


def test_the_batch_size_does_not_change_the_order():
    assert order(Batches(EXAMPLES, batch_size=2, seed=4)) == order(Batches(EXAMPLES, batch_size=9, seed=4))


def test_first_places_are_uniform():
    # 2,300 epochs, 100 expected each: chi-square with 22 degrees of freedom is below 48.3 in 99.9 % of cases
    first = torch.bincount(torch.tensor([shuffled(0, epoch)[0] for epoch in range(100 * N)]), minlength=N)
    assert ((first - 100) ** 2 / 100).sum() < 48.3


class Recorder(lightning.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.seen: dict[int, list[int]] = {}

    def training_step(self, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        self.seen.setdefault(self.current_epoch, []).extend(batch[1].tolist())
        return self.weight.sum()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning")  # Lightning 2.6 on torch's own pytree
def test_lightning_shuffles_each_epoch_anew(tmp_path):
    recorder = Recorder()
    trainer = lightning.Trainer(
        max_epochs=3,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
    )
    trainer.fit(recorder, Batches(EXAMPLES, batch_size=5, seed=2))
    assert recorder.seen == {epoch: shuffled(2, epoch) for epoch in range(3)}


@pytest.mark.parametrize("batch_size", [0, -1, 1.5, True, "two", None])
def test_a_batch_size_that_is_no_count_is_refused(batch_size):
    with pytest.raises(UserError, match="batch_size must be a whole number of at least 1, got"):
        Batches(EXAMPLES, batch_size=batch_size)


def test_no_examples_are_refused():
    with pytest.raises(UserError, match="at least one example"):
        Batches((torch.zeros(0, 2), torch.zeros(0)), batch_size=4)


def test_more_steps_than_examples_go_through_all_of_them_before_any_comes_again():
    batches = Batches((torch.arange(10), torch.arange(10)), batch_size=4, seed=0, steps=8)
    drawn = [x.tolist() for x, _ in batches]
    assert list(map(len, drawn)) == [4, 4, 2, 4, 4, 2, 4, 4]
    passes = [[*drawn[k], *drawn[k + 1], *drawn[k + 2]] for k in (0, 3)]
    assert [sorted(of) for of in passes] == [list(range(10))] * 2
    assert passes[0] != passes[1]


def test_fewer_steps_see_the_first_of_the_same_order():
    x = torch.arange(10)
    some, whole = (list(Batches((x, x), batch_size=4, seed=3, steps=steps)) for steps in (2, None))
    assert [a.tolist() for a, _ in some] == [a.tolist() for a, _ in whole[:2]]
