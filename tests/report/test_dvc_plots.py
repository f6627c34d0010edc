"""What `dvc plots show` draws: pictures in an order that people want, in a page that needs no network."""

import re
import subprocess
import sys
from pathlib import Path

from dvc.repo import Repo

from howdeep.report.analysis import analyse
from howdeep.report.report import write_comparison


def test_the_page_of_dvc_shows_the_answer_then_scores_then_gaps_and_loads_nothing(
    records, test_scores, tmp_path
):
    write_comparison(analyse(records, test_scores), folder=tmp_path / "results")
    Repo.init(str(tmp_path), no_scm=True).close()
    (tmp_path / "dvc.yaml").write_text("plots: [results/plots]\n")
    command = [sys.executable, "-m", "dvc", "plots", "show"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    page = (tmp_path / "dvc_plots/index.html").read_text()
    sources = re.findall(r'src="([^"]*)"', page)
    assert all((tmp_path / "dvc_plots" / source).is_file() for source in sources)
    assert "http" not in page
    assert "<script" not in page
    names = [re.sub(r".*_plots_\d\d-(.*)\.svg", r"\1", Path(source).name) for source in sources]
    kinds = [name.rpartition("-")[2] for name in names]
    assert kinds[0] == "map"
    assert kinds[1:] == sorted(kinds[1:], reverse=True)
    assert {"score", "gap"} <= set(kinds)
