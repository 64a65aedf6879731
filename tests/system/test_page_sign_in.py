"""The sign-in page in a real Chromium, with an OpenID provider beside it: there and back, refused, away, in both languages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Page, expect

from tests.api.conftest import PASSWORD, Running, running
from tests.system import test_page

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser

    from tests.services.openid_provider import OpenIdProvider


browser = test_page.browser


@pytest.fixture
def served(tmp_path: Path, openid_provider: OpenIdProvider) -> Iterator[Running]:
    with running(tmp_path / "data", oidc=openid_provider.settings(name="Plant ID")) as opened:
        openid_provider.serves(opened.url, {"lin": {"groups": ["shift"]}, "guest": {"groups": []}})
        opened.signed_in("administrator", name="owner")
        yield opened


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A fresh browser. The provider's certificate is not checked by it: that is the system's part."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, locale="en-GB", ignore_https_errors=True)
    opened = context.new_page()
    complaints: list[str] = []
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    yield opened
    context.close()
    assert complaints == []


def through(page: Page, name: str, button: str = "Sign in with Plant ID") -> None:
    page.get_by_role("button", name=button).click()
    expect(page).to_have_title("Provider")
    page.get_by_label("Name").fill(name)
    page.get_by_role("button", name="Continue").click()


def test_somebody_signs_in_through_the_provider_and_comes_back_to_his_page(page: Page, served: Running) -> None:
    page.goto(f"{served.url}/#/account")
    through(page, "lin")
    expect(page.get_by_role("heading", name="lin")).to_be_visible()
    assert page.url == f"{served.url}/#/account"
    expect(page.get_by_text("You sign in through a provider.")).to_be_visible()
    cookies = [each for each in page.context.cookies(served.url) if each.get("name", "").startswith("icsight_")]
    assert [(each.get("httpOnly"), each.get("sameSite")) for each in cookies] == [(True, "Strict")] * 2
    page.reload()
    expect(page.get_by_text("You sign in through a provider.")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    # Whoever comes next to this screen is asked who he is.
    through(page, "guest")
    expect(page.get_by_role("alert").filter(has_text="gives you no role here")).to_be_visible()


def test_who_has_no_role_is_told_so_in_his_language(page: Page, served: Running) -> None:
    page.goto(served.url)
    page.get_by_role("button", name="切换到中文").or_(page.locator("button.language")).first.click()
    through(page, "guest", "通过 Plant ID 登录")
    expect(page.get_by_role("alert").filter(has_text="但未授予您在本系统的角色")).to_be_visible()
    assert page.url == f"{served.url}/sign-in"
    page.goto(f"{served.url}/sign-in/oidc?code=stolen&state=guessed")
    expect(page.get_by_role("alert").filter(has_text="此登录不是在本浏览器中开始的")).to_be_visible()
    assert page.url == f"{served.url}/sign-in"


def test_while_the_provider_is_away_a_password_lets_in(page: Page, served: Running, openid_provider: OpenIdProvider) -> None:
    openid_provider.kill()
    try:
        page.goto(served.url)
        page.get_by_role("button", name="Sign in with Plant ID").click()
        expect(page.get_by_role("alert").filter(has_text="Plant ID does not answer")).to_be_visible()
        page.get_by_label("Name").fill("owner")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in", exact=True).click()
        expect(page.get_by_text("Live", exact=True)).to_be_visible()
    finally:
        openid_provider.start()


def test_whose_sign_in_was_refused_is_not_shown_the_session_of_another_unasked(page: Page, served: Running) -> None:
    page.goto(served.url)
    page.get_by_label("Name").fill("owner")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    page.goto(f"{served.url}/sign-in/oidc?state=x&error=access_denied")
    go_on = page.get_by_role("button", name="Go on as owner")
    expect(go_on).to_be_visible()
    expect(page.get_by_role("alert")).not_to_be_empty()
    expect(page.get_by_text("Live", exact=True)).to_have_count(0)
    go_on.click()
    expect(page.get_by_text("Live", exact=True)).to_be_visible()


def authenticator(page: Page) -> None:
    """Put a virtual security key into the browser, which is touched by itself."""
    # Its commands are dictionaries without a type.
    tools: Any = page.context.new_cdp_session(page)
    tools.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2", "transport": "usb", "hasResidentKey": True, "hasUserVerification": True, "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }  # fmt: skip
    tools.send("WebAuthn.addVirtualAuthenticator", {"options": options})


def sign_in(page: Page, served: Running) -> None:
    page.goto(served.url)
    page.get_by_label("Name").fill("owner")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()


def add_passkey(page: Page) -> None:
    page.get_by_role("link", name="owner").click()
    page.get_by_role("button", name="Add a passkey").click()
    page.get_by_label("What you call it").fill("blue key")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("dialog").get_by_role("button", name="Add a passkey").click()
    expect(page.get_by_text("blue key")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()


def test_a_passkey_is_added_and_lets_in_without_a_password(page: Page, served: Running) -> None:
    authenticator(page)
    sign_in(page, served)
    add_passkey(page)
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    # Taken away, it opens nothing any more.
    page.get_by_role("link", name="owner").click()
    page.get_by_role("button", name="Remove passkey").click()
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("dialog").get_by_role("button", name="Remove passkey").click()
    expect(page.get_by_text("blue key")).to_have_count(0)
    page.get_by_role("button", name="Sign out").click()
    page.locator("button.language").click()
    page.get_by_role("button", name="使用通行密钥").click()
    expect(page.get_by_role("alert").filter(has_text="该通行密钥不属于本系统")).to_be_visible()


def test_behind_a_password_a_passkey_is_asked_for_by_itself(page: Page, served: Running) -> None:
    authenticator(page)
    sign_in(page, served)
    add_passkey(page)
    answer = served.client().post("/api/session", json={"name": "owner", "password": PASSWORD})
    assert answer.json()["code"] == "passkey_needed"
    sign_in(page, served)
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
