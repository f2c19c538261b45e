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
# Seconds between two complaints of a process.
QUIET = 60


class Forgiving(ProxyBackend):
    complained = -QUIET


def forgiving(method, otherwise):
    """The method; when the cache fails, `otherwise` is its answer."""

    def call(self, *arguments):
        try:
            return method(self, *arguments)
        except Exception as error:
            now = time.monotonic()
            if now - Forgiving.complained >= QUIET:
                Forgiving.complained = now
                LOG.warning("the cache does not answer: %s", error)
            return otherwise(*arguments)

    return call


def nothing(*_):
    return None


ANSWERS = {
    "get": lambda _: NO_VALUE,
    "get_multi": lambda keys: [NO_VALUE] * len(keys),
    "set": nothing,
    "set_multi": nothing,
    "delete": nothing,
    "delete_multi": nothing,
}
for name, answer in ANSWERS.items():
    setattr(GenericMemcachedBackend, name, forgiving(getattr(GenericMemcachedBackend, name), answer))
