"""benchmarks.calibrate: one network under several names, counts against tables made by hand, and a tiny calibration."""

import subprocess
import sys
from importlib import import_module

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from benchmarks import calibrate
from benchmarks.calibrate import Count
from howdeep.errors import UserError
from howdeep.results.replication import DIRECTION, SAME, TURNED, repeats
from howdeep.results.statistics import mean_interval
from howdeep.study import params
from tests.amount import only_in_full

OPTIONS = {"normalisation": "none", "seen": 1.0}


@pytest.fixture
def namesake():
    with calibrate.nets_beside():
        net = import_module("howdeep.nets.namesake").Namesake

    def build(seed: int, **options):
        torch.manual_seed(seed)
        return net(**{"in_shape": [1, 8, 8], "out_features": 10, "depth": 1, "width": 16} | OPTIONS | options)

    return build


def weights(net: torch.nn.Module) -> torch.Tensor:
    return next(net.parameters()).detach().flatten()


def test_a_namesake_has_the_same_layers_at_every_depth_and_weights_of_its_own(namesake):
    shallow, deep = namesake(0, depth=1), namesake(0, depth=8)
    assert [p.shape for p in shallow.parameters()] == [p.shape for p in deep.parameters()]
    assert len(deep.layers) == 1
    assert torch.equal(weights(deep), weights(namesake(0, depth=8)))
    for shift in range(-9, 10):  # a stream that began a few numbers later would show at one of them
        moved = torch.roll(weights(deep), shift)
        together = torch.corrcoef(torch.stack([weights(shallow), moved]))[0, 1]
        assert abs(together) < 5 / np.sqrt(16 * 64)


def test_initial_weights_have_one_law_at_every_depth(namesake):
    drawn = [torch.cat([weights(namesake(seed, depth=depth)) for seed in range(100)]) for depth in (1, 8)]
    for values in drawn:  # He's normal: variance 2 / 64
        assert values.std() == pytest.approx(np.sqrt(2 / 64), rel=0.01)
        assert abs(values.mean()) < 0.002


def test_only_namesakes_deeper_than_one_are_blind_to_the_last_inputs(namesake):
    x, other = torch.randn(2, 5, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    mixed = torch.cat([x.flatten(1)[:, :16], other.flatten(1)[:, 16:]], dim=1).view_as(x)
    blind, seeing = namesake(0, depth=2, seen=0.25), namesake(0, depth=1, seen=0.25)
    assert torch.equal(blind(x), blind(mixed))
    assert not torch.allclose(seeing(x), seeing(mixed))
    assert not torch.allclose(blind(x), blind(other))


@pytest.mark.parametrize("seen", [-0.1, 1.5, True, "all"])
def test_a_share_that_no_network_can_see_is_refused(namesake, seen):
    with pytest.raises(UserError, match="seen must be a"):
        namesake(0, seen=seen)


def test_nets_lie_beside_howdeep_s_within_a_calibration_alone():
    from howdeep import nets

    before = list(nets.__path__)
    with calibrate.nets_beside():
        assert list(nets.__path__) != before
    assert list(nets.__path__) == before


def test_families_have_no_seed_in_common_and_each_counts_in_the_verdicts(root, tmp_path):
    content = yaml.safe_load((root / "params.yaml").read_text())
    used: list[int] = []
    for name, of in calibrate.studies(content, count=30, seeds=10, epochs=10).items():
        (tmp_path / name).write_text(yaml.safe_dump(of))
        study = params.read(tmp_path / name)
        assert params.learning_curves(study.entries.values()) == {}
        used += [seed for entry in study.entries.values() for seed in entry.seeds]
        kinds = [entry.partition("-")[0] for entry in study.entries]
        expected = {"two": (30, 15), "four": (10, 0)}[name]
        assert (kinds.count("null"), kinds.count("handicap")) == expected
    assert len(used) == len(set(used)) == 55 * 10


def test_a_share_stands_with_its_exact_interval():
    # nothing of n: the upper end p has (1 - p)^n = 0.025
    assert str(Count(0, 40)) == f"0 of 40: 0.0 % [0.0, {100 * (1 - 0.025 ** (1 / 40)):.1f}]"
    assert str(Count(7, 7)) == f"7 of 7: 100.0 % [{100 * 0.025 ** (1 / 7):.1f}, 100.0]"
    assert str(Count(0, 0)) == "0 of 0"


def study(*rows: tuple) -> pd.DataFrame:
    """Rows of `verdicts`: entry, depth, verdict, difference, half width; the seeds alone find nothing."""
    line = {"task": "classification", "data": "digits", "model": "namesake", "matching": "width"}
    return pd.DataFrame(
        {
            **{**line, "entry": entry, "depth": depth, "verdict": verdict},
            **{"score": "accuracy", "higher_is_better": True, "difference": mean},
            **{"chance_to_repeat": 0.6},
            **{"low": mean - half, "high": mean + half},
            **{"verdict_seeds": "inconclusive", "low_seeds": -1.0, "high_seeds": 1.0},
        }
        for entry, depth, verdict, mean, half in rows
    )


NULL = study(
    ("null-two-1", 2, "better", 0.03, 0.02),  # both of this family: it counts once
    ("null-two-1", 4, "worse", -0.03, 0.02),
    ("null-two-2", 2, "no difference", 0.005, 0.004),  # within the margin, and yet without zero
    ("null-two-2", 4, "inconclusive", 0.01, 0.02),
    ("null-two-3", 2, "inconclusive", np.nan, np.nan),  # a run diverged: no interval
    ("null-two-3", 4, "inconclusive", 0.0, np.nan),
    ("null-two-4", 2, "failed", np.nan, np.nan),
    ("null-two-4", 4, "no difference", 0.0, 0.01),
)


def test_a_family_counts_once_however_many_of_its_comparisons_err():
    assert calibrate.with_a_verdict(NULL) == (1, 4)
    assert calibrate.without_zero(NULL) == (2, 3)
    alone = calibrate.seeds_alone(NULL)
    assert (calibrate.with_a_verdict(alone), calibrate.without_zero(alone)) == ((0, 4), (0, 4))


def test_studies_are_counted_together():
    assert calibrate.total([Count(1, 4), Count(0, 40)]) == (1, 44)


FIRST = study(
    ("handicap-1", 2, "worse", -0.3, 0.1), ("handicap-2", 2, "worse", -0.2, 0.1),
    ("handicap-3", 2, "worse", -0.2, 0.1), ("handicap-4", 2, "worse", -0.2, 0.1),
    ("handicap-5", 2, "inconclusive", -0.1, 0.3), ("handicap-6", 2, "inconclusive", 0.0, np.nan),
)  # fmt: skip
AGAIN = study(
    ("handicap-1", 2, "worse", -0.16, 0.1), ("handicap-2", 2, "inconclusive", -0.05, 0.1),
    ("handicap-3", 2, "better", 0.2, 0.1), ("handicap-4", 2, "inconclusive", 0.01, 0.3),
    ("handicap-5", 2, "worse", -0.2, 0.1), ("handicap-6", 2, "inconclusive", 0.0, 0.1),
)  # fmt: skip


def test_what_becomes_of_a_verdict_is_counted_among_the_first_study_s_verdicts():
    found = repeats(FIRST, AGAIN)
    assert calibrate.repeated(found, SAME) == (1, 4)
    assert calibrate.repeated(found, SAME, DIRECTION) == (2, 4)
    assert calibrate.repeated(found, TURNED) == (1, 4)
    assert calibrate.with_verdict(pd.concat([FIRST, AGAIN]), "worse") == (6, 12)


def test_estimates_agree_up_to_both_half_widths_added_in_squares():
    # apart: 0.14 <= 0.141; 0.15 > 0.141; 0.4; 0.21 <= 0.316; 0.1 <= 0.316; one without an interval
    assert calibrate.agreeing(repeats(FIRST, AGAIN)) == (3, 5)


def test_estimates_with_right_intervals_agree_in_95_of_100_cases_or_a_few_more():
    noise = np.random.default_rng(0)
    two = [
        study(
            *(
                (f"handicap-{number}", 2, "worse", mean, mean - low)
                for number, (mean, low, _) in enumerate(found)
            )
        )
        for found in ([mean_interval(values) for values in noise.normal(3, 1, (3000, 10))] for _ in range(2))
    ]
    found, of = calibrate.agreeing(repeats(*two))
    assert 0.945 < found / of < 0.975


def test_the_page_tells_the_counts_of_null_and_handicap_apart():
    four = study(("null-four-1", 2, "worse", -0.3, 0.1), ("null-four-1", 4, "inconclusive", 0.0, 0.1))
    first, again = (pd.concat([NULL, of, four]) for of in (FIRST, AGAIN))
    text = calibrate.page((first, again), seeds=10, epochs=7)
    assert "has 10 seeds, each run 7 epochs" in text
    assert f"| families of two depths: a verdict better or worse | {Count(2, 8)} | {Count(0, 8)} |" in text
    assert f"| families of four depths: a verdict better or worse | {Count(2, 2)} | {Count(0, 2)} |" in text
    assert f"| all families: a verdict better or worse | {Count(4, 10)} | {Count(0, 10)} |" in text
    assert f"| verdicts of the first study: the same in the second | {Count(3, 3)} | 0 of 0 |" in text
    assert f"| comparisons: worse | {Count(6, 12)} | {Count(0, 12)} |" in text
    assert f"| - the opposite verdict | {Count(1, 4)} | 0 of 0 | none |" in text
    assert "6 comparisons in both studies, 4 of them better or worse in the first: 1 (25 %)" in text


def test_somebody_s_own_files_are_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UserError, match="found what it did not make: move it away"):
        calibrate.prepare(tmp_path, {})
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@only_in_full
@pytest.mark.slow
def test_a_tiny_calibration_runs_ends_in_its_page_and_keeps_its_runs_when_it_is_called_again(tmp_path):
    folder = tmp_path / "calibration"
    options = ["--families", "1", "--seeds", "3", "--epochs", "1", "--folder", str(folder)]

    def calibrated(page: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "benchmarks.calibrate", *options, "--page", str(tmp_path / page)]
        done = subprocess.run(command, cwd=calibrate.ROOT, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        return done

    calibrated("one.md")
    records = {path: path.stat().st_mtime_ns for path in folder.rglob("record.json")}
    assert len(records) == 2 * 3 * (2 + 2 + 4)  # twice: null and handicap at two depths, null at four
    assert len({yaml.safe_load(path.read_text())["seed"] for path in records}) == 2 * 3 * 3
    again = calibrated("two.md")
    assert (tmp_path / "one.md").read_text() == (tmp_path / "two.md").read_text() == again.stdout
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("record.json")} == records
    assert "all families: a verdict better or worse | " in again.stdout
    assert f"of {2 * 2}: " in again.stdout
