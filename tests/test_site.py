"""The page to question: its numbers are those of the tables, in a real browser."""

import csv
import hashlib
import json
import re
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from io import StringIO
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn_scores import ROWS, put_scored
from made_records import jobs, put

from deepthink.app.commands import site as command
from deepthink.config.overrides import requested
from deepthink.errors import UserError
from deepthink.installation import CONF
from deepthink.report import page, render, rivals, tables
from deepthink.report.layouts import LAYOUTS
from deepthink.report.measurements import subjects
from deepthink.report.runs import Runs
from deepthink.report.site import content, html
from deepthink.report.site.content import Content
from deepthink.report.site.methods import slug
from deepthink.report.words import number
from deepthink.store.identity import identity

pytestmark = pytest.mark.slow

MODELS = ("gemma3-270m", "smollm2-135m")
TASKS = ("sst2", "trec")
SMALL = (f"test_size={ROWS}", f"dev_size={ROWS}", "pool_size=9")
STEPS = {
    "deepthink_curve": (1, 2, 3, 5, 7, 10, 15),
    "authors": (1, 2, 3, 5, 7, 10, 15),
    "permutations": (1,),
    "knn": (1,),
    "query_twice": (1,),
}
DRAWS = {"knn": 1, "query_twice": 5}
"""How many draws a method has; ten where it is not named. kNN has no more than one."""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Records of two models on two tasks, all with scores; one method lacks half of its draws."""
    folder = tmp_path_factory.mktemp("study")
    for model in MODELS:
        for task in TASKS:
            for method, steps in STEPS.items():
                words = (f"model={model}", f"task={task}", f"method={method}", *SMALL)
                (config,) = jobs(*words, "data_root=/secret/place")
                for seed in range(DRAWS.get(method, 10)):
                    put_scored(folder, replace(config, seed=seed), steps)
    return folder


@pytest.fixture(scope="module")
def runs(results: Path) -> Runs:
    return page.studied(page.load(results))


@pytest.fixture(scope="module")
def built(runs: Runs) -> Content:
    *opening, _ = page.Found.of(page.studied(runs)).opening
    return content.build(runs, lambda _: None, tuple(opening))


@pytest.fixture(scope="module")
def written(built: Content, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "index.html"
    path.write_text(html.page(built), encoding="utf-8")
    return path


# without a browser


def test_the_charting_library_is_the_one_that_is_named() -> None:
    folder = html.ASSETS / "vendor"
    rows = re.findall(
        r"^\| `(\S+)` .* `(\S+LICENSE)` \| `(\w{64})` \|$", (folder / "README.md").read_text(), re.M
    )
    assert {f"vendor/{name}" for name, _, _ in rows} == {*html.LIBRARY}
    for name, licence, digest in rows:
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
        assert "Permission to use, copy, modify" in (folder / licence).read_text()


def test_the_page_is_the_same_every_time_and_names_no_folder_of_this_machine(
    results: Path, built: Content, capsys: pytest.CaptureFixture[str]
) -> None:
    command.main([f"results={results}"])
    file = results / "site" / "index.html"
    told = capsys.readouterr().out.splitlines()[-1]
    assert re.fullmatch(rf"{file}: \d\.\d MB in \d+ s; open it in a browser", told)
    text = file.read_text(encoding="utf-8")
    assert text == html.page(built)
    assert file.stat().st_size < 5e6
    for private in (str(results), "/secret/place", str(CONF.parent)):
        assert private not in text


def test_nothing_in_a_name_ends_the_data_or_becomes_a_script(built: Content) -> None:
    hostile = "</script><script>alert(1)</script><!--"
    text = html.data(replace(built, message=[hostile]))
    assert "<" not in text
    assert json.loads(text)["message"] == [hostile]


def test_the_page_asks_for_nothing_and_runs_only_its_own_scripts(written: Path) -> None:
    text = written.read_text(encoding="utf-8")
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)
    assert "default-src 'none'" in policy
    assert "http" not in policy
    assert not re.search(r"""<[^>]* (src|href)=["']?(https?:|//)""", text)


def test_a_folder_without_fitting_records_says_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"^{tmp_path} has no records: "):
        command.main([f"results={tmp_path}"])
    (config,) = jobs("task=verdicts", "method=deepthink")
    put(tmp_path, config, {1: 1, 5: 2})
    with pytest.raises(UserError, match=r"^no record is of experiment=rivals, "):
        command.main([f"results={tmp_path}"])


def correct(results: Path, model: str, task: str, step: int) -> Any:
    """Thinking in the paper's setting, [10, ROWS] of 0 and 1, from the files alone."""
    found = {}
    for path in (results / "records" / model / task / "deepthink").glob("*.json"):
        record = json.loads(path.read_text())
        if record["identity"]["thinking"]["momentum"] == 0:
            gold = record["gold"]["test"].split()
            (at,) = (p for p in record["curve"] if (p["step"], p["split"]) == (step, "test"))
            right = [a == b for a, b in zip(at["predicted"].split(), gold, strict=True)]
            found[record["identity"]["seed"]] = right
    return np.array([found[seed] for seed in sorted(found)], float)


def test_a_difference_is_that_of_the_same_rows_and_draws(results: Path, built: Content) -> None:
    (subject,) = (each for each in built.subjects if each.model == MODELS[0])
    key = "vanilla|t-1|none thinking-the-paper-s-setting|t-5|none"
    parts = [
        correct(results, MODELS[0], task, 1) - correct(results, MODELS[0], task, 5)
        for task in TASKS
    ]
    by_seed = [*(part.mean(axis=1) for part in parts), sum(p.mean(axis=1) for p in parts) / 2]
    for shown, draws in zip(subject.less[key], by_seed, strict=True):
        assert shown is not None
        mean, low, high, p, won, lost, count = shown
        assert mean == pytest.approx(100 * draws.mean(), abs=0.051)
        assert low < mean < high
        assert (won, lost) == ((draws > 1e-9).sum(), (draws < -1e-9).sum())
        assert count == 10
        assert 0 <= p <= 1


def test_a_difference_has_the_p_of_the_tables(runs: Runs, built: Content) -> None:
    """Thinking at its fixed t and at t by dev, raw and calibrated, less vanilla and the orders."""
    seen = 0
    for subject in subjects(runs, "rivals"):
        (shown,) = (each for each in built.subjects if each.model == subject.model)
        of = rivals.standings(subject)
        for first, second in permutations(of.entries, 2):
            thinks = [each.line.label.startswith("Thinking") for each in (first, second)]
            keys = [key_of(each) for each in (first, second)]
            both = [shown.less.get(" ".join(order)) for order in (keys, keys[::-1])]
            if thinks != [True, False] or not any(both):
                continue
            columns = both[0] or both[1]
            assert columns is not None
            for column, p in zip(columns, of.less(first, second).adjusted, strict=True):
                assert column is not None
                assert column[3] == (None if p is None else float(f"{p:.2g}"))
                seen += 1
    assert seen >= 2 * 4 * 2 * 3


def key_of(entry: rivals.Entry) -> str:
    """The key of a variant that is an entry of the rivals."""
    label, reading = entry.line.label, entry.line.reading.name
    name = label.removesuffix(f", {reading}")
    return f"{slug(name)}|{slug(reading)}|{'batch_dev' if entry.calibrated else 'none'}"


def test_jobs_of_no_shown_experiment_have_the_command_of_their_own(tmp_path: Path) -> None:
    """A T = 5 run fills the row at t = 5, though its experiment has T = 15."""
    words = ("task=sst2", "method=deepthink", "model=smollm2-135m", *SMALL)
    (config,) = jobs(*words, "data_root=/secret/place", "method.iterations=5")
    for seed in (0, 3):
        put_scored(tmp_path, replace(config, seed=seed), (1, 5))
    (subject,) = (made := content.build(Runs.load(tmp_path), lambda _: None)).subjects
    thinking = subject.variants["thinking-the-paper-s-setting|t-5|none"]
    source = made.sources[thinking["source"][0]]
    assert len(source.records) == 2
    assert "data_root" not in source.command
    sweep = source.command.removeprefix("python run.py -m ").removesuffix(" seed=0,3")
    assert sweep != source.command
    (job,) = requested(shlex.split(sweep)).jobs
    assert identity(job, "float32", "data") == identity(config, "float32", "data")


# in a browser


@cache
def missing() -> str:
    """What the browser's tests need and this machine has not; empty if it has all."""
    names = ("chromium", "chromedriver")
    return ", ".join(name for name in names if shutil.which(name) is None)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A headless Chromium of its own, which logs its console and its requests."""
    webdriver = pytest.importorskip(
        "selenium.webdriver", reason="selenium is not installed: make browser"
    )
    if missing():
        pytest.skip(f"{missing()} is not installed: make browser")
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for flag in (
        *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
        *("--disable-dev-shm-usage", "--window-size=1360,1000", "--force-prefers-reduced-motion"),
        f"--user-data-dir={tmp_path_factory.mktemp('profile')}",
    ):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    yield driver
    driver.quit()


class Page:
    """The page as its reader has it."""

    def __init__(self, driver: Any, file: Path) -> None:
        self.driver, self.address = driver, file.as_uri()

    def open(self, **state: str) -> None:
        """Load it afresh, at the permalink of a state."""
        self.driver.get("about:blank")
        self.driver.get(f"{self.address}#" + "&".join(f"{k}={v}" for k, v in state.items()))

    def js(self, script: str, *values: Any) -> Any:
        return self.driver.execute_script(script, *values)

    def find(self, selector: str) -> Any:
        return self.driver.find_element("css selector", selector)

    def choose(self, name: str, value: str) -> None:
        self.find(f'select[name="{name}"] option[value="{value}"]').click()

    def press(self, *keys: str) -> None:
        from selenium.webdriver.common.action_chains import ActionChains

        ActionChains(self.driver).send_keys(*keys).perform()

    @property
    def cells(self) -> dict[str, str]:
        """Of each method and column: the value with its interval."""
        return dict(
            self.js(
                """return [...document.querySelectorAll('td.cell')].map((cell) => [
                cell.dataset.cell, [...cell.querySelectorAll('.value, .interval')]
                .map((part) => part.textContent).join(' ').trim()]);"""
            )
        )

    @property
    def focused(self) -> str:
        """The cell that has the focus."""
        return str(
            self.js("return document.activeElement.dataset.cell ?? document.activeElement.id")
        )


@pytest.fixture
def shown(browser: Any, written: Path) -> Page:
    opened = Page(browser, written)
    opened.open()
    return opened


def test_it_loads_without_an_error_and_without_a_request(browser: Any, written: Path) -> None:
    browser.get("about:blank")
    for log in ("browser", "performance"):
        browser.get_log(log)
    Page(browser, written).open()
    assert browser.title == "Does rereading demonstrations pay?"
    assert browser.get_log("browser") == []
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = {
        message["params"]["request"]["url"].partition("#")[0]
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
    }
    assert written.as_uri() in asked
    assert {url.partition(":")[0] for url in asked} <= {"file", "data", "about", "chrome"}
    refused = browser.execute_async_script(
        "const done = arguments[0];"
        "fetch('https://example.org').then(() => done(false), () => done(true))"
    )
    assert refused
    assert any(
        "Content Security Policy" in entry["message"] for entry in browser.get_log("browser")
    )


READINGS = {"t = 5": "t-5", "t = 7": "t-7", "t by dev": "t-by-dev"}


def test_every_number_is_that_of_the_table(shown: Page, runs: Runs, built: Content) -> None:
    """Every complete cell of tables/rivals.csv, found on the page under its reading."""
    (layout,) = (each for each in LAYOUTS if each.name == "rivals")
    rows = csv.DictReader(StringIO(render.long_form(tables.build(runs, layout))))
    wanted = [row for row in rows if row["ours"] and row["row"] not in ("Chance", "Majority")]
    labels = {method["label"]: method for method in built.methods}
    names = {**{built.tasks[task]: task for task in built.tasks}}
    views: dict[tuple[str, str, str], dict[str, str]] = {}
    checked = 0
    for row in wanted:
        calibrated = row["section"].startswith("after")
        label = (
            row["row"].removesuffix(", batch calibration from dev (inductive)")
            if calibrated
            else row["row"]
        )
        method, _, reading = label.rpartition(", ")
        choice = READINGS.get(reading, "own")
        if label in labels:
            method, choice = label, "own"
        view = (
            slug(f"{row['model']} {row['scale']}"),
            choice,
            "batch_dev" if calibrated else "none",
        )
        if view not in views:
            model, t, calibration = view
            shown.open(model=model, t=t, calibration=calibration)
            views[view] = shown.cells
        if row["column"] not in names or names[row["column"]] not in TASKS:
            continue
        cell = views[view][f"{slug(method)}|{names[row['column']]}"]
        told = [float(value) for value in re.findall(r"[\d.]+", cell)]
        stored = [float(row[name]) for name in ("ours", "low", "high")]
        assert told == pytest.approx(stored, abs=0.0501), row  # one decimal of four
        checked += 1
    # two models, two tasks, raw and calibrated; one row for vanilla, permutations and kNN, two
    # each for thinking in two settings
    assert checked == 2 * 2 * 2 * 7


def test_every_switch_changes_the_cells_that_it_names(shown: Page, built: Content) -> None:
    """Each choice shows what the data has of that variant, and other cells stay."""
    first, second = built.subjects
    thinking, column = "thinking-the-paper-s-setting", 0

    def number_of(subject: Any, key: str, metric: str) -> str:
        digits = 3 if metric == "log_likelihood" else 1
        mean, low, high = subject.variants[key][metric][column]
        ends = ", ".join(number(end, digits=digits) for end in (low, high))
        return f"{number(mean, digits=digits)} [{ends}]"

    cell, plain = f"{thinking}|sst2", "vanilla|sst2"
    before = shown.cells
    assert before[cell] == number_of(first, f"{thinking}|t-5|none", "accuracy")
    shown.choose("t", "oracle-t")
    assert shown.cells[cell] == number_of(first, f"{thinking}|oracle-t|none", "accuracy")
    assert shown.cells[plain] == before[plain]
    assert "upper bound, never a result" in shown.find("#grid-legend").text
    shown.choose("calibration", "batch")
    assert shown.cells[cell] == number_of(first, f"{thinking}|oracle-t|batch", "accuracy")
    for metric in ("macro_f1", "log_likelihood", "calibration_error"):
        shown.choose("metric", metric)
        assert shown.cells[cell] == number_of(first, f"{thinking}|oracle-t|batch", metric)
    shown.choose("model", second.key)
    assert shown.cells[cell] == number_of(second, f"{thinking}|oracle-t|batch", "calibration_error")


def test_differences_are_those_of_the_chosen_method(shown: Page, built: Content) -> None:
    rival = "five-orders-averaged|t-1|none"
    shown.choose("less", rival)
    text = shown.find('[data-cell="vanilla|mean"] .difference').text
    difference = built.subjects[0].less[f"vanilla|t-1|none {rival}"][-1]
    assert difference is not None
    mean, low, high, *_ = difference
    shape = [number(value, signed=True) for value in (mean, low, high)]
    assert text.lstrip("▲▼ ") == f"{shape[0]} [{shape[1]}, {shape[2]}]"
    shown.choose("less", "none")
    assert not shown.driver.find_elements("css selector", ".difference")


def test_methods_that_lack_draws_or_runs_say_so(shown: Page) -> None:
    row = shown.find('tr[data-method="query-twice"]')
    assert row.find_element("css selector", ".how").text == "reads once; 5 of 10 draws"
    assert "partial" in row.find_element("css selector", "td.cell").get_attribute("class")
    summary = shown.find("#missing summary")
    assert "have not been run" in summary.text
    summary.click()
    assert "experiment=rivals" in shown.find("#missing").text


def test_a_cell_tells_its_records_and_its_command(shown: Page, results: Path) -> None:
    shown.find('[data-cell="five-orders-averaged|trec"]').click()
    told = shown.find("#detail").text
    assert "experiment=rivals model=gemma3-270m" in told
    assert "task=trec method=permutations" in told
    shown.js("document.querySelector('#detail details').open = true")
    paths = shown.js(
        "return [...document.querySelectorAll('#detail li')].map((x) => x.textContent)"
    )
    assert len(paths) == 10
    assert all((results / path).is_file() for path in paths)


def test_the_address_brings_back_what_was_seen(shown: Page, built: Content) -> None:
    shown.choose("model", built.subjects[1].key)
    shown.choose("t", "t-by-dev")
    shown.choose("calibration", "batch_dev")
    shown.choose("metric", "macro_f1")
    shown.choose("theme", "dark")
    shown.choose("column", "trec")
    shown.find('input[name="five-orders-averaged"]').click()
    shown.choose("first", "five-orders-averaged|t-1|none")
    shown.choose("run", "query-twice|trec")
    shown.find('[data-row="3"]').click()
    address, seen = shown.driver.current_url, shown.find("body").text
    shown.driver.get("about:blank")
    shown.driver.get(address)
    assert shown.driver.current_url == address
    assert shown.find("body").text == seen
    shown.open(model="nothing", t="11", calibration="<b>", row="999")
    assert shown.cells[f"vanilla|{TASKS[0]}"] != "–"


def test_the_keyboard_reaches_and_changes_everything(shown: Page) -> None:
    from selenium.webdriver.common.keys import Keys

    for _ in range(40):
        shown.press(Keys.TAB)
        if "|" in shown.focused:
            break
    assert shown.focused == "vanilla|sst2"
    shown.press(Keys.ARROW_RIGHT, Keys.ARROW_DOWN)
    assert shown.focused == "thinking-the-paper-s-setting|trec"
    assert "Thinking, the paper's setting, TREC" in shown.find("#detail").text
    shown.press(Keys.END)
    assert shown.focused == "thinking-the-paper-s-setting|mean"
    outline = shown.js("return getComputedStyle(document.activeElement).outlineStyle")
    assert outline != "none"
    shown.press(Keys.ENTER)
    assert shown.focused == "detail"
    chart = shown.find("#curves-chart figure")
    shown.js("arguments[0].focus()", chart)
    assert "at t = 5" in shown.find("#curves-values").text
    shown.press(Keys.ARROW_RIGHT)
    assert "at t = 7" in shown.find("#curves-values").text
    shown.js("document.querySelector('[data-row]').focus()")
    shown.press(Keys.ARROW_RIGHT)
    assert shown.js("return document.activeElement.dataset.row") == "1"
    assert shown.find("#examples-result").text.count("Row 1:") == 1


def test_what_can_be_operated_has_a_name(shown: Page) -> None:
    nameless = shown.js(
        """return [...document.querySelectorAll('select, input, button, [role=region], [role=img]')]
        .filter((x) => !(x.labels?.length || x.textContent.trim() || x.getAttribute('aria-label')
        || x.getAttribute('aria-labelledby'))).map((x) => x.outerHTML)"""
    )
    assert nameless == []


def background(shown: Page) -> Any:
    return shown.js("return getComputedStyle(document.body).backgroundColor")


def test_dark_and_light_follow_the_system_unless_chosen(shown: Page) -> None:
    def system(value: str) -> None:
        features = [{"name": "prefers-color-scheme", "value": value}]
        shown.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    system("light")
    light = background(shown)
    system("dark")
    dark = background(shown)
    assert light != dark
    shown.choose("theme", "light")
    assert background(shown) == light
    system("light")
    shown.choose("theme", "dark")
    assert background(shown) == dark


def test_a_phone_scrolls_only_downwards(shown: Page) -> None:
    phone = {"width": 390, "height": 800, "deviceScaleFactor": 2, "mobile": True}
    shown.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    try:
        shown.open()
        root = "document.documentElement"
        assert shown.js(f"return {root}.scrollWidth - {root}.clientWidth") == 0
        assert shown.js("return document.querySelector('#curves-chart svg').clientWidth") <= 390
    finally:
        shown.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_paper_has_no_controls_and_a_white_page(shown: Page) -> None:
    shown.choose("theme", "dark")
    shown.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        assert background(shown) == "rgb(255, 255, 255)"
        assert not shown.find("#compare-controls").is_displayed()
        assert shown.find("#grid table").is_displayed()
    finally:
        shown.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_two_methods_are_compared_in_words_and_numbers(shown: Page, built: Content) -> None:
    first, second = "vanilla|t-1|batch_dev", "vanilla|t-1|none"
    shown.choose("first", first)
    shown.choose("second", second)
    (each,) = built.subjects[0].less[f"{second} {first}"][-1:]
    assert each is not None
    mean, low, high, p, won, lost, _ = each
    turned = [number(-value, signed=True) for value in (mean, high, low)]
    row = shown.find("#compare-result tbody tr:last-child").text
    assert f"{turned[0]} [{turned[1]}, {turned[2]}]" in row
    assert f"{lost} : {won}" in row
    ahead = p < 0.05 and mean < 0
    assert ("is ahead of" in shown.find("#compare-result .finding").text) == ahead
    shown.find("#compare-controls button").click()
    assert f"{won} : {lost}" in shown.find("#compare-result tbody tr:last-child").text


def test_an_example_shows_the_scores_of_its_record(shown: Page, results: Path) -> None:
    import pandas as pd

    shown.choose("run", "thinking-the-authors-program|trec")
    shown.find('[data-row="5"]').click()
    (record,) = re.findall(r'RESULTS/(\S+\.json)"', shown.find("#examples-result").text)
    scores = pd.read_parquet((results / record).with_suffix(".parquet"))
    asked = scores[(scores["split"] == "test") & (scores["query"] == 5) & (scores["step"] == 15)]
    cells = shown.js(
        "return [...document.querySelectorAll('#examples-result tbody tr')]"
        ".map((row) => row.querySelector('td:last-child > span').title)"
    )
    assert cells == [f"score {number(score, digits=3)}" for score in asked["score"]]
    marked = shown.js(
        "return [...document.querySelectorAll('#examples-result tbody tr')]"
        ".findIndex((row) => row.querySelector('td:last-child .predicted'))"
    )
    assert marked == asked["score"].to_numpy().argmax()
    gold = shown.js(
        "return [...document.querySelectorAll('#examples-result tbody tr')]"
        ".findIndex((row) => row.querySelector('.tag'))"
    )
    assert gold == asked["label"].iloc[0]
