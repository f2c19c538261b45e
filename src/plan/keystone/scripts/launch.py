"""Runs a command that finds the database: the password is known to the pod alone, and is kept in memory.

It goes into an option file and not into the address: `db_sync` takes no address with a percent sign, which every quoted
character has."""

import os
import sys

OPTIONS = "/run/keystone-operator/database.cnf"


def options(env):
    """The option file. Its values are quoted and taken literally."""
    values = {
        "host": env["DB_HOST"],
        "port": env["DB_PORT"],
        "user": env["DB_USER"],
        "password": env["DB_PASSWORD"],
        "ssl-ca": env.get("DB_CA"),
    }
    return "[client]\n" + "".join('%s = "%s"\n' % (name, value) for name, value in values.items() if value)


def connection(env):
    """The address, without a secret."""
    address = "mysql+pymysql:///%s?charset=utf8mb4&read_default_file=%s" % (env["DB_NAME"], OPTIONS)
    if env.get("DB_LOCK_WAIT"):
        # A schema change that waits for a lock makes every new reader of the table wait, too.
        address += "&init_command=SET+SESSION+lock_wait_timeout=%d" % int(env["DB_LOCK_WAIT"])
    return address


if __name__ == "__main__":
    with open(os.open(OPTIONS, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(options(os.environ))
    os.environ["OS_DATABASE__CONNECTION"] = connection(os.environ)
    os.execvp(sys.argv[1], sys.argv[1:])
