"""Robots in groups of WeCom, DingTalk and Feishu, which take texts.

That a robot has taken a message is what it answers, not that it answered: they refuse with status 200.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Final, cast

from api.notification_settings import RobotSettings, secret_of
from api.notifications.content import fitting
from api.notifications.delivery import DeliveryError
from api.notifications.posting import Posting, signature
from api.texts import text
from api.times import NANOSECONDS

if TYPE_CHECKING:
    from api.notifications.delivery import Outgoing

TEXT_BYTES: Final = {"wecom": 2048, "dingtalk": 16_000, "feishu": 16_000}
"""Most bytes of text that a robot takes: of WeCom in all, of the others with room for what is around it."""

BUSY: Final = frozenset({-1, 45009, 130101, 130103, 410100, 660026, 9499, 11232, 11233, 1000207})
"""Codes by which robots say that it was too much, or that they are at fault themselves."""


class Robot(Posting):
    """A robot."""

    def __init__(self, name: str, settings: RobotSettings) -> None:
        super().__init__(name, settings)
        self.settings: Final = settings
        self._token: Final = secret_of(name, settings, "token") or ""
        self._secret: Final = secret_of(name, settings, "signing_secret")

    def send(self, message: Outgoing) -> str | None:
        """As `Channel.send`."""
        kind, content = self.settings.kind, message.content
        rest = text(self.settings.language, "notice.rest")
        told = fitting([_plain(each) for each in (content["title"], *content["lines"])], TEXT_BYTES[kind], rest)
        address, query = self.settings.url, dict[str, str]()
        body: dict[str, Any] = {"msgtype": "text", "text": {"content": told}}
        match kind:
            case "wecom":
                query["key"] = self._token
            case "dingtalk":
                query["access_token"] = self._token
                if self._secret is not None:
                    stamp = str(time.time_ns() // 1_000_000)
                    signed = signature(self._secret.encode(), f"{stamp}\n{self._secret}".encode())
                    query |= {"timestamp": stamp, "sign": signed}
            case "feishu":
                address = f"{address.rstrip('/')}/{self._token}"
                body = {"msg_type": "text", "content": {"text": told}}
                if self._secret is not None:
                    stamp = str(time.time_ns() // NANOSECONDS)
                    # Its robots take what others sign as the key, and sign nothing.
                    body |= {"timestamp": stamp, "sign": signature(f"{stamp}\n{self._secret}".encode(), b"")}
        sent = json.dumps(body, ensure_ascii=False).encode()
        _accepted(self.post(address, sent, {"Content-Type": "application/json; charset=utf-8"}, query))
        return None

    def reach(self) -> None:
        """As `Channel.reach`."""
        self.knock(self.settings.url)


def _plain(line: str) -> str:
    """A line in which robots find neither a mention of somebody (`<at user_id="all">`, `<@name>`) nor a named link."""
    return line.replace("<", "＜").replace(">", "＞").replace("](", "] (")


def _accepted(answer: bytes) -> None:
    """Raises DeliveryError unless the answer says that the robot has taken the message."""
    try:
        said: object = json.loads(answer)
    except ValueError:
        said = None
    if isinstance(said, dict):
        content = cast("dict[str, object]", said)
        code = next((content[name] for name in ("errcode", "code", "StatusCode") if name in content), None)
        if type(code) is int and code == 0:
            return
        if type(code) is int:
            raise DeliveryError(f"the robot refuses with code {code}", lasting=code not in BUSY)
    raise DeliveryError("what answers is no robot of this kind", lasting=True)
