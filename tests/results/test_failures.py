"""What failed, and why: sentences of measures that are known."""

import math

from howdeep.results.failures import recipes_matter, untrained
from tests.results.test_wording import BETTER, OPEN, WORSE, judged, together

NAMES = {("digits-mlp", "width"): "mlp, equal width", ("digits-mlp-plain", "width"): "mlp-plain"}
GROUPS = {"digits-mlp": ["digits-mlp", "digits-mlp-plain"]}


def test_recipes_are_held_beside_one_another():
    _, verdicts = together(judged(BETTER), judged(WORSE, name="mlp-plain"))
    assert recipes_matter(verdicts, GROUPS, NAMES) == (
        "With one recipe (mlp) depth hurt none of 1 networks; with another (mlp-plain) it hurt 1 of 1 networks."
    )
    assert recipes_matter(judged(BETTER)[1], GROUPS, NAMES) == ""
    assert recipes_matter(verdicts, {}, NAMES) == ""


def test_a_network_that_did_not_train_is_told_with_what_its_gradient_does():
    cells, _ = judged(OPEN)
    lost = cells.assign(collapsed=[0, 3], diverged=[0, 1])
    [(said, task)] = untrained(lost.assign(gradient_ratio=[1.0, 5e-10]))
    assert said == (
        "mlp on digits did not train at depth 8, 1 of 5 runs diverged and 3 of 5 runs ended near chance (the gradient "
        "vanishes: at the first hidden layer it is 5.0e-10 of that at the last)."
    )
    assert task == "classification"
    assert "explodes" in untrained(lost.assign(gradient_ratio=[1.0, 1e6]))[0][0]
    for usual in (0.5, math.nan):
        assert "gradient" not in untrained(lost.assign(gradient_ratio=[1.0, usual]))[0][0]
    assert untrained(cells.assign(gradient_ratio=1.0)) == []
