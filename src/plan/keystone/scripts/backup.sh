# The database, and the keys where they are wanted, complete or not at all: what cannot be verified never gets its name.
set -eu
# There may be keys in it.
umask 077
fail() {
    printf '%s\n' "$1" | tail -c 2000 >/dev/termination-log
    printf '%s\n' "$1" >&2
    exit 1
}
dump=$(command -v mariadb-dump || command -v mysqldump) || fail "the image has neither mariadb-dump nor mysqldump"
target="/backup/$BACKUP_PATH"
partial="$target.partial"
if [ ! -d "$target" ]; then
    rm -rf "$partial"
    mkdir -p "$partial" || fail "the claim cannot be written to"
    set -- --host="$DB_HOST" --port="$DB_PORT" --user="$DB_USER" --protocol=tcp
    if [ -n "${DB_CA:-}" ]; then set -- "$@" --ssl-ca="$DB_CA"; fi
    if ! errors=$(MYSQL_PWD="$DB_PASSWORD" "$dump" "$@" --single-transaction --quick --no-tablespaces \
        --default-character-set=utf8mb4 --result-file="$partial/database.sql" "$DB_NAME" 2>&1); then
        fail "$dump: $errors"
    fi
    tail -n 5 "$partial/database.sql" | grep -q "Dump completed" || fail "the dump has no end: it is not complete"
    grep -q "alembic_version" "$partial/database.sql" || fail "the dump has no table alembic_version: no Keystone"
    cd "$partial"
    set -- database.sql
    # Names of folders, or none.
    for keys in ${BACKUP_KEYS:-}; do
        mkdir "$keys"
        cp -L "/etc/keystone/$keys"/[0-9]* "$keys/" || fail "the keys in $keys cannot be copied"
        set -- "$@" "$keys"/*
    done
    sha256sum "$@" >SHA256SUMS || fail "no check sums"
    cd /
    sync
    mv "$partial" "$target"
fi
(cd "$target" && sha256sum -c SHA256SUMS >/dev/null) || fail "$BACKUP_PATH does not match its check sums"
printf '{"path": "%s"}' "$BACKUP_PATH" >/dev/termination-log
echo "$BACKUP_PATH is complete"
