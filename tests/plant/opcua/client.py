"""An OPC UA client in memory: what it says and what it is answered, as bytes, one exchange after the other."""

# asyncua's own types are incomplete.
# pyright: reportPrivateImportUsage=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportUnknownParameterType=false, reportMissingTypeArgument=false

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, Protocol

from asyncua import ua
from asyncua.ua.ua_binary import struct_to_binary

from tests.plant.opcua.channel import Channel, file_time
from tests.plant.opcua.server import node, standard

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.plant.opcua.server import Server


class Line(Protocol):
    """What carries the bytes, and its clock in nanoseconds."""

    def now(self) -> int: ...
    def send(self, data: bytes) -> None: ...
    def receive(self, data: bytes) -> None: ...


class Client:
    """A client of a server on a line. Keyword arguments are those of `Channel`."""

    def __init__(self, line: Line, server: Server, application: str = "mes", **security: Any) -> None:
        self.line = line
        self.server = server
        self.application = application
        self.channel = Channel(server.channel_number(), **security)
        self.token: Any = ua.NodeId()
        self.handle = 0
        """Handle of the last request."""

    def connect(self) -> None:
        """Hello and a secure channel."""
        self.line.send(self.channel.hello(self.server.url))
        self.line.receive(self.channel.acknowledge())
        self.open()

    def open(self, *, renew: bool = False) -> None:
        """A token of the channel."""
        asked, answered = self.channel.open(self.line.now(), renew=renew)
        self.line.send(asked)
        self.line.receive(answered)

    def sign_in(self, user: str = "", password: str = "") -> bool:
        """A session, activated; whether the server let the user in."""
        create = ua.CreateSessionRequest()
        create.Parameters.ClientDescription.ApplicationUri = f"urn:waterworks:{self.application}"
        create.Parameters.ClientDescription.ApplicationName = ua.LocalizedText(self.application)
        create.Parameters.EndpointUrl = self.server.url
        create.Parameters.SessionName = self.application
        create.Parameters.RequestedSessionTimeout = 60_000.0
        created = self.ask(create)
        self.token = created.Parameters.AuthenticationToken
        return self.activate(user, password)

    def activate(self, user: str = "", password: str = "") -> bool:
        """Say who the user is; whether the server let it in."""
        activate = ua.ActivateSessionRequest()
        identity: Any = ua.AnonymousIdentityToken("anonymous")
        if user:
            identity = ua.UserNameIdentityToken("username", user, password.encode())
        activate.Parameters.UserIdentityToken = identity
        return self.ask(activate).ResponseHeader.ServiceResult.is_good()

    def start(self, user: str = "", password: str = "") -> Client:
        """Connected and signed in."""
        self.connect()
        self.sign_in(user, password)
        return self

    def encode(self, request: Any) -> bytes:
        """The body of a request with its header filled in."""
        self.handle += 1
        request.RequestHeader.AuthenticationToken = self.token
        request.RequestHeader.Timestamp = ua.win_epoch_to_datetime(file_time(self.line.now()))
        request.RequestHeader.RequestHandle = self.handle
        request.RequestHeader.TimeoutHint = 4_000
        return struct_to_binary(request)

    def ask(self, request: Any, *, answered: bool = True) -> Any:
        """A request and its response; None where the server takes no notice of it."""
        self.line.send(self.channel.ask(self.encode(request)))
        if not answered:
            return None
        response = self.server.answer(request, self.line.now())
        self.line.receive(self.channel.message(False, struct_to_binary(response), self.channel.request))
        return response

    def leave(self, *, close_session: bool = True) -> None:
        """End session and channel."""
        if close_session:
            self.ask(ua.CloseSessionRequest())
        self.line.send(self.channel.ask(self.encode(ua.CloseSecureChannelRequest()), close=True))

    def read(self, names: Sequence[str]) -> Any:
        """Values of variables."""
        request = ua.ReadRequest()
        request.Parameters.TimestampsToReturn = ua.TimestampsToReturn.Source
        request.Parameters.NodesToRead = [ua.ReadValueId(node(name), ua.AttributeIds.Value) for name in names]
        return self.ask(request)

    def write(self, name: str, value: float) -> Any:
        """A value into a variable."""
        request = ua.WriteRequest()
        item = ua.WriteValue(node(name), ua.AttributeIds.Value)
        item.Value = ua.DataValue(ua.Variant(value, ua.VariantType.Double))
        request.Parameters.NodesToWrite = [item]
        return self.ask(request)

    def browse(self, start: Any) -> Any:
        """What a node refers to."""
        request = ua.BrowseRequest()
        item = ua.BrowseDescription()
        item.NodeId = start
        item.BrowseDirection = ua.BrowseDirection.Forward
        item.ReferenceTypeId = standard(ua.ObjectIds.HierarchicalReferences)
        item.IncludeSubtypes = True
        item.ResultMask = ua.BrowseResultMask.All
        request.Parameters.View.Timestamp = ua.win_epoch_to_datetime(0)  # asyncua would take the machine's clock
        request.Parameters.NodesToBrowse = [item]
        return self.ask(request)

    def call(self, target: Any, method: Any, *arguments: Any) -> Any:
        """A method of an object."""
        request = ua.CallRequest()
        call = ua.CallMethodRequest(target, method, list(arguments))
        request.Parameters.MethodsToCall = [call]
        return self.ask(request)

    def subscribe(self, names: Sequence[str], interval_ms: float = 1_000.0) -> int:
        """A subscription to variables; its number."""
        request = ua.CreateSubscriptionRequest()
        request.Parameters.RequestedPublishingInterval = interval_ms
        request.Parameters.RequestedLifetimeCount = 10_000
        request.Parameters.RequestedMaxKeepAliveCount = 3_000
        request.Parameters.PublishingEnabled = True
        number: int = self.ask(request).Parameters.SubscriptionId
        items = ua.CreateMonitoredItemsRequest()
        items.Parameters.SubscriptionId = number
        items.Parameters.TimestampsToReturn = ua.TimestampsToReturn.Source
        for handle, name in enumerate(names, 1):
            item = ua.MonitoredItemCreateRequest()
            item.ItemToMonitor.NodeId = node(name)
            item.ItemToMonitor.AttributeId = ua.AttributeIds.Value
            item.MonitoringMode = ua.MonitoringMode.Reporting
            item.RequestedParameters.ClientHandle = handle
            item.RequestedParameters.SamplingInterval = interval_ms
            items.Parameters.ItemsToCreate.append(item)
        self.ask(items)
        return number

    def publish(self) -> Any:
        """What changed."""
        return self.ask(ua.PublishRequest())

    def delete_subscription(self, number: int) -> Any:
        """End a subscription."""
        request = ua.DeleteSubscriptionsRequest()
        request.Parameters.SubscriptionIds = [number]
        return self.ask(request)

    def transfer_subscription(self, number: int) -> Any:
        """Take a subscription over."""
        request = ua.TransferSubscriptionsRequest()
        request.Parameters.SubscriptionIds = [number]
        return self.ask(request)

    def history(self, name: str, values: int) -> Any:
        """A variable's values of the past."""
        request = ua.HistoryReadRequest()
        now = dt.datetime.fromtimestamp(self.line.now() // 1_000_000_000, dt.UTC)
        details = ua.ReadRawModifiedDetails()
        details.IsReadModified = False
        details.StartTime, details.EndTime = now - dt.timedelta(days=1), now
        details.NumValuesPerNode = values
        details.ReturnBounds = False
        request.Parameters.HistoryReadDetails = details
        item = ua.HistoryReadValueId()
        item.NodeId = node(name)
        request.Parameters.NodesToRead = [item]
        return self.ask(request)

    def endpoints(self) -> Any:
        """What the server offers."""
        request = ua.GetEndpointsRequest()
        request.Parameters.EndpointUrl = self.server.url
        return self.ask(request)
