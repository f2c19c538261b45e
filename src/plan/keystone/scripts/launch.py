"""Runs a command that finds the database: the password is known to the pod alone, and is kept in memory.

It goes into an option file and not into the address: `db_sync` takes no address with a percent sign, which every quoted
character has."""

import os
import sys

OPTIONS = "/run/keystone-operator/database.cnf"
# What serves, as opposed to Jobs, which look for themselves.
SERVER = "uwsgi"
# The password, the user or the schema is not what it should be: that does not pass by itself.
REFUSALS = (1044, 1045, 1049)


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


def refusal(env):
    """What the database says when it does not let us in."""
    import pymysql

    try:
        pymysql.connect(read_default_file=OPTIONS, database=env["DB_NAME"], connect_timeout=5).close()
    except Exception as error:
        # One that is away comes back; the server finds out about anything else.
        return str(error) if error.args and error.args[0] in REFUSALS else None
    return None


if __name__ == "__main__":
    with open(os.open(OPTIONS, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(options(os.environ))
    said = sys.argv[1] == SERVER and refusal(os.environ)
    if said:
        # The operator reads it there. The container starts again, with the password that the Secret has then.
        with open("/dev/termination-log", "w", encoding="utf-8") as file:
            file.write(said)
        sys.exit(said)
    # What the configuration names lies beside this file.
    paths = [os.path.dirname(os.path.abspath(__file__)), os.environ.get("PYTHONPATH")]
    os.environ["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    os.environ["OS_DATABASE__CONNECTION"] = connection(os.environ)
    os.execvp(sys.argv[1], sys.argv[1:])
