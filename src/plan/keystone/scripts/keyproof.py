"""Which keys a pod sees, said only to those who have them, too.

Whoever asks sends a number that nobody used before, and the answer is a hash of it that only the same keys make. It tells
nothing to anybody else, so no password is needed."""

import hashlib
import hmac
import os
import urllib.parse

FOLDERS = {"fernet": "/etc/keystone/fernet-keys", "credential": "/etc/keystone/credential-keys"}
PATH = "/keystone-operator/keys"


def read(folder):
    """The keys by their number, as Keystone takes them: what has no number or no content is none."""
    keys = {}
    for name in os.listdir(folder):
        if name.isdigit() and str(int(name)) == name:
            with open(os.path.join(folder, name), "rb") as file:
                content = file.read()
            if content.strip():
                keys[int(name)] = content
    return keys


def digest(keys):
    """A hash of the whole set."""
    whole = hashlib.sha256()
    for number in sorted(keys):
        whole.update(b"%d:%d:" % (number, len(keys[number])))
        whole.update(keys[number])
    return whole


def name_of(keys):
    """The name of the set; the operator gives it the same (set.rs)."""
    return digest(keys).hexdigest()[:16]


def proof(keys, nonce):
    """What only those can say who have the keys."""
    return hmac.new(digest(keys).digest(), nonce.encode(), hashlib.sha256).hexdigest()


def answer(environ, start_response):
    """As a WSGI application."""
    query = urllib.parse.parse_qs(environ.get("QUERY_STRING", ""))
    nonce = query.get("nonce", [""])[0][:64]
    folder = FOLDERS.get(query.get("repository", [""])[0])
    status, text = "404 Not Found", ""
    if folder and nonce:
        status, text = "200 OK", proof(read(folder), nonce)
    body = text.encode()
    start_response(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
