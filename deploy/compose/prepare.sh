#!/usr/bin/env bash
# Makes what compose.yaml reads from files, in deploy/compose/secrets/: an authority, a certificate for each process, a password
# for each account, and .env beside compose.yaml. Passwords are drawn at random; there is none to begin with.
#
#   prepare.sh NAME [NAME...]    everything that is not there yet; NAME: how browsers and sensors call this machine. Certificates
#                                are made anew where the names are others than before
#   prepare.sh --renew           certificates anew from the same authority, for the same names; passwords stay
#
# Each file belongs to the user of the container that reads it, so run it as root; with an engine that maps users by itself
# (rootless), give --keep-owner first.
set -euo pipefail
umask 077
cd "$(dirname "${BASH_SOURCE[0]}")"
days=397
keep_owner=
if [ "${1:-}" = --keep-owner ]; then keep_owner=1; shift; fi
renew=
if [ "${1:-}" = --renew ]; then renew=1; shift; fi
say() { echo "prepare: $*" >&2; exit 2; }
command -v openssl >/dev/null || say "openssl is not installed"
[ -n "$keep_owner" ] || [ "$(id -u)" = 0 ] || say "run it as root, who can give files to the containers' users, or give --keep-owner"
folder=${ICSIGHT_SECRETS:-secrets}
mkdir -p "$folder/authority"
if [ -n "$renew" ]; then
    [ $# = 0 ] && [ -s "$folder/authority/names" ] || say "--renew takes no name, and needs what prepare.sh has made before"
    mapfile -t names <"$folder/authority/names"
else
    [ $# -gt 0 ] || say "how do browsers and sensors call this machine? Give its names"
    names=("$@")
    if [ -s "$folder/authority/names" ] && [ "$(printf '%s\n' "$@")" != "$(cat "$folder/authority/names")" ]; then renew=1; fi
fi
for name in "${names[@]}"; do
    [[ $name =~ ^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$ ]] || say "$name is no host name"
done
printf '%s\n' "${names[@]}" >"$folder/authority/names"

authority() {
    [ -s "$folder/authority/ca.key" ] && return
    openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$folder/authority/ca.key"
    openssl req -x509 -new -key "$folder/authority/ca.key" -sha256 -days 3650 -subj "/CN=icsight authority" \
        -addext "basicConstraints=critical,CA:TRUE,pathlen:0" -addext "keyUsage=critical,keyCertSign,cRLSign" -out "$folder/ca.pem"
}

certificate() { # FILE COMMON-NAME [DNS...]
    local file=$folder/$1 name=$2 draft
    shift 2
    [ -z "$renew" ] && [ -s "$file.pem" ] && return
    draft=$(mktemp -d)
    {
        echo "basicConstraints=critical,CA:FALSE"
        echo "keyUsage=critical,digitalSignature"
        echo "extendedKeyUsage=clientAuth${1:+,serverAuth}"
        if [ $# -gt 0 ]; then echo "subjectAltName=$(printf ',DNS:%s' "$@" | cut -c2-)"; fi
    } >"$draft/extensions"
    openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$draft/key"
    openssl req -new -key "$draft/key" -subj "/CN=$name" -out "$draft/request"
    openssl x509 -req -in "$draft/request" -CA "$folder/ca.pem" -CAkey "$folder/authority/ca.key" -sha256 -days "$days" \
        -set_serial "0x$(openssl rand -hex 16)" -extfile "$draft/extensions" -out "$draft/certificate" 2>/dev/null
    mv "$draft/key" "$file.key"
    mv "$draft/certificate" "$file.pem"
    rm -r "$draft"
}

password() { # FILE: 192 bits, in letters that no file format takes for its own
    [ -s "$folder/$1" ] || openssl rand -hex 24 | tr -d '\n' >"$folder/$1"
}

give() { # USER FILE...
    local user=$1
    shift
    local file
    for file; do
        chmod 0400 "$folder/$file"
        [ -n "$keep_owner" ] || chown "$user" "$folder/$file"
    done
}

authority
certificate kafka-broker kafka kafka "${names[@]}"
cat "$folder/kafka-broker.key" "$folder/kafka-broker.pem" >"$folder/kafka.pem"
certificate elasticsearch elasticsearch elasticsearch localhost
certificate postgres postgres postgres
certificate serve serve serve localhost "${names[@]}"
certificate kafka-admin icsight-admin
certificate kafka-collector icsight-collect
certificate kafka-detection icsight-detect
certificate kafka-serve icsight-serve
for account in elasticsearch-elastic elasticsearch-setup elasticsearch-collector elasticsearch-serve postgres-superuser postgres-icsight; do
    password "$account"
done

chmod 0444 "$folder/ca.pem"
chmod 0755 "$folder"
give 1000:1000 kafka.pem
give 1000:0 elasticsearch.pem elasticsearch.key elasticsearch-elastic
give 999:999 postgres.pem postgres.key postgres-superuser postgres-icsight
give 10001:10001 serve.pem serve.key kafka-{admin,collector,detection,serve}.{pem,key}
# What two containers read that run as different users is there once for each.
for account in setup collector serve; do
    cp -f "$folder/elasticsearch-$account" "$folder/elasticsearch-$account.accounts"
    give 10001:10001 "elasticsearch-$account"
    give 1000:0 "elasticsearch-$account.accounts"
done
cp -f "$folder/postgres-icsight" "$folder/postgres-icsight.serve"
give 10001:10001 postgres-icsight.serve

if [ ! -s "$folder/authority/cluster" ]; then openssl rand 16 | basenc --base64url | tr -d '=\n' >"$folder/authority/cluster"; fi
cat >"${ICSIGHT_ENVIRONMENT:-.env}" <<ENVIRONMENT
# Made by prepare.sh; no secret is in here.
ICSIGHT_NAME=${names[0]}
ICSIGHT_SERVE_HOST_NAMES=[$(printf ',"%s"' "${names[@]}" | cut -c2-)]
KAFKA_CLUSTER_ID=$(cat "$folder/authority/cluster")
ENVIRONMENT
echo "prepared: $folder, for ${names[*]}"
