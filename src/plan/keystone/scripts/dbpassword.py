"""Each new connection to the database has the password that the Secret has then.

A container keeps its environment for as long as it lives, and a server that is up is never started again only because the
database refuses it: with what it began with it would be kept out for good."""

import pymysql
from sqlalchemy import event
from sqlalchemy.engine import Engine

# The kubelet writes it anew some time after the Secret has changed, within two minutes.
FILE = "/etc/keystone-database/password"
REFUSED = 1045


def current():
    """What takes the place of the password that the pod began with; nothing without a file."""
    try:
        with open(FILE, encoding="utf-8") as file:
            return {"password": file.read()}
    except OSError:
        return {}


@event.listens_for(Engine, "do_connect")
def connect(dialect, _record, positional, named):
    """The connection. The file may be older than what the pod began with: then that one is right."""
    newer = current()
    try:
        return dialect.connect(*positional, **{**named, **newer})
    except pymysql.err.OperationalError as error:
        if error.args[0] != REFUSED or not newer:
            raise
        return dialect.connect(*positional, **named)
