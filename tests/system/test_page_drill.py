"""A drill in a real Chromium: started by one, handled by two, each in a language, and ended with its times."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from playwright.sync_api import Page, expect

from tests.api import test_drills
from tests.api.traffic import plant
from tests.system import test_page, test_page_incident
from tests.system.test_page_incident import answer, region, state_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.api.conftest import Running

rules_compiled = test_drills.rules_compiled
browser = test_page.browser
served = test_page_incident.served
person = test_page_incident.person


def test_two_people_run_a_drill_in_their_languages_from_its_start_to_its_times(
    person: Callable[..., Page], served: Running
) -> None:
    plant(served.services.records)
    lin, wu = person("lin.wei", "responder", "en-GB"), person("wu.jun", "administrator", "zh-CN")
    lin.get_by_role("link", name="Drills", exact=True).click()
    drills = region(lin, "Drills")
    drills.get_by_role("button", name="Start a drill").click()
    dialog = lin.get_by_role("dialog")
    dialog.locator("[name=scenario]").select_option("program_change")
    expect(dialog.get_by_text("loads a program into it")).to_be_visible()
    answer(lin, "Start a drill", title="Autumn drill", participants="lin.wei, wu.jun")
    expect(drills.get_by_role("status")).to_have_text("running")
    expect(drills.get_by_text("controller 10.0.1.10, unit 1; the stranger is 10.0.1.200")).to_be_visible()
    assert lin.evaluate(test_page.CONTRAST) == []

    # The other sees the alert come, marked, takes it on, and declares an incident, which is marked too.
    row = wu.get_by_role("link", name=re.compile("控制器被停止、下装并重新启动"))
    expect(row.locator(".pill.drill")).to_have_text("演练")
    row.click()
    article = wu.get_by_role("article")
    expect(article.get_by_text("属于演练 1：流量为系统生成")).to_be_visible()
    expect(article.locator(".badges .pill.drill")).to_be_visible()
    expect(article.get_by_role("button", name="接受为正常")).to_have_count(0)
    article.get_by_role("button", name="确认", exact=True).click()
    answer(wu, "接手处理", note="查看中")
    article.get_by_role("button", name="宣布事件").click()
    answer(wu, "宣布事件", title="程序被替换", discovered_at="")
    expect(state_of(wu)).to_have_text("已宣布")
    expect(region(wu, "事件").locator(".badges .pill.drill")).to_have_text("演练")
    region(wu, "定级").get_by_role("row", name=re.compile("事件报告管理办法")).get_by_role("button", name="确定级别").click()
    answer(wu, "确定级别", level="3", reason="演练")
    expect(wu.get_by_role("article", name="首次报告", exact=True).locator(".pill.drill")).to_be_visible()

    # Who began it sees each step as it is taken, and ends it.
    steps = region(lin, "Steps")
    for step in ("First alert acknowledged", "Incident declared", "Graded"):
        expect(steps.get_by_role("row", name=re.compile(f"^{step}.* s"))).to_be_visible()
    expect(steps.get_by_role("row", name=re.compile("^First report drafted –"))).to_be_visible()
    drills.get_by_role("button", name="End the drill").click()
    answer(lin, "End the drill", note="well done")
    expect(drills.get_by_role("status")).to_have_text("finished")
    expect(state_of(wu)).to_have_text("已关闭")

    # The next one is compared with it; it is broken off.
    wu.get_by_role("link", name="演练", exact=True).click()
    region(wu, "演练").get_by_role("button", name="开始演练").click()
    answer(wu, "开始演练", scenario="program_change", title="再次演练")
    expect(wu.get_by_text("与演练 1 比较。")).to_be_visible()
    expect(region(wu, "步骤用时").get_by_role("row", name=re.compile(r"^事件已宣布 – – \d+ 分 \d+ 秒"))).to_be_visible()
    wu.get_by_role("button", name="中止演练").click()
    answer(wu, "中止演练", note="到此为止")
    expect(region(wu, "演练").get_by_role("status")).to_have_text("已中止")
    assert wu.evaluate(test_page.CONTRAST) == []


def test_who_may_run_no_drill_is_offered_none(person: Callable[..., Page], served: Running) -> None:
    plant(served.services.records)
    body = {"scenario": "loss_of_view", "title": "Night drill"}
    assert served.signed_in("responder").post("/api/drills", json=body).status_code == 201
    page = person("he.min", "viewer", "en-GB")
    page.get_by_role("link", name="Drills", exact=True).click()
    drills = region(page, "Drills")
    drills.get_by_role("link", name="Night drill").click()
    expect(drills.get_by_role("status")).to_have_text("running")
    assert drills.get_by_role("button").count() == 0
