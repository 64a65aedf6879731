"""Mail through a server that takes it, over TLS and never without."""

from __future__ import annotations

import smtplib
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import TYPE_CHECKING, Final

from api.notification_settings import MailSettings, secret_of
from api.notifications.delivery import DeliveryError, Way, ended
from api.times import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Generator

    from api.notifications.delivery import Outgoing


class Mail(Way):
    """A mail server."""

    def __init__(self, name: str, settings: MailSettings) -> None:
        super().__init__(name, settings)
        self.settings: Final = settings
        self._password: Final = secret_of(name, settings, "password")

    def send(self, message: Outgoing) -> str | None:
        """As `Channel.send`."""
        settings = self.settings
        mail = EmailMessage()
        mail["From"], mail["To"] = settings.sender, ", ".join(settings.to)
        mail["Subject"] = message.content["title"]
        mail["Date"] = format_datetime(datetime.fromtimestamp(message.made_at // NANOSECONDS, UTC))
        mail["Message-ID"] = f"<{message.key}@icsight>"
        # No machine answers it (RFC 3834).
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content("\n\n".join(message.content["lines"]) + "\n")
        with self._server() as server:
            refused = server.send_message(mail)
        return f"refused for {len(refused)} of {len(settings.to)} receivers" if refused else None

    def reach(self) -> None:
        """As `Channel.reach`: signs in."""
        with self._server() as server:
            server.noop()

    @contextmanager
    def _server(self) -> Generator[smtplib.SMTP]:
        settings = self.settings
        try:
            server = self._opened()
            with ended(lambda: server.sock):
                try:
                    if settings.encryption == "starttls":
                        server.starttls(context=self.context)
                    if settings.user:
                        server.login(settings.user, self._password or "")
                    yield server
                finally:
                    # Whatever it answers to that, it has taken the mail or has not.
                    with suppress(OSError, smtplib.SMTPException):
                        server.quit()
        except smtplib.SMTPAuthenticationError as error:
            raise DeliveryError(f"the server lets {settings.user} not in (code {error.smtp_code})", lasting=True) from None
        except smtplib.SMTPRecipientsRefused as error:
            codes = sorted({code for code, _ in error.recipients.values()})
            told = ", ".join(map(str, codes))
            raise DeliveryError(f"refused for all receivers (code {told})", lasting=min(codes) >= 500) from None
        except smtplib.SMTPResponseException as error:
            raise DeliveryError(f"the server answers with code {error.smtp_code}", lasting=error.smtp_code >= 500) from None
        except smtplib.SMTPNotSupportedError:
            raise DeliveryError("the server speaks no TLS, or lets nobody sign in", lasting=True) from None
        except smtplib.SMTPServerDisconnected as error:
            raise self.failed(error.__context__ or error) from None
        except (OSError, smtplib.SMTPException, ValueError) as error:
            raise self.failed(error) from None

    def _opened(self) -> smtplib.SMTP:
        settings = self.settings
        port = int(settings.place.rpartition(":")[2])
        if settings.encryption == "tls":
            return smtplib.SMTP_SSL(settings.server, port, timeout=self.seconds, context=self.context)
        return smtplib.SMTP(settings.server, port, timeout=self.seconds)
