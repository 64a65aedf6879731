"""The list of alerts in a real Chromium: filters and saved views."""

from __future__ import annotations

from typing import TYPE_CHECKING

from playwright.sync_api import expect

from tests.api.alerts import upsert
from tests.system import test_page
from tests.system.test_page import CONTRAST, set_up

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.api.conftest import Running

browser = test_page.browser
served = test_page.served
page = test_page.page

ANY = {"If-Match": "*"}


def test_what_is_laid_aside_and_whose_it_is_is_found_and_kept_as_a_view(page: Page, served: Running) -> None:
    served.alerts(upsert(1, rule="sweep"), upsert(2), upsert(3))
    set_up(page, served)
    client = served.sign_in("lin.wei")
    for number, step, body in ((2, "snooze", {"conditions": ["asset"]}), (3, "acknowledge", {})):
        answer = client.post(f"/api/alerts/{number:032x}/{step}", json={**body, "note": "x"}, headers=ANY)
        assert answer.status_code == 200
    titles = page.locator("#alerts strong")
    expect(titles).to_have_text(["Alert 3", "Alert 1"])

    def choose(name: str, option: str) -> None:
        page.get_by_role("combobox", name=name, exact=True).select_option(option)

    choose("Laid aside", "Laid aside by people")
    expect(titles).to_have_text(["Alert 2"])
    expect(page.locator("#alerts").get_by_text("Laid aside until")).to_be_visible()
    # What is woken meanwhile leaves it.
    client.post(f"/api/alerts/{2:032x}/wake", json={"note": "x"}, headers=ANY)
    expect(titles).to_have_count(0)
    choose("Laid aside", "Not laid aside")
    page.get_by_role("button", name="More filters").click()
    page.get_by_label("Rule").fill("sweep")
    page.keyboard.press("Enter")
    expect(titles).to_have_text(["Alert 1"])
    choose("Last seen", "In the last hour")
    page.get_by_role("button", name="Clear filters").click()
    choose("Taken on by", "Mine")
    expect(titles).to_have_text(["Alert 3"])

    page.get_by_role("button", name="Save view").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("What I do")
    dialog.get_by_label("Who sees it").select_option("organisation")
    dialog.get_by_label("Begin with it").check()
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_be_hidden()
    (view,) = served.signed_in("viewer").get("/api/views").json()["items"]
    assert (view["name"], view["filter"], view["shared"]) == ("What I do", {"assignee": "lin.wei"}, "organisation")
    page.reload()
    expect(titles).to_have_text(["Alert 3"])
    assert page.evaluate(CONTRAST) == []
    page.get_by_role("button", name="切换到中文").click()
    page.get_by_role("button", name="删除视图").click()
    page.get_by_role("dialog").get_by_role("button", name="删除视图").click()
    expect(page.get_by_role("combobox", name="视图", exact=True)).to_have_value("0")
