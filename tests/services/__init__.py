"""The services that a distributed system runs on, started for real on this machine: Kafka, Elasticsearch, PostgreSQL."""
