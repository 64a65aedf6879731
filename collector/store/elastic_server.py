"""An Elasticsearch cluster as the record store talks to it: requests, and what went wrong in one line.

Answers of a search are handed over as the bytes that came, so that they can be read as whole columns. What a node has not taken,
or has left unanswered because it went away, is asked of the next one; a node that failed is passed over for a while.
"""

from __future__ import annotations

import json
import ssl
from typing import TYPE_CHECKING, Any, Final, cast

from elastic_transport import ConnectionError as NotReached
from elastic_transport import ConnectionTimeout, Serializer, TlsError, TransportError, Urllib3HttpNode
from elasticsearch import ApiError, Elasticsearch, UnsupportedProductError
from urllib3.connectionpool import HTTPSConnectionPool
from urllib3.exceptions import NewConnectionError

from collector.store import StoreError
from sensor.tls import TlsUnusable, client_context, refusal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from elastic_transport import NodeConfig

    from collector.settings import ElasticsearchSettings

_TYPES: Final = ("application/json", "application/vnd.elasticsearch+json", "application/x-ndjson")


class Refused(StoreError):  # noqa: N818 - named for what happened
    """The cluster answered a request with an error.

    Attributes:
        status: status of HTTP.
        kind: the cluster's name of the error.
        reason: what it says.
    """

    def __init__(self, text: str, status: int, kind: str, reason: str) -> None:
        super().__init__(text)
        self.status = status
        self.kind = kind
        self.reason = reason


class TooSlow(StoreError):  # noqa: N818 - named for what happened
    """The cluster did not answer in time. What was asked may have been done."""


class _Bytes(Serializer):
    """Bodies as they are: bytes stay bytes in both directions, anything else goes out as JSON."""

    def loads(self, data: bytes) -> bytes:
        return data

    def dumps(self, data: Any) -> bytes:
        return data if isinstance(data, bytes) else json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()


class _Node(Urllib3HttpNode):
    """A node that is trusted by what the context has alone: the library would add the authorities that certifi brings."""

    def __init__(self, config: NodeConfig) -> None:
        super().__init__(config)
        if isinstance(self.pool, HTTPSConnectionPool):
            self.pool.ca_certs = None


class Server:
    """The cluster. Safe from any thread.

    Args:
        settings: where it is, and who this process is there.

    Raises:
        ConfigurationError: a secret's file cannot be read.
        StoreError: a certificate's file cannot be used.
    """

    def __init__(self, settings: ElasticsearchSettings) -> None:
        self.settings: Final = settings
        options: dict[str, Any] = {
            "request_timeout": settings.request_seconds,
            "max_retries": 0,
            "retry_on_timeout": False,
            "retry_on_status": (),
            "connections_per_node": max(10, 2 * settings.bulk_requests),
            "serializers": dict.fromkeys(_TYPES, _Bytes()),
        }
        if any(address.startswith("https:") for address in settings.addresses):
            try:
                options["ssl_context"] = client_context(settings)
            except TlsUnusable as error:
                raise StoreError(str(error)) from error
        if (key := settings.secret_api_key()) is not None:
            options["api_key"] = key
        elif settings.username:
            options["basic_auth"] = (settings.username, settings.secret_password() or "")
        self._client = Elasticsearch(settings.addresses, node_class=_Node, **options)

    def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        absent: bool = False,
        seconds: float | None = None,
        **parameters: str | int | bool,
    ) -> Any:
        """The answer to a request.

        Args:
            method: of HTTP.
            path: with names in it as they are.
            body: what to send, as an object.
            absent: None is the answer where what the path names is not there.
            seconds: how long the answer may take.
            parameters: of the request.

        Raises:
            Refused: the cluster answered with an error.
            TooSlow: it did not answer in time.
            StoreError: it cannot be reached.
        """
        try:
            return json.loads(self.bytes(method, path, body, lines=False, once=False, seconds=seconds, **parameters) or b"null")
        except Refused as error:
            if absent and error.status == 404:
                return None
            raise

    def bytes(  # noqa: PLR0913 - what is asked, and three ways to ask it
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        lines: bool = False,
        once: bool = False,
        seconds: float | None = None,
        **parameters: str | int | bool,
    ) -> bytes:
        """The bytes of the answer to a request.

        Args:
            method: of HTTP.
            path: with names in it as they are.
            body: what to send.
            lines: the body is lines of JSON.
            once: a node that may have done it without an answer is not followed by another: done twice it would be told as wrong.
            seconds: how long the answer may take.
            parameters: of the request.

        Raises:
            as `ask`.
        """
        client = self._client if seconds is None else self._client.options(request_timeout=seconds)
        headers = {"accept": "application/json"}
        if body is not None:
            headers["content-type"] = "application/x-ndjson" if lines else "application/json"
        left = len(self.settings.addresses)
        while True:
            left -= 1
            try:
                answer = client.perform_request(method, path, params=parameters or None, headers=headers, body=body)
            except UnsupportedProductError as error:
                raise StoreError(f"{self.settings.hosts}: is not Elasticsearch: check elasticsearch.hosts") from error
            except ApiError as error:
                raise _refused(self.settings.hosts, error.meta.status, error.body) from error
            except ConnectionTimeout as error:
                raise TooSlow(f"{self.settings.hosts}: no answer within the time allowed: look at the cluster's load") from error
            except TransportError as error:
                if not left or not isinstance(error, NotReached) or (once and not _is_unsent(error)):
                    raise StoreError(_unreached(self.settings, error)) from error
            else:
                break
        return cast("bytes", getattr(answer, "body", b"") or b"")

    def ask_several(self, searches: Sequence[tuple[str, Mapping[str, Any]]]) -> list[dict[str, Any]]:
        """The answers to searches, each of an index (or a pattern) with its body. Raises as `ask`."""
        answers = json.loads(self.bytes("POST", "/_msearch", several(searches), lines=True))["responses"]
        for answer in cast("list[dict[str, Any]]", answers):
            if "error" in answer:
                raise _refused(self.settings.hosts, int(answer["status"]), json.dumps(answer).encode())
        return cast("list[dict[str, Any]]", answers)

    def probe(self) -> Mapping[str, Any]:
        """What the cluster says of itself. Raises StoreError with what to do where it cannot be used."""
        return cast("dict[str, Any]", self.ask("GET", "/", seconds=self.settings.connect_seconds))

    def close(self) -> None:
        """Let go of connections."""
        self._client.close()


def several(searches: Sequence[tuple[str, Mapping[str, Any]]]) -> bytes:
    """Searches as the body of one request."""
    lines: list[str] = []
    for index, body in searches:
        lines += [json.dumps({"index": index, "ignore_unavailable": True}), json.dumps(body)]
    return ("\n".join(lines) + "\n").encode()


def _refused(hosts: str, status: int, body: object) -> Refused:
    """An answer that is an error, in one line."""
    kind = reason = ""
    try:
        error = json.loads(cast("bytes", body))["error"]
        if isinstance(error, dict):
            told = cast("dict[str, Any]", error)
            causes = told.get("root_cause") or [told]
            kind, reason = str(causes[0].get("type", "")), str(causes[0].get("reason", ""))
        else:
            reason = str(error)
    except (ValueError, KeyError, TypeError, IndexError):
        reason = body.decode(errors="replace")[:200] if isinstance(body, bytes) else ""
    reason = " ".join(reason.split())[:300]
    match status:
        case 401:
            text = f"{hosts}: the name, password or API key is refused: check [elasticsearch] in icsight.toml"
        case 403:
            text = f"{hosts}: not permitted ({reason}): give the role the privileges that `icsight elasticsearch role` prints"
        case _:
            text = f"{hosts}: refused with status {status} ({kind or 'no type'}: {reason})"
    return Refused(text, status, kind, reason)


def _is_unsent(error: NotReached) -> bool:
    """Whether nothing of a request can have come to the node: it took no connection, or what it showed is not trusted.

    Any other error of TLS may also come after the request: in the middle of the answer, and where a node refuses the certificate
    that it was shown, which TLS 1.3 tells with the first answer.
    """
    return any(isinstance(cause, NewConnectionError | ssl.SSLCertVerificationError) for cause in _causes(error))


def _unreached(settings: ElasticsearchSettings, error: Exception) -> str:
    """Why there was no answer, in one line."""
    hosts = settings.hosts
    failed = next((each for each in _causes(error) if isinstance(each, ssl.SSLError)), None)
    if failed is not None:
        return f"{hosts}: {refusal(failed, settings, 'the node', 'elasticsearch.hosts', 'elasticsearch.hosts')}"
    reason = " ".join(str(error).split())[:300]
    if isinstance(error, TlsError):
        return f"{hosts}: no trusted connection ({reason}): check elasticsearch.ca_file and elasticsearch.hosts"
    return f"{hosts}: cannot be reached ({reason}): check elasticsearch.hosts, and that Elasticsearch runs there"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and what it came from, as the library wraps it: each has the one before among its arguments or as its cause."""
    yield error
    inner = [*getattr(error, "errors", ()), *error.args, error.__cause__]
    for each in inner:
        if isinstance(each, BaseException):
            yield from _causes(each)
