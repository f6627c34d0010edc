"""What galleries show, read from the SVG and from the PNGs in it; heat maps likewise."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from howdeep.errors import UserError
from howdeep.figures import figure, galleries, heatmaps
from howdeep.figures.galleries import Shown, drawn, markdown, shown, texts
from howdeep.files.seals import checksums
from howdeep.records.artifacts import read
from howdeep.results.histories import gradients
from howdeep.results.scores import scores, select, summary

SEEN = re.compile(r'data:image/png;base64,([^"]+)"')
FILLS = re.compile(r"<use [^>]*fill: (#[0-9a-f]{6})|<path [^>]*fill: (#[0-9a-f]{6})")


@pytest.fixture(scope="session")
def runs(gallery):
    return scores(gallery, {"runs": {}})


@pytest.fixture(scope="session")
def lines(runs, artifacts):
    return shown(summary(runs), runs, artifacts)


def strips(svg: str) -> list[np.ndarray]:
    """The images of a gallery, (height, width, RGBA), top to bottom."""
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(code)))) for code in SEEN.findall(svg)]


def line(**by_name) -> list[Shown]:
    return [Shown("digits, x", {1: by_name})]


def test_each_line_shows_the_lowest_seed_of_each_depth_and_lines_without_artifacts_nothing(lines, artifacts):
    assert [of.title for of in lines] == ["digits, gan", "torch_docs, transformer", "digits, autoencoder"]
    said = {depth: made["sample"].splitlines()[0] for depth, made in lines[1].by_depth.items()}
    assert said == {depth: f"def <depth> {depth} & seed 0:" for depth in (1, 2, 4, 8)}


def test_a_diverged_run_shows_nothing_and_the_next_seed_takes_its_place(make_record):
    records = [make_record("digits", "gan", 1, 0, diverged=True), make_record("digits", "gan", 1, 1)]
    table = scores(records, {"runs": {}})
    left = {record["key"]: {"sample": str(record["seed"])} for record in records}
    [of] = shown(summary(table), table, left)
    assert of.by_depth == {1: {"sample": "1"}}


def test_pixels_are_those_of_the_artifacts_on_the_scale_of_the_originals():
    originals = np.array([-1.0, 3.0]).repeat(32).reshape(1, 1, 8, 8)  # upper half black, lower half white
    half = np.full((1, 1, 8, 8), 1.0)
    svg = galleries.images(line(originals=originals, reconstructions=half), "reconstructions")
    first, second = strips(svg)
    assert first.shape == (8, 8, 4)
    assert first[0, 0].tolist() == [0, 0, 0, 255]
    assert first[7, 7].tolist() == [255, 255, 255, 255]
    assert second[3, 3, 0] in (127, 128)


def test_images_stand_side_by_side_with_a_clear_pixel_between_them():
    samples = np.linspace(0, 1, 3 * 16).reshape(3, 1, 4, 4)
    [strip] = strips(galleries.images(line(samples=samples), "samples"))
    assert strip.shape == (4, 3 * 5 - 1, 4)
    assert [column for column in range(14) if not strip[:, column, 3].any()] == [4, 9]


def test_images_are_large_enough_to_recognise_a_digit():
    many = np.linspace(0, 1, 12 * 64).reshape(12, 1, 8, 8)
    [grid] = strips(galleries.images(line(samples=many), "samples"))
    assert grid.shape == (2 * 9 - 1, 5 * 9 - 1, 4)  # the first ten, in two lines
    [pixel] = re.findall(
        r'<image[^>]* transform="matrix\(([\d.]+)', galleries.images(line(samples=many), "samples")
    )
    assert 8 * float(pixel) > 40  # points; a picture is at least as large on a page


def test_colour_images_keep_their_colours():
    red = np.zeros((1, 3, 4, 4))
    red[:, 0] = 1
    [strip] = strips(galleries.images(line(samples=red), "samples"))
    assert strip[2, 2].tolist() == [255, 0, 0, 255]


def test_a_generator_that_makes_one_grey_can_be_shown():
    [strip] = strips(galleries.images(line(samples=np.full((2, 1, 4, 4), 0.3)), "samples"))
    assert strip.shape == (4, 9, 4)


def test_a_gallery_has_a_row_a_depth_below_the_originals(lines):
    pictures = drawn(lines)
    assert list(pictures) == ["reconstructions", "samples", "latent"]
    assert len(strips(pictures["reconstructions"])) == 5
    assert len(strips(pictures["samples"])) == 4
    labels = re.findall(r">(original|depth \d)<", pictures["reconstructions"])
    assert labels == ["original", "depth 1", "depth 2", "depth 4", "depth 8"]


def test_the_order_in_which_artifacts_come_changes_no_byte(runs, artifacts, lines):
    again = shown(summary(runs), runs, dict(reversed(artifacts.items())))
    assert drawn(again) == drawn(lines)


def test_arrays_that_are_no_images_are_no_gallery():
    rows = np.zeros((4, 30))
    assert drawn(line(originals=rows, reconstructions=rows, samples=rows[0], latent=rows[0])) == {}


def test_every_point_of_the_latent_plane_is_drawn_as_its_class(lines):
    svg = drawn(lines)["latent"]
    body = svg.split("</style>", 1)[1]
    marks = re.findall(r'<use xlink:href="(#m[^"]+)"[^>]*fill: (#[0-9a-f]{6})', body)
    assert len(marks) == 4 * 30  # depths, points
    assert len({mark for mark, _ in marks}) == 10
    assert {colour for _, colour in marks} <= set(figure.DARK)


def test_latent_points_without_labels_are_dots():
    assert "<use" in galleries.latent(line(latent=np.random.RandomState(0).randn(9, 2)))


def test_a_text_that_all_depths_share_is_told_once():
    made = {depth: {"prompt": "def ", "sample": f"f{depth}"} for depth in (1, 2)}
    assert texts([Shown("x", made)]) == [("x", [("prompt", "def "), ("depth 1", "f1"), ("depth 2", "f2")])]


def test_several_texts_of_one_depth_are_told_apart():
    assert texts(line(a="1", b="2", samples=np.zeros(3))) == [
        ("digits, x", [("depth 1, a", "1"), ("depth 1, b", "2")])
    ]


def test_nothing_in_a_text_is_taken_for_markup():
    said = markdown(line(sample="```\n# no heading\n\n| no | table |"))
    assert said.startswith("**digits, x, depth 1**\n\n")
    assert all(not row or row.startswith("    ") for row in said.splitlines()[2:])


def test_artifacts_come_back_from_a_runs_folder(tmp_path):
    assert read(tmp_path) == {}
    images = np.random.RandomState(0).rand(2, 1, 8, 8).astype(np.float32)
    save_file({"samples": images}, tmp_path / "artifacts.safetensors")
    (tmp_path / "sample.txt").write_text("naïve\n", encoding="utf-8")
    found = read(tmp_path)
    assert found["sample"] == "naïve\n"
    np.testing.assert_array_equal(np.asarray(found["samples"]), images)


def test_a_torn_file_of_artifacts_is_a_mistake_of_one_line(tmp_path):
    (tmp_path / "artifacts.safetensors").write_bytes(b"half")
    with pytest.raises(UserError, match=r"is not readable .*delete its folder, then `dvc repro`"):
        read(tmp_path)


@pytest.fixture(scope="session")
def maps(gallery, runs):
    flow = gradients(gallery)
    cells = summary(runs)
    entries = ("digits-cnn", "digits-cnn-plain", "digits-gan")
    return {entry: heatmaps.layers(select(cells, entry=entry), flow) for entry in entries}


def colours(svg: str) -> list[str]:
    """The colour of each cell of the maps and, last, of the scale."""
    body = svg.split("</style>", 1)[1]
    return [a or b for a, b in FILLS.findall(body) if (a or b) in figure.DEPTH]


def test_a_heat_map_has_a_cell_for_each_layer_and_epoch_and_a_scale(maps):
    cells = (1 + 2 + 4 + 8) * 3
    assert len(colours(maps["digits-cnn"])) == cells + len(figure.DEPTH)
    assert len(colours(maps["digits-gan"])) == 2 * (cells + len(figure.DEPTH))
    assert "digits, gan, generator" in maps["digits-gan"]


def test_the_largest_gradient_has_the_strongest_colour_and_the_vanished_the_faintest(maps):
    scale = list(figure.DEPTH)
    normal, plain = (colours(maps[name])[: -len(scale)] for name in ("digits-cnn", "digits-cnn-plain"))
    assert scale.index(normal[0]) == len(scale) - 1  # depth 1, epoch 0: 0.1
    assert scale.index(plain[-24]) == 0  # depth 8, layer 1, epoch 0: 1e-22 of it


def test_plain_and_normalised_share_one_scale(maps):
    ticks = [re.findall(r">(0\.\d+|1e-\d+)<", maps[name]) for name in ("digits-cnn", "digits-cnn-plain")]
    assert ticks[0] == ticks[1]
    assert len(ticks[0]) >= 5


def test_the_heat_map_is_told_in_words(maps):
    assert "depth 2: 0.003 at layer 1 and 0.005 at layer 2" in maps["digits-cnn"]


def test_gradients_that_are_zero_or_unknown_can_be_drawn(make_record):
    for norm in (0.0, None):
        record = make_record("digits", "mlp", 2, 0)
        for row in record["gradient_flow"]:
            row["activation_gradient"] = norm
        cells = summary(scores([record], {"runs": {}}))
        assert heatmaps.layers(cells, gradients([record])).startswith("<svg")


def test_without_any_gradient_there_is_no_heat_map(make_record):
    record = make_record("digits", "mlp", 1, 0, diverged=True)
    assert heatmaps.layers(summary(scores([record], {"runs": {}})), gradients([record])) == ""


def test_spread_keeps_both_ends():
    assert figure.spread([1, 2, 3], 3) == [1, 2, 3]
    assert figure.spread(list(range(1, 33)), 6) == [1, 7, 13, 20, 26, 32]


def test_artifacts_that_are_not_as_they_were_written_are_not_shown(tmp_path):
    save_file({"samples": np.zeros(3, np.float32)}, tmp_path / "artifacts.safetensors")
    (tmp_path / "sample.txt").write_text("the")
    files = checksums(tmp_path)
    assert set(read(tmp_path, files)) == {"samples", "sample"}
    for name in files:
        content = bytearray((tmp_path / name).read_bytes())
        content[-1] ^= 1
        (tmp_path / name).write_bytes(bytes(content))
        with pytest.raises(UserError, match=f"{name} is not as it was written: train the run again"):
            read(tmp_path, files)
        content[-1] ^= 1
        (tmp_path / name).write_bytes(bytes(content))
