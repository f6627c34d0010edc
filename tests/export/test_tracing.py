"""What of a network is traced, and in which dimensions its input varies."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from howdeep.errors import UserError
from howdeep.export.tracing import trace
from howdeep.nets.layers import RecurrentLayer
from tests.choices import MODELS
from tests.export.cases import Case, data_of, output, usual


@pytest.mark.parametrize("model", MODELS)
def test_the_batch_varies_and_the_length_where_the_network_reads_others(model):
    recurrent, attending = model in ("rnn", "gru", "lstm"), model == "transformer"
    for data in {"images", "sequences"} & set(data_of(model)):
        case = Case(model, data)
        traced = trace(case.net(), **case.reads)
        assert traced.axes == ({0: "batch", 1: "time"} if recurrent or attending else {0: "batch"})
        assert traced.inputs.longest == (math.inf if recurrent else 16 if attending else None)


@pytest.mark.parametrize(("steps", "varies"), [(1, False), (2, True)])
def test_a_transformer_of_one_position_has_one_length(steps, varies):
    case = Case("transformer", "sequences")
    net: Any = case.net()
    net.positions = nn.Parameter(net.positions[:steps])
    assert (1 in trace(net, (steps, 4), torch.float32).axes) == varies


def test_the_network_itself_is_left_as_it_was():
    net = usual("gru").net().train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    traced = trace(net, **usual("gru").reads)
    assert net.training
    assert not traced.net.training
    assert all(p.requires_grad for p in net.parameters())
    assert [type(part).__name__ for part in net.modules()].count("GRU") == 3  # the net, and its two layers
    torch.testing.assert_close(net.state_dict(), before, rtol=0, atol=0)


def test_of_a_gan_its_generator_leaves():
    case = usual("gan")
    net: Any = case.net()
    traced = trace(net, **case.reads)
    assert traced.inputs.shape == (5,)
    torch.testing.assert_close(traced.net.state_dict(), net.generator.state_dict(), rtol=0, atol=0)


class Loop(nn.Module):
    """A recurrent net of somebody's own, that loops over steps in Python."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.RNNCell(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        h = x.new_zeros(x.shape[0], 5)
        for step in x.unbind(1):
            h = self.cell(step, h)
        return h


@pytest.mark.parametrize("options", [{"num_layers": 2}, {"bidirectional": True}, {"bias": False}])
def test_a_recurrence_of_another_kind_is_left_to_pytorch(options):
    part = nn.GRU(4, 5, batch_first=True, **options)
    net = RecurrentLayer(part, norm=nn.Identity(), dropout=0.0, residual=False)
    traced = trace(net, (6, 4), torch.float32)
    assert traced.axes == {0: "batch"}
    x = traced.inputs.draw(3)
    torch.testing.assert_close(traced.program.module()(x), output(net, x))


class Branch(nn.Module):
    """A net whose way depends on its numbers."""

    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


def test_a_loop_over_steps_has_one_length():
    assert trace(Loop(), (6, 4), torch.float32).axes == {0: "batch"}


def test_a_way_that_depends_on_numbers_is_refused_in_one_line(capfd):
    with pytest.raises(UserError) as error:
        trace(Branch(), (4,), torch.float32)
    assert str(error.value).startswith(
        "the network Branch cannot be exported (GuardOnDataDependentSymNode: Could "
    )
    assert "\n" not in str(error.value)
    assert capfd.readouterr() == ("", "")


def test_examples_of_another_shape_are_refused():
    with pytest.raises(UserError) as error:
        trace(usual("mlp").net(), (3, 3), torch.float32)
    assert str(error.value).startswith(
        "the network does not read examples of shape (3, 3) (RuntimeError: mat1 and"
    )
    assert str(error.value).endswith("): give the data set that it was trained on")


def test_numbers_of_another_type_are_refused():
    with pytest.raises(
        UserError, match=r"reads torch.float64 cannot be exported: expected float32, or int64 for"
    ):
        trace(usual("mlp").net(), (1, 8, 8), torch.float64)
