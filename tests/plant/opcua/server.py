"""An OPC UA server in memory: nodes, users, sessions, subscriptions, history. Requests and answers are asyncua's structures."""

# asyncua's own types are incomplete.
# pyright: reportPrivateImportUsage=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportUnknownParameterType=false, reportMissingTypeArgument=false

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from asyncua import ua

from tests.plant.opcua.channel import POLICY_URI, certificate, file_time

if TYPE_CHECKING:
    from collections.abc import Callable

STACK: Final = "asyncua 2.1"
"""The stack whose structures and codecs make the traffic."""

NAMESPACE: Final = 2
"""Namespace of the plant's nodes."""

STATIONS: Final = ("Intake", "Treatment", "Distribution", "Boiler")
VARIABLES: Final = ("Level", "Flow", "Pressure", "Temperature", "Setpoint", "Speed", "Turbidity", "Chlorine")
"""What a server has: folders of variables."""

HISTORY_SECONDS: Final = 60
"""Between two values of a history."""


def node(name: str) -> Any:
    """A node of the plant."""
    make: Any = ua.NodeId
    return make(name, NAMESPACE)


def standard(number: int) -> Any:
    """A node of the standard."""
    make: Any = ua.NodeId
    return make(number, 0)


def code(name: str) -> Any:
    """A status by name."""
    return ua.StatusCode(getattr(ua.StatusCodes, name))


@dataclass
class Subscription:
    """A subscription and its monitored items: client handle and node."""

    session: str
    items: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])
    sequence: int = 0


class Server:
    """Answers requests.

    Args:
        url: its endpoint.
        value: the value of a variable at a time; a written value goes before it.
        policies: what it offers, as (policy, mode).
        users: passwords by name; without users anybody may come without a name.
    """

    def __init__(
        self,
        url: str,
        value: Callable[[str, int], float] = lambda name, now: 10.0 + len(name) + now // 10_000_000_000 % 7,
        *,
        policies: tuple[tuple[str, int], ...] = (("None", 1),),
        users: dict[str, str] | None = None,
    ) -> None:
        self.url = url
        self.policies = policies
        self.users = users or {}
        self.variables = {f"{station}.{name}" for station in STATIONS for name in VARIABLES}
        self.written: dict[str, Any] = {}
        self.sessions = 0
        self.channels = 0
        self.subscriptions: dict[int, Subscription] = {}
        self._value = value

    def channel_number(self) -> int:
        """The number of a new secure channel."""
        self.channels += 1
        return self.channels

    def value(self, name: str, now: int) -> Any:
        """A variable's value with its time."""
        variant = self.written.get(name) or ua.Variant(float(self._value(name, now)), ua.VariantType.Double)
        return ua.DataValue(variant, SourceTimestamp=ua.win_epoch_to_datetime(file_time(now)))

    def answer(self, request: Any, now: int) -> Any:
        """The response to a request."""
        name = type(request).__name__.removesuffix("Request")
        make = getattr(self, f"_{name.lower()}", None)
        response = self.fault("BadServiceUnsupported") if make is None else make(request, now)
        response.ResponseHeader.Timestamp = ua.win_epoch_to_datetime(file_time(now))
        response.ResponseHeader.RequestHandle = request.RequestHeader.RequestHandle
        return response

    def fault(self, status: str) -> Any:
        """The answer that a service as a whole has failed."""
        response = ua.ServiceFault()
        response.ResponseHeader.ServiceResult = code(status)
        return response

    def endpoints(self) -> list[Any]:
        """What the server offers."""
        found: list[Any] = []
        for policy, mode in self.policies:
            endpoint = ua.EndpointDescription()
            endpoint.EndpointUrl = self.url
            endpoint.Server.ApplicationUri = "urn:waterworks:server"
            endpoint.Server.ApplicationName = ua.LocalizedText("Waterworks server")
            endpoint.ServerCertificate = certificate("server") if policy != "None" else None
            endpoint.SecurityMode = ua.MessageSecurityMode(mode)
            endpoint.SecurityPolicyUri = POLICY_URI + policy
            token = ua.UserTokenPolicy()
            token.PolicyId = "username" if self.users else "anonymous"
            token.TokenType = ua.UserTokenType.UserName if self.users else ua.UserTokenType.Anonymous
            endpoint.UserIdentityTokens = [token]
            endpoint.TransportProfileUri = "http://opcfoundation.org/UA-Profile/Transport/uatcp-uasc-uabinary"
            found.append(endpoint)
        return found

    def _getendpoints(self, request: Any, now: int) -> Any:  # noqa: ARG002
        response = ua.GetEndpointsResponse()
        response.Endpoints = self.endpoints()
        return response

    def _createsession(self, request: Any, now: int) -> Any:  # noqa: ARG002
        self.sessions += 1
        response = ua.CreateSessionResponse()
        response.Parameters.SessionId = node(f"session-{self.sessions}")
        response.Parameters.AuthenticationToken = node(f"token-{self.sessions}")
        response.Parameters.RevisedSessionTimeout = 60_000.0
        response.Parameters.ServerEndpoints = self.endpoints()
        return response

    def _activatesession(self, request: Any, now: int) -> Any:  # noqa: ARG002
        response = ua.ActivateSessionResponse()
        token = request.Parameters.UserIdentityToken
        if isinstance(token, ua.UserNameIdentityToken):
            if self.users.get(token.UserName) != (token.Password or b"").decode():
                return self.fault("BadUserAccessDenied")
        elif self.users:
            return self.fault("BadIdentityTokenRejected")
        return response

    def _closesession(self, request: Any, now: int) -> Any:  # noqa: ARG002
        return ua.CloseSessionResponse()

    def _read(self, request: Any, now: int) -> Any:
        response = ua.ReadResponse()
        response.Results = [
            self.value(str(item.NodeId.Identifier), now)
            if item.NodeId.Identifier in self.variables
            else ua.DataValue(StatusCode=code("BadNodeIdUnknown"))
            for item in request.Parameters.NodesToRead
        ]
        return response

    def _write(self, request: Any, now: int) -> Any:  # noqa: ARG002
        response = ua.WriteResponse()
        for item in request.Parameters.NodesToWrite:
            name = str(item.NodeId.Identifier)
            if name in self.variables:
                self.written[name] = item.Value.Value
            response.Results.append(code("Good" if name in self.variables else "BadNodeIdUnknown"))
        return response

    def _browse(self, request: Any, now: int) -> Any:  # noqa: ARG002
        response = ua.BrowseResponse()
        for item in request.Parameters.NodesToBrowse:
            result = ua.BrowseResult()
            name = item.NodeId.Identifier
            if name == ua.ObjectIds.ObjectsFolder:
                result.References = [_reference(station, station, ua.NodeClass.Object) for station in STATIONS]
            elif name in STATIONS:
                result.References = [_reference(f"{name}.{each}", each, ua.NodeClass.Variable) for each in VARIABLES]
            elif name not in self.variables:
                result.StatusCode = code("BadNodeIdUnknown")
            response.Results.append(result)
        return response

    def _call(self, request: Any, now: int) -> Any:  # noqa: ARG002
        response = ua.CallResponse()
        response.Results = [ua.CallMethodResult() for _ in request.Parameters.MethodsToCall]
        return response

    def _createsubscription(self, request: Any, now: int) -> Any:  # noqa: ARG002
        number = len(self.subscriptions) + 1
        self.subscriptions[number] = Subscription(str(request.RequestHeader.AuthenticationToken.Identifier))
        response = ua.CreateSubscriptionResponse()
        response.Parameters.SubscriptionId = number
        response.Parameters.RevisedPublishingInterval = request.Parameters.RequestedPublishingInterval
        response.Parameters.RevisedLifetimeCount = 10_000
        response.Parameters.RevisedMaxKeepAliveCount = 3_000
        return response

    def _createmonitoreditems(self, request: Any, now: int) -> Any:  # noqa: ARG002
        response = ua.CreateMonitoredItemsResponse()
        subscription = self.subscriptions[request.Parameters.SubscriptionId]
        for item in request.Parameters.ItemsToCreate:
            handle = item.RequestedParameters.ClientHandle
            subscription.items.append((handle, str(item.ItemToMonitor.NodeId.Identifier)))
            result = ua.MonitoredItemCreateResult()
            result.MonitoredItemId = len(subscription.items)
            result.RevisedSamplingInterval = 1_000.0
            result.RevisedQueueSize = 1
            response.Results.append(result)
        return response

    def _publish(self, request: Any, now: int) -> Any:
        session = str(request.RequestHeader.AuthenticationToken.Identifier)
        mine = [(number, each) for number, each in self.subscriptions.items() if each.session == session]
        if not mine:
            return self.fault("BadNoSubscription")
        number, subscription = mine[0]
        subscription.sequence += 1
        notification = ua.DataChangeNotification()
        for handle, name in subscription.items:
            item = ua.MonitoredItemNotification()
            item.ClientHandle = handle
            item.Value = self.value(name, now)
            notification.MonitoredItems.append(item)
        response = ua.PublishResponse()
        response.Parameters.SubscriptionId = number
        response.Parameters.MoreNotifications = False
        response.Parameters.NotificationMessage.SequenceNumber = subscription.sequence
        response.Parameters.NotificationMessage.PublishTime = ua.win_epoch_to_datetime(file_time(now))
        response.Parameters.NotificationMessage.NotificationData = [notification]
        return response

    def _republish(self, request: Any, now: int) -> Any:  # noqa: ARG002
        return self.fault("BadMessageNotAvailable")

    def _deletesubscriptions(self, request: Any, now: int) -> Any:  # noqa: ARG002
        response = ua.DeleteSubscriptionsResponse()
        for number in request.Parameters.SubscriptionIds:
            response.Results.append(code("Good" if number in self.subscriptions else "BadSubscriptionIdInvalid"))
        return response

    def _transfersubscriptions(self, request: Any, now: int) -> Any:  # noqa: ARG002
        response = ua.TransferSubscriptionsResponse()
        response.Parameters.Results = [ua.TransferResult() for _ in request.Parameters.SubscriptionIds]
        return response

    def _historyread(self, request: Any, now: int) -> Any:
        response = ua.HistoryReadResponse()
        for item in request.Parameters.NodesToRead:
            data = ua.HistoryData()
            count = request.Parameters.HistoryReadDetails.NumValuesPerNode
            data.DataValues = [
                self.value(str(item.NodeId.Identifier), now - back * HISTORY_SECONDS * 1_000_000_000) for back in range(count)
            ]
            result = ua.HistoryReadResult()
            result.HistoryData = data
            response.Results.append(result)
        return response

    def _historyupdate(self, request: Any, now: int) -> Any:  # noqa: ARG002
        response = ua.HistoryUpdateResponse()
        response.Results = [ua.HistoryUpdateResult()]
        return response

    def _addnodes(self, request: Any, now: int) -> Any:  # noqa: ARG002
        response = ua.AddNodesResponse()
        response.Results = [ua.AddNodesResult() for _ in request.Parameters.NodesToAdd]
        return response

    def _deletenodes(self, request: Any, now: int) -> Any:  # noqa: ARG002
        response = ua.DeleteNodesResponse()
        response.Results = [code("Good") for _ in request.Parameters.NodesToDelete]
        return response


def _reference(target: str, name: str, kind: Any) -> Any:
    reference = ua.ReferenceDescription()
    reference.ReferenceTypeId = standard(ua.ObjectIds.Organizes)
    reference.NodeId = ua.ExpandedNodeId(target, NAMESPACE)
    reference.BrowseName = ua.QualifiedName(name, NAMESPACE)
    reference.DisplayName = ua.LocalizedText(name)
    reference.NodeClass = kind
    return reference
