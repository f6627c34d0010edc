"""The report in a real browser: headless Chromium, driven by Selenium, from disk and without a network."""

import base64
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Chrome, ChromeOptions, Keys
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select, WebDriverWait

from howdeep.report.analysis import analyse
from howdeep.report.report import build_report
from howdeep.results.measures import NO_MARGINS

BROWSER = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chrome")
DRIVER = shutil.which("chromedriver")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        BROWSER is None or DRIVER is None,
        reason="no Chromium with its driver: on Debian, `apt install chromium chromium-driver`",
    ),
]
DESKTOP, PHONE = (1200, 900), (400, 800)
LANDSCAPE = (965, 725)  # of a letter, without its margins


@pytest.fixture(scope="module")
def study(records, test_scores, gallery, artifacts):
    shown = [
        record
        for record in gallery
        if record["seed"] < 2 and record["model"] in ("autoencoder", "transformer")
    ]
    tested = {
        record["key"]: {"loss": 0.1, record["score"]["name"]: 0.2 + 0.01 * record["seed"]} for record in shown
    }
    test = test_scores | {"runs": test_scores["runs"] | tested, "examples": {"digits-mlp": 359}}
    return analyse([*records, *shown], test, margins=NO_MARGINS | {"accuracy": 0.005}, artifacts=artifacts)


@pytest.fixture(scope="module")
def report(study, cards, provenance, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("report") / "index.html"
    build_report(study, study="default", cards=cards, provenance=provenance, path=path)
    return path


@pytest.fixture(scope="module")
def chromium(tmp_path_factory) -> Iterator[Chrome]:
    options = ChromeOptions()
    options.binary_location = str(BROWSER)
    profile = tmp_path_factory.mktemp("profile")
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        f"--user-data-dir={profile}",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options=options, service=Service(str(DRIVER)))
    driver.execute_cdp_cmd("Network.enable", {})
    driver.execute_cdp_cmd(
        "Network.emulateNetworkConditions",
        {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0},
    )
    yield driver
    driver.quit()


def opened(chromium: Chrome, report: Path, size: tuple[int, int] = DESKTOP, scheme: str = "light") -> Chrome:
    """The report, freshly opened in a window of this size."""
    size_of = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size == PHONE}
    chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size_of)
    feature = {"name": "prefers-color-scheme", "value": scheme}
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    chromium.get("about:blank")
    chromium.get(report.as_uri())
    return chromium


def unfolded(page: Chrome) -> Chrome:
    """The page with all of its closed parts opened and unpacked, but for the interactive plot."""
    parts = "[...document.querySelectorAll('details:not([open]):not(#explore)')]"

    def none_left(_) -> bool:
        page.execute_script(f"{parts}.forEach((part) => {{ part.open = true }})")
        return ask(page, f"document.querySelectorAll('script.packed').length + {parts}.length") == 0

    WebDriverWait(page, 30).until(none_left)
    return page


def ask(page: Chrome, script: str, *args: Any) -> Any:
    return page.execute_script(f"return {script}", *args)


def explored(page: Chrome) -> None:
    """Opens the interactive plot and waits until it is drawn."""
    part = page.find_element(By.ID, "explore")
    part.find_element(By.TAG_NAME, "summary").click()
    WebDriverWait(page, 60).until(lambda _: part.get_attribute("data-drawn") == "yes")


def test_nothing_is_fetched_and_the_console_stays_silent(chromium, report):
    page = opened(chromium, report)
    explored(page)
    assert ask(page, "performance.getEntriesByType('resource').map((entry) => entry.name)") == []
    assert [told for told in page.get_log("browser") if told["level"] != "INFO"] == []  # Bokeh says hello


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_the_page_fits_its_window_every_picture_is_drawn_and_a_screenshot_is_kept(
    chromium, report, size, scheme, tmp_path
):
    page = opened(chromium, report, size, scheme)
    assert ask(page, "document.documentElement.scrollWidth") <= size[0]
    closed = ask(page, "document.documentElement.scrollHeight")
    unfolded(page)
    assert ask(page, "document.documentElement.scrollHeight") > closed
    assert ask(page, "document.documentElement.scrollWidth") <= size[0]
    pictures = ask(
        page,
        "[...document.querySelectorAll('figure > svg')].map((svg) => [svg.getBoundingClientRect().width, "
        "svg.getBoundingClientRect().right, svg.querySelectorAll('path, use, image').length])",
    )
    assert len(pictures) > 20
    assert all(width > 100 and right <= size[0] and parts > 3 for width, right, parts in pictures)
    ink = (
        ask(page, "getComputedStyle(document.body).color"),
        ask(page, "getComputedStyle(document.body).backgroundColor"),
    )
    assert ink == {
        "light": ("rgb(36, 41, 47)", "rgb(255, 255, 255)"), "dark": ("rgb(230, 237, 243)", "rgb(13, 17, 23)"),
    }[scheme]  # fmt: skip
    assert ask(page, "getComputedStyle(document.querySelector('figure svg text')).fill") == ink[0]
    kept = tmp_path / f"{size[0]}-{scheme}.png"
    assert page.save_screenshot(str(kept))
    assert kept.stat().st_size > 10_000


def test_printed_tables_fit_a_sheet_and_every_interval_stays_on_one_line(chromium, report):
    page = unfolded(opened(chromium, report, LANDSCAPE))
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    tables = "[...document.querySelectorAll('#classification table')]"
    assert ask(page, f"{tables}.length") > 3
    assert ask(page, f"Math.max(...{tables}.map((of) => of.getBoundingClientRect().right))") <= LANDSCAPE[0]
    intervals = "[...document.querySelectorAll('td.number')].filter((cell) => cell.textContent.includes('['))"
    lines = ask(
        page,
        f"{intervals}.map((cell) => {{ const range = document.createRange(); range.selectNodeContents(cell); "
        "return range.getClientRects().length })",
    )
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    assert set(lines) == {1}


def test_pictures_share_one_style_that_turns_all_their_ink_in_the_dark(chromium, report):
    page = unfolded(opened(chromium, report, scheme="dark"))
    styles = (
        "[...document.querySelectorAll('style')].filter((s) => s.textContent.includes('.howdeep-figure'))"
    )
    assert ask(page, f"{styles}.length") == 1
    inked = "[...document.querySelectorAll('figure svg [style*=\"fill: #24292f\"]')]"
    assert ask(page, f"{inked}.length") > 100
    assert ask(page, f"{inked}.filter((e) => getComputedStyle(e).fill !== 'rgb(230, 237, 243)').length") == 0


@pytest.mark.parametrize("size", [(1280, 900), PHONE], ids=["desktop", "phone"])
def test_the_first_screen_holds_the_answer_and_begins_the_map(chromium, report, size):
    page = opened(chromium, report, size)
    bottom, top = (
        f"document.querySelector('{name}').getBoundingClientRect().{end}"
        for name, end in ((".answer", "bottom"), (".map figure", "top"))
    )
    assert 0 < ask(page, bottom) <= ask(page, top) < size[1] - 100
    small = "[...document.querySelectorAll('.map text')].map((text) => text.getBoundingClientRect().height)"
    assert min(ask(page, small)) >= 12


def test_the_contents_stay_in_view_and_mark_the_section_that_is_read(chromium, report):
    page = opened(chromium, report)
    named = ask(page, "[...document.querySelectorAll('nav a')].map((link) => link.hash.slice(1))")
    sections = ask(page, "[...document.querySelectorAll('main section')].map((section) => section.id)")
    assert [name for name in named if name != "explore"] == [name for name in sections if name]
    page.execute_script("document.getElementById('forecasting').scrollIntoView()")
    current = "[...document.querySelectorAll('nav a[aria-current]')].map((link) => link.hash)"
    WebDriverWait(page, 5).until(lambda _: ask(page, current) == ["#forecasting"])
    assert 0 <= ask(page, "document.querySelector('nav').getBoundingClientRect().top") < 100


def test_a_cell_of_the_map_leads_to_its_runs(chromium, report):
    page = opened(chromium, report)
    page.execute_script(
        "const link = document.querySelector('.map a'); location.hash = link.getAttribute('xlink:href')"
    )
    wanted = ask(page, "location.hash.slice(1)")
    WebDriverWait(page, 10).until(lambda _: page.find_elements(By.ID, wanted))
    WebDriverWait(page, 5).until(lambda _: page.find_element(By.ID, wanted).is_displayed())


def test_a_phone_shows_the_verdicts_without_scrolling_the_table(chromium, report):
    page = unfolded(opened(chromium, report, PHONE))
    script = "document.querySelector('#classification table.sortable').tHead.rows[0].cells"
    headings = ask(
        page, f"[...{script}].map((cell) => [cell.textContent, cell.getBoundingClientRect().right])"
    )
    assert dict(headings)["verdict"] <= PHONE[0]


@pytest.mark.parametrize(
    ("size", "named"), [((1280, 900), [0, 1, 2]), (PHONE, [1, 2])], ids=["desktop", "phone"]
)
def test_the_head_and_the_names_of_a_table_stay_while_its_numbers_go_by(chromium, report, size, named):
    page = unfolded(opened(chromium, report, size))
    places = """
        const table = document.querySelector("#classification table.sortable"), part = table.closest(".scroll");
        part.style.maxHeight = "9rem";  // as in a long table
        [part.scrollTop, part.scrollLeft] = arguments[0];
        const last = table.tBodies[0].rows[table.tBodies[0].rows.length - 1];
        const shown = part.getBoundingClientRect();
        return [...table.tHead.rows[0].cells].map((cell, at) => [
            cell.getBoundingClientRect().top - shown.top, last.cells[at].getBoundingClientRect().left - shown.left]);
    """
    before, after = (page.execute_script(places, scrolled) for scrolled in ([0, 0], [90, 400]))
    assert {round(top) for top, _ in after} == {0}
    kept = [
        at for at, ((_, left), (_, then)) in enumerate(zip(before, after, strict=True)) if then > left - 200
    ]
    assert kept == named


def test_every_text_of_a_picture_can_be_read_on_a_phone(chromium, report):
    page = unfolded(opened(chromium, report, PHONE))
    page.execute_script(
        "document.querySelectorAll('figure').forEach((f) => f.style.contentVisibility = 'visible')"
    )
    sizes = ask(
        page,
        "[...document.querySelectorAll('figure svg')].flatMap((svg) => [...svg.querySelectorAll('text')].map((text) => "
        "parseFloat(getComputedStyle(text).fontSize) * svg.getBoundingClientRect().width / svg.viewBox.baseVal.width))",
    )
    assert len(sizes) > 500
    assert min(sizes) >= 12


def test_pictures_far_below_are_laid_out_only_when_they_come_into_sight(chromium, report):
    page = opened(chromium, report)
    seen = "(figure) => figure.firstElementChild.checkVisibility({ contentVisibilityAuto: true })"
    WebDriverWait(page, 5).until(lambda _: ask(page, f"({seen})(document.querySelector('main figure'))"))
    far = "document.querySelector('#reconstruction .pair figure')"
    assert not ask(page, f"({seen})({far})")
    page.execute_script(f"{far}.scrollIntoView()")
    WebDriverWait(page, 5).until(lambda _: ask(page, f"({seen})({far})"))
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    hidden = f"[...document.querySelectorAll('figure')].filter((figure) => !({seen})(figure)).length"
    closed = "[...document.querySelectorAll('details:not([open]) figure')].length"
    WebDriverWait(page, 5).until(lambda _: ask(page, hidden) == ask(page, closed))
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def column(page: Chrome, heading: str) -> list[str]:
    """What the main table of classification shows under a heading, from top to bottom."""
    script = """
        const table = document.querySelector("#classification table.sortable");
        const at = [...table.tHead.rows[0].cells].findIndex((cell) => cell.textContent === arguments[0]);
        return [...table.tBodies[0].rows].map((row) => row.cells[at].textContent);
    """
    return page.execute_script(script, heading)


def heading(page: Chrome, name: str):
    return page.find_element(By.XPATH, f"(//section[@id='classification']//th/button[text()='{name}'])[1]")


def test_the_table_sorts_by_numbers_and_by_names_up_and_down(chromium, report):
    page = unfolded(opened(chromium, report))
    before = column(page, "depth")
    heading(page, "depth").click()
    assert column(page, "depth") == sorted(before, key=int)
    heading(page, "depth").click()
    assert column(page, "depth") == sorted(before, key=int, reverse=True)
    assert heading(page, "depth").find_element(By.XPATH, "..").get_attribute("aria-sort") == "descending"
    heading(page, "data").click()
    assert column(page, "data") == sorted(column(page, "data"))
    assert heading(page, "depth").find_element(By.XPATH, "..").get_attribute("aria-sort") is None


def test_missing_values_stay_last_whichever_way_the_table_is_sorted(chromium, report):
    page = unfolded(opened(chromium, report))
    for _ in range(2):
        heading(page, "difference").click()
        assert column(page, "difference")[-2:] == ["\N{EN DASH}", "\N{EN DASH}"]


def test_headings_links_and_closed_parts_are_reached_and_used_with_the_keyboard(chromium, report):
    page = opened(chromium, report)
    reached = set()
    for _ in range(120):  # the cells of the map are links
        page.switch_to.active_element.send_keys(Keys.TAB)
        focused = page.switch_to.active_element
        reached.add(focused.tag_name)
        outline = ask(page, "getComputedStyle(arguments[0]).outlineStyle", focused)
        assert outline != "none", focused.tag_name
        if focused.tag_name == "button":
            break
    assert {"a", "summary", "button"} <= reached
    focused = page.switch_to.active_element
    focused.send_keys(Keys.ENTER)
    assert focused.find_element(By.XPATH, "..").get_attribute("aria-sort") == "ascending"


def test_every_link_leads_to_a_place_on_the_page_and_opens_what_is_closed_around_it(chromium, report):
    page = opened(chromium, report)
    page.execute_script("location.hash = 'runs-digits-mlp-width-4'")  # as a link to it does
    WebDriverWait(page, 10).until(lambda _: page.find_elements(By.ID, "runs-digits-mlp-width-4"))
    row = page.find_element(By.ID, "runs-digits-mlp-width-4")
    WebDriverWait(page, 5).until(lambda _: row.is_displayed())
    assert row.find_element(By.TAG_NAME, "code").text
    unfolded(page)
    links = "[...document.querySelectorAll('a')].map((a) => a.getAttribute('href') || a.getAttribute('xlink:href'))"
    assert ask(page, f"{links}.length") > 20
    assert ask(page, f"{links}.filter((to) => !document.getElementById(to.slice(1)))") == []


def test_the_interactive_plot_shows_every_run_and_follows_the_readers_choice(chromium, report, study):
    page = opened(chromium, report)
    explored(page)

    figure = "Bokeh.documents.at(-1).roots()[0]"

    def shown(task: str) -> bool:
        drawn = ask(page, f"{figure}.renderers.reduce((sum, of) => sum + of.data_source.data.key.length, 0)")
        return drawn == int(((study.runs["task"] == task) & (study.runs["state"] == "finished")).sum())

    def labels() -> list[str]:
        return ask(page, f"[{figure}.below[0].axis_label, {figure}.left[0].axis_label]")

    assert shown("classification")
    assert labels() == ["depth", "test score"]
    Select(page.find_element(By.ID, "explore-task")).select_by_value("forecasting")
    WebDriverWait(page, 10).until(lambda _: shown("forecasting"))
    Select(page.find_element(By.ID, "explore-x")).select_by_value("parameters")
    WebDriverWait(page, 10).until(lambda _: labels()[0] == "parameters")
    page.execute_script(f"{figure}.renderers[0].data_source.selected.indices = [0]")
    told = page.find_element(By.ID, "explore-run")
    WebDriverWait(page, 5).until(lambda _: any(key in told.text for key in study.runs["key"]))


def test_pictures_tables_and_fields_have_names_for_those_who_cannot_see_them(chromium, report):
    page = opened(chromium, report)
    unnamed = "[...document.querySelectorAll('figure > svg')].filter((svg) => !svg.getAttribute('aria-label')).length"
    assert ask(page, unnamed) == 0
    assert ask(page, "document.documentElement.lang") == "en"
    assert ask(page, "document.querySelectorAll('h1').length") == 1
    assert ask(page, "[...document.querySelectorAll('select')].every((select) => select.labels.length)")
    assert ask(page, "[...document.querySelectorAll('th')].every((heading) => heading.scope)")
    scrolled = "[...document.querySelectorAll('.scroll')]"  # the keyboard scrolls only what it can reach
    assert ask(page, f"{scrolled}.every((part) => part.tabIndex === 0 && part.ariaLabel)")


def test_the_page_prints_and_nothing_is_cut_off(chromium, report, tmp_path):
    page = opened(chromium, report, (1032, 700))  # as wide as A4 on its side, between its margins
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert ask(page, "document.documentElement.scrollWidth") <= 1032
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    printed = base64.b64decode(
        page.execute_cdp_cmd("Page.printToPDF", {"paperWidth": 11.7, "paperHeight": 8.27})["data"]
    )
    (tmp_path / "report.pdf").write_bytes(printed)
    assert printed.startswith(b"%PDF")
    assert len(printed) > 100_000
