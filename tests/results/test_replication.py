"""Which verdicts repeat, against two studies made by hand."""

import numpy as np
import pandas as pd

from howdeep.results.replication import repeats, told

LINE = {
    "task": "classification",
    "data": "digits",
    "model": "mlp",
    "entry": "digits-mlp",
    "matching": "width",
}
FIRST = {
    2: ("better", 0.1),
    4: ("better", 0.02),
    8: ("worse", -0.3),
    16: ("no difference", 0.0),
    32: ("inconclusive", 0.01),
}
AGAIN = {
    2: ("better", 0.2),
    4: ("inconclusive", 0.01),
    8: ("better", 0.1),
    16: ("no difference", 0.0),
    32: ("worse", -0.1),
}


def study(verdicts, **line) -> pd.DataFrame:
    rows = [
        {**LINE, **line, "depth": depth, "score": "accuracy", "higher_is_better": True, "verdict": verdict}
        | {"difference": mean, "low": mean - 0.01, "high": mean + 0.01}
        | {"chance_to_repeat": 0.6 if verdict in ("better", "worse") else np.nan}
        for depth, (verdict, mean) in verdicts.items()
    ]
    return pd.DataFrame(rows)


def test_each_comparison_is_paired_with_itself_and_told_what_became_of_it():
    found = repeats(study(FIRST), study(AGAIN).sample(frac=1, random_state=0))
    assert dict(zip(found["depth"], found["outcome"], strict=True)) == {
        2: "repeats", 4: "same direction", 8: "turns round", 16: "repeats", 32: "",
    }  # fmt: skip


def test_a_difference_that_changed_its_sign_without_a_verdict_is_the_other_direction():
    [outcome] = repeats(study({2: ("worse", -0.1)}), study({2: ("inconclusive", 0.01)}))["outcome"]
    assert outcome == "other direction"
    failed = repeats(study({2: ("worse", -0.1)}), study({2: ("failed", np.nan)}))
    assert failed["outcome"].tolist() == ["other direction"]


def test_comparisons_of_one_study_alone_are_left_out():
    more = pd.concat([study(FIRST), study(FIRST, matching="parameters")])
    assert len(repeats(more, study(AGAIN))) == len(repeats(study(AGAIN), more)) == 5


def test_the_counts_and_the_table_say_it():
    said = told(repeats(study(FIRST), study(AGAIN)))
    assert said.startswith(
        "5 comparisons in both studies, 3 of them better or worse in the first: 1 (33 %) have the same verdict in the "
        "second, where 2 were to be expected by their p, "
        "2 (67 %) the same direction, 1 the opposite verdict. Of 1 of no difference 1 (100 %) are so again. "
        "1 others are better or worse in the second alone.\n\n| entry | held equal |"
    )
    assert "| digits-mlp | width | 8 | worse, \N{MINUS SIGN}0.300 [" in said
    assert said.count("\n") == 2 + 2 + 5
    assert told(repeats(study({16: FIRST[16]}), study(AGAIN))).startswith(
        "1 comparisons in both studies, 0 of them"
    )
