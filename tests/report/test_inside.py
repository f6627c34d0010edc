"""What was found inside networks, as tables, pictures and sections of the report."""

import base64
import io
import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from safetensors.numpy import save_file

from howdeep.errors import UserError
from howdeep.report.analysis import Analysis, analyse
from howdeep.report.inside import Inspection
from howdeep.report.packing import unpacked
from howdeep.report.page import page
from howdeep.report.report import comparison
from howdeep.results.inspection import TABLES
from howdeep.stages.compare import read_inspection

SEEN = re.compile(r'data:image/png;base64,([^"]+)"')


def images(svg: str) -> list[np.ndarray]:
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(code)))) for code in SEEN.findall(svg)]


def make_inspection() -> Inspection:
    """Two depths of one entry: probes, similarities, heads and attributions with numbers that are known."""
    cells = [{"entry": "digits-mlp", "matching": "width", "depth": depth} for depth in (1, 2)]
    probed = [
        cell | {"layer": layer, "part": part, "probe": 0.9 + 0.03 * layer, "untrained": 0.9 - 0.1 * layer}
        for cell in cells
        for layer, part in enumerate(["input", "hidden", "code"][: cell["depth"] + 1])
    ]
    alike = [
        cell | {"with": "itself", "other_layer": i, "layer": j, "cka": 1 - 0.2 * (j - i)}
        for cell in cells
        for i in range(cell["depth"] + 1)
        for j in range(i, cell["depth"] + 1)
    ] + [
        cells[1] | {"with": "shallowest", "other_layer": i, "layer": j, "cka": 0.1 * i + 0.01 * j}
        for i in range(2)
        for j in range(3)
    ]
    heads = [cells[1] | {"layer": 1, "head": head, "spread": 0.2 * head, "distance": head} for head in (1, 2)]
    saliency = [
        cell | {"agreement": 0.25 * cell["depth"], "completeness_error": 0.01, "examples": 4}
        for cell in cells
    ]
    made = np.zeros((2, 1, 4, 4), dtype=np.float32)
    made[0, 0, 0, 0], made[0, 0, 0, 1] = 2, -2
    pictures = {
        f"digits-mlp/width/{depth}/{name}": array
        for depth in (1, 2)
        for name, array in {
            "images": made.clip(0), "attributions": made, "untrained": -made, "labels": np.array([3, 5])
        }.items()
    }  # fmt: skip
    pictures["digits-mlp/width/2/attention"] = np.full((1, 2, 5, 5), 0.2, dtype=np.float32)
    tables = {"representations": probed, "similarity": alike, "attention": heads, "attribution": saliency}
    return Inspection({name: pd.DataFrame(rows) for name, rows in tables.items()}, pictures)


@pytest.fixture(scope="module")
def study(make_record) -> Analysis:
    records = [make_record("digits", "mlp", depth, seed) for depth in (1, 2) for seed in (0, 1)]
    return analyse(records, {"runs": {}, "baselines": {}}, inspection=make_inspection())


def test_a_cell_tells_what_is_read_from_its_ends_and_what_they_have_in_common(study):
    shallow, deep = ([cell.by for cell in row] for row in study.inside.representations.rows)
    assert shallow[:6] == ["digits", "mlp", 1, 0.9, pytest.approx(0.93), pytest.approx(0.93)]
    assert np.isnan(shallow[8])  # nothing is shallower
    assert deep[3:] == pytest.approx([0.9, 0.93, 0.96, 0.7, 0.8, 0.12])


def test_a_cell_tells_its_attributions_and_the_mean_of_its_heads(study):
    shallow, deep = ([cell.by for cell in row] for row in study.inside.looks.rows)
    assert shallow[3:5] == [0.25, 0.01]
    assert np.isnan(shallow[5:]).all()
    assert deep[3:] == pytest.approx([0.5, 0.01, 0.3, 0.3, 1.5, 1.5])


def test_attributions_are_red_for_and_blue_against_on_the_scale_of_each_image(study):
    [svg] = study.inside.pictures["attributions"]
    grey, shallow, _, untrained = images(svg)
    assert grey[0, 0].tolist() == [255, 255, 255, 255]
    assert grey[1, 0].tolist() == [0, 0, 0, 255]
    assert shallow.shape == (4, 9, 4)
    assert shallow[0, 0, 0] > 2 * shallow[0, 0, 2]  # red
    assert shallow[0, 1, 2] > 2 * shallow[0, 1, 0]  # blue
    np.testing.assert_array_equal(untrained[0, 0], shallow[0, 1])
    assert min(shallow[2, 7, :3]) > 240  # nothing: white


def test_the_similarity_of_layers_is_symmetric_and_the_input_is_at_the_lower_left(study):
    [svg] = study.inside.pictures["similarity"]
    matrix = images(svg)[0]
    drawn = matrix[::-1] if (matrix[0, 0] != matrix[-1, -1]).any() else matrix
    np.testing.assert_array_equal(drawn, drawn.transpose(1, 0, 2))
    assert "depth 2: first and last hidden layer 0.800" in svg


def test_page_and_files_hold_every_picture_with_a_text_for_those_who_cannot_see_it(study):
    html = unpacked(page(study, study="s", cards={}, provenance={}))
    section = html[html.index('<section id="representations"') : html.index('<section id="across"')]
    assert section.count("<svg") == 4
    assert len(re.findall(r'<svg[^>]*aria-label="digits, mlp: [^"]{20,}"', section)) == 4
    assert '<a href="#looks">' in html
    names = {name for name in comparison(study) if re.search("inside|looks|representations", name)}
    assert names == {
        *(f"figures/inside-{kind}.svg" for kind in ("probes", "similarity", "attention", "attributions")),
        "tables/looks.md",
        "tables/representations.md",
    }


def test_a_study_that_nobody_looked_into_has_no_such_sections(make_record, tmp_path):
    nothing = read_inspection(tmp_path / "inspection")
    found = analyse([make_record("digits", "mlp", 1, 0)], {"runs": {}, "baselines": {}}, inspection=nothing)
    html = unpacked(page(found, study="s", cards={}, provenance={}))
    assert "What the networks look at" not in html
    assert "Representations" not in html
    assert found.inside.pictures == {}


def test_an_inspection_comes_back_from_its_folder(tmp_path):
    written = make_inspection()
    for name, table in written.tables.items():
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    save_file(dict(written.pictures), tmp_path / "pictures.safetensors")
    found = read_inspection(tmp_path)
    for name, table in written.tables.items():
        pd.testing.assert_frame_equal(found.tables[name], table)
    assert set(found.pictures) == set(written.pictures)


def test_a_folder_whose_files_cannot_be_read_is_told_in_one_line(tmp_path):
    (tmp_path / "representations.csv").touch()
    with pytest.raises(UserError, match="delete the folder, then `dvc repro inspect`") as caught:
        read_inspection(tmp_path)
    assert "\n" not in str(caught.value)


def test_tables_without_rows_are_no_sections(make_record):
    columns = ["entry", "matching", "depth", "layer", "other_layer", "with", "cka"]
    empty = Inspection({name: pd.DataFrame(columns=columns) for name in TABLES})
    found = analyse([make_record("digits", "mlp", 1, 0)], {"runs": {}, "baselines": {}}, inspection=empty)
    assert found.inside.representations.rows == []
    assert found.inside.looks.rows == []
