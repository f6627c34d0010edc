"""The views of a study, as MLflow's own UI opens them: a real server, a real browser."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.ui import WebDriverWait

from howdeep.stages.described import describe
from howdeep.study import params
from howdeep.tracking import views
from howdeep.tracking.store import Store
from howdeep.tracking.words import of_test
from tests.tracking.work import CARD, record, said

PLAN = params.read(Path(__file__).parents[2] / "params.yaml")
MOST = 20_000  # characters of an experiment's tag that MLflow takes
BROWSER = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chrome")
DRIVER = shutil.which("chromedriver")
COLUMNS = ["model.depth", "seed", "best/score", "test/score", "best/gap"]


def test_a_study_has_a_view_of_each_task_and_of_each_entry_and_those_that_left_go(store):
    store.describe({"mlflow.sharedViewState.somebody": "own", f"{views.OURS}entry-left": "{}"})
    describe(PLAN, dict.fromkeys(PLAN.entries, "accuracy"), store)
    tags = store.client.get_experiment(store.experiment_id).tags
    ours = {name.removeprefix(views.OURS): text for name, text in tags.items() if name.startswith(views.OURS)}
    tasks = {entry.task for entry in PLAN.entries.values()}
    assert set(ours) == {*(f"task-{task}" for task in tasks), *(f"entry-{name}" for name in PLAN.entries)}
    assert max(map(len, tags.values())) <= MOST
    assert tags["mlflow.sharedViewState.somebody"] == "own"
    for text in ours.values():
        state = json.loads(json.loads(text)["state"])
        assert [column.split("`")[1] for column in state["selectedColumns"]] == COLUMNS


def test_a_stage_of_one_entry_adds_its_views_and_leaves_the_others(store):
    first, second = list(PLAN.entries)[:2]
    for name in (first, second):
        describe(PLAN, {name: "accuracy"}, store)
    tags = store.client.get_experiment(store.experiment_id).tags
    assert {f"{views.OURS}entry-{first}", f"{views.OURS}entry-{second}"} <= set(tags)


def test_an_experiment_of_claims_offers_one_view_of_their_verdicts(store):
    store.describe(views.of_claims() | views.of_entry("bias-one", "accuracy", ["depth 1"]))
    tags = store.client.get_experiment(store.experiment_id).tags
    assert views.names(tags) == {views.CLAIMS: "verdicts"}
    state = json.loads(json.loads(tags[f"{views.SHARED}{views.CLAIMS}"])["state"])
    for name in ("deep", "bias"):
        store.close(store.open_parent(name, {}, "claim"), "FINISHED")
    order = [f"{state['orderByKey']} ASC"]
    found = store.client.search_runs([store.experiment_id], state["searchFilter"], order_by=order)
    assert [run.info.run_name for run in found] == ["bias", "deep"]
    assert state["selectedColumns"] == ["tags.`howdeep.verdict`"]


def test_a_store_that_cannot_be_used_is_one_line_and_no_views(tmp_path, capfd):
    (tmp_path / "mlflow.db").write_text("no database" * 100)
    store = Store(f"sqlite:///{tmp_path}/mlflow.db", "study", tmp_path)
    for _ in range(2):
        describe(PLAN, dict.fromkeys(PLAN.entries, "accuracy"), store)
    said(capfd)


@pytest.fixture
def study(store) -> Store:
    """Depths 2 and 4 of an entry with two seeds each."""
    for depth in (2, 4):
        for seed in (0, 1):
            of = record(f"{depth}-{seed}", depth=depth, seed=seed) | {
                "epochs": [
                    {"epoch": n, "val/loss": 1.0, "val/accuracy": 0.5 + seed / 4, "gap/loss": 0.1}
                    for n in (0, 1)
                ],
                "config": {"model": {"_target_": "howdeep.nets.mlp.MLP", "depth": depth}, "seed": seed},
                "gap": {"best": {"loss": 0.1, "accuracy": -0.25}, "last": {}},
            }
            run = store.start(of, parent=None, about={}, dataset=CARD)
            run.end(of, None, of_test("accuracy", {"loss": 1.0, "accuracy": 0.5}))
    depths = ["depth 2", "depth 4"]
    task = views.of_task("classification", [f"digits-mlp {depth}" for depth in depths])
    store.describe(task | views.of_entry("digits-mlp", "accuracy", depths))
    return store


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None or DRIVER is None, reason="no Chromium with its driver")
def test_the_links_of_the_ui_open_the_columns_and_a_row_a_cell_with_its_means(study, tmp_path):
    (study.root / "conf").mkdir()
    (study.root / "params.yaml").touch()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    command = [sys.executable, "-m", "howdeep", "ui", "--port", str(port)]
    served = subprocess.Popen(command, cwd=study.root, env=env, stderr=subprocess.PIPE, text=True)
    options = ChromeOptions()
    options.binary_location = str(BROWSER)
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1600,1000"):
        options.add_argument(argument)
    options.add_argument(f"--user-data-dir={tmp_path / 'profile'}")
    try:
        assert served.stderr is not None
        served.stderr.readline()  # the address, before the server answers
        said = served.stderr.readline()
        found = re.fullmatch(
            rf"study, classification: depth, score, gap: (http://127.0.0.1:{port}/#/\S+)\n", said
        )
        assert found, said
        driver = Chrome(options=options, service=Service(str(DRIVER)))
        try:
            for link, groups in (
                (found[1], ["digits-mlp depth 2", "digits-mlp depth 4"]),
                (found[1].replace("task-classification", "entry-digits-mlp"), ["depth 2", "depth 4"]),
            ):
                driver.get("about:blank")
                driver.get(link)
                WebDriverWait(driver, 60).until(lambda driver: len(rows(driver)) == 2)
                assert headings(driver)[:5] == COLUMNS
                assert sorted(row[0] for row in rows(driver)) == groups
                assert {tuple(row[1:]) for row in rows(driver)} == {
                    (depth, "0.5", "0.625", "0.5", "0.25") for depth in ("2", "4")
                }
            driver.get("about:blank")
            driver.get(f"{link}&compareRunsMode=CHART")
            titles = ("val/accuracy", "gap/loss", "model.depth vs. test/score")
            WebDriverWait(driver, 60).until(lambda driver: all(of in driver.page_source for of in titles))
        finally:
            driver.quit()
    finally:
        served.kill()
        served.communicate()


def headings(driver) -> list[str]:
    """Of the table's columns that hold numbers, from left to right."""
    return driver.execute_script("""
        return [...document.querySelectorAll('.ag-header-cell[col-id*="`"]')]
            .map(cell => [cell.getBoundingClientRect().x, cell.getAttribute('col-id').split('`')[1]])
            .sort((a, b) => a[0] - b[0]).map(of => of[1]).filter(name => name !== 'Run Name')
    """)


def rows(driver) -> list[list[str]]:
    """Of each group its name and the numbers in the columns of the view."""
    return driver.execute_script(
        """
        const text = (row, id) => [...document.querySelectorAll(`.ag-row[row-index='${row}'] [col-id]`)]
            .filter(cell => cell.getAttribute('col-id').includes('`' + id + '`')).map(cell => cell.innerText)[0];
        const found = [...document.querySelectorAll('.ag-row')].map(row => row.getAttribute('row-index'));
        return [...new Set(found)]
            .map(row => [(text(row, 'Run Name') || '').match(/Group: (.*)/)?.[1],
                ...arguments[0].map(id => text(row, id)?.replace(' (average)', ''))])
            .filter(row => row[1])
        """,
        COLUMNS,
    )
