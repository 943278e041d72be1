"""Mode `allow`: programs that people use reach what is allowed, and say something fit when it is not.

Run by: pytest. Each with the proxy's variables and without them: most programs know proxies, some ignore
them (node), and some cannot even resolve a name (a static program).
"""

from __future__ import annotations

import glob
import os
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pytest
from support import callers, faults, served
from support import internet_map as at
from support.questions import CA, INSIDE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.internet import Internet
    from support.questions import Asker

pytestmark = pytest.mark.usefixtures("nothing_left")
RULES: Final = (
    *("index.example.org:443", "index.example.org:80", "*.files.example.org:443"),
    *(f"index.example.org:{at.ECHO}", f"index.example.org:{at.SSH}"),
)
PROXIES: Final = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
BARE: Final = "env " + " ".join(f"-u {name}" for name in PROXIES)
ENV: Final = {
    **dict.fromkeys(("SSL_CERT_FILE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO", "NODE_EXTRA_CA_CERTS"), CA),
    "PIP_CERT": CA,
    "GIT_TERMINAL_PROMPT": "0",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_NO_INPUT": "1",
}
PIP: Final = (glob.glob("/usr/share/python-wheels/pip-*.whl") or ["none"])[0]
URLLIB: Final = "import sys, urllib.request as u; print(u.urlopen(sys.argv[1]).read().decode())"
REQUESTS: Final = (
    "import sys; from pip._vendor import requests; "
    f"answer = requests.get(sys.argv[1], verify='{CA}'); print(answer.text); answer.raise_for_status()"
)
FETCH: Final = (
    "fetch(process.argv[1])"
    ".then(async r => {{ console.log(await r.text()); process.exitCode = r.ok ? 0 : 1 }})"
    ".catch(e => {{ console.log('failed', e.cause && e.cause.code); process.exitCode = 1 }})"
)
SSH: Final = (
    "cp /ask/key /tmp/key && chmod 600 /tmp/key && ssh -F none -i /tmp/key -o BatchMode=yes -o LogLevel=ERROR"
    " -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -p {port} {user}@{host} echo from the shell"
)


@dataclass(frozen=True)
class Client:
    """A program.

    command: a shell command; {host} is where it goes, {port} the port, {n} another number for each try.
    shows:   what it prints if it got through.
    says:    what it prints if its proxy denies it; and without a proxy, where it takes one.
    knows:   whether it takes the proxy's variables.
    port:    where it goes.
    profile: under which it is run: agents fetch packages.
    """

    command: str
    shows: str
    says: tuple[str, str]
    knows: bool = True
    port: int = 443
    profile: str = "net-client"


CLIENTS: Final = {
    "curl": Client(
        "curl -sS -m 20 https://{host}/x", '"to": "93.184.216.34"', ("response 403", "Could not resolve host")
    ),
    "curl, cleartext": Client(
        "curl -sS -m 20 -f http://{host}/x",
        '"to": "93.184.216.34"',
        ("error: 403", "Could not resolve host"),
        port=80,
    ),
    "urllib": Client(
        f'python3 -c "{URLLIB}" https://{{host}}/x',
        '"to": "93.184.216.34"',
        ("Tunnel connection failed: 403", "Name or service not known"),
    ),
    "requests": Client(
        f'PYTHONPATH={PIP} python3 -c "{REQUESTS}" https://{{host}}/x',
        '"to": "93.184.216.34"',
        ("403", "Name or service not known"),
    ),
    "git": Client(
        "git clone -q https://{host}/www/demo.git /tmp/demo{n} && cat /tmp/demo{n}/hello",
        "from the repository",
        ("403", "Could not resolve host"),
        profile="agent",
    ),
    "pip": Client(
        f"PYTHONPATH={PIP} python3 -m pip install -q --no-cache-dir --retries 1 --target /tmp/pip{{n}}"
        f" --index-url https://{{host}}/www/simple/ {served.PACKAGE}"
        " && python3 /tmp/pip{n}/hardbox_demo.py",
        "from the index",
        ("403", "Name or service not known"),
        profile="agent",
    ),
    "node": Client(
        f'node -e "{FETCH}" https://{{host}}/x',
        '"to": "93.184.216.34"',
        ("failed ENOTFOUND", "failed ENOTFOUND"),
        knows=False,
    ),
    "static": Client(
        f"{INSIDE}/static_client {{host}} {{port}}",
        "there and back",
        ("rcode 3", "rcode 3"),
        knows=False,
        port=at.ECHO,
    ),
    "ssh": Client(
        SSH,
        "from the shell",
        ("Could not resolve hostname", "Could not resolve hostname"),
        knows=False,
        port=at.SSH,
    ),
}


@pytest.fixture(scope="session")
def shell(internet: Internet, base: str) -> Iterator[str]:
    """Everything that is served beside the echo; gives who may log in, and has the key."""
    owner = callers.make("user", base)
    server = served.shell_server(internet, owner)
    served.git_repository(internet)
    served.package_index(internet)
    done = internet.run(owner, "id", "-un")
    yield done.stdout.strip()
    server.terminate()
    faults.finish(server)


@pytest.fixture(scope="session")
def static(base: str) -> str:
    source = os.path.join(os.path.dirname(served.__file__), "static_client.c")
    program = os.path.join(base, "static_client")
    subprocess.run(["gcc", "-O2", "-static", "-Wall", "-Werror", "-o", program, source], check=True)
    return program


def script(client: Client, user: str, allowed: str, denied: str) -> str:
    """Give the shell script that tries all four; a line @@LABEL STATUS ends each one's output."""
    tries = {"allowed": ("", allowed), "allowed, bare": (BARE, allowed)}
    tries |= {"denied": ("", denied), "denied, bare": (BARE, denied)}
    lines = []
    for number, (label, (before, host)) in enumerate(tries.items()):
        command = client.command.format(host=host, port=client.port, n=number, user=user)
        lines.append(f'{before} sh -c {shlex.quote(command)} 2>&1; s=$?; echo; echo "@@{label}:$s"')
    return "\n".join(lines)


@pytest.mark.parametrize("name", CLIENTS)
def test_outside(asker: Asker, shell: str, name: str) -> None:
    """The control: both hosts are reached without a sandbox."""
    client = CLIENTS[name]
    if name == "static":
        pytest.skip("it knows the sandbox's name server alone")
    for number, host in enumerate(("index.example.org", "blocked.example.org")):
        command = client.command.format(host=host, port=client.port, n=number, user=shell)
        command = command.replace("/tmp/", f"{asker.place}/")
        for inside, outside in (
            (CA, asker.internet.authority),
            ("/ask/key", f"{asker.internet.folder}/ssh/key"),
        ):
            command = command.replace(inside, outside)
        env = {name: asker.internet.authority if value == CA else value for name, value in ENV.items()}
        done = asker.internet.run(asker.caller, "sh", "-c", command, env=env)
        assert done.returncode == 0, done.stderr
        assert client.shows in done.stdout


@pytest.mark.parametrize("name", CLIENTS)
def test_client(asker: Asker, shell: str, static: str, name: str) -> None:
    client = CLIENTS[name]
    asker.words(rules=())
    shutil.copy(static, os.path.join(asker.place, "ask"))
    key = shutil.copy(os.path.join(asker.internet.folder, "ssh", "key"), os.path.join(asker.place, "ask"))
    os.chmod(key, 0o644)  # a test's own; the sandbox's user is not its owner
    env = tuple(word for pair in ENV.items() for word in ("--env", "=".join(pair)))
    text = script(client, shell, "index.example.org", "blocked.example.org")
    told = asker.run("sh", "-c", text, rules=RULES, words=env, profile=client.profile)
    assert told.done.returncode == 0, told.done.stderr
    found: dict[str, tuple[int, str]] = {}
    output: list[str] = []
    for line in told.done.stdout.splitlines():
        if line.startswith("@@"):
            label, _, status = line.removeprefix("@@").rpartition(":")
            found[label] = (int(status), "\n".join(output))
            output = []
        else:
            output.append(line)
    for label in ("allowed", "allowed, bare"):
        assert found[label][0] == 0, (label, found[label])
        assert client.shows in found[label][1], (label, found[label])
    for label, said in zip(("denied", "denied, bare"), client.says, strict=True):
        assert found[label][0] != 0, (label, found[label])
        assert said in found[label][1], (label, found[label])
    vias = {row["via"] for row in told.rows(host="blocked.example.org", verdict="denied")}
    assert vias == {"dns", "http" if client.port == at.HTTP else "connect"} if client.knows else {"dns"}
    assert "--allow blocked.example.org:" in told.done.stderr
    assert not any("blocked" in str(row) for row in told.seen)
