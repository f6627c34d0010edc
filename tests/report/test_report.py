"""Files and page: the same each time, whole, and nothing but what the study holds."""

import base64
import gzip
import json
import os
import random
import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest

from howdeep.errors import UserError
from howdeep.records.trials import TrialRow
from howdeep.report import protocol, report
from howdeep.report.analysis import analyse
from howdeep.report.packing import unpacked
from howdeep.report.page import page
from howdeep.report.report import build_report, comparison, write_comparison
from tests.studies import make_test

VOID = {"meta", "br", "path", "use", "rect", "link"}


@pytest.fixture(scope="session")
def html(records, test_scores, cards, provenance) -> str:
    return unpacked(page(analyse(records, test_scores), study="default", cards=cards, provenance=provenance))


@pytest.fixture(scope="session")
def contents(records, test_scores) -> dict[str, str]:
    return comparison(analyse(records, test_scores))


def few(make_record) -> list[dict]:
    return [make_record("digits", "mlp", depth, seed) for depth in (1, 2) for seed in (0, 1)]


EMPTY = {"runs": {}, "baselines": {}}


def files(folder) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_runs_of_an_entry_on_different_processors_are_told(make_record):
    records = few(make_record)
    kinds = ["A (1f)", "B (2e)", "A (1f)", "x86_64"]
    told = {}
    for name, own in (("mixed", kinds), ("alike", ["A (1f)"] * 3 + ["x86_64"])):
        made = {"commit": "0f", "dirty": "false", "system": "Linux", "train_seconds": 1.0, "packages": {}}
        traces = {
            record["key"]: made | {"processor": kind} for record, kind in zip(records, own, strict=True)
        }
        html = unpacked(page(analyse(records, EMPTY), study="s", cards={}, provenance=traces))
        told[name] = "were trained on processors of different kinds" in html
        assert "A (1f)" in html
    assert told == {"mixed": True, "alike": False}


def test_the_files_are_a_pure_function_of_the_records_whatever_their_order(records, test_scores, contents):
    assert comparison(analyse(random.Random(0).sample(records, len(records)), test_scores)) == contents


def test_another_process_with_other_hashes_makes_the_same_bytes(make_record):
    script = (
        "import json, sys; from howdeep.report.analysis import analyse\n"
        "from howdeep.report.report import comparison\n"
        "print(json.dumps(comparison(analyse(json.load(sys.stdin), {'runs': {}, 'baselines': {}}))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], input=json.dumps(few(make_record)), text=True, capture_output=True, check=True,
        env=os.environ | {"PYTHONHASHSEED": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert json.loads(done.stdout) == comparison(analyse(few(make_record), EMPTY))


def test_compare_writes_what_comparison_made_and_leaves_the_test_scores_alone(make_record, tmp_path):
    (tmp_path / "test.json").write_text("{}")
    write_comparison(analyse(few(make_record)[:2], EMPTY), folder=tmp_path)
    write_comparison(analyse(few(make_record), EMPTY), folder=tmp_path)
    assert files(tmp_path) == comparison(analyse(few(make_record), EMPTY)) | {"test.json": "{}"}
    assert set(files(tmp_path)) >= {
        "scores.csv",
        "summary.csv",
        "curves.csv",
        "metrics.json",
        "tables/classification.md",
    }
    assert json.loads((tmp_path / "metrics.json").read_text())["untrained"] == 0


def test_files_of_a_task_that_left_the_study_are_removed(make_record, tmp_path):
    for name in ("tables/generation.md", "figures/generation-score.svg"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("old")
    write_comparison(analyse(few(make_record), EMPTY), folder=tmp_path)
    assert not [name for name in files(tmp_path) if "generation" in name]


def test_a_comparison_that_cannot_be_made_writes_nothing(tmp_path):
    with pytest.raises(UserError):
        write_comparison(analyse([], EMPTY), folder=tmp_path / "results")
    assert not (tmp_path / "results").exists()


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path):
    for text in ("older", "old"):
        report.write(tmp_path / "index.html", text)
    with pytest.raises(UnicodeEncodeError):
        report.write(tmp_path / "index.html", "half \ud800")
    assert files(tmp_path) == {"index.html": "old"}


def test_the_report_is_written_whole_into_a_new_folder(make_record, tmp_path):
    path = tmp_path / "reports" / "index.html"
    build_report(analyse(few(make_record), EMPTY), study="small", cards={}, provenance={}, path=path)
    assert path.read_text() == page(analyse(few(make_record), EMPTY), study="small", cards={}, provenance={})
    assert list(files(tmp_path)) == ["reports/index.html"]


class Outline(HTMLParser):
    """The ids, the targets of links, and whether every tag is closed in its order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str | None] = []
        self.targets: set[str | None] = set()
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)
        if self.open.count("svg") == 0:
            self.ids += [value for name, value in attrs if name == "id"]
        self.targets |= {value for name, value in attrs if name == "href" and tag == "a"}

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag


def test_every_tag_is_closed_and_every_link_leads_somewhere_on_the_page(html):
    outline = Outline(html)
    assert outline.open == []
    assert len(outline.ids) == len(set(outline.ids))
    assert outline.targets <= {f"#{name}" for name in outline.ids}
    sections = {
        "answer",
        "choose",
        "failed",
        "classification",
        "forecasting",
        "limits",
        "protocol",
        "explore",
    }
    assert {f"#{name}" for name in sections} <= outline.targets


def test_the_page_fetches_nothing(html):
    assert not re.search(r"(src|href)=\"(?!#|data:image/png)|url\((?!#)|@import|<script src|<link|<img", html)


def test_the_page_opens_with_the_answer_and_the_map_of_all_verdicts(html):
    opening = html[: html.index('<section id="choose"')]
    assert '<p class="answer">More layers helped ' in opening
    assert opening.count("<svg") == 1  # a matching
    assert re.findall(r"<li><strong>(\w+)</strong>: on \w", opening) == ["lstm", "mlp"]


def test_what_is_closed_travels_packed_and_is_all_there(records, test_scores, html):
    packed = page(analyse(records, test_scores), study="default", cards={}, provenance={})
    assert len(packed) < len(html) / 2 + 700_000  # with the library of the interactive plot
    assert "<code>" not in packed[: packed.index('<section id="limits"')]
    assert unpacked(unpacked(packed)) == unpacked(packed)


def test_the_page_says_what_may_be_held_against_it(html, records, test_scores, provenance):
    limits = html[html.index('<section id="limits"') :]
    assert "5 seeds are few, fewer than ten" in limits
    assert "cannot go below p = 0.0625 with 5 pairs" in limits
    assert "were not tuned for each depth" in limits
    assert "at equal width" in limits
    assert "There are 3 families" in limits
    assert "Verdicts on accuracy and mae hold for these test examples" in limits
    trials = {
        entry: [TrialRow(1, "adam", 0.01, 0.5, last_loss=0.5)]
        for entry in {record["entry"] for record in records}
    }
    told = [record | {"matching": "flops"} for record in records]
    tuned = unpacked(page(analyse(told, test_scores, trials=trials), study="s", cards={}, provenance={}))
    assert "were not tuned for each depth" not in tuned
    assert "holds the luck of their tunings" in tuned
    assert "All comparisons are at equal width" not in tuned
    assert "mlp at equal training FLOPs" in tuned
    assert "In 3 of 3 cells at least half of the chosen learning rates lie on the edge" in tuned


def test_where_depth_did_harm_is_told_apart(html):
    shallow = html[html.index('<section id="failed"') : html.index('<section id="classification"')]
    assert re.search(r"breast_cancer, mlp: .*depth 8 was worse \(accuracy \N{MINUS SIGN}0.01", shallow)


def test_every_number_leads_to_its_runs_and_every_run_has_its_key(html, records):
    for record in records:
        assert f"<code>{record['key']}</code>" in html
    assert '<a href="#runs-digits-mlp-width-4">5</a>' in html
    assert '<a href="#runs-sunspots-lstm-width-8">4 of 5</a>' in html
    assert '<tr id="runs-sunspots-lstm-width-8">' in html


def test_the_points_of_the_interactive_plot_are_the_finished_runs(html, records):
    packed = re.search(r'id="points">(.*?)</script>', html)[1]  # type: ignore[index]
    points = json.loads(gzip.decompress(base64.b64decode(packed)))
    keys = [key for lines in points["tasks"].values() for line in lines.values() for key in line["key"]]
    assert sorted(keys) == sorted(record["key"] for record in records if record["state"] == "finished")
    assert "seconds" in points["axes"]


def test_the_page_tells_failures_baselines_sizes_checksums_and_seconds(html, records):
    assert "1 runs diverged." in html
    assert "<td>sunspots-lstm</td><td>8</td><td>3</td><td>train/loss became nan in epoch 2</td>" in html
    assert '<td>persistence</td><td class="number">0.440</td><td class="number">0.570</td>' in html
    assert "1,438" in html
    assert "b9e7" * 16 in html
    assert '<td data-by="8.0" class="number">8.0</td>' in html  # seconds at depth 8
    assert "none: make it with `howdeep prepare data=breast_cancer`" in html


def test_the_page_tells_where_simple_methods_learned_from_a_draw(records, test_scores, html):
    drawn = page(
        analyse(records, {**test_scores, "drawn": {"sunspots": 100_000}}), study="of", cards={}, provenance={}
    )
    told = "On sunspots simple methods learned from 100,000 training examples, drawn at random"
    assert told in unpacked(drawn)
    assert "drawn at random, and networks from all" not in html


def test_the_page_names_no_host(html):
    assert "a-host-name" not in html


def test_settings_that_differ_between_depths_show_all_their_values(make_record):
    records = few(make_record)
    records[-1]["config"]["optimizer"]["lr"] = 0.01
    html = unpacked(page(analyse(records, EMPTY), study="s", cards={}, provenance={}))
    assert "<dt>optimizer.lr</dt><dd>0.003, 0.01</dd>" in html
    assert "<dt>model.depth</dt>" not in html
    many = [few(make_record)[0] for _ in range(12)]
    for place, record in enumerate(many):
        record["seed"], record["config"]["optimizer"]["lr"] = place, round(0.001 * (12 - place), 3)
    (settings,) = protocol.settings(many)
    assert ("optimizer.lr", "0.001 to 0.012, 12 values") in settings["settings"]


def test_without_provenance_there_are_no_seconds_and_without_failures_none_are_told(make_record):
    html = unpacked(page(analyse(few(make_record), EMPTY), study="s", cards={}, provenance={}))
    assert ">seconds<" not in html
    assert '"seconds":' not in html
    assert "Made with" not in html
    assert "The runs that diverged" not in html


def test_names_from_records_cannot_break_the_page(make_record):
    records = [record | {"entry": "a<b>&c", "data": "d<e>"} for record in few(make_record)]
    html = unpacked(page(analyse(records, EMPTY), study="<study>", cards={}, provenance={}))
    assert Outline(html).open == []
    assert "<study>" not in html
    assert "d<e>" not in html


@pytest.fixture(scope="session")
def seen(gallery, artifacts) -> str:
    few = [record for record in gallery if record["seed"] < 2 and record["depth"] in (1, 8)]
    return unpacked(page(analyse(few, EMPTY, artifacts=artifacts), study="s", cards={}, provenance={}))


def test_the_page_shows_what_networks_make_beside_their_scores(seen):
    assert Outline(seen).open == []
    assert not re.search(r"(src|href)=\"(?!#|data:image/png)|url\((?!#)|@import|<script src|<link|<img", seen)
    headings = re.findall(r"<(?:h4|summary)>([^<]*)</", seen)
    once = ("Samples", "Reconstructions", "Latent plane", "Written text")
    assert {name: headings.count(name) for name in once} == dict.fromkeys(once, 1)
    assert headings.count("Gradient at every layer") == 4
    assert "def &lt;depth&gt; 8 &amp; seed 0:" in seen
    assert "What distinguishes cnn-plain from cnn on digits: residual" in seen
    assert '<section id="language_modelling">\n<h2>Language modelling</h2>' in seen


def test_the_best_of_all_recipes_has_a_section_and_a_table(gallery):
    records = [record for record in gallery if record["model"] == "cnn"]
    for record in records:
        if record["entry"].endswith("-plain"):
            for epoch in record["epochs"]:
                epoch["val/accuracy"] += 0.1 if record["depth"] == 1 else -0.1
    found = analyse(records, make_test(records), recipes={"digits-cnn": ["digits-cnn", "digits-cnn-plain"]})
    html = unpacked(page(found, study="s", cards={}, provenance={}))
    assert Outline(html).open == []
    assert '<a href="#recipes">' in html
    assert "On digits, the best of 2 recipes of cnn at equal width:" in html
    assert (
        "Chosen by most seeds: cnn-plain at depth 1 (5 of 5 seeds), cnn at depths 2, 4 and 8 (5, 5 and 5 of 5 seeds)."
        in html
    )
    assert "There are 3 families" in html
    files = comparison(found)
    assert files["tables/recipes.csv"].count("\n") == 4
    assert "| digits | cnn | width | 1 |" in files["tables/recipes.md"]
    without = comparison(analyse(records, make_test(records)))
    assert not {name for name in without if "recipes" in name}


def test_galleries_are_files_of_the_comparison(gallery, artifacts):
    makers = ("gan", "autoencoder", "transformer")
    few = [
        record
        for record in gallery
        if record["model"] in makers and record["depth"] == 1 and record["seed"] == 0
    ]
    files = comparison(analyse(few, EMPTY, artifacts=artifacts))
    drawn = "csv|json|score|curves|gap|gradient|layers|pareto|map|choices|verdicts"
    own = {name for name in files if not re.search(drawn, name)}
    assert own == {
        "figures/generation-samples.svg",
        "figures/reconstruction-reconstructions.svg",
        "figures/reconstruction-latent.svg",
        "tables/generation.md",
        "tables/language_modelling.md",
        "tables/language_modelling-texts.md",
        "tables/reconstruction.md",
    }
    assert {name for name in files if "layers" in name} == {
        f"figures/{record['task']}-layers.svg" for record in few
    }


def test_entries_with_different_seeds_are_told_as_such(make_record):
    records = [
        make_record("digits", model, depth, seed)
        for model, seeds in (("mlp", range(3)), ("cnn", range(7, 19)))
        for depth in (1, 2)
        for seed in seeds
    ]
    records.append(make_record("digits", "gan", 1, 0))
    html = unpacked(page(analyse(records, EMPTY), study="s", cards={}, provenance={}))
    assert "seeds digits-gan: 0; digits-mlp: 0 to 2; elsewhere: 7 to 18." in html
    assert "1 and 3 seeds of 2 of 3 entries are few, fewer than ten" in html
    ten = [make_record("digits", "mlp", depth, seed) for depth in (1, 2) for seed in range(10)]
    assert "fewer than ten" not in unpacked(page(analyse(ten, EMPTY), study="s", cards={}, provenance={}))


def test_the_limits_say_for_which_entry_depth_is_told_apart_from_size_and_whether_the_split_varies(
    make_record,
):
    cells = [("mlp", "width"), ("mlp", "parameters"), ("cnn", "width")]
    records = [
        make_record("digits", model, depth, seed, matching=matching)
        for model, matching in cells
        for depth in (1, 2)
        for seed in (0, 1)
    ]
    said = " ".join(protocol.limits(analyse(records, {"runs": {}, "baselines": {}})))
    assert "is separated only for digits-mlp, compared at equal parameters as well" in said
    assert "The split is the same for all runs" in said
    drawn = [r | {"config": {**r["config"], "data": {"examples": {"seed": r["seed"]}}}} for r in records]
    assert "which of them validate" in " ".join(
        protocol.limits(analyse(drawn, {"runs": {}, "baselines": {}}))
    )
