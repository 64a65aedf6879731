#!/bin/bash
# Runs Elasticsearch with a folder of settings in memory: its own file system is read-only, it keeps its keystore beside its
# settings, and it reads certificates from there alone.
set -euo pipefail
cp -r /usr/share/elasticsearch/config/. "$ES_PATH_CONF/"
cp /etc/icsight/elasticsearch.yml "$ES_PATH_CONF/elasticsearch.yml"
mkdir -p "$ES_PATH_CONF/certificates"
cp /run/secrets/ca.pem /run/secrets/elasticsearch.pem /run/secrets/elasticsearch.key "$ES_PATH_CONF/certificates/"
exec /usr/local/bin/docker-entrypoint.sh eswrapper
