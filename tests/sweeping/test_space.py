"""Search spaces: what is chosen where, what may change, and what is refused."""

import optuna
import pytest

from howdeep.errors import UserError
from howdeep.sweeping.plan import Plan
from howdeep.sweeping.pool import run
from howdeep.sweeping.space import Choice, FloatRange, IntRange, Space, difference, overrides


def drawn(space: Space, n: int = 60) -> list[dict]:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(0))
    return [space.suggest(study.ask()) for _ in range(n)]


def test_a_conditional_dimension_is_chosen_where_its_condition_holds_and_nowhere_else(space):
    points = drawn(space)
    assert {point["optimizer"] for point in points} == {"sgd", "adam"}
    assert all(("optimizer.momentum" in point) == (point["optimizer"] == "sgd") for point in points)


def test_values_stay_in_their_ranges(space):
    for point in drawn(space):
        assert 1e-4 <= point["optimizer.lr"] <= 1
        assert point["model.depth"] in range(1, 9)


def test_a_condition_on_a_fixed_setting_is_decided_once_for_all():
    dims = {"optimizer.lr": FloatRange(0.1, 1), "optimizer.momentum": FloatRange(0, 0.9)}
    condition = {"optimizer.momentum": {"optimizer": ("sgd",)}}
    assert set(drawn(Space(dims, condition, {"optimizer": "sgd"}), 1)[0]) == set(dims)
    with pytest.raises(
        UserError, match=r"momentum is tried only where optimizer is sgd, but it is adam: leave"
    ):
        Space(dims, condition, {"optimizer": "adam"})


def test_a_grid_has_every_point_once_and_no_inactive_dimension():
    space = Space(
        {
            "momentum": Choice((0.0, 0.9)),
            "optimizer": Choice(("sgd", "adam")),
            "depth": IntRange(1, 5, step=2),
        },
        {"momentum": {"optimizer": ("sgd",)}},
    )
    points = list(space.grid())
    assert len(points) == len({tuple(sorted(p.items())) for p in points}) == 3 * (2 + 1)
    assert {p["depth"] for p in points} == {1, 3, 5}


def test_a_grid_of_an_interval_is_refused_with_its_name(space):
    with pytest.raises(
        UserError, match=r"^the grid sampler cannot list the values of optimizer\.momentum, [^\n]*tpe$"
    ):
        space.grid()


def test_examples_hold_every_value_of_every_choice(space):
    examples = list(space.examples())
    assert {point["optimizer"] for point in examples} == {"sgd", "adam"}
    assert len(examples) == 2


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (lambda: Space({}), "the search space is empty"),
        (lambda: Choice(()), "at least one value"),
        (lambda: IntRange(3, 2), "must not end below its start, got 3 to 2"),
        (lambda: FloatRange(0, 1, log=True), "logarithmic range must start above 0"),
        (lambda: FloatRange(0, float("inf")), "finite ends"),
        (lambda: IntRange(1, 8, step=0), "step of a range must be above 0"),
        (lambda: IntRange(1, 8, step=2, log=True), "has the step 1, got 2"),
        (lambda: FloatRange(0.1, 0.5, log=True, step=0.1), "has no step, got 0.1 to 0.5, step 0.1"),
        (
            lambda: Space({"a": Choice((1, 2)), "b": Choice((1, 2))}, {"a": {"b": (1,)}, "b": {"a": (1,)}}),
            "look at each other",
        ),
    ],
)
def test_a_space_that_cannot_be_is_refused_in_one_line(make, line):
    with pytest.raises(UserError, match=line) as caught:
        make()
    assert "\n" not in str(caught.value)


LR = {"lr": FloatRange(0.01, 0.1, log=True)}


@pytest.mark.parametrize(
    ("new", "told"),
    [
        (LR, None),
        ({"lr": FloatRange(0.001, 0.2, log=True)}, None),
        ({"lr": FloatRange(0.02, 0.1, log=True)}, "lr was 0.01 to 0.1 (log) and is now 0.02 to 0.1 (log)"),
        ({"lr": FloatRange(0.01, 0.1)}, "lr was 0.01 to 0.1 (log) and is now 0.01 to 0.1"),
        ({"lr": Choice((0.01, 0.1))}, "lr was 0.01 to 0.1 (log) and is now 0.01,0.1"),
        ({**LR, "depth": Choice((1,))}, "depth is new"),
        ({"depth": Choice((1,))}, "lr is gone"),
    ],
)
def test_only_a_wider_range_is_no_difference(new, told):
    assert difference(Space(LR).to_json(), Space(new).to_json()) == told


def test_a_longer_choice_and_another_condition_are_differences():
    short, long = (
        Space({"o": Choice(v), "m": Choice((1,))}, {"m": {"o": ("a",)}}) for v in (("a",), ("a", "b"))
    )
    assert difference(short.to_json(), long.to_json()) == "o was a and is now a,b"
    assert (
        difference(short.to_json(), Space(short.dimensions).to_json()) == "m is tried under another condition"
    )


def test_an_integer_range_may_widen_by_whole_steps_only():
    old = Space({"d": IntRange(3, 7, step=2)}).to_json()
    assert difference(old, Space({"d": IntRange(1, 9, step=2)}).to_json()) is None
    assert difference(old, Space({"d": IntRange(2, 8, step=2)}).to_json()) is not None


@pytest.mark.parametrize(
    ("low", "high", "step", "points"),
    [
        (0.3, 0.6, 0.1, [0.3, 0.4, 0.5, 0.6]),
        (0.7, 0.9, 0.1, [0.7, 0.8, 0.9]),
        (0, 0.35, 0.05, [0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35]),
        (1e-5, 4e-5, 1e-5, [1e-5, 2e-5, 3e-5, 4e-5]),
        (0.1, 1.0, 0.4, [0.1, 0.5, 0.9]),
    ],
)
def test_a_range_with_a_step_holds_the_decimals_that_a_person_counts(low, high, step, points):
    of = FloatRange(low, high, step=step)
    assert of.points() == points
    assert of.high == points[-1]
    assert {point["x"] for point in drawn(Space({"x": of}), 120)} == set(points)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("sampler", ["random", "tpe", "qmc", "grid"])
def test_each_sampler_tries_and_keeps_those_decimals_without_a_warning(tmp_path, sampler):
    plan = Plan("s", Space({"x": FloatRange(0.3, 0.6, step=0.1)}), 24, sampler=sampler)
    (results,) = run([plan], str(tmp_path / "journal"), lambda trial: trial.point["x"], 1)
    assert {result.point["x"] for result in results} == {0.3, 0.4, 0.5, 0.6}
    assert all(result.values == (result.point["x"],) for result in results)


def test_a_range_of_decimals_widens_by_whole_steps():
    old = Space({"x": FloatRange(0.3, 0.6, step=0.1)}).to_json()
    for low, high, wider in ((0.1, 0.9, True), (0.3, 0.7, True), (0.25, 0.65, False), (0.3, 0.5, False)):
        new = Space({"x": FloatRange(low, high, step=0.1)}).to_json()
        assert (difference(old, new) is None) == wider


def test_values_become_overrides_that_hydra_reads_back():
    from hydra.core.override_parser.overrides_parser import OverridesParser

    point = {"a": 1e-05, "b": True, "c": None, "d": "[0.9,0.99]", "e": 3, "f": "sgd"}
    parsed = OverridesParser.create().parse_overrides(overrides(point))
    assert [override.value() for override in parsed] == [1e-05, True, None, [0.9, 0.99], 3, "sgd"]
