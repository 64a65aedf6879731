"""Asking the centre: one question over HTTPS, and its answer or the reason why there is none, in one line."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import ssl
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import urlsplit

from sensor.enrolled import EnrolmentError
from sensor.loopback import is_loopback

if TYPE_CHECKING:
    from collections.abc import Mapping

TIMEOUT_SECONDS: Final = 60.0
"""How long an answer may take: the centre prepares the brokers before it answers."""

ANSWER_BYTES: Final = 1024 * 1024
"""Largest answer."""

TOLD_CHARACTERS: Final = 300
"""Most of what a server says of itself that is shown: it may be anybody."""


class CentreRefused(EnrolmentError):  # noqa: N818 - named for what it reports
    """The centre has answered that it will not.

    Attributes:
        code: the stable name of its reason (RFC 9457 problem).
    """

    def __init__(self, text: str, code: str) -> None:
        super().__init__(text)
        self.code = code


def post(
    url: str, path: str, content: Mapping[str, Any], *, pin: bytes = b"", is_proved_by_answer: bool = False
) -> dict[str, Any]:
    """Ask the centre.

    Args:
        url: where it answers, `https://HOST[:PORT]`; plain `http` for this machine only, and not with a pin.
        path: what is asked, as in `/api/enrolments`.
        content: the question; nothing of it is sent before the server has shown its certificate.
        pin: SHA-256 of that certificate; without it the system's authorities must vouch for the server.
        is_proved_by_answer: whether it does not matter who answers, since nothing secret is asked and the answer is proved by
            the authority's signature.

    Raises:
        CentreRefused: the centre's answer is that it will not.
        EnrolmentError: it cannot be asked, or is not the centre.
    """
    connection = _connection(url, is_pinned=bool(pin) or is_proved_by_answer)
    if pin and not isinstance(connection, http.client.HTTPSConnection):
        # Whoever listens on that port of this machine would get the secret: nothing says that it is the centre.
        raise EnrolmentError(f"{url}: the token names a certificate, which plain HTTP does not show: write https://")
    try:
        connection.connect()
        if pin:
            shown = cast("ssl.SSLSocket", connection.sock).getpeercert(binary_form=True) or b""
            if not hmac.compare_digest(hashlib.sha256(shown).digest(), pin):
                raise EnrolmentError(
                    f"{url}: the server's certificate is not the one in the token: check --url, or ask for a new token"
                )
        body = json.dumps(content).encode()
        connection.request("POST", path, body, {"Content-Type": "application/json", "Accept-Language": "en"})
        answer = connection.getresponse()
        told = answer.read(ANSWER_BYTES)
    except ssl.SSLCertVerificationError as error:
        raise EnrolmentError(
            f"{url}: the server's certificate is refused ({error.verify_message}): ask for a token that names it "
            "(`icsight enrolment token --tls-certificate`)"
        ) from error
    except (ssl.SSLError, http.client.HTTPException) as error:
        raise EnrolmentError(
            f"{url}: does not speak HTTPS as the centre does ({_shown(error)}): check the address and port"
        ) from error
    except OSError as error:
        raise EnrolmentError(f"{url}: the centre does not answer ({error.strerror or error}): check the address") from error
    finally:
        connection.close()
    return _content(url, answer.status, told)


def _content(url: str, status: int, told: bytes) -> dict[str, Any]:
    try:
        content = json.loads(told)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise EnrolmentError(f"{url}: what answers is not the centre (status {status}): check the address")
    found = cast("dict[str, Any]", content)
    if not 200 <= status < 300:
        texts = [text for name in ("detail", "title") if isinstance(text := found.get(name), str) and text]
        raise CentreRefused(f"{url}: {_shown(texts[0] if texts else f'status {status}')}", str(found.get("code", ""))[:64])
    return found


def _shown(told: object) -> str:
    """What a server said, as a terminal or a log may show it."""
    text = "".join(letter if letter.isprintable() else " " for letter in str(told)[: 4 * TOLD_CHARACTERS])
    return " ".join(text.split())[:TOLD_CHARACTERS]


def _connection(url: str, *, is_pinned: bool) -> http.client.HTTPConnection:
    """A connection that is not open yet. Raises EnrolmentError."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        parts, host, port = None, None, None
    if parts is None or not host or parts.scheme not in {"http", "https"} or parts.path.strip("/") or parts.query:
        raise EnrolmentError(f"{url}: write the centre's address as https://HOST:PORT")
    if parts.scheme == "http":
        if not is_loopback(host):
            raise EnrolmentError(f"{url}: plain HTTP is for this machine only: write https://")
        return http.client.HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if is_pinned:
        # The certificate itself is compared, or the answer is: names and authorities say nothing more.
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return http.client.HTTPSConnection(host, port, timeout=TIMEOUT_SECONDS, context=context)
