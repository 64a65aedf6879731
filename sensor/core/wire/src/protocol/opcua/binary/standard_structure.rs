//! Structures of the specification that values often have (OPC 10000-3, 8; OPC 10000-5, 12; OPC 10000-8, 5.6).

/// Name, data type and rank of a field.
type StandardField = (&'static str, u32, i32);

/// Numbers of the data type and of its binary encoding, and the fields.
pub(super) const STANDARD: &[(u32, u32, &[StandardField])] = &[
    // Argument.
    (
        296,
        298,
        &[("Name", 12, -1), ("DataType", 17, -1), ("ValueRank", 6, -1), ("ArrayDimensions", 7, 1), ("Description", 21, -1)],
    ),
    // ApplicationDescription.
    (
        308,
        310,
        &[
            ("ApplicationUri", 12, -1),
            ("ProductUri", 12, -1),
            ("ApplicationName", 21, -1),
            ("ApplicationType", 6, -1),
            ("GatewayServerUri", 12, -1),
            ("DiscoveryProfileUri", 12, -1),
            ("DiscoveryUrls", 12, 1),
        ],
    ),
    // BuildInfo.
    (
        338,
        340,
        &[
            ("ProductUri", 12, -1),
            ("ManufacturerName", 12, -1),
            ("ProductName", 12, -1),
            ("SoftwareVersion", 12, -1),
            ("BuildNumber", 12, -1),
            ("BuildDate", 294, -1),
        ],
    ),
    // RedundantServerDataType.
    (853, 855, &[("ServerId", 12, -1), ("ServiceLevel", 3, -1), ("ServerState", 6, -1)]),
    // SamplingIntervalDiagnosticsDataType.
    (
        856,
        858,
        &[
            ("SamplingInterval", 290, -1),
            ("MonitoredItemCount", 7, -1),
            ("MaxMonitoredItemCount", 7, -1),
            ("DisabledMonitoredItemCount", 7, -1),
        ],
    ),
    // ServerDiagnosticsSummaryDataType.
    (
        859,
        861,
        &[
            ("ServerViewCount", 7, -1),
            ("CurrentSessionCount", 7, -1),
            ("CumulatedSessionCount", 7, -1),
            ("SecurityRejectedSessionCount", 7, -1),
            ("RejectedSessionCount", 7, -1),
            ("SessionTimeoutCount", 7, -1),
            ("SessionAbortCount", 7, -1),
            ("CurrentSubscriptionCount", 7, -1),
            ("CumulatedSubscriptionCount", 7, -1),
            ("PublishingIntervalCount", 7, -1),
            ("SecurityRejectedRequestsCount", 7, -1),
            ("RejectedRequestsCount", 7, -1),
        ],
    ),
    // ServerStatusDataType.
    (
        862,
        864,
        &[
            ("StartTime", 294, -1),
            ("CurrentTime", 294, -1),
            ("State", 6, -1),
            ("BuildInfo", 338, -1),
            ("SecondsTillShutdown", 7, -1),
            ("ShutdownReason", 21, -1),
        ],
    ),
    // SessionDiagnosticsDataType.
    (
        865,
        867,
        &[
            ("SessionId", 17, -1),
            ("SessionName", 12, -1),
            ("ClientDescription", 308, -1),
            ("ServerUri", 12, -1),
            ("EndpointUrl", 12, -1),
            ("LocaleIds", 295, 1),
            ("ActualSessionTimeout", 290, -1),
            ("MaxResponseMessageSize", 7, -1),
            ("ClientConnectionTime", 294, -1),
            ("ClientLastContactTime", 294, -1),
            ("CurrentSubscriptionsCount", 7, -1),
            ("CurrentMonitoredItemsCount", 7, -1),
            ("CurrentPublishRequestsInQueue", 7, -1),
            ("TotalRequestCount", 871, -1),
            ("UnauthorizedRequestCount", 7, -1),
            ("ReadCount", 871, -1),
            ("HistoryReadCount", 871, -1),
            ("WriteCount", 871, -1),
            ("HistoryUpdateCount", 871, -1),
            ("CallCount", 871, -1),
            ("CreateMonitoredItemsCount", 871, -1),
            ("ModifyMonitoredItemsCount", 871, -1),
            ("SetMonitoringModeCount", 871, -1),
            ("SetTriggeringCount", 871, -1),
            ("DeleteMonitoredItemsCount", 871, -1),
            ("CreateSubscriptionCount", 871, -1),
            ("ModifySubscriptionCount", 871, -1),
            ("SetPublishingModeCount", 871, -1),
            ("PublishCount", 871, -1),
            ("RepublishCount", 871, -1),
            ("TransferSubscriptionsCount", 871, -1),
            ("DeleteSubscriptionsCount", 871, -1),
            ("AddNodesCount", 871, -1),
            ("AddReferencesCount", 871, -1),
            ("DeleteNodesCount", 871, -1),
            ("DeleteReferencesCount", 871, -1),
            ("BrowseCount", 871, -1),
            ("BrowseNextCount", 871, -1),
            ("TranslateBrowsePathsToNodeIdsCount", 871, -1),
            ("QueryFirstCount", 871, -1),
            ("QueryNextCount", 871, -1),
            ("RegisterNodesCount", 871, -1),
            ("UnregisterNodesCount", 871, -1),
        ],
    ),
    // ServiceCounterDataType.
    (871, 873, &[("TotalCount", 7, -1), ("ErrorCount", 7, -1)]),
    // SubscriptionDiagnosticsDataType.
    (
        874,
        876,
        &[
            ("SessionId", 17, -1),
            ("SubscriptionId", 7, -1),
            ("Priority", 3, -1),
            ("PublishingInterval", 290, -1),
            ("MaxKeepAliveCount", 7, -1),
            ("MaxLifetimeCount", 7, -1),
            ("MaxNotificationsPerPublish", 7, -1),
            ("PublishingEnabled", 1, -1),
            ("ModifyCount", 7, -1),
            ("EnableCount", 7, -1),
            ("DisableCount", 7, -1),
            ("RepublishRequestCount", 7, -1),
            ("RepublishMessageRequestCount", 7, -1),
            ("RepublishMessageCount", 7, -1),
            ("TransferRequestCount", 7, -1),
            ("TransferredToAltClientCount", 7, -1),
            ("TransferredToSameClientCount", 7, -1),
            ("PublishRequestCount", 7, -1),
            ("DataChangeNotificationsCount", 7, -1),
            ("EventNotificationsCount", 7, -1),
            ("NotificationsCount", 7, -1),
            ("LatePublishRequestCount", 7, -1),
            ("CurrentKeepAliveCount", 7, -1),
            ("CurrentLifetimeCount", 7, -1),
            ("UnacknowledgedMessageCount", 7, -1),
            ("DiscardedMessageCount", 7, -1),
            ("MonitoredItemCount", 7, -1),
            ("DisabledMonitoredItemCount", 7, -1),
            ("MonitoringQueueOverflowCount", 7, -1),
            ("NextSequenceNumber", 7, -1),
            ("EventQueueOverflowCount", 7, -1),
        ],
    ),
    // ModelChangeStructureDataType.
    (877, 879, &[("Affected", 17, -1), ("AffectedType", 17, -1), ("Verb", 3, -1)]),
    // Range.
    (884, 886, &[("Low", 11, -1), ("High", 11, -1)]),
    // EUInformation.
    (887, 889, &[("NamespaceUri", 12, -1), ("UnitId", 6, -1), ("DisplayName", 21, -1), ("Description", 21, -1)]),
    // Annotation.
    (891, 893, &[("Message", 12, -1), ("UserName", 12, -1), ("AnnotationTime", 294, -1)]),
    // SemanticChangeStructureDataType.
    (897, 899, &[("Affected", 17, -1), ("AffectedType", 17, -1)]),
    // EnumValueType.
    (7594, 8251, &[("Value", 8, -1), ("DisplayName", 21, -1), ("Description", 21, -1)]),
    // TimeZoneDataType.
    (8912, 8917, &[("Offset", 4, -1), ("DaylightSavingInOffset", 1, -1)]),
    // AxisInformation.
    (
        12079,
        12089,
        &[("EngineeringUnits", 887, -1), ("EURange", 884, -1), ("Title", 21, -1), ("AxisScaleType", 6, -1), ("AxisSteps", 11, 1)],
    ),
    // XVType.
    (12080, 12090, &[("X", 11, -1), ("Value", 10, -1)]),
    // ComplexNumberType.
    (12171, 12181, &[("Real", 10, -1), ("Imaginary", 10, -1)]),
    // DoubleComplexNumberType.
    (12172, 12182, &[("Real", 11, -1), ("Imaginary", 11, -1)]),
];
