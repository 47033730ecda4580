"""The report's HTML page in a real browser: what it shows is what the run folders hold."""

from __future__ import annotations

import functools
import itertools
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

import main
from helpers.fake_server import choose_option, serving
from helpers.planted_runs import plant_run
from helpers.runs import lfd_stream, run_folders, steps
from report import cli
from report.folders import read_runs
from report.page import write_page
from report.prompts import rebuild
from report.runs import group
from report.summaries import summarize, summary_table
from runs.prices import Prices

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from memory.encoders import TextEncoder

FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync")  # fmt: skip
HOSTILE = "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\"><!--"
SIZE = 44
ROWS = ".settings tr[data-method]"


def run_main(*words: object) -> None:
    assert main.main([str(word) for word in words]) == 0


@pytest.fixture(scope="module", autouse=True)
def one_encoder(text_encoder: TextEncoder) -> Iterator[None]:
    """The runs share one load of the encoder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(main, "make_load_encoder", lambda config: functools.cache(lambda: text_encoder))
        yield


@pytest.fixture(scope="module")
def results(one_encoder: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run folders of two tasks: the lfd sample, two agents and two seeds, one run unfinished; and rows of a user's own,
    answered by a server that writes HTML."""
    base = tmp_path_factory.mktemp("report")
    output = base / "results"
    for agent in (("zero-shot",), ("cbr", "--bandit", "Random", "--comk", 2)):
        for seed in (0, 1):
            options = ("--env", "lfd", "--data", "sample", "--limit", SIZE, "--shuffle", "--seed", seed)
            run_main(*options, "--agent", *agent, "--output_dir", output)
    (torn,) = (folder for folder in run_folders(output) if "cbr" in str(folder) and folder.name == "seed1")
    (torn / "summary.json").unlink()
    lines = (torn / "steps.jsonl").read_bytes().splitlines(keepends=True)
    (torn / "steps.jsonl").write_bytes(b"".join(lines[:40]) + lines[40][:30])

    stream = lfd_stream(base, 12)
    with serving(lambda prompt: f"{HOSTILE}\n{choose_option(prompt)}") as server:
        options = ("--env", "lfd", "--data", stream, "--agent", "icrl", "--output_dir", output)
        run_main(*options, "--llm", "m", "--port", server.port)
    return output


def make_page(results: Path, out: Path, **options: Any) -> Path:
    streams = group(read_runs(results))
    tables = [summary_table(summary) for summary in summarize(streams, None)]
    write_page(out, streams, title="Report <on> runs", summaries=tables, **options)
    return out


@pytest.fixture(scope="module")
def page_file(results: Path) -> Path:
    return make_page(results, results.parent / "report.html", steps="all", prices=Prices({"m": (2.0, 8.0)}))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no chromium on this machine")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=list(FLAGS))
        yield browser
        browser.close()


class Watched:
    """A tab that remembers what it asked for and what went wrong in it."""

    def __init__(self, browser: Browser, path: Path, address: str = "", **options: Any) -> None:
        self.tab: Page = browser.new_page(**{"viewport": {"width": 1280, "height": 900}, **options})
        self.url = path.as_uri()
        self.requests: list[str] = []
        self.trouble: list[str] = []
        self.tab.on("request", lambda request: self.requests.append(request.url))
        self.tab.on("console", lambda message: self.trouble.append(message.text))
        self.tab.on("pageerror", lambda error: self.trouble.append(str(error)))
        self.tab.goto(self.url + address)
        self.tab.wait_for_selector("#step h2")

    def close(self) -> None:
        """Nothing but the file itself was ever asked for, and nothing went wrong."""
        assert {url.partition("#")[0] for url in self.requests} == {self.url}
        assert self.trouble == []
        assert "owned" not in self.tab.title()
        self.tab.close()

    def texts(self, selector: str) -> list[str]:
        return self.tab.locator(selector).all_text_contents()

    def part(self, name: str) -> str:
        return self.tab.locator(f"#step [data-part={name}]").text_content()


@pytest.fixture
def opened(browser: Browser, page_file: Path) -> Iterator[Watched]:
    watched = Watched(browser, page_file)
    yield watched
    watched.close()


def stream_title(watched: Watched, word: str) -> str:
    (title,) = (title for title in watched.texts("#task option") if word in title)
    return title


def test_what_the_page_says_first(opened: Watched) -> None:
    assert opened.tab.title() == "Report <on> runs" and opened.texts("h1") == ["Report <on> runs"]
    assert opened.texts("#about") == ["2 streams, 3 settings, 5 runs, 1 unfinished run"]
    assert opened.texts("#origins .badge") == ["SAMPLE", "not a language model", "UNFINISHED"]
    sample, own = sorted(opened.texts(".group > summary"), key=lambda text: "SAMPLE" not in text)
    assert "SAMPLE" in sample and "UNFINISHED" in sample and "not a language model" in sample
    assert "SAMPLE" not in own and "not a language model" not in own
    notes = opened.texts("#notes li")
    assert sum("SAMPLE data: invented rows" in note for note in notes) == 1  # once, not once for each method


def test_a_mixed_folder_is_folded_by_task(opened: Watched) -> None:
    groups = opened.tab.locator(".group")
    assert groups.count() == 2 and opened.tab.locator(".group[open]").count() == 1
    assert groups.first.get_attribute("open") is not None
    assert groups.last.locator(".chart").count() == 0  # what is folded is not made
    rows = groups.first.locator(ROWS).all_text_contents()
    opened.tab.locator(".group > summary").last.click()
    groups.last.locator(".chart").first.wait_for()
    rows += groups.last.locator(ROWS).all_text_contents()
    assert len(rows) == 3 and sum("UNFINISHED" in row for row in rows) == 1
    assert not any("SAMPLE" in row or "not a language model" in row for row in rows)  # the head says it
    opened.tab.select_option("#llm", "m")
    assert groups.count() == 1 and len(opened.texts(ROWS)) == 1
    opened.tab.select_option("#llm", "")
    assert opened.tab.locator(".group[open]").count() == 2  # as it was left

    small = opened.tab.locator("#small")
    small.locator("summary").click()
    small.locator(".chart").first.wait_for()
    sample, own = sorted(small.locator("figcaption").all_text_contents(), key=lambda text: "SAMPLE" not in text)
    assert "UNFINISHED" in sample and "SAMPLE" not in own and "not a language model" not in own


def test_picking_a_task_and_an_agent(opened: Watched, results: Path) -> None:
    opened.tab.select_option("#task", stream_title(opened, "SAMPLE"))
    assert len(opened.texts(ROWS)) == 2 and opened.texts(".settings .llm") == ["embedded-reader"]
    assert opened.texts(".group > summary .badge") == ["SAMPLE", "not a language model", "UNFINISHED"]
    assert opened.texts(".group h2") == [stream_title(opened, "SAMPLE")]
    assert not opened.tab.locator("#overview").is_visible()  # it is of all tasks
    assert opened.texts(".chart figcaption") == ["Running success rate, %", "Cumulative regret"]
    lines = opened.tab.locator(".chart[data-measure=rate] .line")
    names = ["zero-shot", "Random comk=2", "Random comk=2"]  # the last is the unfinished run, dotted
    assert lines.evaluate_all("all => all.map(line => line.dataset.method)") == names
    assert lines.last.get_attribute("stroke-dasharray") and not lines.first.get_attribute("stroke-dasharray")
    first, last = (sum(step["reward"] for step in steps(folder)) / SIZE for folder in run_folders(results)
                   if "zero-shot" in str(folder))  # fmt: skip
    row = opened.tab.locator('.settings tr[data-method="zero-shot"]').text_content()
    assert f"{50 * (first + last):.1f} ±" in row

    opened.tab.click(".chip:has-text('zero-shot')")  # alone
    assert lines.evaluate_all("all => all.map(line => line.dataset.method)") == names[:1]
    assert len(opened.texts(ROWS)) == 1
    assert all("zero-shot" in name for name in opened.texts("#run option"))
    opened.tab.keyboard.press("Enter")  # the chip keeps the focus: all are back
    assert lines.count() == 3 and "off=" not in opened.tab.url
    opened.tab.keyboard.press("Space")
    assert opened.tab.locator(".chip[aria-pressed=true]").all_text_contents() == ["zero-shot"]
    opened.tab.click("#methods .all")
    assert lines.count() == 3 and opened.tab.locator("#methods .all").count() == 0

    opened.tab.select_option("#task", "")
    opened.tab.select_option("#llm", "m")
    assert len(opened.texts(ROWS)) == 1
    assert "0.00" in opened.texts(ROWS)[0]  # the only LLM with a price: 12 steps cost a cent at most


def test_a_sweep_and_what_has_to_be_said(browser: Browser, tmp_path: Path) -> None:
    for env in ("lfd", "rca"):
        for nu in (0.1, 0.2) if env == "lfd" else (0.1,):
            plant_run(tmp_path, [1, int(nu > 0.1)], "--agent", "cbrgt", "--nu", nu, env=env, origin="converted")
    watched = Watched(browser, make_page(tmp_path, tmp_path / "report.html"))
    legend = watched.texts("#notes li")
    assert sum("Converted rows" in note for note in legend) == 1
    assert sum("retains the ground truth" in note for note in legend) == 1
    sweep = watched.tab.locator("details.extra", has_text="Settings of cbrgt")
    assert "chosen on the very stream" in sweep.text_content()
    for word, shown in (("lfd", True), ("rca", False)):
        watched.tab.select_option("#task", stream_title(watched, word))
        assert sweep.count() == shown and not watched.tab.get_by_text("macro average").first.is_visible()
    watched.close()


def test_sorting(opened: Watched) -> None:
    opened.tab.select_option("#task", stream_title(opened, "SAMPLE"))
    head = opened.tab.locator("th:has-text('Success rate')")
    values = []
    for order in ("descending", "ascending"):
        head.locator("button").click()
        assert head.get_attribute("aria-sort") == order
        column = opened.tab.locator(".settings thead th").all_text_contents().index(head.text_content()) + 1
        values.append(
            [float(text.split()[0]) for text in opened.texts(f"{ROWS} td:nth-child({column})") if text != "–"]
        )
    assert values[0] == sorted(values[0], reverse=True) and values[1] == sorted(values[1])
    opened.tab.reload()
    assert opened.tab.locator("th[aria-sort=ascending]").count() == 1  # the address remembers


def test_reading_a_curve(opened: Watched, results: Path) -> None:
    opened.tab.select_option("#task", stream_title(opened, "SAMPLE"))
    plot = opened.tab.locator(".chart[data-measure=regret] svg.plot")
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    opened.tab.mouse.move(box["x"] + 0.9 * box["width"], box["y"] + box["height"] / 2)  # at the names: the last step
    readout = opened.tab.locator(".chart[data-measure=regret] .readout")
    regrets = [steps(folder)[-1]["regret"] for folder in run_folders(results) if "zero-shot" in str(folder)]
    assert f"step {SIZE}" in readout.text_content()
    assert f"zero-shot{sum(regrets) / 2:.0f}" in readout.locator("div:has-text('zero-shot')").text_content()
    plot.focus()
    plot.press("ArrowLeft")
    assert f"step {SIZE - 1}" in readout.text_content()


def open_run(opened: Watched, folder: Path) -> list[dict[str, Any]]:
    """Choose the run in `folder`; returns its steps."""
    value = next(option for option in opened.tab.locator("#run option").evaluate_all("all => all.map(o => o.value)")
                 if str(folder).endswith(option))  # fmt: skip
    opened.tab.select_option("#run", value)
    records = steps(folder)
    opened.tab.locator("#count", has_text=re.compile(f"^{len(records)} steps")).wait_for()  # the page forbids eval
    return records


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of a task with four methods, of which two do the same at every step, three seeds each."""
    root = tmp_path_factory.mktemp("planted")
    methods = {"zero-shot": 3, "icrl": 5, "icrl-plus": 5, "cot": 6}
    for (agent, share), seed in itertools.product(methods.items(), range(3)):
        rewards = [int((i * 7 + seed) % 10 < share) for i in range(80)]
        plant_run(root / "a", rewards, "--agent", agent, "--seed", seed)
    plant_run(root / "b", [1, 0] * 10, "--agent", "cot", env="rca", sha256="b" * 64)
    assert cli.main([str(root / "a"), str(root / "b"), "--out", str(root / "out")]) == 0
    return root / "out" / "report.html"


def test_the_window_and_the_difference_are_views(browser: Browser, planted: Path) -> None:
    watched = Watched(browser, planted)
    group = watched.tab.locator(".group").first
    measures = "all => all.map(chart => chart.dataset.measure)"
    charts = group.locator(".charts .chart")
    assert charts.evaluate_all(measures) == ["window", "difference"]
    assert charts.locator("figcaption").all_text_contents() == [
        "Success rate of the last 20 steps, %",
        "Difference to zero-shot, last 20 steps, points",
    ]
    assert charts.locator("text.axis").all_text_contents() == ["step", "success rate, %", "step", "difference, points"]
    names = charts.first.locator("text.name")
    assert sorted(names.all_text_contents()) == ["cot", "icrl = icrl-plus", "zero-shot"]
    assert charts.last.locator(".band").count() == 3 and charts.last.locator(".zero").count() == 1
    boxes = sorted((names.nth(i).bounding_box() for i in range(3)), key=lambda box: box["y"])
    assert all(upper["y"] + 10 < lower["y"] for upper, lower in zip(boxes, boxes[1:]))  # no name lies on another
    widths = {line.get_attribute("data-method"): float(line.get_attribute("stroke-width"))
              for line in charts.first.locator(".line").all()}  # fmt: skip
    assert widths["icrl"] > widths["icrl-plus"] == widths["cot"]  # the lower of two equal lines can be seen
    group.locator("[data-view=rate]").click()
    assert charts.evaluate_all(measures) == ["window", "difference", "rate"]
    for _ in range(2):
        watched.tab.keyboard.press("Enter")  # the button keeps the focus
    group.locator("[data-view=window]").click()
    assert charts.evaluate_all(measures) == ["difference", "rate"] and "views=" in watched.tab.url
    watched.tab.reload()
    assert charts.evaluate_all(measures) == ["difference", "rate"]
    watched.close()


def test_a_few_methods_are_compared_by_clicks(browser: Browser, planted: Path) -> None:
    watched = Watched(browser, planted)
    shown = watched.tab.locator(".chip[aria-pressed=true]")
    for method, left in (
        ("zero-shot", 1),
        ("icrl-plus", 2),
        ("cot", 3),
        ("zero-shot", 2),
        ("cot", 1),
        ("icrl-plus", 4),
    ):
        watched.tab.click(f".chip:text-is('{method}')")
        assert shown.count() == left
    assert "off=" not in watched.tab.url
    watched.close()


def test_a_tap_on_a_phone(browser: Browser, planted: Path) -> None:
    """A tap reads a curve and says what a mark means; no part but a table is wider than the screen."""
    watched = Watched(browser, planted, viewport={"width": 400, "height": 800}, has_touch=True, is_mobile=True)
    plot = watched.tab.locator("svg.plot").first
    plot.scroll_into_view_if_needed()
    readout = watched.tab.locator(".chart .readout").first
    assert not readout.is_visible()
    plot.tap(position={"x": 150, "y": 90})
    assert "zero-shot" in readout.text_content() and "step" in readout.text_content()
    box = readout.bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= 400
    watched.tab.locator("h1").tap()
    assert not readout.is_visible()
    for summary in watched.tab.locator("details > summary:visible").all():
        summary.tap()
    assert watched.tab.evaluate("document.documentElement.scrollWidth") == 400
    watched.close()


def test_what_a_mark_means_is_said_on_tap_and_focus(browser: Browser, page_file: Path) -> None:
    watched = Watched(browser, page_file, viewport={"width": 400, "height": 800}, has_touch=True, is_mobile=True)
    tip, badge = watched.tab.locator("#tip"), watched.tab.locator("#origins .badge.sample")
    assert not tip.is_visible()
    badge.tap()
    assert tip.is_visible() and tip.text_content() == badge.get_attribute("data-tip")
    box = tip.bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= 400
    watched.tab.locator("h1").tap()
    assert not tip.is_visible()
    watched.tab.locator("#origins .badge.reader").focus()
    assert "embedded reader" in tip.text_content() and tip.is_visible()
    watched.tab.keyboard.press("Escape")
    assert not tip.is_visible()
    watched.close()


def test_links_lead_to_the_files_beside_the_page(browser: Browser, planted: Path) -> None:
    watched = Watched(browser, planted)
    watched.tab.locator(".group > summary").last.click()
    watched.tab.locator(".group").last.locator(".files").wait_for()
    links = watched.tab.locator("a[href]:not(.skip)").evaluate_all("all => all.map(a => a.getAttribute('href'))")
    written = {path.relative_to(planted.parent).as_posix() for path in planted.parent.glob("*/*")}
    assert sorted(links) == sorted(written) and len(links) == len(set(links)) > 15
    watched.close()


def test_how_each_run_was_made(opened: Watched, results: Path) -> None:
    (folder,) = (folder for folder in run_folders(results) if "cbr" in str(folder) and folder.name == "seed0")
    (run,) = (run for run in read_runs(results) if run.folder == folder)
    opened.tab.select_option("#task", stream_title(opened, "SAMPLE"))
    open_run(opened, folder)
    opened.tab.locator("#made > summary").click()
    own = opened.tab.locator("#made .made")
    opened.tab.locator(".group .runs > summary").click()
    listed = opened.tab.locator(".group .runs [data-run]", has_text="Random comk=2, seed 0")
    listed.locator("summary").first.click()
    listed.locator(".facts").first.wait_for()
    for made in (own.text_content(), listed.text_content()):
        assert "python main.py --env lfd --shuffle --limit 44" in made and f"sha256 {run.data['sha256'][:12]}" in made
        (start,) = run.config["starts"]
        assert all(str(start[name]) in made for name in ("time", "version")) and start["code"]["commit"] in made
        assert start["versions"]["torch"] in made and "embedded-reader" in made
        assert re.search(r"comk\s*2.*Settings at their default.*temperature", made, re.S)
    other = next(folder for folder in run_folders(results) if "zero-shot" in str(folder))
    open_run(opened, other)
    opened.tab.locator("#made .made", has_text="--agent zero-shot").wait_for()


def test_a_step_is_the_logs(opened: Watched, results: Path) -> None:
    """Every step of a run, walked with the arrow key: query, cases, scores, prompt, output, answer and reward."""
    (folder,) = (folder for folder in run_folders(results) if "cbr" in str(folder) and folder.name == "seed0")
    (run,) = (run for run in read_runs(results) if run.folder == folder)
    records, rebuilt = open_run(opened, folder), rebuild(run.config, run.records)
    assert any(len(record["cases"]) == 2 and record["cases"][0]["score"] is not None for record in records)
    opened.tab.locator("#list").focus()
    for record, more in zip(records, rebuilt):
        assert opened.part("query") == record["task"]
        assert opened.part("prompt") == more.prompt
        assert opened.texts("[data-part=prompt-note]") == ([more.note] if more.note else [])
        assert opened.part("output") == record["output"]
        assert opened.part("answer") == ("none in the required form" if record["answer"] is None else record["answer"])
        assert f"reward {record['reward']}" in opened.texts("#verdict")[0]
        assert opened.texts("[data-part=truth]") == ([more.truth] if record["reward"] == 0 else [])
        assert record["answer"] == more.truth or record["reward"] == 0
        cases = opened.tab.locator(".case")
        assert cases.evaluate_all("all => all.map(c => Number(c.dataset.case))") == [c["id"] for c in record["cases"]]
        scores = opened.tab.locator(".case [data-part=score]").evaluate_all(
            "all => all.map(s => Number(s.dataset.tip ?? 0))"
        )
        assert scores == [case["score"] or 0 for case in record["cases"]]
        sources = [records[case["id"] - 1] for case in record["cases"]]
        assert opened.texts(".case [data-part=case-task]") == [source["task"] for source in sources]
        assert opened.texts(".case [data-part=case-answer]") == [source["answer"] for source in sources]
        opened.tab.keyboard.press("ArrowDown")
    assert f"step={SIZE}" in opened.tab.url  # the last one has no next
    target = records[-1]["cases"][0]["id"]
    opened.tab.click(".case button >> nth=0")
    assert opened.part("query") == records[target - 1]["task"] and f"step={target}" in opened.tab.url
    opened.tab.click("[aria-label='Next step']")
    assert opened.part("query") == records[target]["task"]


def test_finding_steps(opened: Watched, results: Path) -> None:
    folder = next(folder for folder in run_folders(results) if "zero-shot" in str(folder))
    records = open_run(opened, folder)
    wrong = [record for record in records if record["reward"] == 0]
    opened.tab.select_option("#reward", "0")
    assert opened.texts("#count") == [f"{len(wrong)} of {SIZE} steps"]
    opened.tab.click(".option >> nth=2")
    assert opened.part("query") == wrong[2]["task"]
    opened.tab.keyboard.press("ArrowRight")
    assert opened.part("query") == wrong[3]["task"]
    opened.tab.fill("#search", " ".join(wrong[1]["task"].upper().split()))
    assert opened.texts(".option .number") == [f"✗ {wrong[1]['step']}"]
    opened.tab.fill("#search", "no step says this")
    assert opened.texts("#list") == ["No step matches."]


def test_links_lead_back(browser: Browser, page_file: Path, opened: Watched, results: Path) -> None:
    (folder,) = (folder for folder in run_folders(results) if "cbr" in str(folder) and folder.name == "seed1")
    records = open_run(opened, folder)
    assert len(records) == 40 and "UNFINISHED" in opened.texts("#run-note")[0]
    assert "unfinished: 40 of 44 steps" in opened.texts("#run-note")[0]
    opened.tab.click(".option >> nth=7")
    again = Watched(browser, page_file, "#" + opened.tab.url.partition("#")[2])
    assert again.part("query") == records[7]["task"]
    again.close()
    odd = Watched(browser, page_file, f"#task=nothing&measure=x&run={quote('<b>')}&step=99999&off=%7C&sort=a:b")
    assert len(odd.texts(".group")) == 2
    odd.close()


def test_skipped_cut_and_unproven_steps(browser: Browser, tmp_path: Path) -> None:
    extra = [{"finish_reason": "stop", "env_seconds": 0.5}, {"finish_reason": "length", "env_seconds": 0.5}]
    plant_run(tmp_path, [1, None], "--agent", "zero-shot", extra=extra)
    watched = Watched(browser, make_page(tmp_path, tmp_path / "report.html"), "#step=2")
    assert watched.texts("#verdict") == ["\u2013 skipped: the prompt is too long"]
    assert (
        "cut at the token limit" in watched.texts("#step .facts")[0] and "0.500 s" in watched.texts("#step .facts")[0]
    )
    heads = watched.texts(".settings thead th")
    cells = dict(zip(heads, watched.texts(f"{ROWS} td")))
    assert (cells["Skipped"], cells["Cut, %"], cells["Seconds a step"]) == ("1", "50.0", "0.500 + 0.500 + 0.250")
    watched.tab.select_option("#reward", "null")
    assert watched.texts("#count") == ["1 of 2 steps"]
    watched.close()


def test_hostile_output_stays_text(opened: Watched, results: Path) -> None:
    opened.tab.select_option("#llm", "m")
    (folder,) = (folder for folder in run_folders(results) if "/m/" in folder.as_posix())
    records = open_run(opened, folder)
    opened.tab.keyboard.press("ArrowRight")
    assert HOSTILE in records[1]["output"] and opened.part("output") == records[1]["output"]
    assert opened.tab.locator("#step img, #list img, #step script").count() == 0
    assert "kept as" in opened.texts(".case .head")[0]


def test_dark_scheme_and_narrow_screens(browser: Browser, page_file: Path) -> None:
    def background(watched: Watched) -> int:
        colour = watched.tab.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(map(int, re.findall(r"\d+", colour)[:3]))

    light = Watched(browser, page_file, color_scheme="light")
    dark = Watched(browser, page_file, color_scheme="dark", viewport={"width": 400, "height": 800})
    assert background(light) > 600 and background(dark) < 120
    for watched in (light, dark):
        width = watched.tab.viewport_size["width"]
        assert watched.tab.evaluate("document.documentElement.scrollWidth") <= width  # wide tables scroll by themselves
        watched.close()


def test_without_data_or_steps(browser: Browser, results: Path, tmp_path: Path) -> None:
    """A run whose rows are gone says so in place of the prompt; a page may be made without steps."""
    copy = tmp_path / "results"
    shutil.copytree(results, copy)
    for folder in run_folders(copy):
        text = (folder / "config.yaml").read_text(encoding="utf-8")
        (folder / "config.yaml").write_text(text.replace("stream.jsonl", "gone.jsonl"), encoding="utf-8")
    watched = Watched(browser, make_page(copy, tmp_path / "report.html"), "#llm=m&step=2")
    assert watched.part("prompt").startswith("The prompt cannot be shown: ")
    assert "gone.jsonl does not exist" in watched.part("prompt") and watched.part("case-task")
    assert re.search("its step was (right|wrong)", watched.texts(".case .head")[0])  # what was kept is not known
    assert "one seed of each setting" in watched.texts("#run-note")[0]
    watched.close()

    bare = make_page(copy, tmp_path / "bare.html", steps="none")
    assert bare.stat().st_size < (tmp_path / "report.html").stat().st_size
    tab = browser.new_page()
    tab.goto(bare.as_uri())
    assert tab.locator(".group").count() == 2 and tab.locator("#run option").count() == 0
    assert "without the runs' steps" in tab.locator("#run-note").text_content()
    tab.close()
