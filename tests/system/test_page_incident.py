"""The pages of incidents in a real Chromium: from an alert to a signed review, by two people, each in a language."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from zipfile import ZipFile

import pytest
from playwright.sync_api import BrowserContext, ConsoleMessage, Page, expect

from api.audit.service import Actor
from api.incidents import timeline
from api.incidents.schemas import EntryInput
from api.times import iso, now
from tests.api.alerts import upsert
from tests.api.conftest import ANY, PASSWORD, Running, running
from tests.system import test_page

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import httpx
    from playwright.sync_api import Browser, Locator

    from api.security.permissions import Role

browser = test_page.browser

SAFETY = ("process_state", "safety_system", "manual_fallback", "flows_to_preserve", "rollback")
"""What must be known of the plant before anybody acts in it."""


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Running]:
    with running(tmp_path / "data", live_poll_seconds=0.2) as opened:
        yield opened


@pytest.fixture
def person(browser: Browser, served: Running) -> Iterator[Callable[..., Page]]:
    """Opens a browser of somebody's own, signed in; whatever a page complains about fails the test."""
    contexts, complaints = list[BrowserContext](), list[str]()

    def complain(message: ConsoleMessage) -> None:
        if message.type == "error" and "status of 4" not in message.text:
            complaints.append(message.text)

    def come(name: str, role: Role, locale: str, sites: frozenset[str] | None = None) -> Page:
        served.signed_in(role, name=name, sites=sites)
        context = browser.new_context(viewport={"width": 1440, "height": 1000}, locale=locale, timezone_id="Asia/Shanghai")
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", complain)
        page.goto(served.url)
        page.locator("[name=name]").fill(name)
        page.locator("[name=password]").fill(PASSWORD)
        page.locator("[type=submit]").click()
        expect(page.locator(".lamp.on")).to_be_visible()
        return page

    yield come
    for context in contexts:
        context.close()
    assert complaints == []


def answer(page: Page, confirm: str, **fields: str) -> None:
    """Fill the dialog that is open, by names of its fields, and confirm it."""
    dialog = page.get_by_role("dialog")
    for name, value in fields.items():
        field = dialog.locator(f"[name='{name}']")
        if field.evaluate("each => each.tagName") == "SELECT":
            field.select_option(value)
        else:
            field.fill(value)
    dialog.get_by_role("button", name=confirm, exact=True).click()
    expect(dialog).to_be_hidden()


def declared(client: httpx.Client, title: str, alerts: tuple[int, ...] = ()) -> int:
    """Declare an incident of grade III, from alerts or from what somebody reported."""
    known = [f"{number:032x}" for number in alerts]
    body = {"title": title, "alerts": known, "reported_by": None if known else "Shift B"}
    made = client.post("/api/incidents", json=body)
    assert made.status_code == 201, made.text
    number: int = made.json()["number"]
    grade = {"scheme": "cac-2025", "level": 3, "reason": "as the facts say"}
    assert client.post(f"/api/incidents/{number}/grade", json=grade, headers=ANY).status_code == 200
    return number


def region(page: Page, name: str) -> Locator:
    return page.get_by_role("region", name=name, exact=True)


def state_of(page: Page) -> Locator:
    return page.locator(".incident .badges [role=status]")


def found(lin: Page, wu: Page) -> None:
    """Another person finds it in the list, and sees what the first one does as it happens."""
    shown = region(lin, "Incident")
    state = state_of(lin)
    wu.get_by_role("link", name="事件", exact=True).click()
    row = region(wu, "事件").get_by_role("row", name=re.compile("Writes to the dosing"))
    expect(row).to_contain_text("已宣布")
    expect(row).to_contain_text("lin.wei")
    row.get_by_role("link").click()
    shown.get_by_role("button", name="Move to analysing").click()
    answer(lin, "Move", reason="looking at it")
    expect(state).to_have_text("analysing")
    expect(wu.locator(".incident .track:not(.small) [aria-current]")).to_have_text("研判")
    expect(region(wu, "时间线").get_by_text("从已宣布转为研判")).to_be_visible()


def graded(lin: Page, wu: Page) -> None:
    """Facts propose a grade, a person decides it, and the report that the law asks for comes with its clock."""
    shown = region(lin, "Incident")
    grade = region(lin, "Grade")
    grade.get_by_role("button", name="State facts").click()
    answer(lin, "State", **{"fact-cii_total_outage_minutes": "12", "reason": "as the shift says"})
    expect(grade.get_by_role("row", name=re.compile("事件报告管理办法"))).to_contain_text("III, relatively serious")
    grade.get_by_role("row", name=re.compile("事件报告管理办法")).get_by_role("button", name="Decide the grade").click()
    answer(lin, "Decide the grade", reason="as proposed")
    first = lin.get_by_role("article", name="First report", exact=True)
    expect(first.get_by_text(re.compile(r"in 3 h 5\d min"))).to_be_visible()
    expect(shown.get_by_text("Grade III")).to_be_visible()


def reported(lin: Page, wu: Page) -> None:
    """A report is written by one, approved by another who reads it first, submitted, acknowledged."""
    first = lin.get_by_role("article", name="First report", exact=True)
    step = first.locator(".track [aria-current]")
    first.get_by_role("button", name="Write").click()
    answer(lin, "Keep the draft", entity="Waterworks East, dosing", event="Set point written")
    expect(step).to_have_text("drafted")
    expect(first.get_by_role("button", name="Approve")).to_have_count(0)
    wu.get_by_role("article", name="首次报告", exact=True).get_by_role("button", name="批准").click()
    expect(wu.get_by_role("dialog").get_by_text("Set point written")).to_be_visible()
    answer(wu, "批准", note="已核对")
    expect(step).to_have_text("approved")
    first.get_by_text("What it says, and documents").click()
    expect(first.get_by_text("Approved by wu.jun")).to_be_visible()
    document = first.get_by_role("link", name="Word, Chinese").evaluate("each => each.href")
    assert lin.request.get(document).body().startswith(b"PK")
    first.get_by_role("button", name="Submitted").click()
    answer(lin, "It was submitted", channel="12387, by phone", note="Officer Chen took it down")
    expect(first.get_by_text("Submitted in time")).to_be_visible()
    first.get_by_role("button", name="Acknowledged").click()
    answer(lin, "Acknowledged…", receipt="GD-7", note="by phone")
    expect(first.get_by_text("Acknowledged: GD-7")).to_be_visible()


def tasked(lin: Page) -> None:
    """A playbook gives tasks."""
    tasks = region(lin, "Tasks")
    tasks.get_by_role("button", name="Begin a playbook").click()
    answer(lin, "Begin a playbook", playbook="unauthorised_write", reason="it fits")
    task = tasks.get_by_role("article", name="Ask the shift what is going on")
    task.get_by_role("button", name="Begin").click()
    answer(lin, "Begin", note="on it")
    expect(task).to_contain_text("With: lin.wei")
    task.get_by_role("button", name="Done").click()
    answer(lin, "Done", note="no work there")
    expect(tasks.get_by_text(re.compile(r"^1 of \d+ done"))).to_be_visible()


def acted(lin: Page, wu: Page) -> None:
    """An action in the plant takes two approvals."""
    actions = region(lin, "Actions in the plant")
    actions.get_by_role("button", name="Propose an action").click()
    # No sensor watches here: what the alert proposes that traffic must show could not be told for as long as half an hour.
    known = dict.fromkeys(SAFETY, "known")
    answer(lin, "Propose an action", title="Close port 12", kind="nothing", reason="it goes on writing", **known)
    expect(actions.get_by_role("button", name="Approve for operations")).to_have_count(0)
    actions.get_by_role("button", name="Approve for security").click()
    answer(lin, "Approve for security", note="right against it")
    action = region(wu, "现场动作")
    action.get_by_role("button", name="运行批准").click()
    answer(wu, "运行批准", note="工艺已转手动")
    actions.get_by_role("button", name="Carried out").click()
    answer(lin, "Carried out", note="closed by Wu")
    action.get_by_role("button", name="确认有效").click()
    answer(wu, "确认有效", note="已静默")
    expect(actions.locator(".track [aria-current]")).to_have_text("verified")


def kept(lin: Page, tmp_path: Path) -> None:
    """Evidence is taken, checked, and given out as a package."""
    evidence = region(lin, "Evidence")
    (tmp_path / "station.log").write_bytes(b"what the station wrote")
    evidence.get_by_role("button", name="Upload a file").click()
    lin.get_by_role("dialog").locator("[name=file]").set_input_files(tmp_path / "station.log")
    answer(lin, "Take as evidence", giver="Wang Fang", reason="log of the station")
    evidence.get_by_role("button", name="Check").click()
    expect(evidence.get_by_text("Intact: file as it was taken, 1 custody entries")).to_be_visible()
    evidence.get_by_role("button", name="Make a package").click()
    with lin.expect_download() as given:
        answer(lin, "Make a package", receiver="Officer Zhao", reason="investigation")
    with ZipFile(given.value.path()) as package:
        assert "verify.py" in {name.rpartition("/")[2] for name in package.namelist()}


def told(lin: Page, wu: Page) -> None:
    """A line by hand has its time and source."""
    region(lin, "Timeline").get_by_role("button", name="Write a line").click()
    answer(lin, "Write a line", text="The dosing is in manual", source="Phone, shift leader")
    expect(region(wu, "时间线").get_by_text("The dosing is in manual")).to_be_visible()
    assert lin.evaluate(test_page.CONTRAST) == []


def contended(lin: Page, wu: Page) -> None:
    """What somebody else changed meanwhile is not written over: it is told and shown."""
    shown = region(lin, "Incident")
    state = state_of(lin)
    shown.get_by_role("button", name="Move to monitoring").click()
    wu.get_by_role("button", name="更改").click()
    answer(wu, "更改", lead="wu.jun", reason="交接班")
    dialog = lin.get_by_role("dialog")
    dialog.locator("[name=reason]").fill("quiet")
    dialog.get_by_role("button", name="Move", exact=True).click()
    expect(dialog.get_by_role("alert")).to_have_text(re.compile("^It was changed by"))
    expect(dialog.get_by_role("button", name="Move", exact=True)).to_be_disabled()
    dialog.get_by_role("button", name="Cancel").click()
    expect(shown.get_by_role("definition").filter(has_text="wu.jun").first).to_be_visible()
    shown.get_by_role("button", name="Move to monitoring").click()
    answer(lin, "Move", reason="quiet")
    expect(state).to_have_text("monitoring")


def closed(lin: Page, wu: Page) -> None:
    """What is open stands against closing; only who may override it closes all the same."""
    shown = region(lin, "Incident")
    state = state_of(lin)
    dialog = lin.get_by_role("dialog")
    shown.get_by_role("button", name="Close the incident").click()
    dialog.locator("[name=disposition]").select_option("true_positive_no_impact")
    dialog.locator("[name=reason]").fill("over")
    dialog.get_by_role("button", name="Close it").click()
    expect(dialog.get_by_role("alert")).to_contain_text("cannot be closed yet")
    expect(dialog.locator("[name=override]")).to_have_count(0)
    dialog.get_by_role("button", name="Cancel").click()
    # Else he would decide about what he has not seen yet, and be told so.
    expect(state_of(wu)).to_have_text("观察")
    wu.get_by_role("button", name="关闭事件").click()
    answer(wu, "关闭", disposition="true_positive_no_impact", reason="已处置", override="其余任务另行跟踪")
    expect(state).to_have_text("closed")


def reviewed(lin: Page, wu: Page) -> None:
    """A review is signed by another person."""
    review = region(lin, "Review")
    review.get_by_role("button", name="Write the review").click()
    answer(lin, "Write the review", went_well="Manual within two minutes", participants="lin.wei, wu.jun")
    region(wu, "复盘").get_by_role("button", name="签署").click()
    answer(wu, "签署", note="同意")
    expect(review.get_by_text("Signed by wu.jun")).to_be_visible()
    for page in (lin, wu):
        assert page.evaluate(test_page.CONTRAST) == []


def test_two_people_take_an_incident_from_an_alert_to_its_review_each_in_their_language(
    person: Callable[..., Page], served: Running, tmp_path: Path
) -> None:
    served.alerts(upsert(7, severity="critical", rank=95.0, first_seen=now() - 5, last_seen=now()))
    lin = person("lin.wei", "responder", "en-GB")
    lin.get_by_role("link", name=re.compile("Alert 7")).click()
    lin.get_by_role("article").get_by_role("button", name="Declare an incident").click()
    answer(lin, "Declare an incident", title="Writes to the dosing", discovered_at="")
    shown = region(lin, "Incident")
    expect(shown.get_by_role("heading", name="Writes to the dosing")).to_be_visible()
    expect(state_of(lin)).to_have_text("declared")
    wu = person("wu.jun", "administrator", "zh-CN")
    found(lin, wu)
    graded(lin, wu)
    reported(lin, wu)
    tasked(lin)
    acted(lin, wu)
    kept(lin, tmp_path)
    told(lin, wu)
    contended(lin, wu)
    closed(lin, wu)
    reviewed(lin, wu)


def test_a_viewer_sees_clocks_run_out_and_is_offered_nothing_to_change(person: Callable[..., Page], served: Running) -> None:
    served.alerts(upsert(1))
    responder = served.signed_in("responder")
    for minutes in (130, 200, 300):
        body = {"title": f"Writes since {minutes}", "reported_by": "Shift B", "discovered_at": f"-{minutes}m"}
        number = responder.post("/api/incidents", json=body).json()["number"]
        grade = {"scheme": "cac-2025", "level": 3, "reason": "as the facts say"}
        assert responder.post(f"/api/incidents/{number}/grade", json=grade, headers={"If-Match": "*"}).status_code == 200
    page = person("he.min", "viewer", "en-GB")
    page.get_by_role("link", name="Incidents", exact=True).click()
    incidents = region(page, "Incidents")
    expect(incidents.get_by_role("row", name=re.compile("since 130"))).to_contain_text(re.compile(r"in 1 h \d+ min"))
    expect(incidents.get_by_role("row", name=re.compile("since 300"))).to_contain_text(re.compile(r"1 h \d+ min late"))
    for minutes, share, look in ((130, r"5\d", "half"), (200, r"8\d", "soon"), (300, r"1[23]\d", "over")):
        incidents.get_by_role("link", name=f"Writes since {minutes}").click()
        clock = page.get_by_role("article", name="First report", exact=True).locator(".clock")
        expect(clock.get_by_role("progressbar")).to_have_accessible_name(re.compile(rf"^{share} % of the time is over"))
        expect(clock).to_have_class(f"clock {look}")
        # The keyboard finds nothing but what can be read.
        assert page.get_by_role("region", name="Incident", exact=True).get_by_role("button").count() == 0
        page.go_back()


def test_the_timeline_shows_the_latest_first_and_what_was_loaded_of_it_stays(
    person: Callable[..., Page], served: Running
) -> None:
    served.alerts(upsert(1))
    responder = served.signed_in("responder", name="chen")
    number = responder.post("/api/incidents", json={"title": "Long", "reported_by": "Shift B"}).json()["number"]
    with served.services.database.write() as session:
        for place in range(600):
            line = {"at": iso(now()), "text": f"line {place}", "source": "the shift"}
            timeline.write_by_hand(session, number, Actor("chen"), EntryInput.model_validate(line))
    page = person("lin.wei", "responder", "en-GB")
    page.goto(f"{served.url}/#/incidents/{number}")
    shown = region(page, "Timeline").locator(".history > li")
    expect(shown).to_have_count(500)
    expect(shown.first).to_contain_text("line 599")
    region(page, "Timeline").get_by_role("button", name="Show what came before").click()
    expect(shown.last).to_contain_text("chen")
    expect(region(page, "Timeline").get_by_role("button", name="Show what came before")).to_be_hidden()
    loaded = shown.count()
    assert loaded > 600
    later = {"at": iso(now()), "text": "and one more", "source": "the shift"}
    assert responder.post(f"/api/incidents/{number}/timeline", json=later).status_code == 201
    expect(shown).to_have_count(loaded + 1)
    expect(shown.first).to_contain_text("and one more")


def proposing(page: Page, served: Running, number: int, button: str) -> Locator:
    page.goto(f"{served.url}/#/incidents/{number}")
    page.get_by_role("button", name=button).click()
    return page.get_by_role("dialog")


@pytest.mark.parametrize(
    ("technique", "kind", "shown"),
    [
        ("T0836", "silent_writer", "流量须证明：10.0.0.8 在 30 分钟内不向 10.0.1.1 写入。"),
        ("T0846", "silent_host", "流量须证明：10.0.0.8 在 30 分钟内不向 10.0.1.1 发送。"),
    ],
)
def test_an_action_is_proposed_with_what_traffic_must_show_of_the_alert_that_ranks_highest(
    person: Callable[..., Page], served: Running, technique: str, kind: str, shown: str
) -> None:
    body = {**upsert(8).body, "techniques": [technique]}
    # The one that ranks above names no server, another one is of no incident.
    served.alerts(upsert(7), upsert(8, body=body), upsert(9, server_ip=None), upsert(10))
    number = declared(served.signed_in("responder"), "Writes", alerts=(7, 8, 9))
    dialog = proposing(page := person("lin.wei", "responder", "zh-CN"), served, number, "提出动作")
    for name, filled in {"kind": kind, "client": "10.0.0.8", "server": "10.0.1.1", "minutes": "30"}.items():
        expect(dialog.locator(f"[name={name}]")).to_have_value(filled)
    expect(dialog.get_by_text("排序最高者预填：告警 8。")).to_be_visible()
    answer(page, "提出动作", title="关闭端口", reason="仍在写入", **dict.fromkeys(SAFETY, "已知"))
    expect(page.get_by_role("article", name="关闭端口").get_by_text(shown)).to_be_visible()


def test_that_traffic_need_not_show_anything_is_never_so_by_itself(person: Callable[..., Page], served: Running) -> None:
    number = declared(served.signed_in("responder"), "By phone")
    dialog = proposing(page := person("lin.wei", "responder", "en-GB"), served, number, "Propose an action")
    for name in ("title", *SAFETY, "reason"):
        dialog.locator(f"[name={name}]").fill("known")
    dialog.get_by_role("button", name="Propose an action").click()
    expect(dialog.locator("[name=kind]:invalid")).to_be_focused()
    expect(dialog.get_by_text("nothing but the word of another person verifies the action")).to_be_visible()
    answer(page, "Propose an action", kind="nothing")
    action = page.get_by_role("article", name="known")
    expect(action).to_be_visible()
    expect(action.get_by_text("Traffic must show")).to_have_count(0)
