"""Ready means: can authenticate. The keys are readable, and a user that does not exist is refused by the database's word.

The name of the user is no name that anybody has: no account is ever locked by this."""

import http.client
import json
import os
import sys

KEYS = "/etc/keystone/fernet-keys"
BODY = {
    "auth": {
        "identity": {
            "methods": ["password"],
            "password": {"user": {"name": "readiness-probe", "domain": {"id": "default"}, "password": "none"}},
        }
    }
}


def keys():
    """How many keys there are; a key that cannot be read is an error."""
    found = 0
    for name in os.listdir(KEYS):
        if name.isdigit():
            with open(os.path.join(KEYS, name), encoding="ascii") as file:
                found += bool(file.read().strip())
    return found


def answer():
    """The status of an authentication that must fail."""
    connection = http.client.HTTPConnection("127.0.0.1", 5000, timeout=float(sys.argv[1]))
    connection.request("POST", "/v3/auth/tokens", json.dumps(BODY), {"Content-Type": "application/json"})
    return connection.getresponse().status


if not keys():
    sys.exit("%s has no key" % KEYS)
status = answer()
if status != 401:
    sys.exit("an authentication that must be refused was answered with %d, not 401" % status)
