"""Renews a sensor's certificate before it ends, beside the uplink, whose clients connect anew with what they find in its file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sensor.centre import CentreRefused, post
from sensor.credentials import Credentials, next_key, pem, request_of, take_over
from sensor.enrolled import AUTHORITY, FOLDER, NEXT_KEY, EnrolmentError, read_enrolled

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable
    from pathlib import Path

PATH: Final = "/api/enrolments/renew"

LOOK_SECONDS: Final = 600.0
"""How often is looked whether it is time."""

LEAST_SECONDS: Final = 1.0
"""How often at most, for certificates that hold for minutes."""

RETRY_SECONDS: Final = 900.0
"""How long after a try that failed the next is made; sooner where the certificate holds for a short time only."""


class Renewal:
    """Renews the certificate of an enrolled sensor when a third of its life remains.

    Nothing secret is asked, and only a certificate that the authority of the enrolment has signed for the key made here is taken:
    so it does not matter who answers, nor that the centre's server has another certificate than when the sensor was enrolled.

    Args:
        data: the data folder.
        say: is called with one line when the certificate has been renewed, and when that fails, once for each reason.
    """

    def __init__(self, data: Path, say: Callable[[str], None] = lambda _: None) -> None:
        self.renewed = 0
        """Certificates that came."""
        self.trouble = ""
        """Why the last try failed, in one line; empty where it did not."""
        self._data: Final = data
        self._say: Final = say

    def run(self, stop: threading.Event) -> None:
        """Look and renew until `stop` is set; ends at once where the sensor is not enrolled."""
        wait = LEAST_SECONDS
        while not stop.wait(wait):
            try:
                enrolled = read_enrolled(self._data)
                if enrolled is None:
                    return
                present = Credentials.read(self._data)
                life = (present.expires - present.certificate.not_valid_before_utc).total_seconds()
                wait = max(LEAST_SECONDS, min(LOOK_SECONDS, life / 1000))
                if present.is_due():
                    wait = max(LEAST_SECONDS, min(RETRY_SECONDS, life / 100))
                    self._renew(enrolled.url, enrolled.principal, present)
            except EnrolmentError as error:
                self._tell(str(error), is_over=isinstance(error, CentreRefused) and error.code == "renewal_refused")
            except OSError as error:
                self._tell(f"{error.filename or self._data}: {error.strerror or error}", is_over=False)
            except Exception as error:  # noqa: BLE001  whatever an answer does, the certificate still has to be renewed
                self._tell(f"{type(error).__name__}: {str(error)[:200]}", is_over=False)

    def _renew(self, url: str, principal: str, present: Credentials) -> None:
        """Ask for the next certificate and take it over. Raises EnrolmentError, OSError."""
        key = next_key(self._data, present.key)
        request = request_of(key, principal)
        content = {"serial": present.serial, "request": pem(request), "signature": present.sign(request)}
        told = post(url, PATH, content, is_proved_by_answer=True)
        authority = (self._data / FOLDER / AUTHORITY).read_text(encoding="ascii")
        certificate = take_over(self._data, key, str(told.get("certificate", "")), authority)
        (self._data / FOLDER / NEXT_KEY).unlink(missing_ok=True)
        self.renewed += 1
        self.trouble = ""
        self._say(f"the certificate has been renewed; it holds until {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC")

    def _tell(self, trouble: str, *, is_over: bool) -> None:
        if trouble == self.trouble:
            return
        self.trouble = trouble
        self._say(trouble if is_over else f"{trouble}; the certificate is not renewed yet")
