"""Runs a command with the database's address in its environment: the password is known to the pod alone."""

import os
import sys
from urllib.parse import quote, urlencode


def connection(env):
    """The address, every part quoted: a password may have any character."""
    host = env["DB_HOST"]
    query = {"charset": "utf8mb4"}
    if env.get("DB_CA"):
        query["ssl_ca"] = env["DB_CA"]
    if env.get("DB_LOCK_WAIT"):
        # A schema change that waits for a lock makes every new reader of the table wait, too.
        query["init_command"] = "SET SESSION lock_wait_timeout=%d" % int(env["DB_LOCK_WAIT"])
    return "mysql+pymysql://%s:%s@%s:%d/%s?%s" % (
        quote(env["DB_USER"], safe=""),
        quote(env["DB_PASSWORD"], safe=""),
        "[%s]" % host if ":" in host else host,
        int(env["DB_PORT"]),
        quote(env["DB_NAME"], safe=""),
        urlencode(query, quote_via=quote),
    )


if __name__ == "__main__":
    os.environ["OS_DATABASE__CONNECTION"] = connection(os.environ)
    os.execvp(sys.argv[1], sys.argv[1:])
