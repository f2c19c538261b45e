"""Rotates keys into a Secret that the operator looks at, and asks every pod whether it has the published ones."""

import base64
import datetime
import http.client
import json
import os
import secrets
import ssl
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

# Beside this file.
import job

# Where the files of the pods that serve are.
sys.path.insert(0, "/opt/keystone-operator")
import keyproof  # noqa: E402

ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
# Its files are in memory.
SCRATCH = "/run/keystone-operator"
# Seconds until pods that do not have the keys are reported.
PATIENCE = 100

# What Keystone calls them in its configuration, what has to be done before keys of them may go, and how they rotate.
REPOSITORIES = {
    "fernet": {"sections": ("FERNET_TOKENS", "FERNET_RECEIPTS"), "settle": None, "rotate": "fernet_rotate"},
    "credential": {"sections": ("CREDENTIAL",), "settle": "credential_migrate", "rotate": "credential_rotate"},
}


def manage(command):
    """A command of Keystone that does no harm when it is repeated."""
    code, text = job.run("keystone-manage", command)
    if code:
        job.end(job.NOT_BEGUN, "keystone-manage %s: %s" % (command, job.essence(text)))


def settle(repository):
    """Everything in the database is encrypted with the key that encrypts now."""
    command = REPOSITORIES[repository]["settle"]
    if command:
        job.wait_for_database()
        manage(command)


def rotate(repository):
    """Keystone rotates a copy of the published keys; what it makes of them is staged."""
    published = keyproof.read(keyproof.FOLDERS[repository])
    folder = tempfile.mkdtemp(dir=SCRATCH)
    for number, content in published.items():
        with open(os.open(os.path.join(folder, str(number)), os.O_CREAT | os.O_WRONLY, 0o600), "wb") as file:
            file.write(content)
    for section in REPOSITORIES[repository]["sections"]:
        os.environ["OS_%s__KEY_REPOSITORY" % section] = folder
        os.environ["OS_%s__MAX_ACTIVE_KEYS" % section] = os.environ["KEYS_MAX"]
    settle(repository)
    manage(REPOSITORIES[repository]["rotate"])
    new = keyproof.read(folder)
    if new == published:
        # It says so of a folder that it cannot use, too.
        job.end(1, "keystone-manage %s ended well and rotated nothing" % REPOSITORIES[repository]["rotate"])
    stage(published, new)
    job.end(0, json.dumps({"staged": keyproof.name_of(new)}))


def stage(published, new):
    """Replaces what the Secret has: it is the operator's from here on."""
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    prefix = "keystone.openstack.org/"
    annotations = {prefix + "rotated-from": keyproof.name_of(published), prefix + "rotated-at": now}
    data = {str(number): base64.b64encode(content).decode() for number, content in new.items()}
    patch = [
        {"op": "add", "path": "/metadata/annotations", "value": annotations},
        {"op": "add", "path": "/data", "value": data},
    ]
    with open(ACCOUNT + "/token", encoding="ascii") as file:
        headers = {"Authorization": "Bearer " + file.read().strip(), "Content-Type": "application/json-patch+json"}
    host = os.environ["KUBERNETES_SERVICE_HOST"]
    host = "[%s]" % host if ":" in host else host
    path = "/api/v1/namespaces/%s/secrets/%s" % (os.environ["NAMESPACE"], os.environ["STAGING"])
    url = "https://%s:%s%s" % (host, os.environ["KUBERNETES_SERVICE_PORT"], path)
    request = urllib.request.Request(url, data=json.dumps(patch).encode(), headers=headers, method="PATCH")
    context = ssl.create_default_context(cafile=ACCOUNT + "/ca.crt")
    try:
        urllib.request.urlopen(request, timeout=30, context=context).close()
    except urllib.error.HTTPError as error:
        job.end(job.NOT_BEGUN, "PATCH %s: %d %s" % (path, error.code, error.read().decode(errors="replace")))
    except OSError as error:
        job.end(job.NOT_BEGUN, "PATCH %s: %s" % (path, error))


def has(address, repository, keys):
    """Whether the pod proves that it has the keys."""
    nonce = secrets.token_hex(16)
    query = urllib.parse.urlencode({"repository": repository, "nonce": nonce})
    host = "[%s]" % address if ":" in address else address
    try:
        with urllib.request.urlopen("http://%s:5000%s?%s" % (host, keyproof.PATH, query), timeout=10) as answer:
            return secrets.compare_digest(answer.read(), keyproof.proof(keys, nonce).encode())
    except (OSError, http.client.HTTPException) as error:
        print(address, error, flush=True)
        return False


def confirm(repository):
    """Every pod has the published keys; only then are the old ones not used for anything new any more."""
    keys = keyproof.read(keyproof.FOLDERS[repository])
    if keyproof.name_of(keys) != os.environ["KEYS"]:
        job.end(job.NOT_BEGUN, "this pod does not have the published keys itself")
    lagging = dict(pod.split("=", 1) for pod in os.environ["PODS"].split(","))
    end = time.monotonic() + PATIENCE
    while True:
        lagging = {name: address for name, address in lagging.items() if not has(address, repository, keys)}
        if not lagging:
            break
        if time.monotonic() > end:
            job.end(job.NOT_BEGUN, json.dumps({"lagging": sorted(lagging)}))
        time.sleep(2)
    settle(repository)
    job.end(0, json.dumps({"confirmed": os.environ["KEYS"]}))


if __name__ == "__main__":
    {"rotate": rotate, "confirm": confirm}[sys.argv[1]](sys.argv[2])
