"""The page of a system of two sites in a real Chromium: exceptions and decisions about what is normal say whose they are."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import pytest
from playwright.sync_api import expect

from api.alerts import upserts
from api.site import service as sites
from api.times import now
from detection.inbox import Inbox
from detection.site import Site
from detection.tuning import Exemption
from tests.api.alerts import upsert
from tests.api.conftest import take_up
from tests.api.test_baseline import standing
from tests.api.test_exceptions import deviation
from tests.detection.test_live_learning import live, polls
from tests.system import test_page
from tests.system.test_page import CONTRAST, set_up

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

    from tests.api.conftest import Running

browser = test_page.browser
served = test_page.served
page = test_page.page

SITES: Final = ("pumps", "tanks")
END: Final = "2100-01-01T00:00"
NIGHT: Final = Exemption(
    name="night", kind="normal", rules=("sweep",), clients=("10.0.9.9",), reason="Copies at night", by="chen"
)


@pytest.fixture(autouse=True)
def _two_sites(served: Running) -> None:
    """Two alerts of the one, one of the other, and the same exception in the files of both."""
    served.services.site = None
    moment = now()
    with served.services.database.write() as session:
        for site, numbers in zip(SITES, ((1, 3), (2,)), strict=True):
            sites.take_over(session, Site(site=site, exceptions=(NIGHT,)), site)
            upserts.apply(session, [upsert(number, first_seen=moment - number) for number in numbers], site)


def hides(dialog: Locator, count: int) -> None:
    """Look at what it hides, and find it to be so many."""
    dialog.get_by_role("button", name="Look at what it hides").click()
    expect(dialog.get_by_text(f"Would have hidden {count} alerts in 30 days")).to_be_visible()


def test_an_exception_is_made_for_one_of_two_sites_after_a_look_and_told_with_it(page: Page, served: Running) -> None:
    set_up(page, served)
    page.get_by_role("link", name="Exceptions and baseline").click()
    shown = page.get_by_role("region", name="Exceptions and baseline")
    # What the files of both call the same is told twice, each with its site.
    of_files = shown.get_by_role("listitem").filter(has_text="night")
    expect(of_files.filter(has_text="pumps")).to_have_count(1)
    expect(of_files.filter(has_text="tanks")).to_have_count(1)
    keys = "found => found.map(each => each.dataset.key)"
    assert len(set(of_files.evaluate_all(keys))) == len(SITES)

    shown.get_by_role("button", name="New exception").click()
    dialog = page.get_by_role("dialog")
    put = dialog.get_by_role("button", name="Put it in force")
    for label, text in (("Name", "known"), ("Rules", "modbus_write"), ("Until", END), ("Reason", "Copies all maps")):
        dialog.get_by_label(label).fill(text)
    # Whose it is must be said, and what was looked at is of that site.
    dialog.get_by_role("button", name="Look at what it hides").click()
    expect(dialog.get_by_text("Known are: pumps, tanks.")).to_be_visible()
    expect(put).to_be_disabled()
    dialog.get_by_label("Site").select_option("tanks")
    hides(dialog, 1)
    expect(put).to_be_enabled()
    dialog.get_by_label("Site").select_option("pumps")
    expect(put).to_be_disabled()
    hides(dialog, 2)
    assert page.evaluate(CONTRAST) == []
    put.click()
    expect(dialog).to_be_hidden()
    made = shown.get_by_role("listitem").filter(has_text="Copies all maps")
    expect(made.get_by_text("pumps", exact=True)).to_be_visible()
    client = served.sign_in("lin.wei")
    assert client.get("/api/exceptions/known").json()["site"] == "pumps"

    # One that is changed stays at its site, and the look is at that.
    take_up(served.services)
    page.reload()
    made.get_by_role("button", name="Change").click()
    expect(dialog.get_by_label("Site").get_by_role("option")).to_have_text(["pumps"])
    dialog.get_by_label("Clients").fill("10.0.0.3")
    hides(dialog, 1)
    put.click()
    expect(made.get_by_text("10.0.0.3")).to_be_visible()
    made.get_by_role("button", name="Withdraw").click()
    expect(dialog.get_by_text("known · pumps")).to_be_visible()
    dialog.get_by_label("Reason").fill("gone")
    dialog.get_by_role("button", name="Withdraw").click()
    expect(made.get_by_text("Withdrawn; waits for detection")).to_be_visible()
    told = client.get("/api/exceptions/known").json()
    assert (told["site"], told["version"], told["state"]) == ("pumps", 3, "withdrawing")


def test_an_exception_for_an_alert_is_of_the_alerts_site(page: Page, served: Running) -> None:
    set_up(page, served)
    page.get_by_role("link", name=re.compile("Alert 2")).click()
    page.get_by_role("article").get_by_role("button", name="Make an exception").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("Site").get_by_role("option")).to_have_text(["tanks"])
    for label, text in (("Name", "known"), ("Clients", ""), ("Until", END), ("Reason", "Copies all maps")):
        dialog.get_by_label(label).fill(text)
    hides(dialog, 1)
    dialog.get_by_role("button", name="Put it in force").click()
    expect(dialog).to_be_hidden()
    made = served.sign_in("lin.wei").get("/api/exceptions/known").json()
    assert (made["site"], made["alert"]) == ("tanks", f"{2:032x}")


def test_a_deviation_is_accepted_at_the_site_that_is_shown_or_chosen(page: Page, served: Running) -> None:
    ((_, learned),) = standing(live(polls(0, 6))[0])().items()
    served.services.learned = lambda: dict.fromkeys(SITES, learned)
    with served.services.database.write() as session:
        upserts.apply(session, [deviation(4)], "tanks")
    set_up(page, served)
    page.get_by_role("link", name=re.compile("Alert 4")).click()
    page.get_by_role("button", name="Accept as normal").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Reason").fill("of an alert")
    dialog.get_by_role("button", name="Accept as normal").click()
    expect(page.get_by_role("article").get_by_text("of an alert")).to_be_visible()

    page.get_by_role("link", name="Exceptions and baseline").click()
    part = page.locator("section.baseline").filter(has_text="tanks")
    for site, reason in (("", "as shown"), ("pumps", "as chosen")):
        part.get_by_role("button", name="Accept as normal").click()
        expect(dialog.get_by_label("Site").locator("option:checked")).to_have_text("tanks")
        if site:
            dialog.get_by_label("Site").select_option(site)
        dialog.get_by_label("Client").fill("10.0.0.66")
        dialog.get_by_label("Reason").fill(reason)
        dialog.get_by_role("button", name="Accept as normal").click()
        expect(dialog).to_be_hidden()
        expect(page.get_by_role("listitem").filter(has_text=reason)).to_contain_text(site or "tanks")
    made = served.sign_in("lin.wei").get("/api/baseline/decisions").json()
    told = {each["reason"]: each["site"] for each in made}
    assert told == {"of an alert": "tanks", "as shown": "tanks", "as chosen": "pumps"}
    assert [entry.choice for _, entry in Inbox(served.services.settings.data).waiting() if entry is not None] == ["accept"] * 3
    assert page.evaluate(CONTRAST) == []


def test_who_sees_one_of_the_sites_is_not_asked_which(page: Page, served: Running) -> None:
    served.signed_in(name="lin.wei", sites=frozenset({"tanks"}))
    page.goto(served.url)
    test_page.sign_in(page)
    page.get_by_role("link", name="Exceptions and baseline").click()
    shown = page.get_by_role("region", name="Exceptions and baseline")
    expect(shown.get_by_role("listitem").filter(has_text="night")).to_have_count(1)
    expect(shown.get_by_text("tanks", exact=True)).to_have_count(0)
    shown.get_by_role("button", name="New exception").click()
    dialog = page.get_by_role("dialog")
    for label, text in (("Name", "known"), ("Rules", "modbus_write"), ("Until", END), ("Reason", "Copies all maps")):
        dialog.get_by_label(label).fill(text)
    expect(dialog.get_by_label("Site")).to_have_count(0)
    hides(dialog, 1)
    dialog.get_by_role("button", name="Put it in force").click()
    expect(shown.get_by_text("Copies all maps")).to_be_visible()
    assert served.sign_in("lin.wei").get("/api/exceptions/known").json()["site"] == "tanks"
