"""One task against the database. What is worth knowing goes into the termination message, which the operator reads."""

import collections
import importlib.metadata
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

# Nothing was begun: the Job may try again.
NOT_BEGUN = 75
CURRENT, EXPAND, CONTRACT = 0, 2, 4
# Written by launch.py.
OPTIONS = "/run/keystone-operator/database.cnf"
LOCK_WAIT = "Lock wait timeout exceeded"
AHEAD = "Can't locate revision"
# Seconds between two tries to get a lock: whoever waits behind us has a breath, and a long transaction its time.
PAUSES = (2, 5, 10, 20, 30, 60)
# Seconds that another try may take: what is ended by the deadline cannot say why it waited.
TRY = 15
# Set when the pod is asked to end: what runs runs to its end, and nothing more is begun.
stopping = threading.Event()


def end(code, text):
    """Leaves the text to the operator, and room for what it has to say itself."""
    with open("/dev/termination-log", "w", encoding="utf-8") as file:
        file.write(text[:2000])
    sys.exit(code)


def essence(text):
    """The lines that name errors, the last one first: statements and stack traces are longer than a message may be."""
    lines = [re.sub(r"^\S+ \S+ \d+ [A-Z]+ \S+ ", "", line) for line in text.splitlines()]
    telling = [line for line in lines if re.search(r"\(\d{4}, |Error\b|Exception\b|does not exist", line)]
    return "\n".join(reversed(telling[-8:])) or "\n".join(lines[-12:])


def run(*command):
    """Runs to the end, also when the pod is asked to stop: half a schema change cannot be repeated."""
    print("+", *command, flush=True)
    lines = collections.deque(maxlen=200)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace") as child:
        for line in child.stdout:
            print(line, end="", flush=True)
            lines.append(line)
    return child.returncode, "".join(lines)


def wait_for_database():
    """A database that cannot be reached or does not let us in is found before anything is begun."""
    import pymysql

    deadline = time.monotonic() + 30
    while True:
        try:
            pymysql.connect(read_default_file=OPTIONS, database=os.environ["DB_NAME"], connect_timeout=5).close()
            return
        except pymysql.err.OperationalError as error:
            print(error, flush=True)
            # 2003 cannot connect, 2013 lost, 1040 too many connections: may pass.
            passes = error.args[0] in (2003, 2013, 1040)
            if not passes or time.monotonic() > deadline or stopping.is_set():
                end(NOT_BEGUN, str(error))
        stopping.wait(3)


def change(*arguments):
    """A change of the schema: once, but for a lock that somebody held for too long."""
    last = time.monotonic() + int(os.environ["JOB_DEADLINE"]) - TRY
    for pause in (*PAUSES, None):
        code, text = run("keystone-manage", "db_sync", *arguments)
        if code == 0:
            end(0, "")
        again = LOCK_WAIT in text and pause is not None and time.monotonic() + pause < last
        if not again or stopping.wait(pause):
            end(1, essence(text))


def repeatable(*command):
    """A command that does no harm when it is repeated."""
    code, text = run(*command)
    end(0 if code == 0 else NOT_BEGUN, "" if code == 0 else essence(text))


def check():
    code, text = run("keystone-manage", "db_sync", "--check")
    ahead = code == 1 and AHEAD in text
    if code not in (CURRENT, EXPAND, CONTRACT) and not ahead:
        end(NOT_BEGUN, essence(text))
    report = {
        "version": importlib.metadata.version("keystone"),
        "check": code,
        "ahead": ahead,
        "doctor": run("keystone-manage", "doctor")[0],
        "upgradeCheck": run("keystone-status", "upgrade", "check")[0],
    }
    end(0, json.dumps(report))


def bootstrap():
    env = os.environ
    repeatable(
        "keystone-manage",
        "bootstrap",
        "--bootstrap-username", env["ADMIN_USER"],
        "--bootstrap-region-id", env["REGION"],
        "--bootstrap-public-url", env["PUBLIC_URL"],
        "--bootstrap-internal-url", env["INTERNAL_URL"],
        "--bootstrap-admin-url", env["INTERNAL_URL"],
    )  # fmt: skip


def request(method, pod, headers, body=None):
    """Status, headers and text of the answer of a pod."""
    data = json.dumps(body).encode() if body else None
    headers = {"Content-Type": "application/json", **headers}
    host = "[%s]" % pod if ":" in pod else pod
    url = "http://%s:5000/v3/auth/tokens" % host
    try:
        with urllib.request.urlopen(
            urllib.request.Request(url, data=data, headers=headers, method=method), timeout=30
        ) as answer:
            return answer.status, answer.headers, answer.read().decode(errors="replace")
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read().decode(errors="replace")
    except OSError as error:
        return 0, {}, str(error)


def verify():
    """A token of one pod is accepted, and revoked, by another."""
    env = os.environ
    pods = env["PODS"].split(",")
    domain = {"id": "default"}
    user = {"name": env["ADMIN_USER"], "domain": domain, "password": env["OS_BOOTSTRAP_PASSWORD"]}
    body = {
        "auth": {
            "identity": {"methods": ["password"], "password": {"user": user}},
            "scope": {"project": {"name": "admin", "domain": domain}},
        }
    }
    status, headers, text = request("POST", pods[0], {}, body)
    if status != 201:
        end(NOT_BEGUN, "issuing a token at pod %s: %d %s" % (pods[0], status, text))
    token = headers["X-Subject-Token"]
    both = {"X-Auth-Token": token, "X-Subject-Token": token}
    for method, expected in (("GET", 200), ("DELETE", 204)):
        status, _, text = request(method, pods[-1], both)
        if status != expected:
            end(NOT_BEGUN, "%s of a token of pod %s at pod %s: %d %s" % (method, pods[0], pods[-1], status, text))
    end(0, json.dumps({"issuedBy": pods[0], "validatedBy": pods[-1]}))


TASKS = {
    "sync": change,
    "expand": lambda: change("--expand"),
    "contract": lambda: change("--contract"),
    "migrate": lambda: repeatable("keystone-manage", "db_sync", "--migrate"),
    "bootstrap": bootstrap,
    "check": check,
    "verify": verify,
}

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    if sys.argv[1] != "verify":
        wait_for_database()
    TASKS[sys.argv[1]]()
