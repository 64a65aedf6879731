"""What the operator of a site is, said in a real Chromium, and what follows from it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from playwright.sync_api import expect

from api.alerts import upserts
from tests.api.alerts import upsert
from tests.system import test_page_incident
from tests.system.test_page import CONTRAST
from tests.system.test_page_incident import answer, declared, region

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Locator, Page

    from tests.api.conftest import Running

browser = test_page_incident.browser
served = test_page_incident.served
person = test_page_incident.person


def report(page: Page, name: str) -> Locator:
    return page.get_by_role("article", name=name, exact=True)


def value(page: Page, term: str) -> Locator:
    """What stands beside a term."""
    return page.locator("dt").filter(has_text=term).locator("xpath=following-sibling::dd")


def test_who_says_that_the_operator_is_of_critical_infrastructure_has_one_hour_instead_of_four(
    person: Callable[..., Page], served: Running
) -> None:
    served.alerts(upsert(1))
    responder = served.signed_in("responder")
    before = declared(responder, "Before")
    lin = person("lin.wei", "responder", "en-GB")
    lin.goto(f"{served.url}/#/incidents/{before}")
    expect(report(lin, "First report").get_by_text(re.compile(r"in 3 h 5\d min"))).to_be_visible()
    reports = region(lin, "Reports that the law asks for")
    reports.get_by_role("link", name="Operator of the plant").click()
    shown = region(lin, "Operator of the plant")
    expect(shown.get_by_role("status")).to_contain_text("Nobody has said it yet")
    # Who may not say it sees what is taken for so, and is offered nothing.
    expect(value(lin, "critical information infrastructure")).to_have_text("no")
    assert shown.get_by_role("button").count() == 0

    wu = person("wu.jun", "administrator", "zh-CN")
    wu.goto(f"{served.url}/#/incidents/{before}")
    wu.get_by_role("link", name="说明运营者").click()
    wu.get_by_role("button", name="说明运营者").click()
    dialog = wu.get_by_role("dialog")
    expect(dialog.locator("[name=name]")).to_have_value("")
    assert wu.evaluate(CONTRAST) == []
    dialog.locator("[name=cii]").check()
    dialog.locator("[name=industrial]").uncheck()
    answer(wu, "确认说明", name="东区水厂", sector="municipal", nis2="essential", time_zone="Asia/Urumqi")
    expect(value(wu, "行业")).to_have_text("城市供水供气供热")
    expect(value(wu, "关键信息基础设施")).to_have_text("是")
    expect(wu.get_by_text("尚未说明。")).to_have_count(0)
    assert wu.evaluate(CONTRAST) == []
    said = responder.get("/api/operator").json()
    assert {**said, "sector_name": None} == {
        "site": "", "version": 1, "name": "东区水厂", "sector": "municipal", "sector_name": None, "china": True, "cii": True,
        "state_body": False, "served": False, "industrial": False, "data_processor": True, "nis2": "essential",
        "time_zone": "Asia/Urumqi",
    }  # fmt: skip

    # Those that are open are looked at again, and whatever is declared from then on has the hour.
    for number in (before, declared(responder, "After")):
        lin.goto(f"{served.url}/#/incidents/{number}")
        first = report(lin, "First report, critical information infrastructure")
        expect(first.get_by_text(re.compile(r"in 0 h 5\d min"))).to_be_visible()
        expect(report(lin, "First report")).to_have_count(0)
        expect(reports.get_by_text("Nobody has said")).to_have_count(0)


def test_what_another_person_said_of_the_operator_meanwhile_is_told_and_not_written_over(
    person: Callable[..., Page], served: Running
) -> None:
    served.alerts(upsert(1))
    lin, wu = person("lin.wei", "administrator", "en-GB"), person("wu.jun", "administrator", "zh-CN")
    for page, incidents, operator in ((lin, "Incidents", "Operator of the plant"), (wu, "事件", "现场运营者")):
        page.get_by_role("link", name=incidents, exact=True).click()
        page.get_by_role("link", name=operator).click()
    lin.get_by_role("button", name="Say what the operator is").click()
    dialog = lin.get_by_role("dialog")
    dialog.locator("[name=name]").fill("Waterworks West")
    wu.get_by_role("button", name="说明运营者").click()
    answer(wu, "确认说明", name="Waterworks East")
    expect(value(wu, "名称")).to_have_text("Waterworks East")
    dialog.get_by_role("button", name="Say so").click()
    expect(dialog.get_by_role("alert")).to_have_text(re.compile("^It was changed by wu.jun"))
    expect(dialog.get_by_role("button", name="Say so")).to_be_disabled()
    expect(dialog.locator("[name=name]")).to_have_value("Waterworks West")
    dialog.get_by_role("button", name="Cancel").click()
    expect(value(lin, "Name")).to_have_text("Waterworks East")
    lin.get_by_role("button", name="Say what the operator is").click()
    expect(dialog.locator("[name=name]")).to_have_value("Waterworks East")
    answer(lin, "Say so", name="Waterworks West")
    expect(value(lin, "Name")).to_have_text("Waterworks West")


def test_each_of_several_sites_has_its_own_operator(person: Callable[..., Page], served: Running) -> None:
    served.services.site = None  # as in a centre, which serves several
    with served.services.database.write() as session:
        for number, site in enumerate(("pumps", "tanks / 北"), start=1):
            upserts.apply(session, [upsert(number)], site)
    page = person("wu.jun", "administrator", "en-GB")
    page.goto(f"{served.url}/#/operator")
    expect(value(page, "Site")).to_have_text("pumps")
    page.locator("#operator-site").select_option("tanks / 北")
    expect(value(page, "Site")).to_have_text("tanks / 北")
    page.get_by_role("button", name="Say what the operator is").click()
    answer(page, "Say so", name="Tanks Ltd.")
    expect(value(page, "Name")).to_have_text("Tanks Ltd.")
    page.locator("#operator-site").select_option("pumps")
    expect(value(page, "Name")).to_have_text("–")
    page.go_back()
    expect(value(page, "Name")).to_have_text("Tanks Ltd.")
    # Who sees one site alone has nothing to choose.
    he = person("he.min", "viewer", "en-GB", sites=frozenset({"tanks / 北"}))
    he.goto(f"{served.url}/#/operator")
    expect(value(he, "Name")).to_have_text("Tanks Ltd.")
    expect(he.locator("#operator-site")).to_be_hidden()
