"""The endpoint's page in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
import pytest
from test_report_page import FLAGS, browser  # noqa: F401  # a fixture

from helpers.endpoint import Running, StandIn, endpoint, stand_in
from memory.encoders import TextEncoder
from serve.app import Limits
from serve.service import Way

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

HOSTILE = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, text_encoder: TextEncoder) -> Iterator[Running]:
    with (
        stand_in(answer=lambda text: f"\\boxed{{card linking}} {HOSTILE}") as upstream,
        endpoint(tmp_path_factory.mktemp("page"), text_encoder, upstream, way=Way(holdout=0.3, waits=True)) as running,
    ):
        for i in range(12):
            ask(running, f"{HOSTILE} question {i}", int(i % 4 > 0))
        yield running


def ask(running: Running, query: str, reward: int | None, **headers: str) -> None:
    with httpx2.Client(base_url=running.address, headers=headers) as client:
        said = {"messages": [{"role": "user", "content": query}]}
        id = client.post("/v1/chat/completions", json=said).json()["id"]
        if reward is not None:
            client.post("/v1/feedback", json={"id": id, "reward": reward})


@pytest.fixture
def page(browser: Browser, served: Running) -> Iterator[Page]:  # noqa: F811
    page = browser.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
    page.goto(served.address)
    page.wait_for_selector("#bank tbody tr")
    yield page
    assert page.title() == "Endpoint that learns"
    assert problems == []
    page.close()


def test_success_and_gain(page: Page, served: Running) -> None:
    stats = served.service.describe()
    worth = page.inner_text("#worth")
    rate = 100 * stats["groups"]["cases"]["success_rate"]
    assert "With cases" in worth and "Without cases (holdout)" in worth and f"{rate:.1f} %" in worth
    assert f"{100 * stats['gain']['difference']:.1f} points" in page.inner_text("#gain")
    assert f"12 requests, 12 with feedback, {stats['cases']} cases" in page.inner_text("#status")


def test_what_was_written_is_text(page: Page) -> None:
    assert HOSTILE in page.inner_text("#bank tbody")
    assert page.locator("#bank img, #requests img").count() == 0


def test_search_open_and_remove_a_case(page: Page, served: Running) -> None:
    before = len(served.service.learner.bank)
    page.fill("#query", "question 7")
    page.click("#search button")
    page.locator("#bank tbody tr:first-child", has_text="question 7").wait_for()
    page.click("#bank tbody tr:first-child td:first-child button")
    assert "question 7" in page.inner_text("#detail-body") and "card linking" in page.inner_text("#detail-body")
    page.click("#detail form button")
    page.on("dialog", lambda dialog: dialog.accept())
    page.click("#bank tbody tr:first-child td:last-child button")
    page.locator("#bank-count", has_text=f"{before - 1} in the bank").wait_for()
    assert all("question 7" not in case.task for case in served.service.learner.bank)


def test_a_request_shows_what_it_was_sent(page: Page) -> None:
    page.click("#requests tbody tr:first-child button")
    detail = page.inner_text("#detail-body")
    assert "question 11" in detail and "Id" in detail
    assert "Case sent" in detail or "Case that would have been sent" in detail


def test_fits_a_phone(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_key_and_tenant_are_asked_for(
    tmp_path: Path,
    text_encoder: TextEncoder,
    browser: Browser,  # noqa: F811
) -> None:
    upstream: StandIn
    limits = Limits(api_key="right", tenant_header="X-Tenant")
    with stand_in() as upstream, endpoint(tmp_path, text_encoder, upstream, limits) as running:
        ask(running, "a question", None, Authorization="Bearer right", **{"X-Tenant": "mine"})
        page = browser.new_page()
        page.goto(running.address)
        page.wait_for_selector("#access:not([hidden])")
        for field, value in (("api-key", "right"), ("tenant-header", "X-Tenant"), ("tenant", "mine")):
            page.fill(f"#{field}", value)
        page.click("#access button")
        page.wait_for_selector("#requests tbody tr")
        assert "a question" in page.inner_text("#requests")
        page.close()
