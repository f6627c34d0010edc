"""No task compares what has other shapes: torch and numpy would broadcast (n,) against (n, 1) to n times n numbers."""

import importlib
import pkgutil

import pytest
import torch
from torch import Tensor, nn

from howdeep import tasks
from howdeep.data.examples import Split
from howdeep.errors import UserError
from howdeep.tasks.classification import Classification
from howdeep.tasks.forecasting import Forecasting
from howdeep.tasks.generation import Generation
from howdeep.tasks.language_modelling import LanguageModelling
from howdeep.tasks.reconstruction import Reconstruction
from howdeep.tasks.regression import Regression
from howdeep.tasks.sequence_labelling import SequenceLabelling
from howdeep.tasks.task import Task

N = 6
NUMBERS = torch.arange(6.0)
COLUMN, CLASSES = NUMBERS[:, None], torch.arange(N) % 2
TEXT = torch.arange(N * 2).view(N, 2) % 3
LOGITS = torch.zeros(N, 2)
# Outputs and targets that broadcast, of each task: only one of each pair has the shape that the task expects.
BROADCAST: dict[type[Task], list[tuple[Tensor, Tensor]]] = {
    Classification: [(LOGITS, CLASSES[:, None]), (LOGITS[:1], CLASSES), (LOGITS, CLASSES[:1])],
    Forecasting: [(COLUMN, NUMBERS), (NUMBERS, COLUMN), (COLUMN, torch.zeros(N, 3)), (COLUMN[:1], COLUMN)],
    Reconstruction: [(COLUMN, torch.zeros(N, 3)), (torch.zeros(N, 1, 4), torch.zeros(N, 4)), (COLUMN[:1], COLUMN)],
    LanguageModelling: [(torch.zeros(N, 2, 3), TEXT[:1]), (torch.zeros(N, 1, 3), TEXT)],
    Regression: [(COLUMN, NUMBERS), (NUMBERS, COLUMN), (COLUMN, torch.zeros(N, 3)), (COLUMN[:1], COLUMN)],
    SequenceLabelling: [(torch.zeros(N, 2, 3), TEXT[:1]), (torch.zeros(N, 1, 3), TEXT), (LOGITS, CLASSES)],
}  # fmt: skip
MEASURES = {  # an accuracy is told of single examples by their answers; a ratio of sums is no mean of batches
    Classification: ["loss", "score"],
    Reconstruction: ["loss", "single_scores"],
}
CASES = [
    (kind, measure, *pair)
    for kind, pairs in BROADCAST.items()
    for measure in MEASURES.get(kind, ["loss", "score", "single_scores"])
    for pair in pairs
]
WINDOWS = torch.zeros(N, 4, 3)
# Examples whose simple methods would be compared with numbers of another shape.
EXAMPLES: list[tuple[type[Task], Tensor, Tensor]] = [
    (Forecasting, torch.zeros(N, 4, 1), NUMBERS),
    (Forecasting, torch.zeros(N, 4), COLUMN),
    (Forecasting, WINDOWS, torch.zeros(N, WINDOWS.shape[2] + 1)),  # more is told than is seen
    (Classification, WINDOWS, CLASSES[:, None]),
    (LanguageModelling, TEXT, TEXT[:, :1]),
    (LanguageModelling, TEXT, TEXT[:, 0]),
    (Regression, COLUMN, NUMBERS),
    (Regression, COLUMN, CLASSES),
    (Regression, TEXT, COLUMN),
    (SequenceLabelling, TEXT, TEXT[:, :1]),
    (SequenceLabelling, TEXT, TEXT[:, 0]),
    (SequenceLabelling, TEXT, TEXT.float()),
    (SequenceLabelling, TEXT, torch.zeros_like(TEXT)),
]


def of(kind: type[Task], net: nn.Module | None = None) -> Task:
    return kind(net=net or nn.Identity(), optimizer=torch.optim.SGD, schedule=None)


def test_every_task_that_compares_outputs_with_targets_is_among_them():
    for module in pkgutil.iter_modules(tasks.__path__):
        importlib.import_module(f"howdeep.tasks.{module.name}")
    ours = {kind for kind in Task.__subclasses__() if kind.__module__.startswith("howdeep.")}
    assert ours - {Generation} <= set(BROADCAST)  # a generator's examples are compared with none of their own


@pytest.mark.parametrize(("kind", "measure", "output", "target"), CASES)
def test_other_shapes_are_refused_in_one_line(kind, measure, output, target):
    with pytest.raises(UserError, match=r"^[^\n]* expects [^\n]* got [^\n]*$"):
        getattr(of(kind), measure)(output, target)


def test_a_reconstruction_is_not_validated_against_another_shape():
    with pytest.raises(UserError, match="output of the shape of x"):
        of(Reconstruction, nn.Flatten(0)).validate([(torch.zeros(1, 4), CLASSES[:1])])


@pytest.mark.parametrize(("kind", "x", "y"), EXAMPLES)
def test_simple_methods_are_not_scored_on_another_shape(kind, x, y):
    for train, held_out in (((x, y), (x, y)), ((x[:4], y[:4]), (x, y))):
        with pytest.raises(UserError, match=r"^[^\n]* expects [^\n]* got [^\n]*$"):
            kind.baselines(train, held_out, {"vocabulary": 3})


@pytest.mark.parametrize(
    ("kind", "x", "y"), [of for of in EXAMPLES if of[0] in (Forecasting, Regression, SequenceLabelling)]
)
def test_such_examples_are_refused_before_anything_is_trained(kind, x, y):
    with pytest.raises(UserError, match=r"^(forecasting|regression|sequence labelling) expects .* got "):
        of(kind).prepare(Split((x, y), (x, y), None))
