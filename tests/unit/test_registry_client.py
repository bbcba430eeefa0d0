"""Asking a registry which image a tag stands for, and the file of logins that it is asked with."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from agent.host import registries_conf
from agent.host.credentials import Credentials
from agent.host.registries_conf import Endpoint, endpoints
from agent.host.registry import Reference, newest_digest
from modules.api import ResourceError

DIGEST = "sha256:" + "a" * 64
BASIC = f"Basic {base64.b64encode(b'agent:hush').decode()}"


class Served(BaseHTTPRequestHandler):
    """It has app:1, for who is logged in: by a token at /token for `bearer`, by name and password for `basic`."""

    challenge = "basic"
    seen: list[str]

    def do_HEAD(self) -> None:
        said = self.headers.get("Authorization", "")
        self.seen.append(f"{self.path} {said.partition(' ')[0]}".strip())
        wanted = {"basic": BASIC, "bearer": "Bearer t1", "open": ""}[self.challenge]
        if said != wanted:
            realm = f'Bearer realm="http://{self.headers["Host"]}/token",service="s",scope="repository:team/app:pull"'
            self.answer(401, {"WWW-Authenticate": realm if self.challenge == "bearer" else 'Basic realm="r"'})
        else:
            found = self.path == "/v2/team/app/manifests/1"
            self.answer(200 if found else 404, {"Docker-Content-Digest": DIGEST} if found else {})

    def do_GET(self) -> None:
        self.seen.append(self.path)
        allowed = self.headers.get("Authorization") == BASIC
        self.answer(200 if allowed else 401, {}, b'{"token": "t1"}' if allowed else b"")

    def answer(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def handler() -> type[Served]:
    return type("Bound", (Served,), {"seen": []})


@pytest.fixture
def address(handler: type[Served], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A registry without TLS, which this host's settings allow."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    found = f"127.0.0.1:{server.server_address[1]}"
    (tmp_path / "registries.conf").write_text(f'[[registry]]\nlocation = "{found}"\ninsecure = true\n')
    monkeypatch.setattr(registries_conf, "CONFIGURATION", str(tmp_path))
    yield found
    server.shutdown()
    server.server_close()
    thread.join()


def logins(folder: Path, address: str, entry: object = None) -> Credentials:
    path = folder / "auth.json"
    path.write_text(json.dumps({"auths": {address: entry or {"username": "agent", "password": "hush"}}}))
    path.chmod(0o600)
    return Credentials(str(path))


def test_an_open_registry_is_asked_once(address: str, handler: type[Served]) -> None:
    handler.challenge = "open"
    assert newest_digest(f"{address}/team/app:1", Credentials()) == DIGEST
    assert handler.seen == ["/v2/team/app/manifests/1"]


@pytest.mark.parametrize("challenge", ["basic", "bearer"])
def test_a_login_is_given_when_it_is_asked_for(
    address: str, handler: type[Served], challenge: str, tmp_path: Path
) -> None:
    handler.challenge = challenge
    assert newest_digest(f"{address}/team/app:1", logins(tmp_path, address)) == DIGEST
    assert handler.seen[0] == "/v2/team/app/manifests/1", "at first without"
    if challenge == "bearer":
        assert handler.seen[1] == "/token?service=s&scope=repository%3Ateam%2Fapp%3Apull"


@pytest.mark.parametrize(
    ("tag", "reason"), [("1", "unauthorized .401.; give the registry's login with `registry_auth_file`")]
)
def test_without_a_login_the_setting_is_named(address: str, tag: str, reason: str) -> None:
    with pytest.raises(ResourceError, match=reason):
        newest_digest(f"{address}/team/app:{tag}", Credentials())


def test_a_tag_that_is_not_there_and_a_registry_that_is_down(address: str, handler: type[Served]) -> None:
    handler.challenge = "open"
    with pytest.raises(ResourceError, match="check the image's name and tag"):
        newest_digest(f"{address}/team/app:2", Credentials())
    with pytest.raises(ResourceError, match=r"registry 127.0.0.1:1 cannot be asked which image .* refused"):
        newest_digest("127.0.0.1:1/app:1", Credentials())


@pytest.mark.parametrize(
    ("text", "registry_", "repository", "version"),
    [
        ("app", "docker.io", "library/app", "latest"),
        ("team/app:1", "docker.io", "team/app", "1"),
        ("localhost/app:1", "localhost", "app", "1"),
        ("r.example.com:5000/a/b:1", "r.example.com:5000", "a/b", "1"),
        (f"r.example.com/a:1@{DIGEST}", "r.example.com", "a", DIGEST),
    ],
)
def test_a_reference_is_taken_apart(text: str, registry_: str, repository: str, version: str) -> None:
    assert Reference.parse(text) == Reference(registry_, repository, version)


CONF = """
[[registry]]
prefix = "docker.io"
location = "mirror.example.com/hub"
[[registry.mirror]]
location = "127.0.0.1:1/hub"
[[registry.mirror]]
location = "near.example.com/hub"
pull-from-mirror = "digest-only"
insecure = true
[[registry]]
prefix = "docker.io/team"
location = "docker.io/other"
mirror-by-digest-only = true
[[registry.mirror]]
location = "far.example.com"
[[registry]]
prefix = "*.example.org"
insecure = true
[[registry]]
location = "no.example.net"
blocked = true
"""


@pytest.mark.parametrize(
    ("registry", "repository", "by_digest", "found"),
    [
        ("r.example.com", "app", False, [Endpoint("r.example.com", "app")]),
        ("docker.io", "library/app", False, [Endpoint("127.0.0.1:1", "hub/library/app"), Endpoint("mirror.example.com", "hub/library/app")]),
        ("docker.io", "team/app", False, [Endpoint("docker.io", "other/app")]),
        ("docker.io", "team/app", True, [Endpoint("far.example.com", "app"), Endpoint("docker.io", "other/app")]),
        ("docker.io", "teams/app", True, [
            Endpoint("127.0.0.1:1", "hub/teams/app"), Endpoint("near.example.com", "hub/teams/app", insecure=True),
            Endpoint("mirror.example.com", "hub/teams/app"),
        ]),
        ("a.example.org:5000", "app", False, [Endpoint("a.example.org:5000", "app", insecure=True)]),
    ],
)  # fmt: skip
def test_an_image_is_asked_for_where_registries_conf_says(
    registry: str,
    repository: str,
    by_digest: bool,
    found: list[Endpoint],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(registries_conf, "CONFIGURATION", str(tmp_path))
    (tmp_path / "registries.conf").write_text(CONF)
    assert endpoints(registry, repository, by_digest=by_digest) == found
    with pytest.raises(ResourceError, match=r"blocks no.example.net, so no.example.net/app cannot be asked for"):
        endpoints("no.example.net", "app", by_digest=False)


def test_a_drop_in_wins_and_one_that_cannot_be_read_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registries_conf, "CONFIGURATION", str(tmp_path))
    (tmp_path / "registries.conf").write_text(CONF)
    drop_in = tmp_path / "registries.conf.d/own.conf"
    drop_in.parent.mkdir()
    drop_in.write_text('[[registry]]\nprefix = "docker.io"\nlocation = "own.example.com"\n')
    assert endpoints("docker.io", "a/b", by_digest=False) == [Endpoint("own.example.com", "a/b")]
    drop_in.write_text("[[")
    with pytest.raises(ResourceError, match=r"own.conf cannot be read: .*; correct it"):
        endpoints("docker.io", "a/b", by_digest=False)


def test_a_mirror_that_does_not_answer_is_passed_over(address: str, handler: type[Served], tmp_path: Path) -> None:
    handler.challenge = "open"
    places = "".join(
        f'[[registry.mirror]]\nlocation = "{place}"\ninsecure = true\n' for place in ("127.0.0.1:1", f"{address}/team")
    )
    more = f'[[registry]]\nprefix = "r.example.com"\nlocation = "127.0.0.1:1"\n{places}'
    with (tmp_path / "registries.conf").open("a") as file:
        file.write(more)
    assert newest_digest("r.example.com/app:1", Credentials()) == DIGEST
    assert handler.seen == ["/v2/team/app/manifests/1"]
    with pytest.raises(ResourceError, match=r"registry r.example.com cannot be asked .* refused"):
        newest_digest("r.example.com/none:1", Credentials())


def test_a_file_of_logins_that_others_can_read_is_refused(tmp_path: Path) -> None:
    found = logins(tmp_path, "r.example.com")
    (tmp_path / "auth.json").chmod(0o640)
    with pytest.raises(ResourceError, match="open to other users; chmod 0600"):
        found.of("r.example.com")


@pytest.mark.parametrize(
    ("text", "reason"),
    [("", "is not JSON"), ("[]", "has no `auths`"), ('{"auths": {"r.example.com": {"auth": "!"}}}', "no usable entry")],
)
def test_a_file_of_logins_that_is_no_good_is_said(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "auth.json"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(ResourceError, match=reason):
        Credentials(str(path)).of("r.example.com")


def test_logins_are_found_by_every_name_of_a_registry(tmp_path: Path) -> None:
    entry = {"auth": base64.b64encode(b"agent:hush").decode()}
    for written, asked in (("https://index.docker.io/v1/", "docker.io"), ("https://r.example.com", "r.example.com")):
        login = logins(tmp_path, written, entry).of(asked)
        assert login is not None
        assert login.basic == BASIC
    assert logins(tmp_path, "r.example.com").of("other.example.com") is None
    assert Credentials().of("r.example.com") is None
