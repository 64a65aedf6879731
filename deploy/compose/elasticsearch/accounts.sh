#!/bin/bash
# Gives icsight's processes accounts in Elasticsearch, each with what it needs: `setup` makes templates, `collector` stores and
# reads records, `serve` reads and removes them as its users ask. Doing it again sets the same.
# Reads passwords from SECRETS (/run/secrets), roles from ROLES (/etc/icsight), and the cluster's address from ELASTICSEARCH.
set -euo pipefail
secrets=${SECRETS:-/run/secrets}
roles=${ROLES:-/etc/icsight}
cluster=${ELASTICSEARCH:-https://elasticsearch:9200}

# The password is read by curl itself from what is no argument, so that no list of processes shows it.
ask() { # PATH [ARGUMENT...]
    local path=$1
    shift
    curl --silent --show-error --fail-with-body --max-time 30 --cacert "$secrets/ca.pem" \
        --config <(printf 'user = "elastic:%s"\n' "$(cat "$secrets/elasticsearch-elastic")") "$@" "$cluster$path"
}
put() { # PATH, body on standard input
    ask "$1" --header 'Content-Type: application/json' --request PUT --data-binary @- --output /dev/null
}

# A node answers before it knows its own first account.
for ((tries = 1; ; tries++)); do
    ask /_security/_authenticate --output /dev/null 2>/dev/null && break
    [ "$tries" -lt 60 ] || { ask /_security/_authenticate; exit 1; }
    sleep 2
done

for role in setup records; do
    put "/_security/role/icsight-$role" <"$roles/elasticsearch-role-$role.json"
done
account() { # NAME ROLE
    printf '{"password": "%s", "roles": ["%s"]}' "$(cat "$secrets/elasticsearch-$1")" "$2" | put "/_security/user/$1"
}
account setup icsight-setup
account collector icsight-records
account serve icsight-records
echo "accounts of Elasticsearch: setup, collector, serve"
