#!/bin/sh
# PASSWORD, /tls/tls.crt and tls.key -> PostgreSQL on port 5432 with the database postgres of the user keycloak, by TLS alone.
set -eu
bin=$(echo /usr/lib/postgresql/*/bin)
data=/data/postgres

if ! test -s "$data/PG_VERSION"; then
    printf %s "$PASSWORD" >/tmp/password
    "$bin/initdb" --pgdata="$data" --username=keycloak --pwfile=/tmp/password --encoding=UTF8 --locale=C.UTF-8 --auth=scram-sha-256
    rm /tmp/password
fi
printf '%s\n' 'local all all scram-sha-256' 'hostssl all all all scram-sha-256' >"$data/pg_hba.conf"
exec "$bin/postgres" -D "$data" -c listen_addresses='*' -c unix_socket_directories=/tmp \
    -c ssl=on -c ssl_cert_file=/tls/tls.crt -c ssl_key_file=/tls/tls.key
