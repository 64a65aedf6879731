"""The page in a real Chromium: set up, watch alerts come, open one on its records, decide, switch the language."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from playwright.sync_api import ConsoleMessage, Page, expect, sync_playwright
from pyotp.totp import TOTP

from api import system
from api.alerts import upserts
from api.times import now
from api.users.models import UserSession
from collector.records import decode
from detection.inbox import Inbox
from sensor.packets import PACKETS
from sensor.spool_format import BatchHeader
from tests.api.alerts import START, part_of, upsert, with_related
from tests.api.conftest import PASSWORD, Running, running, take_up
from tests.api.test_baseline import standing
from tests.api.test_exceptions import MADE, deviation
from tests.api.test_incidents import done
from tests.api.test_obligations import SAID, grade, reports, step
from tests.batches import EPOCH, encode, sample
from tests.detection.test_anomaly import LEARNED, anomalies
from tests.detection.test_anomaly import polls as values
from tests.detection.test_live_learning import live, polls
from tests.sensor.test_packets import frame, kept, wrote

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Download, Route

    from api.security.permissions import Role

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        message = "no Chromium is installed; `make peers` installs it"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    # As long as what is done may take: what is looked at comes later where the processors are busy.
    expect.set_options(timeout=30_000)
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield opened
        opened.close()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Running]:
    with running(tmp_path / "data", live_poll_seconds=0.2) as opened:
        yield opened


@pytest.fixture
def page(browser: Browser, served: Running) -> Iterator[Page]:
    """A fresh browser; whatever the page complains about, or asks of another server, fails the test."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, locale="en-GB", timezone_id="Asia/Shanghai")
    opened = context.new_page()
    complaints: list[str] = []

    def complain(message: ConsoleMessage) -> None:
        # Chromium reports every 4xx answer; the page asks who is signed in and expects a 401.
        if message.type in {"error", "warning"} and "status of 4" not in message.text:
            complaints.append(message.text)

    opened.on("console", complain)
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("request", lambda request: None if request.url.startswith(served.url) else complaints.append(request.url))
    yield opened
    context.close()
    assert complaints == []


def sign_in(page: Page) -> None:
    page.get_by_label("Name").fill("lin.wei")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()


def set_up(page: Page, served: Running) -> None:
    link = system.setup_link(served.services, served.url)
    assert link is not None
    page.goto(link)
    page.get_by_label("Name").fill("lin.wei")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("Password again").fill(PASSWORD)
    page.get_by_role("button", name="Create account").click()
    expect(page.get_by_text("Live", exact=True)).to_be_visible()


def test_from_the_setup_link_to_a_closed_alert(page: Page, served: Running) -> None:
    header = BatchHeader("local", EPOCH, 0, "modbus", 6)
    served.services.records.append([decode(header, encode(header, sample("modbus", 6)))])
    set_up(page, served)
    assert "token" not in page.url
    expect(page.get_by_role("heading", name="Nothing to look at")).to_be_visible()

    # Alerts appear by themselves, the highest ranked first.
    body = {**upsert(7).body, "records": [f"local/{EPOCH}/0/{number}" for number in (2, 4)]}
    served.alerts(upsert(1, severity="low", rank=3.0))
    served.alerts(upsert(7, severity="critical", rank=95.0, body=body))
    titles = page.locator("#alerts strong")
    expect(titles).to_have_text(["Alert 7", "Alert 1"])

    # One opens on its records.
    page.get_by_role("link", name=re.compile("Alert 7")).click()
    detail = page.get_by_role("article")
    expect(detail.get_by_role("heading", name="Alert 7")).to_be_visible()
    expect(detail.get_by_text("Ask the shift.")).to_be_visible()
    expect(detail.get_by_role("row")).to_have_count(3)
    expect(detail.get_by_role("cell", name=f"local/{EPOCH}/0/4")).to_be_visible()

    # Acknowledged, with name and note.
    detail.get_by_role("button", name="Acknowledge").click()
    page.get_by_label("Note").fill("asking the shift")
    page.get_by_role("button", name="Take it on").click()
    expect(detail.get_by_text("asking the shift")).to_be_visible()
    expect(page.locator("li", has_text="Alert 7").get_by_text("In work")).to_be_visible()

    # What goes on meanwhile shows by itself.
    served.alerts(upsert(7, revision=2, severity="critical", rank=95.0, count=41, body=body))
    expect(detail.get_by_text("41", exact=True)).to_be_visible()

    # Closed as authorised work, which asks for the permit.
    detail.get_by_role("button", name="Close", exact=True).click()
    page.get_by_label("Authorised work").check()
    page.get_by_label("Permit number").fill("WP-2026-7")
    page.get_by_label("Note").fill("planned exchange")
    page.get_by_role("button", name="Close alert").click()
    expect(detail.get_by_text("WP-2026-7")).to_be_visible()
    expect(titles).to_have_text(["Alert 1"])
    triage = served.sign_in("lin.wei").get(f"/api/alerts/{7:032x}").json()["triage"]
    assert (triage["state"], triage["by"], triage["permit"]) == ("closed", "lin.wei", "WP-2026-7")

    # What there is to say afterwards stands below.
    detail.get_by_role("button", name="Comment").click()
    page.get_by_label("Note").fill("the permit is with the foreman")
    page.get_by_role("button", name="Add comment").click()
    expect(detail.get_by_text("the permit is with the foreman")).to_be_visible()
    expect(detail.get_by_role("button", name="Acknowledge")).to_have_count(0)


def test_a_decision_without_an_answer_is_sent_again_and_made_once(page: Page, served: Running) -> None:
    served.alerts(upsert(1), upsert(2))
    set_up(page, served)
    keys: list[str] = []

    def lose(route: Route) -> None:
        keys.append(route.request.headers["idempotency-key"])
        answer = route.fetch()
        if len(keys) == 1:
            route.abort()
        elif len(keys) == 2:
            route.fulfill(status=502, content_type="text/html", body="<h1>Bad gateway</h1>")
        else:
            route.fulfill(response=answer)

    # Another tab, since Chromium complains about what is lost.
    tab = page.context.new_page()
    tab.route("**/acknowledge", lose)
    tab.goto(f"{served.url}/#{1:032x}")
    for number in (1, 2):
        tab.get_by_role("link", name=re.compile(f"Alert {number}")).click()
        expect(tab.get_by_role("heading", name=f"Alert {number}")).to_be_visible()
        tab.get_by_role("button", name="Acknowledge").click()
        tab.get_by_label("Note").fill("asking the shift")
        tab.get_by_role("button", name="Take it on").click()
        if number == 1:
            for tries in (1, 2):
                expect(tab.get_by_role("alert").filter(has_text="No answer came")).to_be_visible()
                assert len(keys) == tries
                tab.get_by_role("button", name="Take it on").click()
        expect(tab.get_by_role("dialog")).to_be_hidden()
    history = served.sign_in("lin.wei").get(f"/api/alerts/{1:032x}/history").json()
    assert [entry["kind"] for entry in history] == ["raised", "acknowledged"]
    assert keys[0] == keys[1] == keys[2] != keys[3]


def test_an_alert_that_a_stronger_one_tells_leaves_the_page_and_is_told_there(page: Page, served: Running) -> None:
    header = BatchHeader("local", EPOCH, 0, "modbus", 6)
    served.services.records.append([decode(header, encode(header, sample("modbus", 6)))])
    served.alerts(upsert(1), upsert(2))
    set_up(page, served)
    titles = page.locator("#alerts strong")
    expect(titles).to_have_text(["Alert 2", "Alert 1"])
    expect(page.get_by_role("button", name="High")).to_have_text("High2")

    # Both at once, as detection tells them.
    served.alerts(part_of(1, stronger=2), with_related(2, records=(f"local/{EPOCH}/0/3",)))
    expect(titles).to_have_text(["Alert 2"])
    expect(page.get_by_role("button", name="High")).to_have_text("High1")

    # The stronger one names it with its records.
    page.get_by_role("link", name=re.compile("Alert 2")).click()
    found = page.get_by_role("article").get_by_role("group").filter(has_text="A sweep")
    expect(found.get_by_text("12 records", exact=True)).to_be_visible()
    found.get_by_text("A sweep").click()
    expect(found.get_by_role("cell", name=f"local/{EPOCH}/0/3")).to_be_visible()

    # It stays open while the alert grows.
    served.alerts(with_related(2, revision=3, count=13, records=(f"local/{EPOCH}/0/3",)))
    expect(found.get_by_text("13 records", exact=True)).to_be_visible()
    expect(found.get_by_role("cell", name=f"local/{EPOCH}/0/3")).to_be_visible()

    # By its address the weaker one opens too, and leads to the stronger.
    page.goto(f"{served.url}/#{1:032x}")
    expect(page.get_by_role("heading", name="Alert 1")).to_be_visible()
    page.get_by_role("link", name="Open the alert that tells this one too").click()
    expect(page.get_by_role("heading", name="Alert 2")).to_be_visible()


def test_an_alert_is_assigned_and_taken_out_of_another_with_what_is_known_around_it(page: Page, served: Running) -> None:
    served.alerts(upsert(1), upsert(2))
    set_up(page, served)
    served.signed_in("engineer", name="wang.fang")
    page.get_by_role("link", name=re.compile("Alert 2")).click()
    detail = page.get_by_role("article")
    expect(detail.get_by_text("10.0.0.2 · not registered")).to_be_visible()
    expect(detail.get_by_role("link", name="Alert 1")).to_be_visible()
    detail.get_by_role("button", name="Assign").click()
    page.get_by_label("To whom").select_option("wang.fang")
    page.get_by_label("Note").fill("your line")
    page.get_by_role("button", name="Assign alert").click()
    expect(detail.get_by_text("→ wang.fang")).to_be_visible()
    expect(page.locator("li", has_text="Alert 2").get_by_text("In work")).to_be_visible()

    # What detection told with another is told by itself.
    titles = page.locator("#alerts strong")
    served.alerts(part_of(1, stronger=2))
    expect(titles).to_have_text(["Alert 2"])
    page.goto(f"{served.url}/#{1:032x}")
    detail.get_by_role("button", name="Tell by itself").click()
    page.get_by_label("Reason").fill("another laptop")
    page.get_by_role("dialog").get_by_role("button", name="Tell by itself").click()
    expect(titles).to_have_text(["Alert 2", "Alert 1"])


def test_an_operator_gets_the_packets_of_an_alert_with_two_clicks(page: Page, served: Running, tmp_path: Path) -> None:
    frames = [(START + number * 1_000_000_000, frame(1, 40, back=number % 2 == 1)) for number in range(60)]
    kept(served.services.settings.data / PACKETS, wrote(tmp_path / "made.pcap", frames))
    first, last = START + 20 * 10**9, START + 30 * 10**9
    served.alerts(upsert(1, client_ip="10.0.0.1", server_ip="10.0.1.2", first_seen=first, last_seen=last))
    served.signed_in("operator", name="lin.wei")
    page.goto(served.url)
    sign_in(page)
    downloads: list[Download] = []
    # The link asks for a tab of its own, so that an answer that says why there are no packets does not take the page's place.

    def note(download: Download) -> None:
        downloads.append(download)

    page.on("download", note)
    page.context.on("page", lambda tab: tab.on("download", note))
    page.get_by_role("link", name=re.compile("Alert 1")).click()
    page.get_by_role("link", name="Download the packets (pcapng)").click()
    for _ in range(100):
        if downloads:
            break
        page.wait_for_timeout(100)
    assert downloads[0].suggested_filename == f"alert-{1:032x}.pcapng"
    saved = tmp_path / "alert.pcapng"
    downloads[0].save_as(saved)
    read = ["tshark", "-r", str(saved), "-T", "fields", "-e", "frame.time_epoch"]
    times = subprocess.run(read, check=True, capture_output=True, text=True).stdout.split()
    assert [round(float(time)) for time in times] == [ts // 10**9 for ts, _ in frames[15:41]]
    assert f"packets of alert {1:032x}; sensor local; asked for by lin.wei at".encode() in saved.read_bytes()
    expect(page.get_by_role("heading", name="Alert 1")).to_be_visible()


def test_a_false_alarm_is_excepted_after_a_look_and_listed_with_who_why_and_until_when(page: Page, served: Running) -> None:
    moment = now()
    served.alerts(*(upsert(number, first_seen=moment - number, client_ip="10.0.0.1") for number in (1, 2)))
    set_up(page, served)
    page.get_by_role("link", name=re.compile("Alert 2")).click()
    detail = page.get_by_role("article")
    detail.get_by_role("button", name="Close", exact=True).click()
    page.get_by_label("False alarm").check()
    page.get_by_label("Note").fill("the historian")
    page.get_by_role("button", name="Close alert").click()
    proposal = detail.get_by_role("group").filter(has_text="Would have hidden 2 alerts in 30 days, 1 of them not closed")
    proposal.locator("summary").click()

    # It stays open while the alert changes, and comes back.
    served.alerts(upsert(2, 2, first_seen=moment - 2, client_ip="10.0.0.1"))
    expect(detail.get_by_text("Recurred, open again")).to_be_visible()
    proposal.get_by_role("button", name="Put in force…").click()

    # Nothing is put in force before the look, and none but what was looked at.
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Reason").fill("Copies all maps at night")
    put = dialog.get_by_role("button", name="Put it in force")
    expect(put).to_be_disabled()
    dialog.get_by_role("button", name="Look at what it hides").click()
    expect(dialog.get_by_text("Would have hidden 2 alerts in 30 days, 2 of them not closed.")).to_be_visible()
    served.alerts(upsert(2, 3, first_seen=moment - 2, client_ip="10.0.0.1", count=41))
    expect(put).to_be_enabled()
    dialog.get_by_label("Clients").fill("10.0.0.9")
    expect(put).to_be_disabled()
    dialog.get_by_label("Clients").fill("10.0.0.1")
    put.click()
    expect(dialog).to_be_hidden()
    # What changed under the form is shown once it is gone.
    expect(detail.get_by_text("41", exact=True)).to_be_visible()

    page.get_by_role("link", name="Exceptions and baseline").click()
    shown = page.get_by_role("region", name="Exceptions and baseline").get_by_role("listitem").filter(has_text="modbus_write")
    expect(shown.get_by_text("lin.wei, Copies all maps at night")).to_be_visible()
    expect(shown.get_by_text("Waits for detection")).to_be_visible()
    expect(shown.get_by_text("hides 0 alerts")).to_be_visible()
    take_up(served.services)
    page.reload()
    expect(shown.get_by_text("In force")).to_be_visible()
    assert page.evaluate(CONTRAST) == []
    shown.get_by_role("button", name="Withdraw").click()
    page.get_by_role("dialog").get_by_label("Reason").fill("gone")
    page.get_by_role("dialog").get_by_role("button", name="Withdraw").click()
    expect(shown.get_by_text("Withdrawn; waits for detection")).to_be_visible()
    expect(shown.get_by_role("button", name="Withdraw")).to_have_count(0)
    # What another makes is shown at once.
    other = MADE | {"name": "planned", "clients": ["10.0.0.2"], "reason": "planned work", "seen": 0}
    assert served.signed_in("engineer", name="wu.jun").post("/api/exceptions", json=other).status_code == 201
    expect(page.get_by_text("wu.jun, planned work")).to_be_visible(timeout=15_000)
    page.get_by_role("button", name="切换到中文").click()
    expect(page.get_by_role("heading", name="基线")).to_be_visible()
    expect(page.get_by_text("已撤销，等待检测接收")).to_be_visible()


def test_the_baseline_is_shown_and_approved_and_a_deviation_accepted(page: Page, served: Running) -> None:
    served.services.learned = standing(live(polls(0, 6))[0], anomalies(values(2 * LEARNED))[0])
    served.alerts(deviation(1))
    set_up(page, served)
    page.get_by_role("link", name=re.compile("Alert 1")).click()
    page.get_by_role("button", name="Accept as normal").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text("What was seen so far becomes normal here (Writes)")).to_be_visible()
    expect(dialog.get_by_text("1 alerts of the last 30 days would not have been told, 1 of them not closed.")).to_be_visible()
    dialog.get_by_label("Reason").fill("the new historian")
    dialog.get_by_role("button", name="Accept as normal").click()
    expect(page.get_by_role("article").get_by_text("the new historian")).to_be_visible()

    page.get_by_role("link", name="Exceptions and baseline").click()
    expect(page.get_by_text("Proposed: to be looked at and approved")).to_be_visible()
    promise = "Models promise at most 100 minutes with a false alarm a day; measured are 0 with an alarm"
    expect(page.get_by_text(f"{promise}, right ones included (0 in 2 h heard). The promise holds.")).to_be_visible()
    expect(page.get_by_text("10.0.0.1 modbus 10.0.0.9: 1")).to_be_visible()
    page.get_by_role("button", name="Approve").click()
    dialog.get_by_label("Reason").fill("as built")
    dialog.get_by_role("button", name="Approve").click()
    expect(page.get_by_text("as built")).to_be_visible()
    assert page.evaluate(CONTRAST) == []
    waiting = [entry.choice for _, entry in Inbox(served.services.settings.data).waiting() if entry is not None]
    assert waiting == ["accept", "approve"]


def test_a_viewer_is_offered_no_packets(page: Page, served: Running) -> None:
    served.alerts(upsert(1))
    served.signed_in("viewer", name="lin.wei")
    page.goto(served.url)
    sign_in(page)
    page.get_by_role("link", name=re.compile("Alert 1")).click()
    expect(page.get_by_role("heading", name="Alert 1")).to_be_visible()
    expect(page.get_by_role("link", name=re.compile("packets"))).to_have_count(0)


def test_an_account_gets_a_second_factor_and_a_token_on_its_page(page: Page, served: Running) -> None:
    set_up(page, served)
    page.get_by_role("link", name="lin.wei").click()
    expect(page.get_by_role("heading", name="Second factor")).to_be_visible()

    # An authenticator, confirmed with its code; the recovery codes are shown once.
    page.get_by_role("button", name="Add an authenticator").click()
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Next").click()
    expect(page.get_by_role("img", name="QR code for the authenticator")).to_be_visible()
    device = TOTP(page.get_by_role("dialog").locator("code").inner_text())
    page.get_by_role("textbox", name="Code").fill(device.now())
    page.get_by_role("button", name="Confirm").click()
    expect(page.get_by_role("dialog").get_by_role("listitem")).to_have_count(10)
    recovery = page.get_by_role("dialog").get_by_role("listitem").first.inner_text()
    page.get_by_role("button", name="I have noted it").click()
    expect(page.get_by_text("Recovery codes left: 10.")).to_be_visible()
    assert page.evaluate(CONTRAST) == []

    # A token that may look at alerts, and nothing else.
    page.get_by_role("button", name="Make a token").click()
    page.get_by_label("What it is for").fill("history server")
    page.get_by_label("alert.read").check()
    page.get_by_role("dialog").get_by_role("button", name="Make a token").click()
    token = page.get_by_role("dialog").locator("code").inner_text()
    page.get_by_role("button", name="I have noted it").click()
    expect(page.get_by_text("history server")).to_be_visible()
    program = served.client()
    program.headers["Authorization"] = f"Bearer {token}"
    assert [program.get(path).status_code for path in ("/api/alerts", "/api/users")] == [200, 403]

    # Signing in asks for a code now; a recovery code does.
    page.get_by_role("button", name="Sign out").click()
    sign_in(page)
    expect(page.get_by_text("Give the code that your authenticator shows")).to_be_visible()
    page.get_by_label("Code").fill(recovery)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("link", name="lin.wei").click()
    expect(page.get_by_text("Recovery codes left: 9.")).to_be_visible()
    page.get_by_role("button", name="切换到中文").click()
    expect(page.get_by_role("heading", name="第二因素")).to_be_visible()
    expect(page.get_by_text("剩余恢复码：9。")).to_be_visible()


def once(page: Page) -> str:
    """The one-time link that is shown, noted."""
    shown = page.get_by_role("dialog").locator(".once code")
    expect(shown).to_contain_text("/password#")
    link = shown.inner_text()
    page.get_by_role("button", name="I have noted it").click()
    return link


def test_a_colleague_chooses_a_password_by_a_link_and_another_where_it_is_forgotten(
    page: Page, served: Running, browser: Browser
) -> None:
    set_up(page, served)
    page.get_by_role("link", name="lin.wei").click()
    page.get_by_role("button", name="New account").click()
    page.get_by_label("Name", exact=True).fill("chen.jie")
    page.get_by_label("Reach").select_option("all")
    page.get_by_role("dialog").get_by_role("button", name="New account").click()
    first = once(page)
    account = page.locator("section.exception", has_text="chen.jie")
    expect(account.get_by_text("no password yet")).to_be_visible()
    expect(account.get_by_text("Has a link to choose a password")).to_be_visible()
    account.get_by_role("button", name="Link for a password").click()
    page.get_by_role("dialog").get_by_role("button", name="Make a one-time link").click()
    second = once(page)

    # The colleague, in a browser of their own.
    context = browser.new_context(locale="en-GB")
    theirs = context.new_page()
    for link, password, told in ((first, PASSWORD, "replaced by a newer one"), (second, PASSWORD, "Your password is chosen")):
        theirs.goto(link)
        expect(theirs.get_by_label("Name")).to_have_value("chen.jie")
        assert "token" not in theirs.url
        theirs.get_by_label("Password", exact=True).fill(password)
        theirs.get_by_label("Password again").fill(password)
        theirs.get_by_role("button", name="Choose this password").click()
        expect(theirs.get_by_text(told)).to_be_visible()
    theirs.get_by_role("button", name="切换到中文").click()
    expect(theirs.get_by_text("密码已设置，请用它登录。")).to_be_visible()
    theirs.get_by_role("link", name="登录").click()
    theirs.get_by_label("名称").fill("chen.jie")
    theirs.get_by_label("密码").fill(PASSWORD)
    theirs.get_by_role("button", name="登录").click()
    expect(theirs.get_by_role("link", name="chen.jie")).to_be_visible()
    theirs.goto(f"{served.url}/password")
    expect(theirs.get_by_text("打开本页需要您收到的完整链接")).to_be_visible()
    context.close()


def test_an_account_is_given_sites_one_by_one_and_keeps_them(page: Page, served: Running) -> None:
    set_up(page, served)
    page.get_by_role("link", name="lin.wei").click()
    page.get_by_role("button", name="New account").click()
    page.get_by_label("Name", exact=True).fill("chen.jie")
    page.get_by_label("Role").select_option("responder")
    # All sites are never given because a field is empty.
    page.get_by_label("Reach").select_option("some")
    page.get_by_role("dialog").get_by_role("button", name="New account").click()
    expect(page.get_by_role("alert").get_by_text("Name a site")).to_be_visible()
    page.get_by_label("Sites", exact=True).fill("pumps, old\ntanks")
    page.get_by_label("The site without a name").check()
    page.get_by_role("dialog").get_by_role("button", name="New account").click()
    link = once(page)
    account = page.locator("section.exception", has_text="chen.jie")
    expect(account.get_by_text("Responder")).to_be_visible()
    # Who changes the role leaves the sites as they were.
    account.get_by_role("button", name="Change").click()
    page.get_by_label("Role").select_option("operator")
    page.get_by_role("dialog").get_by_role("button", name="Change").click()
    expect(account.get_by_text("Operator")).to_be_visible()
    assert served.client().post("/api/password", json={"token": link.rpartition("token=")[2], "password": PASSWORD}).is_success
    told = served.sign_in("chen.jie").get("/api/session").json()
    assert (told["role"], sorted(told["sites"])) == ("operator", ["", "pumps, old", "tanks"])


def test_an_authority_begins_with_the_incidents_that_it_is_told_of_and_reads_their_reports(page: Page, served: Running) -> None:
    served.alerts(upsert(1))
    writer, approver = served.signed_in("responder"), served.signed_in("administrator")
    body = {"title": "Writes to line 4", "alerts": [f"{1:032x}"], "lead": "wu.jun", "discovered_at": "-1h"}
    number = done(writer.post("/api/incidents", json=body), 201)["number"]
    grade(writer, number, 3)
    identity = reports(writer, number)["cac-first"]["id"]
    done(step(writer, identity, "draft", {"contents": SAID}, "PUT"))
    done(step(approver, identity, "approve", {"note": "read"}))
    served.signed_in("province_regulator", name="lin.wei")
    refused: list[str] = []
    page.on("response", lambda answer: refused.append(answer.url) if answer.status == 403 else None)
    page.goto(served.url)
    sign_in(page)
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    here = page.get_by_role("region", name="Incidents")
    expect(here).to_contain_text("No report was submitted")
    # It is there as soon as it is told.
    digest = writer.get(f"/api/obligations/{identity}/document").headers["X-Content-SHA256"]
    done(step(writer, identity, "submit", {"channel": "12387", "note": "x", "document": digest}))
    here.get_by_role("link", name="Writes to line 4").click()
    shown = page.get_by_role("region", name="Incident", exact=True)
    expect(shown.get_by_role("heading", name="Writes to line 4")).to_be_visible()
    expect(shown).to_contain_text("Grade III")
    expect(shown.get_by_role("article")).to_have_count(1)
    shown.get_by_text("What it says, and documents").click()
    expect(shown).to_contain_text(SAID["event"])
    expect(shown).to_contain_text(digest)
    # Neither is anything told of what the plant works on, nor offered what the role may not do, nor a way to alerts.
    expect(shown).not_to_contain_text("wu.jun")
    expect(shown.get_by_role("region")).to_have_count(1)
    expect(shown.get_by_role("button")).to_have_count(0)
    done(step(writer, identity, "acknowledge", {"receipt": "GD-7", "note": "x"}))
    expect(shown).to_contain_text("acknowledged")
    assert refused == [], "it is asked for nothing that the role may not read"
    page.get_by_role("link", name="lin.wei").click()
    expect(page.get_by_role("button", name="Add an authenticator")).to_be_visible()
    page.get_by_role("link", name="Incidents").click()
    page.get_by_role("button", name="切换到中文").click()
    expect(page.get_by_role("region", name="事件").get_by_role("link", name="Writes to line 4")).to_be_visible()
    page.get_by_role("button", name="退出登录").click()
    expect(page.get_by_role("button", name="登录")).to_be_visible()


def test_the_page_speaks_chinese_and_remembers_it(page: Page, served: Running) -> None:
    served.alerts(upsert(1))
    set_up(page, served)
    page.get_by_role("link", name=re.compile("Alert 1")).click()
    expect(page.get_by_role("heading", name="Alert 1")).to_be_visible()
    page.get_by_role("button", name="切换到中文").click()
    expect(page.get_by_role("heading", name="告警 1")).to_be_visible()
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
    page.reload()
    expect(page.get_by_role("button", name="退出登录")).to_be_visible()


def test_filters_keep_what_they_say_also_while_alerts_come_in(page: Page, served: Running) -> None:
    served.alerts(upsert(1, severity="low"), upsert(2, severity="high"), upsert(3, severity="high", server_ip="10.9.9.9"))
    set_up(page, served)
    titles = page.locator("#alerts strong")
    expect(titles).to_have_count(3)
    page.get_by_role("button", name=re.compile("High")).click()
    expect(titles).to_have_text(["Alert 3", "Alert 2"])
    served.alerts(upsert(4, severity="low"), upsert(5, severity="high"))
    expect(titles).to_have_text(["Alert 5", "Alert 3", "Alert 2"])
    states = page.locator("select[data-key=state]")
    states.focus()
    states.evaluate("each => each.dataset.mine = 'yes'")
    served.alerts(upsert(6, severity="high"))
    expect(states.locator("option", has_text="Open")).to_have_text(re.compile(r"\(6\)"))
    expect(page.get_by_role("button", name=re.compile("High"))).to_contain_text("4")
    assert states.evaluate("each => each.dataset.mine") == "yes", "an open list of choices is not taken away"
    page.get_by_label("Client or server address").fill("10.9.9.9")
    page.keyboard.press("Enter")
    expect(titles).to_have_text(["Alert 3"])
    page.get_by_label("Client or server address").fill("10.1.1.1")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Clear filters").click()
    expect(titles).to_have_count(6)
    # Where the list is refused it can be asked for otherwise; in another tab, since Chromium complains about it.
    tab = page.context.new_page()
    refusal = '{"code": "input_invalid", "title": "Input not valid", "detail": "Not valid: query.x.", "status": 422}'
    tab.goto(served.url)
    expect(tab.locator("#alerts strong")).to_have_count(6)
    tab.route("**/api/alerts?*", lambda route: route.fulfill(status=422, content_type="application/problem+json", body=refusal))
    high = tab.get_by_role("button", name=re.compile("High"))
    high.click()
    expect(tab.get_by_text("Not valid: query.x.")).to_be_visible()
    expect(high).to_have_attribute("aria-pressed", "true")


def test_the_keyboard_is_enough(page: Page, served: Running) -> None:
    served.alerts(upsert(1), upsert(2), upsert(3))
    set_up(page, served)
    expect(page.locator("#alerts strong")).to_have_count(3)
    page.locator("#alerts").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Alert 2")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("article")).to_be_hidden()
    expect(page.get_by_role("link", name=re.compile("Alert 2"))).to_be_focused()


def test_text_from_the_wire_is_text(page: Page, served: Running) -> None:
    """A device may call itself anything; nothing of it is ever markup."""
    nasty = "<img src=x onerror=alert(1)><script>alert(2)</script>"
    body = upsert(1).body
    texts = {language: {**told, "title": nasty, "summary": nasty, "observed": nasty} for language, told in body["texts"].items()}
    served.alerts(upsert(1, body={**body, "texts": texts}))
    set_up(page, served)
    page.locator("a.row").click()
    expect(page.get_by_role("heading", name=nasty)).to_be_visible()
    assert page.locator("main img, main script").count() == 0


def test_who_signs_out_is_asked_to_sign_in(page: Page, served: Running) -> None:
    set_up(page, served)
    page.get_by_role("button", name="Sign out").click()
    page.get_by_label("Name").fill("lin.wei")
    page.get_by_label("Password").fill("wrong wrong wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_have_text("Name or password is wrong.")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("Live", exact=True)).to_be_visible()


@pytest.mark.parametrize("role", ["operator", "province_regulator"])
def test_a_session_that_ends_takes_along_what_is_shown(page: Page, served: Running, role: Role) -> None:
    served.alerts(upsert(1))
    served.signed_in(role, name="lin.wei")
    page.goto(served.url)
    sign_in(page)
    if role == "operator":
        page.get_by_role("link", name=re.compile("Alert 1")).click()
        page.get_by_role("button", name="Acknowledge").click()
        page.get_by_label("Note").fill("the pump of line 4")
    expect(page.get_by_text("Live", exact=True)).to_be_attached()
    with served.services.database.write() as session:
        session.execute(sa.update(UserSession).values(revoked_at=now()))
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert "line 4" not in page.content()


def test_an_empty_system_says_what_to_do(page: Page, served: Running) -> None:
    set_up(page, served)
    expect(page.get_by_role("heading", name="No traffic yet")).to_be_visible()
    expect(page.get_by_text("icsight run --capture plant.pcap --data DIR")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_can_be_read_on_their_ground(page: Page, served: Running, scheme: str) -> None:
    """Contrast of all text, 4.5 : 1 at least (WCAG 2.2, 1.4.3)."""
    page.emulate_media(color_scheme=scheme)  # pyright: ignore[reportArgumentType]  one of the two it takes
    for number, severity in enumerate(("critical", "high", "medium", "low", "informational")):
        served.alerts(upsert(number, severity=severity))
    set_up(page, served)
    page.get_by_role("link", name=re.compile("Alert 2")).click()
    expect(page.get_by_role("heading", name="Alert 2")).to_be_visible()
    assert page.evaluate(CONTRAST) == []


CONTRAST = """() => {
  const rgb = (text) => { const c = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
    c.fillStyle = text; c.fillRect(0, 0, 1, 1); return c.getImageData(0, 0, 1, 1).data; };
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255).map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (node) => { for (let at = node; at; at = at.parentElement) {
    const c = rgb(getComputedStyle(at).backgroundColor); if (c[3] === 255) return c; } return [255, 255, 255]; };
  const bad = [];
  for (const node of document.querySelectorAll("#root *")) {
    const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
    if (!own || !node.checkVisibility() || node.closest(":disabled, .skip")) continue;
    const [a, b] = [light(rgb(getComputedStyle(node).color)), light(ground(node))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) bad.push(`${node.className || node.tagName}: ${ratio.toFixed(2)} ${node.textContent.trim().slice(0, 30)}`);
  }
  return bad;
}"""


def test_the_situation_is_one_look_and_follows_what_happens(page: Page, served: Running) -> None:
    set_up(page, served)
    page.get_by_role("link", name="Situation").click()
    shown = page.get_by_role("region", name="Situation")
    expect(shown.get_by_role("status")).to_contain_text("Quiet")
    expect(shown.get_by_text("0 in a day; one person can deal with 144")).to_be_visible()
    plan = {
        "zones": [{"name": "Cell 1", "networks": ["10.0.1.0/24"], "level": "1"}, {"name": "Office", "networks": ["10.0.0.0/24"]}],
        "conduits": [],
    }
    # The browser's own session changes the plan.
    page.evaluate(
        """async (plan) => {
          const session = await (await fetch("/api/session")).json();
          const headers = { "Content-Type": "application/json", "X-CSRF-Token": session.csrf_token, "If-Match": '"0"' };
          const answer = await fetch("/api/zones", { method: "PUT", headers, body: JSON.stringify(plan) });
          if (!answer.ok) throw new Error(await answer.text());
        }""",
        plan,
    )
    # Alerts appear by themselves.
    served.alerts(upsert(7, severity="critical", rank=95.0, first_seen=now() - 5, last_seen=now()))
    expect(shown.get_by_role("status")).to_contain_text("Attacked")
    expect(shown.get_by_text("1 in a day; one person can deal with 144")).to_be_visible()
    zones = shown.get_by_role("region", name="Zones")
    expect(zones.get_by_role("row", name=re.compile("Cell 1"))).to_contain_text("Attacked")
    expect(shown.get_by_role("region", name="Conduits")).to_contain_text("not in the plan")
    assets = shown.get_by_role("region", name="Assets that alerts are about")
    expect(assets.get_by_role("row", name=re.compile("10.0.1.1"))).to_contain_text("Not registered")
    expect(shown.get_by_role("region", name="Stages reached (ATT&CK for ICS)")).to_contain_text("Impair Process Control")

    # An incident comes with its next legal clock when it is asked again, however much changes without a pause.
    body = {"title": "Writes", "reported_by": "Shift B", "discovered_at": "-300m", "alerts": [f"{7:032x}"]}
    responder = served.signed_in("responder")
    number = responder.post("/api/incidents", json=body).json()["number"]
    grade = {"scheme": "cac-2025", "level": 3, "reason": "as the facts say"}
    assert responder.post(f"/api/incidents/{number}/grade", json=grade, headers={"If-Match": "*"}).status_code == 200
    late = shown.get_by_role("region", name="Incidents").get_by_role("row", name=re.compile(r"Writes.*h \d+ min late"))
    for revision in range(2, 80):
        served.alerts(upsert(7, revision, severity="critical", rank=95.0, first_seen=now() - 5, last_seen=now()))
        page.wait_for_timeout(250)
        if late.count():
            break
    assert late.count() == 1

    # As it was before.
    shown.get_by_label("As of").fill("2025-01-01T00:00:00")
    expect(shown.get_by_role("status")).to_contain_text("as it was")
    expect(shown.get_by_role("status")).to_contain_text("Quiet")
    shown.get_by_role("button", name="Now").click()
    expect(shown.get_by_role("status")).to_contain_text("Attacked")

    # In Chinese, and from there to the alert.
    page.get_by_role("button", name="切换到中文").click()
    chinese = page.get_by_role("region", name="态势")
    expect(chinese.get_by_role("status")).to_contain_text("受攻击")
    chinese.get_by_role("link", name="告警 7").click()
    expect(page.get_by_role("article").get_by_role("heading", name="告警 7")).to_be_visible()
    expect(chinese).to_be_hidden()


def test_the_situation_of_several_sites_tells_them_apart(page: Page, served: Running) -> None:
    with served.services.database.write() as session:
        for number, site in ((1, "north"), (2, "south")):
            upserts.apply(session, [upsert(number, first_seen=now() - 5, last_seen=now())], site)
    set_up(page, served)
    page.get_by_role("link", name="Situation").click()
    shown = page.get_by_role("region", name="Situation")
    alerts = shown.get_by_role("region", name="Alerts by rank")
    expect(alerts.get_by_role("row")).to_have_text(
        [re.compile("^Site"), re.compile("^southHighAlert 2"), re.compile("^northHighAlert 1")]
    )
    zones = shown.get_by_role("region", name="Zones")
    expect(zones.get_by_role("row", name=re.compile("^north"))).to_be_visible()
    shown.get_by_role("combobox", name="Site").select_option("north")
    expect(alerts.get_by_role("row")).to_have_text([re.compile("^Severity"), re.compile("^HighAlert 1")])
    assert page.evaluate(CONTRAST) == []
    page.get_by_role("button", name="切换到中文").click()
    page.get_by_role("combobox", name="现场").select_option("south")
    expect(page.get_by_role("link", name="告警 2")).to_be_visible()
    expect(page.get_by_role("link", name="告警 1")).to_have_count(0)


def test_it_is_asked_again_however_much_changes_and_not_under_the_hands_of_who_answers(page: Page, served: Running) -> None:
    page.goto(served.url)
    busy, held, freed, overtaken = page.evaluate(
        """async () => {
          const { Again } = await import("/console/again.js");
          let asked = 0;
          const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
          const again = new Again(() => { asked += 1; });
          const changing = async () => {
            asked = 0;
            for (let turn = 0; turn < 20; turn += 1) {
              again.soon();
              await pause(100);
            }
            return asked;
          };
          const busy = await changing();
          const dialog = document.body.appendChild(document.createElement("dialog"));
          await pause(500);
          const held = await changing();
          dialog.remove();
          await pause(1000);
          const freed = asked;
          again.begun();
          const overtaken = [await changing()];
          again.answered();
          await pause(1000);
          return [busy, held, freed, [...overtaken, asked]];
        }"""
    )
    assert busy >= 2
    assert (held, freed, overtaken) == (0, 1, [0, 1])
