"""Pictures drawn side by side in forked workers are those that are drawn one after another, as matplotlib would."""

import io
import itertools

import pytest
from matplotlib.backends.backend_svg import RendererSVG
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties

from howdeep.figures import figure
from howdeep.figures.figure import Renderer, styled
from howdeep.report.analysis import analyse
from howdeep.report.report import comparison

EMPTY = {"runs": {}, "baselines": {}}


@pytest.mark.slow
def test_workers_draw_every_picture_to_the_same_bytes(gallery, artifacts, monkeypatch):
    few = [record for record in gallery if record["entry"] in ("digits-cnn", "digits-gan")]
    one_after_another = comparison(analyse(few, EMPTY, artifacts=artifacts))
    analysis = analyse(few, EMPTY, artifacts=artifacts)
    analysis.draw(2)
    with monkeypatch.context() as patched:
        patched.setattr(Figure, "draw", lambda *_, **__: pytest.fail("was drawn again"))
        assert comparison(analysis) == one_after_another
    assert sum(path.endswith(".svg") for path in one_after_another) > 10


@styled
def test_texts_are_as_large_as_matplotlib_finds_them_the_first_time_and_every_other():
    ours, theirs = (kind(100, 100, io.StringIO()) for kind in (Renderer, RendererSVG))
    for text, size, weight in itertools.product(("depth 4", "0.1"), (8, 10.5), ("normal", "bold")):
        font = FontProperties(family="DejaVu Sans", size=size, weight=weight)
        sizes = [of.get_text_width_height_descent(text, font, False) for of in (ours, theirs, ours)]
        assert sizes[0] == sizes[1] == sizes[2]


def test_a_picture_is_byte_for_byte_what_matplotlibs_own_renderer_makes_of_it(
    gallery, artifacts, monkeypatch
):
    few = [record for record in gallery if record["entry"] == "digits-gan"]
    ours = comparison(analyse(few, EMPTY, artifacts=artifacts))
    monkeypatch.setattr(figure, "Renderer", RendererSVG)
    figure._ruler.cache_clear()
    theirs = comparison(analyse(few, EMPTY, artifacts=artifacts))
    figure._ruler.cache_clear()
    assert ours == theirs
