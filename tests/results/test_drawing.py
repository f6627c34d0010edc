"""Pictures drawn side by side in forked workers are those that are drawn one after another."""

import pytest
from matplotlib.figure import Figure

from howdeep.results.analysis import analyse
from howdeep.results.report import comparison

EMPTY = {"runs": {}, "baselines": {}}


def test_workers_draw_every_picture_to_the_same_bytes(gallery, artifacts, monkeypatch):
    few = [record for record in gallery if record["entry"] in ("digits-cnn", "digits-gan")]
    one_after_another = comparison(analyse(few, EMPTY, artifacts=artifacts))
    analysis = analyse(few, EMPTY, artifacts=artifacts)
    analysis.draw(2)
    with monkeypatch.context() as patched:
        patched.setattr(Figure, "savefig", lambda *_, **__: pytest.fail("was drawn again"))
        assert comparison(analysis) == one_after_another
    assert sum(path.endswith(".svg") for path in one_after_another) > 10
