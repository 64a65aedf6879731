#!/bin/bash
# Formats the data folder where it is new, and runs the broker. KAFKA_CLUSTER_ID and SENSORS_ADDRESS come from the compose file.
set -euo pipefail
properties=/etc/icsight/server.properties
/opt/kafka/bin/kafka-storage.sh format --ignore-formatted --cluster-id "$KAFKA_CLUSTER_ID" --config "$properties"
exec /opt/kafka/bin/kafka-server-start.sh "$properties" \
    --override "advertised.listeners=INTERNAL://kafka:9092,SENSORS://$SENSORS_ADDRESS"
