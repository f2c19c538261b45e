"""A cache that does not answer has nothing: that costs time, and no user an answer.

Without this an error of the cache's client is an error of the API, and every pod stops being ready when memcached goes."""

import logging
import time

from dogpile.cache.api import NO_VALUE
from dogpile.cache.proxy import ProxyBackend

LOG = logging.getLogger(__name__)
# Seconds between two complaints of a process.
QUIET = 60


class Forgiving(ProxyBackend):
    complained = -QUIET


def forgiving(name, otherwise):
    """The method of that name; when the cache fails, `otherwise` is its answer."""

    def method(self, *arguments):
        try:
            return getattr(self.proxied, name)(*arguments)
        except Exception as error:
            now = time.monotonic()
            if now - Forgiving.complained >= QUIET:
                Forgiving.complained = now
                LOG.warning("the cache does not answer: %s", error)
            return otherwise(*arguments)

    return method


def nothing(*_):
    return None


for ending in ("", "_serialized"):
    setattr(Forgiving, "get" + ending, forgiving("get" + ending, lambda _: NO_VALUE))
    setattr(Forgiving, "set" + ending, forgiving("set" + ending, nothing))
    several = ending + "_multi"
    setattr(Forgiving, "get" + several, forgiving("get" + several, lambda keys: [NO_VALUE] * len(keys)))
    setattr(Forgiving, "set" + several, forgiving("set" + several, nothing))
for name in ("delete", "delete_multi"):
    setattr(Forgiving, name, forgiving(name, nothing))
