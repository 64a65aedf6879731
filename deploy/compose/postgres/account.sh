#!/bin/bash
# Makes icsight's account and its database, once, when the server's folder is new. The account owns this database and no more.
set -euo pipefail
password=$(cat "${SECRETS:-/run/secrets}/postgres-icsight")
psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres <<SQL
CREATE ROLE icsight LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD '$password';
CREATE DATABASE icsight OWNER icsight TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C.UTF-8';
REVOKE ALL ON DATABASE icsight FROM PUBLIC;
SQL
