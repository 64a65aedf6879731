"""Handover notes in a real Chromium: begun and handed over by one person, taken over by another, each in a language."""

from __future__ import annotations

from typing import TYPE_CHECKING

from playwright.sync_api import expect

from api.enrolment.models import EnrolledSensor
from api.times import NANOSECONDS, now
from tests.api.alerts import upsert
from tests.system import test_page_incident
from tests.system.test_page import CONTRAST
from tests.system.test_page_incident import answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page

    from tests.api.conftest import Running

browser = test_page_incident.browser
served = test_page_incident.served
person = test_page_incident.person


def test_a_shift_hands_over_what_is_open_and_another_takes_it_over(person: Callable[..., Page], served: Running) -> None:
    served.alerts(upsert(1))
    with served.services.database.write() as session:
        long_ago = now() - 3_600 * NANOSECONDS
        session.add(EnrolledSensor(name="north", site="", generation=1, enrolled_at=long_ago, revoked_at=None))
    lin = person("lin.wei", "operator", "en-GB")
    lin.get_by_role("link", name="Situation").click()
    expect(lin.get_by_text("north is enrolled and was never heard")).to_be_visible()
    lin.get_by_role("link", name="Shift handovers").click()
    expect(lin.get_by_text("No note yet.")).to_be_visible()
    lin.get_by_role("button", name="Begin a note").click()
    answer(lin, "Begin a note", remarks="The vendor comes at 14:00.")
    shown = lin.get_by_role("region", name="Shift handovers")
    expect(shown.get_by_role("status")).to_have_text("being written")
    expect(shown.get_by_role("region", name="Alerts by rank").get_by_role("link", name="Alert 1")).to_be_visible()
    expect(shown.get_by_text("north is enrolled and was never heard")).to_be_visible()
    shown.get_by_role("button", name="Write").click()
    answer(lin, "Keep", remarks="The vendor comes at 15:00.")
    expect(shown.get_by_text("The vendor comes at 15:00.")).to_be_visible()
    assert lin.evaluate(CONTRAST) == []
    shown.get_by_role("button", name="Hand over").click()
    answer(lin, "Hand over")
    expect(shown.get_by_role("status")).to_have_text("handed over")
    # Nobody takes over from himself.
    expect(shown.get_by_role("button")).to_have_count(0)

    wu = person("wu.jun", "operator", "zh-CN")
    wu.goto(f"{served.url}/#/handovers")
    wu.get_by_role("link", name="记录 1").click()
    expect(wu.get_by_role("link", name="告警 1")).to_be_visible()
    expect(wu.get_by_text("north 已登记，但从未收到其消息")).to_be_visible()
    wu.get_by_role("button", name="接班").click()
    answer(wu, "接班", note="已一起核对")
    expect(wu.get_by_text("接班人：wu.jun：已一起核对")).to_be_visible()
    # Whoever has it open sees it at once, long before it would be asked for again.
    expect(shown.get_by_role("status")).to_have_text("taken over", timeout=15_000)
