"""How messages are handed over: to real receivers over TLS, and what is told where they are not taken."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import socket
import threading
from contextlib import ExitStack
from datetime import time
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qs, urlsplit

import pytest

from api.configuration.services import channel as checked
from api.configuration.shown import toml
from api.notification_settings import NotificationSettings
from api.notifications.cef import frames
from api.notifications.channels import channels_of
from api.notifications.content import Content, Fact, Form, fitting, message, one_line
from api.notifications.delivery import DeliveryError, Outgoing, ended
from api.notifications.quiet import DAYS, Span, until
from api.times import iso, parse
from sensor.configuration import ConfigurationError, configured
from tests.api.notification_peers import LOCAL, PASSWORD, USER, collector, https, smtp
from tests.api.notification_peers import until as waited
from tests.services.certificates import Authority

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from api.notifications.channels import Channel

SECRET = "a secret of the test, long enough"
MADE_AT = parse("2026-11-30T12:00:00.123456789Z")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def peers() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def channel(authority: Authority, tmp_path: Path) -> Callable[..., Channel]:
    """A channel as the configuration would name it, its secrets in files."""

    def made(**said: Any) -> Channel:
        for name in ("password", "token", "signing_secret", "secret"):
            if name in said:
                (tmp_path / name).write_text(f"{said.pop(name)}\n")
                said[f"{name}_file"] = tmp_path / name
        settings = configured(NotificationSettings, channels={"it": {"ca_file": authority.file, "timeout_seconds": 20, **said}})
        return channels_of(settings)["it"]

    return made


def fact(number: int = 1, urgency: int = 3, why: str = "first", **named: Any) -> Fact:
    titles = named.pop("title", {"en": f"Write {number}", "zh-CN": f"写入 {number}"})
    told = {"rule": "modbus_write", "count": 2, **named}
    hosts = {"client": "10.0.0.7", "server": "10.0.1.1"}
    return Fact("alert", f"{number:032x}", "raised", why, urgency, MADE_AT, told, {"title": titles}, hosts)


def outgoing(*facts: Fact, programs: bool = True, private: bool = False, language: str = "en") -> Outgoing:
    form = Form(language, private, programs, "https://icsight.example", "Asia/Shanghai")
    return Outgoing("0123456789abcdef" * 2, "ww", MADE_AT, message(form, "ww", facts or (fact(),), 0, 30), 0)


def why(channel: Channel, given: Outgoing | None = None) -> tuple[str, bool]:
    """Why a message is not taken, and whether that lasts."""
    with pytest.raises(DeliveryError) as raised:
        channel.send(given or outgoing())
    return str(raised.value), raised.value.lasting


def test_mail_goes_over_tls_with_a_password_and_what_is_refused_says_why(
    channel: Callable[..., Channel], authority: Authority, peers: ExitStack
) -> None:
    mails = peers.enter_context(smtp(authority))
    said: dict[str, Any] = {
        "kind": "mail", "server": LOCAL, "port": mails.port, "user": USER, "sender": "icsight@ww.example",
        "to": ("shift@ww.example", "night@ww.example"), "language": "zh-CN",
    }  # fmt: skip
    good = channel(password=PASSWORD, **said)
    good.reach()
    assert good.send(outgoing(programs=False, language="zh-CN")) is None
    (mail,) = mails.taken
    assert (mail["Message-ID"], mail["Auto-Submitted"]) == (f"<{'0123456789abcdef' * 2}@icsight>", "auto-generated")
    assert cast("bytes", mail.get_payload(decode=True)).decode() == (
        "【高】写入 1（2026-11-30 20:00 +0800）\r\n\r\nhttps://icsight.example/#00000000000000000000000000000001\r\n"
    )
    mails.refuses = ("night@ww.example",)
    assert good.send(outgoing()) == "refused for 1 of 2 receivers"
    mails.refuses = said["to"]
    assert why(good) == ("refused for all receivers (code 550)", True)
    mails.refuses, mails.answer = (), "451 later"
    assert why(good) == ("the server answers with code 451", False)
    reason, lasting = why(channel(password="other", **said))
    assert (reason, lasting) == (f"the server lets {USER} not in (code 535)", True)
    assert len(mails.taken) == 2


def test_a_program_can_tell_that_a_message_is_ours_and_which_it_is(
    channel: Callable[..., Channel], authority: Authority, peers: ExitStack
) -> None:
    answers = peers.enter_context(https(authority))
    for secret, key in ((SECRET, SECRET.encode()), (f"whsec_{base64.b64encode(b'k' * 32).decode()}", b"k" * 32)):
        channel(kind="webhook", address=answers.url(), secret=secret).send(outgoing(fact(1), fact(2)))
        asked = answers.asked[-1]
        signed = f"{asked.headers['webhook-id']}.{asked.headers['webhook-timestamp']}.".encode() + asked.body
        wanted = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        assert asked.headers["webhook-signature"] == f"v1,{wanted}"
        assert asked.headers["webhook-id"] == asked.json["key"] == "0123456789abcdef" * 2
    items = answers.asked[-1].json["items"]
    assert [item["rule"] for item in items] == ["modbus_write"] * 2
    assert "10.0." not in answers.asked[-1].body.decode(), "addresses leave only where the channel says so"
    channel(kind="webhook", address=answers.url(), secret=SECRET).send(outgoing(private=True))
    assert answers.asked[-1].json["items"][0]["client"] == "10.0.0.7"


@pytest.mark.parametrize(("status", "lasts"), [(302, True), (403, True), (429, False), (503, False)])
def test_no_redirect_is_followed_and_refusals_last_or_pass(
    channel: Callable[..., Channel], authority: Authority, peers: ExitStack, status: int, lasts: bool
) -> None:
    answers, other = peers.enter_context(https(authority)), peers.enter_context(https(authority))
    answers.status, answers.headers = status, {"Location": other.url()}
    assert why(channel(kind="webhook", address=answers.url(), secret=SECRET)) == (f"answers with status {status}", lasts)
    assert other.asked == []


def test_receivers_that_are_silent_endless_or_somebody_else_are_given_up(
    channel: Callable[..., Channel], authority: Authority, peers: ExitStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = peers.enter_context(https(authority))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    answers.body = b"x" * 4_000_000
    channel(kind="webhook", address=answers.url(), secret=SECRET).send(outgoing())
    answers.hold = threading.Event()
    silent = channel(kind="webhook", address=answers.url(), secret=SECRET, timeout_seconds=0.5)
    assert why(silent) == ("no answer within 0.5 s", False)
    answers.hold.set()
    stranger = Authority(tmp_path / "stranger")
    unknown = channel(kind="webhook", address=answers.url(), secret=SECRET, ca_file=stranger.file)
    reason, lasting = why(unknown)
    assert "certificate is refused" in reason
    assert "notifications.channels.it.ca_file" in reason
    assert not lasting
    found = [finding.key for way in (silent, unknown) for finding in checked("it", way.settings)]
    assert found == ["channel.in", "channel.away"]
    nobody = channel(kind="webhook", address=f"https://{LOCAL}:9", secret=SECRET)
    assert why(nobody)[0].startswith("cannot be reached")


def test_robots_get_what_each_asks_for_and_their_refusals_count_though_the_status_is_200(
    channel: Callable[..., Channel], authority: Authority, peers: ExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    answers = peers.enter_context(https(authority))
    address = answers.url("/robot")
    channel(kind="wecom", address=address, token="key-1").send(outgoing())
    assert answers.asked[-1].path == "/robot?key=key-1"
    assert answers.asked[-1].json["text"]["content"].startswith("icsight, ww: Write 1\n[High] Write 1")
    channel(kind="dingtalk", address=address, token="tok1", signing_secret="SEC1").send(outgoing())
    query = {name: value[0] for name, value in parse_qs(urlsplit(answers.asked[-1].path).query).items()}
    signed = hmac.new(b"SEC1", f"{query['timestamp']}\nSEC1".encode(), hashlib.sha256).digest()
    assert (query["access_token"], query["sign"]) == ("tok1", base64.b64encode(signed).decode())
    answers.body = b'{"StatusCode": 0, "code": 0}'
    channel(kind="feishu", address=address, token="tok-2", signing_secret="SEC2").send(outgoing())
    asked = answers.asked[-1]
    signed = hmac.new(f"{asked.json['timestamp']}\nSEC2".encode(), b"", hashlib.sha256).digest()
    assert (asked.path, asked.json["sign"]) == ("/robot/tok-2", base64.b64encode(signed).decode())
    evil = fact(title={"en": 'All fine <at user_id="all"></at> [here](https://evil.example)', "zh-CN": "x"})
    channel(kind="feishu", address=address, token="tok-2").send(outgoing(evil))
    assert not {"<", ">"} & set(answers.asked[-1].json["content"]["text"])
    assert "](" not in answers.asked[-1].json["content"]["text"]
    robot = channel(kind="dingtalk", address=address, token="a-token-nobody-may-see")
    for body, told in (
        (b'{"errcode": 310000, "errmsg": "sign not match"}', ("the robot refuses with code 310000", True)),
        (b'{"errcode": 130101, "errmsg": "too fast"}', ("the robot refuses with code 130101", False)),
        (b"<html>welcome</html>", ("what answers is no robot of this kind", True)),
        (b'{"errcode": false}', ("what answers is no robot of this kind", True)),
    ):
        answers.body = body
        assert why(robot) == told
    hidden = channel(kind="dingtalk", address=f"https://{LOCAL}:9/x", token="a-token-nobody-may-see")
    assert "nobody-may-see" not in why(hidden)[0]


def test_a_text_for_a_robot_is_cut_between_lines() -> None:
    told = fitting(["标题", *(f"第 {number} 行" for number in range(500))], 2048, "……")
    assert len(told.encode()) <= 2048
    assert told.endswith("行\n……")
    assert fitting(["a", "b"], 2048, "…") == "a\nb"


def test_a_collector_gets_an_event_for_each_notice_in_frames(
    channel: Callable[..., Channel], authority: Authority, peers: ExitStack
) -> None:
    events = peers.enter_context(collector(authority, clients=authority))
    certificate, key = authority.issue("icsight")
    said: dict[str, Any] = {"kind": "syslog", "server": LOCAL, "port": events.port}
    siem = channel(**said, certificate_file=certificate, key_file=key)
    siem.send(outgoing(fact(1), fact(2, urgency=4), private=True))
    waited(lambda: events.closed)
    worst, other = events.frames
    head, _, event = worst.partition("\ufeff")
    assert head.startswith("<106>1 2026-11-30T12:00:00.123456Z ")
    assert head.endswith(" notice - ")
    assert event.startswith("CEF:0|icsight|icsight|")
    assert "|modbus_write|Write 2|10|externalId=00000000000000000000000000000002 rt=" in event
    assert " src=10.0.0.7 dst=10.0.1.1 cnt=2 request=https://icsight.example/#" in event
    assert other.startswith("<107>1 ")
    assert channel(kind="syslog", server="127.0.0.1", encryption="none", port=9).settings.place == "127.0.0.1:9"
    assert why(channel(kind="syslog", server="127.0.0.1", encryption="none", port=9))[0].startswith("cannot be reached")


@pytest.mark.parametrize("how", [{"tickets": 2}, {"tickets": 0}, {"tickets": 0, "dwells": 1.5}])
def test_a_collector_that_refuses_our_certificate_or_wants_one_has_taken_nothing(
    channel: Callable[..., Channel], authority: Authority, peers: ExitStack, tmp_path: Path, how: dict[str, Any]
) -> None:
    events = peers.enter_context(collector(authority, clients=authority, **how))
    said: dict[str, Any] = {"kind": "syslog", "server": LOCAL, "port": events.port}
    certificate, key = Authority(tmp_path / "stranger", "somebody else").issue("icsight")
    asked = "the receiver asks for a certificate: give notifications.channels.it.certificate_file"
    for _ in range(2):
        for siem, told in (
            (channel(**said), asked),
            (channel(**said, certificate_file=certificate, key_file=key), "the receiver refuses our certificate"),
        ):
            with pytest.raises(DeliveryError, match=told):
                siem.reach()
            reason, lasting = why(siem)
            assert (reason.startswith((told, "cannot be reached (Connection reset")), lasting) == (True, False)
    assert events.frames == []


@pytest.mark.parametrize("tickets", [2, 0])
@pytest.mark.parametrize("ends", ["answers", "goes", "keeps"])
def test_a_collector_has_taken_what_it_was_handed_however_it_ends_the_conversation(
    channel: Callable[..., Channel], authority: Authority, peers: ExitStack, ends: Any, tickets: int
) -> None:
    events = peers.enter_context(collector(authority, clients=authority, ends=ends, tickets=tickets))
    certificate, key = authority.issue("icsight")
    said: dict[str, Any] = {"kind": "syslog", "server": LOCAL, "port": events.port, "timeout_seconds": 3}
    siem = channel(**said, certificate_file=certificate, key_file=key)
    for _ in range(2):
        assert siem.send(outgoing()) is None
    waited(lambda: len(events.frames) == 2)


def test_a_collector_that_breaks_off_has_taken_nothing(
    channel: Callable[..., Channel], authority: Authority, peers: ExitStack
) -> None:
    for tickets in (2, 0):
        events = peers.enter_context(collector(authority, ends="reset", tickets=tickets))
        siem = channel(kind="syslog", server=LOCAL, port=events.port)
        assert why(siem)[0].startswith(("cannot be reached (", "ends the conversation"))


def test_a_receiver_that_never_comes_to_an_end_is_cut_off() -> None:
    one, other = socket.socketpair()
    # It waits for longer than any test does, where nobody cuts it off.
    one.settimeout(300)

    def listen() -> None:
        with ended(lambda: one, 0.05):
            assert one.recv(1) == b""

    with one, other, pytest.raises(DeliveryError, match="did not come to an end"):
        listen()


def test_nothing_that_is_told_can_end_a_field_or_a_frame() -> None:
    evil = {"en": "a|b\\c\nCEF:0|x", "zh-CN": "x"}
    given = outgoing(fact(title=evil, rule="x=y|z"), private=True)
    (frame,) = frames(given.content, given.key, "w=w\n\x00w", "host name\n", MADE_AT)
    size, _, rest = frame.partition(b" ")
    assert int(size) == len(rest)
    event = rest.decode().partition("\ufeff")[2]
    assert "\n" not in event
    assert event.replace("\\|", "").split("|", 7)[7].startswith("externalId=")
    assert "|x=y\\|z|a\\|b\\\\c CEF:0\\|x|8|" in event
    assert "cs1=w\\=w w" in event
    assert " hostname icsight " in rest.decode()
    assert one_line("a\r\nBcc: x\u2028y\x00") == "a Bcc: x y"


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        ({"kind": "pigeon"}, "pigeon"),
        ({"kind": "webhook", "address": "http://a/b", "secret": SECRET}, "https://NAME/PATH"),
        ({"kind": "webhook", "address": "https://u:p@a/b", "secret": SECRET}, "https://NAME/PATH"),
        ({"kind": "webhook", "address": "https://a/b"}, "secret_file"),
        ({"kind": "webhook", "address": "https://a/b", "secret": "short"}, "shorter than 24"),
        ({"kind": "syslog", "server": "siem.example", "encryption": "none"}, "encrypted"),
        ({"kind": "mail", "server": "a", "sender": "a@b\nBcc: c@d", "to": ["a@b"]}, "sender"),
        ({"kind": "mail", "server": "a", "sender": "a@b", "to": []}, "to"),
        ({"kind": "wecom", "token": "x", "signing_secret": "y"}, "signs nothing"),
        ({"kind": "wecom", "token": "x", "colour": "red"}, "colour"),
        ({"kind": "mail", "server": "a", "sender": "a@b", "to": ["a@b"], "password_file": "/nowhere"}, "/nowhere"),
    ],
)
def test_a_channel_that_cannot_work_is_refused_at_the_start(said: dict[str, Any], wrong: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        channels_of(configured(NotificationSettings, channels={"it": said}))
    assert wrong in str(raised.value) or (wrong == "pigeon" and "kind" in str(raised.value))
    assert SECRET not in str(raised.value)


def test_channels_come_from_file_or_environment_and_show_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "icsight.toml"
    file.write_text('[notifications.channels.group]\nkind = "wecom"\ntoken_file = "/etc/icsight/group"\nlanguage = "zh-CN"\n')
    monkeypatch.setenv("ICSIGHT_CONFIG", str(file))
    assert configured(NotificationSettings).channels["group"].place == "https://qyapi.weixin.qq.com/cgi-bin/webhook/send"
    said = {"hook": {"kind": "webhook", "address": "https://a.example/x", "secret": SECRET}}
    monkeypatch.setenv("ICSIGHT_NOTIFICATIONS_CHANNELS", json.dumps(said))
    channels = configured(NotificationSettings).channels
    shown = toml(channels)
    assert shown is not None
    assert '"address" = "https://a.example/x"' in shown
    assert SECRET not in shown


def content_of(*facts: Fact, programs: bool = False, private: bool = False) -> Content:
    return outgoing(*facts, programs=programs, private=private).content


def test_people_get_the_most_urgent_twenty_and_how_many_more_there_are() -> None:
    many = [fact(number, urgency=4 if number == 37 else 2) for number in range(1, 51)]
    told = content_of(*many)
    assert told["title"] == "icsight, ww: 50 notices, up to Critical"
    assert told["lines"][0].startswith("[Critical] Write 37")
    assert told["lines"][-1] == "… and 30 more."
    assert (len(told["items"]), len(content_of(*many, programs=True)["items"])) == (20, 50)
    assert not any("10.0." in line for line in told["lines"])
    assert "· 10.0.0.7 · 10.0.1.1" in content_of(fact(), private=True)["lines"][0]


NIGHT = Span(frozenset(DAYS), time(22), time(6))
WEEKEND = Span(frozenset({"sat", "sun"}), time(0), time(0))


@pytest.mark.parametrize(
    ("spans", "moment", "zone", "wanted"),
    [
        ((NIGHT,), "2026-11-30T13:59:00Z", "Asia/Shanghai", "2026-11-30T13:59:00Z"),
        ((NIGHT,), "2026-11-30T14:00:00Z", "Asia/Shanghai", "2026-11-30T22:00:00Z"),
        ((NIGHT,), "2026-11-30T21:59:59Z", "Asia/Shanghai", "2026-11-30T22:00:00Z"),
        ((NIGHT,), "2026-11-30T22:00:00Z", "Asia/Shanghai", "2026-11-30T22:00:00Z"),
        ((NIGHT, WEEKEND), "2026-12-04T15:00:00Z", "Asia/Shanghai", "2026-12-06T22:00:00Z"),
        # The night in which clocks go forward has an hour less, the other one more.
        ((NIGHT,), "2026-03-28T22:30:00Z", "Europe/Berlin", "2026-03-29T04:00:00Z"),
        ((NIGHT,), "2026-10-24T21:30:00Z", "Europe/Berlin", "2026-10-25T05:00:00Z"),
        ((Span(frozenset({"mon"}), NIGHT.begins, NIGHT.ends),), "2026-12-01T21:00:00Z", "Asia/Shanghai", "2026-12-01T21:00:00Z"),
        ((Span(frozenset(DAYS), NIGHT.begins, NIGHT.begins),), "2026-11-30T14:00:00Z", "Asia/Shanghai", "2026-12-08T14:00:00Z"),
    ],
)  # fmt: skip
def test_quiet_hours_end_by_the_clock_on_the_wall(spans: tuple[Span, ...], moment: str, zone: str, wanted: str) -> None:
    assert iso(until(spans, parse(moment), zone)) == iso(parse(wanted))
