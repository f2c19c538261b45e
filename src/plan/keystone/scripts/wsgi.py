"""The API, with its rules of access read before the first request.

Keystone reads them with the first request that needs them, and a second one in another thread at that moment finds only
half of them: it is refused with 403, although the user may do what was asked for.

One path is the operator's: there a pod proves which keys it sees."""

import sys

from keystone.common.rbac_enforcer.enforcer import RBACEnforcer
from keystone.server.wsgi import initialize_public_application

sys.path.insert(0, "/opt/keystone-operator")
import dbpassword  # noqa: E402, F401
import keyproof  # noqa: E402

serve = initialize_public_application()


def application(environ, start_response):
    if environ.get("PATH_INFO") == keyproof.PATH:
        return keyproof.answer(environ, start_response)
    return serve(environ, start_response)


# A name of Keystone's own, the same in every release since 2023.1. Without it the API serves as Keystone alone does.
enforcer = getattr(RBACEnforcer(), "_enforcer", None)
if enforcer is not None:
    enforcer.load_rules()
