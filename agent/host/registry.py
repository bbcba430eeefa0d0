"""What a registry says of a tag, asked with nothing but the standard library: for engines that cannot ask without pulling.

The OCI distribution protocol: one HEAD of the manifest, and one token when the registry wants one. TLS is checked as
Podman does: against the system's authorities and those in `certs.d`, and not at all for a registry that `registries.conf`
calls insecure; mirrors that it names are asked first.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import re
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any

from agent.host.credentials import Credentials, Login
from agent.host.engine_errors import explained
from agent.host.registries_conf import Endpoint, endpoints
from modules.api import ResourceError

CERTIFICATES = ("/etc/containers/certs.d", "/etc/docker/certs.d")
ANSWER_SECONDS = 10
MAX_BYTES = 1 << 20
_MANIFESTS = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_DOCKER_HUB = "docker.io"
_SERVERS = {_DOCKER_HUB: "registry-1.docker.io"}


@dataclass(frozen=True)
class Reference:
    """An image by its registry, its name there, and its tag or digest."""

    registry: str
    repository: str
    version: str

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Take a reference apart; without a registry it is Docker Hub's, as engines have it."""
        name, at, digest = text.partition("@")
        head, _, tail = name.rpartition("/")
        repository, _, tag = tail.partition(":")
        path = f"{head}/{repository}" if head else repository
        first, slash, rest = path.partition("/")
        if slash and (re.search(r"[.:]", first) or first == "localhost"):
            return cls(first, rest, digest if at else tag or "latest")
        return cls(_DOCKER_HUB, path if slash else f"library/{path}", digest if at else tag or "latest")


def newest_digest(reference: str, credentials: Credentials) -> str:
    """The digest that a tag stands for in its registry, or the first mirror that has it, now. Raises ResourceError."""
    asked = Reference.parse(reference)
    what = f"registry {asked.registry} cannot be asked which image {reference} is by now"
    *mirrors, itself = endpoints(asked.registry, asked.repository, by_digest=asked.version.startswith("sha256:"))
    for mirror in mirrors:
        with contextlib.suppress(ResourceError):
            return _digest_at(what, mirror, asked.version, credentials)
    return _digest_at(what, itself, asked.version, credentials)


def _digest_at(what: str, place: Endpoint, version: str, credentials: Credentials) -> str:
    try:
        digest = _Registry(place, version, credentials.of(place.registry)).digest()
    except urllib.error.HTTPError as error:
        raise explained(what, _said(error)) from error
    except (OSError, HTTPException, ValueError) as error:
        raise explained(what, str(getattr(error, "reason", None) or error)) from error
    if not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
        raise ResourceError(f"{what}: its answer has no digest, but {digest[:80]!r}")
    return digest


def _said(error: urllib.error.HTTPError) -> str:
    words = {401: "unauthorized", 403: "access denied", 404: "manifest unknown"}
    return f"{words.get(error.code, error.reason)} ({error.code})"


class _Registry:
    """One question to one registry."""

    def __init__(self, place: Endpoint, version: str, login: Login | None) -> None:
        self._place, self._version, self._login = place, version, login
        self._schemes = ("https", "http") if place.insecure else ("https",)
        handler = urllib.request.HTTPSHandler(context=_context(place.registry, insecure=place.insecure))
        self._opener = urllib.request.build_opener(handler, _NoRedirect)

    def digest(self) -> str:
        """The digest; an insecure registry may speak either scheme."""
        for scheme in self._schemes[:-1]:
            try:
                return self._digest(scheme)
            except urllib.error.HTTPError:
                raise
            except (OSError, HTTPException):
                continue  # the last scheme's own error is the one to tell
        return self._digest(self._schemes[-1])

    def _digest(self, scheme: str) -> str:
        server = _SERVERS.get(self._place.registry, self._place.registry)
        path = urllib.parse.quote(f"/v2/{self._place.repository}/manifests/{self._version}", safe="/:")
        url = f"{scheme}://{server}{path}"
        try:
            return self._head(url, "")
        except urllib.error.HTTPError as error:
            if error.code != 401:
                raise
            return self._head(url, self._authorization(error.headers.get("WWW-Authenticate", "")))

    def _head(self, url: str, authorization: str) -> str:
        headers = {"Accept": ", ".join(_MANIFESTS), **({"Authorization": authorization} if authorization else {})}
        request = urllib.request.Request(url, headers=headers, method="HEAD")  # noqa: S310  (http or https, made above)
        with self._opener.open(request, timeout=ANSWER_SECONDS) as answer:
            return str(answer.headers.get("Docker-Content-Digest", ""))

    def _authorization(self, challenge: str) -> str:
        """What the registry wants to see, by its challenge; a name and password go only where it is asked for them."""
        kind, _, rest = challenge.partition(" ")
        if kind.lower() == "basic" and self._login:
            return self._login.basic
        if kind.lower() != "bearer":
            return ""
        wanted = dict(re.findall(r'(\w+)="([^"]*)"', rest))
        realm = wanted.pop("realm", "")
        if not realm.startswith(("https://", *(("http://",) if "http" in self._schemes else ()))):
            raise ValueError(f"it names {realm[:80]!r} to ask for a token")
        headers = {"Authorization": self._login.basic} if self._login else {}
        request = urllib.request.Request(f"{realm}?{urllib.parse.urlencode(wanted)}", headers=headers)  # noqa: S310
        with self._opener.open(request, timeout=ANSWER_SECONDS) as answer:
            token: Mapping[str, Any] = json.loads(answer.read(MAX_BYTES))
        return f"Bearer {token.get('token') or token.get('access_token')}"


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect is an error: a login must not follow it to another server."""

    def redirect_request(self, *_request: Any) -> None:  # noqa: ANN401
        """Follow none."""


def _context(registry: str, *, insecure: bool) -> ssl.SSLContext:
    context = ssl.create_default_context()
    for directory in CERTIFICATES:
        for path in sorted(glob.glob(os.path.join(glob.escape(directory), registry, "*.crt"))):
            context.load_verify_locations(path)
    if insecure:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
