"""Where notices go: table `notifications` of the configuration.

Channels are named here and nowhere else. Whoever makes a rule chooses among them, and can neither give an address nor see a
secret: none is in the database.
"""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  pydantic reads the annotation at run time
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints, model_validator

from api.oidc_settings import is_https
from sensor.configuration import Section, secret
from sensor.loopback import is_loopback

ROBOTS: Final = {
    "wecom": "https://qyapi.weixin.qq.com/cgi-bin/webhook/send",
    "dingtalk": "https://oapi.dingtalk.com/robot/send",
    "feishu": "https://open.feishu.cn/open-apis/bot/v2/hook",
}
"""Where the robots of groups are asked, by kind of channel."""

ChannelName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]
"""What a channel is called."""

Host = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:-]{1,255}$")]

Mailbox = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,255}$")]


class _Channel(BaseModel):
    """What every channel has."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, hide_input_in_errors=True)

    language: Literal["en", "zh-CN"] = "en"
    """Language of the messages."""

    addresses: bool = False
    """Whether messages name network addresses, and titles that people gave to incidents; they leave the site with them."""

    most_per_hour: int = Field(default=30, ge=1, le=3600)
    """Most messages in any hour. What is over waits, and the next message says how much did."""

    timeout_seconds: float = Field(default=10.0, ge=0.1, le=60)
    """How long the receiver may be silent."""

    ca_file: Path | None = None
    """PEM file of the authorities that the receiver's certificate is checked against; without it, the system's."""

    certificate_file: Path | None = None
    """PEM file of this process' certificate and its chain, where the receiver asks for one."""

    key_file: Path | None = None
    """PEM file of the certificate's private key, without a password."""

    @model_validator(mode="after")
    def _certificate_has_its_key(self) -> Self:
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("certificate_file and key_file belong together: give both")
        return self


class MailSettings(_Channel):
    """Mail, by a server that takes it over TLS."""

    kind: Literal["mail"]

    server: Host
    """Name of the server, as its certificate has it."""

    port: int = Field(default=0, ge=0, le=65_535)
    """TCP port; 0: 587 with `starttls`, 465 with `tls`."""

    encryption: Literal["starttls", "tls"] = "starttls"
    """Whether TLS begins in the conversation (RFC 3207) or before it (RFC 8314). There is no mail without it."""

    user: str = Field(default="", max_length=255)
    """Account at the server; without it nobody signs in."""

    password: SecretStr | None = None
    """Its password."""

    password_file: Path | None = None
    """File that holds the password and nothing else."""

    sender: Mailbox
    """Address that it comes from."""

    to: tuple[Mailbox, ...] = Field(min_length=1, max_length=50)
    """Addresses that it goes to."""

    @property
    def place(self) -> str:
        """Where it goes, for people."""
        return f"{self.server}:{self.port or (465 if self.encryption == 'tls' else 587)}"


class RobotSettings(_Channel):
    """A robot in a group of WeCom, DingTalk or Feishu."""

    kind: Literal["wecom", "dingtalk", "feishu"]

    address: str = Field(default="", max_length=255)
    """`https://NAME/PATH` without the token, where the service is one's own; without it, the public one."""

    token: SecretStr | None = None
    """What stands behind `key=` (WeCom), `access_token=` (DingTalk) or `hook/` (Feishu) in the robot's address."""

    token_file: Path | None = None
    """File that holds that and nothing else."""

    signing_secret: SecretStr | None = None
    """Secret that messages are signed with, where the robot asks for it (DingTalk, Feishu)."""

    signing_secret_file: Path | None = None
    """File that holds that secret and nothing else."""

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.token is None and self.token_file is None:
            raise ValueError("a robot needs token_file, or token in the environment")
        if self.address and not is_https(self.address):
            raise ValueError("address is none: write https://NAME/PATH, without the token")
        if self.kind == "wecom" and (self.signing_secret is not None or self.signing_secret_file is not None):
            raise ValueError("a robot of WeCom signs nothing: leave signing_secret out")
        return self

    @property
    def url(self) -> str:
        """Where the robot is asked, without its token."""
        return self.address or ROBOTS[self.kind]

    @property
    def place(self) -> str:
        """Where it goes, for people."""
        return self.url


class WebhookSettings(_Channel):
    """A program that takes notices by HTTPS, signed as Standard Webhooks says."""

    kind: Literal["webhook"]

    address: str = Field(max_length=255)
    """`https://NAME/PATH`."""

    secret: SecretStr | None = None
    """What messages are signed with (HMAC-SHA256), at least 24 characters; `whsec_…` is Base64, as libraries for receivers make
    it."""

    secret_file: Path | None = None
    """File that holds the secret and nothing else."""

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if not is_https(self.address):
            raise ValueError("address is none: write https://NAME/PATH, without a query")
        if self.secret is None and self.secret_file is None:
            raise ValueError("a webhook needs secret_file, or secret in the environment")
        return self

    @property
    def place(self) -> str:
        """Where it goes, for people."""
        return self.address


class SyslogSettings(_Channel):
    """A collector of events: RFC 5424 over TLS (RFC 5425), with what happened as CEF."""

    kind: Literal["syslog"]

    most_per_hour: int = Field(default=3600, ge=1, le=3600)
    """Most messages in any hour, of up to 500 events each."""

    server: Host
    """Name of the collector, as its certificate has it."""

    port: int = Field(default=6514, ge=1, le=65_535)
    """TCP port."""

    encryption: Literal["tls", "none"] = "tls"
    """`none` is for a collector on this machine only."""

    @model_validator(mode="after")
    def _encrypted_beyond_this_machine(self) -> Self:
        if self.encryption == "none" and not is_loopback(self.server):
            raise ValueError("what leaves this machine is encrypted: leave encryption out, or name a collector on 127.0.0.1")
        return self

    @property
    def place(self) -> str:
        """Where it goes, for people."""
        return f"{self.server}:{self.port}"


ChannelSettings = Annotated[MailSettings | RobotSettings | WebhookSettings | SyslogSettings, Field(discriminator="kind")]
"""One channel, by its kind."""

Kind = Literal["mail", "wecom", "dingtalk", "feishu", "webhook", "syslog"]
"""The kinds of channels."""


class NotificationSettings(Section, table="notifications"):
    """The channels by which notices leave this system; rules (`/api/notifications/rules`) say what goes by which."""

    channels: dict[ChannelName, ChannelSettings] = Field(default_factory=dict[str, ChannelSettings], max_length=32)
    """Channels by name: `[notifications.channels.NAME]`, each with its `kind`."""

    keep_days: int = Field(default=400, ge=1, le=36_500)
    """How long messages are kept after they were sent or given up, in days. That they left stays in the audit trail."""


def secret_of(name: str, channel: BaseModel, what: str) -> str | None:
    """A secret of a channel, `what` or the file that `what_file` names. Raises ConfigurationError where that cannot be read."""
    return secret(getattr(channel, what), getattr(channel, f"{what}_file"), f"notifications.channels.{name}.{what}")
