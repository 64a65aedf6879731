"""The list of alerts in a real Chromium: filters and saved views, what is laid aside, merged, and decided about many at once."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from playwright.sync_api import expect

from tests.api.alerts import upsert
from tests.api.test_jobs import working
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


def answer(page: Page, confirm: str, reason: str = "x") -> None:
    """Give the reason that a dialog asks for, and confirm it."""
    dialog = page.get_by_role("dialog")
    dialog.locator("textarea").fill(reason)
    dialog.get_by_role("button", name=confirm).click()
    expect(dialog).to_be_hidden()


def test_an_alert_is_laid_aside_brought_back_and_tells_others_for_a_while(page: Page, served: Running) -> None:
    served.alerts(upsert(1), upsert(2), upsert(3))
    set_up(page, served)
    false = {"disposition": "false_positive", "note": "the historian"}
    assert served.sign_in("lin.wei").post(f"/api/alerts/{1:032x}/close", json=false, headers=ANY).status_code == 200
    titles = page.locator("#alerts strong")
    page.get_by_role("link", name=re.compile("Alert 3")).click()
    detail = page.get_by_role("article")

    # How what was like it ended.
    expect(detail.get_by_text("False alarm: 1")).to_be_visible()
    expect(detail.get_by_text("the historian")).to_be_visible()

    # Laid aside until something joins it, and brought back.
    detail.get_by_role("button", name="Lay aside").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Reason").fill("the contractor answers tomorrow")
    dialog.get_by_role("button", name="Lay aside").click()
    expect(dialog.get_by_role("alert")).to_contain_text("Give a time")
    dialog.get_by_label("A new address joins it").check()
    answer(page, "Lay aside", "the contractor answers tomorrow")
    expect(detail.get_by_text("Laid aside by lin.wei (the contractor answers tomorrow)")).to_be_visible()
    expect(titles).to_have_text(["Alert 2"])
    detail.get_by_role("button", name="Bring back").click()
    answer(page, "Bring back")
    expect(detail.get_by_role("button", name="Bring back")).to_have_count(0)
    expect(titles).to_have_text(["Alert 3", "Alert 2"])

    # It tells another, which is taken out again, and that is taken back.
    detail.get_by_role("button", name="Merge others into it").click()
    dialog.get_by_label("Alert 2").check()
    answer(page, "Merge others into it")
    expect(titles).to_have_text(["Alert 3"])
    detail.get_by_role("button", name="Tell by itself").click()
    answer(page, "Tell by itself")
    expect(titles).to_have_text(["Alert 3", "Alert 2"])
    assert page.evaluate(CONTRAST) == []
    page.get_by_role("button", name="切换到中文").click()
    detail.get_by_role("button", name="撤销").first.click()
    page.get_by_role("dialog").get_by_role("button", name="撤销").click()
    expect(detail.get_by_text("已由 lin.wei 撤销")).to_be_visible()
    expect(titles).to_have_text(["告警 3"])


def test_several_are_closed_with_one_note_after_a_look_and_taken_back(page: Page, served: Running) -> None:
    served.alerts(upsert(1), upsert(2), upsert(3))
    set_up(page, served)
    served.signed_in("engineer", name="wang.fang")
    titles = page.locator("#alerts strong")
    page.get_by_label("Choose Alert 3").check()
    chosen = page.get_by_role("region", name="Chosen alerts")
    # By the keyboard as well.
    page.get_by_role("link", name=re.compile("Alert 2")).focus()
    page.keyboard.press("x")
    expect(chosen.get_by_text("2 chosen")).to_be_visible()
    chosen.get_by_role("button", name="Close").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("What was it?").select_option("authorised_work")
    dialog.get_by_label("Permit number").fill("WP-1")
    dialog.get_by_label("Note").fill("a scan, as announced")

    with working(served.services):
        dialog.get_by_role("button", name="Look at what would come of it").click()
        expect(dialog.get_by_text("2 would be decided on, 0 would be left as they are.")).to_be_visible()
        expect(titles).to_have_count(3)
        # What somebody else does meanwhile is left to him.
        closed = {"disposition": "duplicate", "note": "mine"}
        answer = served.sign_in("wang.fang").post(f"/api/alerts/{3:032x}/close", json=closed, headers=ANY)
        assert answer.status_code == 200
        dialog.get_by_role("button", name="Close", exact=True).click()
        job = page.get_by_role("region", name="Decision about several alerts")
        expect(job.get_by_role("status")).to_have_text("Close: at its end. 1 done, 1 left as they are.")
        expect(titles).to_have_text(["Alert 1"])
        job.get_by_text("What came of each").click()
        expect(job.get_by_role("listitem").filter(has_text=f"{3:032x}")).to_have_count(1)
        expect(job.get_by_role("listitem").filter(has_text="Not possible in this state")).to_have_count(1)
        assert page.evaluate(CONTRAST) == []
        page.get_by_role("button", name="切换到中文").click()
        job = page.get_by_role("region", name="批量处理")
        job.get_by_role("button", name="全部撤销").click()
        expect(job.get_by_role("status")).to_have_text("撤销：已完成。已处理 1 条，0 条保持不变。")
        expect(titles).to_have_text(["告警 2", "告警 1"])


def test_a_job_is_stopped(page: Page, served: Running) -> None:
    served.alerts(upsert(1))
    set_up(page, served)
    page.get_by_label("Choose Alert 1").check()
    page.get_by_role("region", name="Chosen alerts").get_by_role("button", name="Acknowledge").click()
    page.get_by_label("Note").fill("x")
    page.get_by_role("dialog").get_by_role("button", name="Acknowledge").click()
    # Nobody carries it out here.
    job = page.get_by_role("region", name="Decision about several alerts")
    expect(job.get_by_role("status")).to_contain_text("waiting")
    job.get_by_role("button", name="Stop").click()
    expect(job.get_by_role("status")).to_contain_text("stopped")
    job.get_by_role("button", name="Put away").click()
    expect(job).to_be_hidden()
