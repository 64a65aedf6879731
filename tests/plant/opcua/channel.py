"""The bytes of OPC UA connections: both sides' messages, framed by asyncua's codecs, without sockets and the machine's clock.

A channel with encryption is opened with real certificates, but what RSA and AES would hide is drawn from a seeded generator,
in lengths as the policy gives them: without the keys nobody can tell, and the bytes are the same in each run.
"""

# asyncua's own types are incomplete.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false

from __future__ import annotations

import hashlib
import random
import struct
from pathlib import Path
from typing import Any, Final

from asyncua import ua
from asyncua.common.connection import MessageChunk
from asyncua.crypto.security_policies import SecurityPolicyNone
from asyncua.ua.ua_binary import struct_to_binary, uatcp_to_binary

POLICY_URI: Final = "http://opcfoundation.org/UA/SecurityPolicy#"
CERTIFICATES: Final = Path(__file__).with_name("certificates")
"""Self-signed application certificates; their keys were thrown away, nothing here needs them."""

BUFFER_BYTES: Final = 65_535
"""Largest chunk of both sides."""

LIFETIME_MS: Final = 3_600_000
"""How long the token of a channel lives."""

_SIGNATURE_BYTES: Final = 32
_BLOCK_BYTES: Final = 16
_RSA_BYTES: Final = 256
_NONE: Final = SecurityPolicyNone()


def certificate(name: str) -> bytes:
    """An application certificate, DER."""
    return (CERTIFICATES / f"{name}.der").read_bytes()


class Channel:
    """Both sides' messages of one connection.

    Args:
        number: identifier of the secure channel and seed of what is drawn.
        policy: security policy, as in Basic256Sha256.
        mode: message security mode: 1 none, 3 sign and encrypt.
        client_certificate, server_certificate: names of the parties' certificates, used unless the policy is None.
    """

    def __init__(
        self,
        number: int,
        policy: str = "None",
        mode: int = 1,
        client_certificate: str = "mes",
        server_certificate: str = "server",
    ) -> None:
        self.number = number
        self.policy = policy
        self.mode = ua.MessageSecurityMode(mode)
        self.certificates = {True: certificate(client_certificate), False: certificate(server_certificate)}
        self.sequence = {True: 0, False: 0}
        """Number of the last chunk by side: True for the client."""
        self.request = 0
        self.token = 1
        self.buffer_bytes = BUFFER_BYTES
        self._random = random.Random(number)

    @property
    def encrypted(self) -> bool:
        """Whether the channel hides what is said."""
        return self.policy != "None"

    def hello(self, url: str) -> bytes:
        """The client's first message."""
        return uatcp_to_binary(
            ua.MessageType.Hello, ua.Hello(0, BUFFER_BYTES, BUFFER_BYTES, EndpointUrl=url, MaxMessageSize=0, MaxChunkCount=0)
        )

    def acknowledge(self, message_bytes: int = 0, chunks: int = 0) -> bytes:
        """The server's answer to it, with the limits that it sets; 0: none."""
        return uatcp_to_binary(ua.MessageType.Acknowledge, ua.Acknowledge(0, BUFFER_BYTES, BUFFER_BYTES, message_bytes, chunks))

    def open(self, now: int, *, renew: bool = False) -> tuple[bytes, bytes]:
        """The request for a token of the channel, and its answer."""
        request = ua.OpenSecureChannelRequest()
        request.Parameters.RequestType = ua.SecurityTokenRequestType.Renew if renew else ua.SecurityTokenRequestType.Issue
        request.Parameters.SecurityMode = self.mode
        request.Parameters.RequestedLifetime = LIFETIME_MS
        request.RequestHeader.Timestamp = ua.win_epoch_to_datetime(file_time(now))
        answer = ua.OpenSecureChannelResponse()
        answer.ResponseHeader.Timestamp = request.RequestHeader.Timestamp
        self.token += renew
        answer.Parameters.SecurityToken.ChannelId = self.number
        answer.Parameters.SecurityToken.TokenId = self.token
        answer.Parameters.SecurityToken.CreatedAt = request.RequestHeader.Timestamp
        answer.Parameters.SecurityToken.RevisedLifetime = LIFETIME_MS
        self.request += 1
        asked = self._asymmetric(True, struct_to_binary(request), self.number if renew else 0)
        return asked, self._asymmetric(False, struct_to_binary(answer), self.number)

    def ask(self, body: bytes, *, close: bool = False) -> bytes:
        """A request under the next number."""
        self.request += 1
        return self.message(True, body, self.request, ua.MessageType.SecureClose if close else ua.MessageType.SecureMessage)

    def message(self, from_client: bool, body: bytes, request: int, kind: bytes = ua.MessageType.SecureMessage) -> bytes:
        """A message in as many chunks as it needs."""
        if self.encrypted:
            return self._hidden(from_client, body, kind)
        chunks = MessageChunk.message_to_chunks(_NONE, body, self.buffer_bytes, kind, self.number, request, self.token)
        for chunk in chunks:
            self.sequence[from_client] += 1
            chunk.SequenceHeader.SequenceNumber = self.sequence[from_client]
        return b"".join(chunk.to_binary() for chunk in chunks)

    def _hidden(self, from_client: bool, body: bytes, kind: bytes) -> bytes:
        """A message under encryption: what is seen of it, and as many bytes as the cipher would give."""
        self.sequence[from_client] += 1
        plain = 8 + len(body) + 1 + _SIGNATURE_BYTES
        hidden = self._random.randbytes(-(-plain // _BLOCK_BYTES) * _BLOCK_BYTES)
        return kind + b"F" + struct.pack("<III", 16 + len(hidden), self.number, self.token) + hidden

    def _asymmetric(self, from_client: bool, body: bytes, channel: int) -> bytes:
        """A message that opens the channel."""
        chunk = MessageChunk(_NONE.asymmetric_cryptography, body, ua.MessageType.SecureOpen, ua.ChunkType.Single)
        header: Any = chunk.SecurityHeader
        header.SecurityPolicyURI = POLICY_URI + self.policy
        chunk.MessageHeader.ChannelId = channel
        self.sequence[from_client] += 1
        chunk.SequenceHeader.SequenceNumber = self.sequence[from_client]
        chunk.SequenceHeader.RequestId = self.request
        if not self.encrypted:
            return chunk.to_binary()
        header.SenderCertificate = self.certificates[from_client]
        header.ReceiverCertificateThumbPrint = hashlib.sha1(self.certificates[not from_client]).digest()
        security = struct_to_binary(header)
        hidden = self._random.randbytes(-(-(len(body) + 8 + _RSA_BYTES) // (_RSA_BYTES - 42)) * _RSA_BYTES)
        return b"OPNF" + struct.pack("<II", 12 + len(security) + len(hidden), channel) + security + hidden


def file_time(now: int) -> int:
    """Nanoseconds since 1970 as OPC UA counts time (OPC 10000-6, 5.2.2.5)."""
    return now // 100 + 116_444_736_000_000_000
