"""A cache that does not answer has nothing: that costs time, and no user an answer.

Without this an error of the cache's client is an error of the API, and every pod stops being ready when memcached goes.
The option `proxies` names the class, so that every process that has a cache loads this file. The class itself does
nothing: Keystone has a second region, of what is invalid, which takes no proxies."""

import logging
import time

from dogpile.cache.api import NO_VALUE
from dogpile.cache.backends.memcached import GenericMemcachedBackend
from dogpile.cache.proxy import ProxyBackend

LOG = logging.getLogger(__name__)
# Seconds until a cache that failed is asked again, by one request.
REST = 10
# Seconds that it may take to connect, and to answer. A Service without a pod refuses most connections by silence.
CONNECT, ANSWER = 1, 3


class Forgiving(ProxyBackend):
    # When it is asked again; 0 while it answers.
    again = 0


def forgiving(method, otherwise, rests):
    """The method; when the cache fails, `otherwise` is its answer. What is invalid is said even to one that rests."""

    def call(self, *arguments):
        now = time.monotonic()
        if rests and now < Forgiving.again:
            return otherwise(*arguments)
        if Forgiving.again:
            # Whoever comes meanwhile does not wait, too.
            Forgiving.again = now + REST
        try:
            answer = method(self, *arguments)
        except Exception as error:
            if not Forgiving.again:
                LOG.warning("the cache does not answer: %s", error)
            Forgiving.again = time.monotonic() + REST
            return otherwise(*arguments)
        Forgiving.again = 0
        return answer

    return call


def nothing(*_):
    return None


METHODS = {
    "get": (lambda _: NO_VALUE, True),
    "get_multi": (lambda keys: [NO_VALUE] * len(keys), True),
    "set": (nothing, True),
    "set_multi": (nothing, True),
    "delete": (nothing, False),
    "delete_multi": (nothing, False),
}
for name, how in METHODS.items():
    setattr(GenericMemcachedBackend, name, forgiving(getattr(GenericMemcachedBackend, name), *how))

try:
    from pymemcache.client.base import Client
    from pymemcache.client.hash import HashClient
except ImportError:
    # Another client was chosen; its timeouts are options.
    pass
else:

    class Impatient(Client):
        def __init__(self, server, **options):
            options["connect_timeout"] = options.get("connect_timeout") or CONNECT
            options["timeout"] = options.get("timeout") or ANSWER
            super().__init__(server, **options)

    HashClient.client_class = Impatient
