"""Contents from elsewhere: fetched in parts, bounded in time and size, and used by nobody before their digest is right.

No proxy of the environment is asked: what a pass does is not to depend on who started it. The certificates that are
trusted are the system's.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from http.client import HTTPException, HTTPMessage
from typing import IO
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urlsplit
from urllib.request import HTTPRedirectHandler, HTTPSHandler, OpenerDirector, ProxyHandler, Request, build_opener

from agent.host.failures import failure, write_failure
from agent.host.staging import write_all
from modules.api import Content, ResourceError

CHUNK = 1 << 20  # bytes
LARGEST = 16 << 30  # bytes of one download
SILENCE_SECONDS = 30  # that a server may take to send anything
LONGEST_SECONDS = 900  # that all of it may take
REDIRECTS = 5
_SCHEMES = ("http", "https")


def local_path(url: str) -> str:
    """The path that a `file` URL names; empty for another. Raises ResourceError for a file of another machine."""
    parts = urlsplit(url)
    if parts.scheme != "file":
        return ""
    if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
        raise ResourceError(f"{url} names a file of another machine; a file URL is file:///PATH, with three slashes")
    return unquote(parts.path, errors="surrogateescape")


def download(url: str) -> Iterator[bytes]:
    """The bytes at an http or https URL, part by part. Raises ResourceError."""
    if urlsplit(url).scheme not in _SCHEMES:
        raise ResourceError(f"{url} is not fetched: the scheme must be http, https or file")
    deadline = time.monotonic() + LONGEST_SECONDS
    try:
        with _opener().open(Request(url, headers={"User-Agent": "gitops-agent"}), timeout=SILENCE_SECONDS) as response:  # noqa: S310  (the scheme is checked, also of redirects)
            announced = int(response.headers.get("Content-Length") or -1)
            yield from _received(url, response, announced, deadline)
    except HTTPError as error:
        with error:
            raise ResourceError(f"cannot fetch {url}: the server says {error.code} {error.reason}") from error
    except URLError as error:
        raise ResourceError(f"cannot fetch {url}: {error.reason}") from error
    except (OSError, HTTPException, ValueError) as error:
        raise ResourceError(f"cannot fetch {url}: {error or type(error).__name__}") from error


def _received(url: str, response: IO[bytes], announced: int, deadline: float) -> Iterator[bytes]:
    if announced > LARGEST:
        raise ResourceError(f"cannot fetch {url}: it has {announced} bytes, more than the {LARGEST} allowed")
    size = 0
    while part := response.read1(CHUNK):  # type: ignore[attr-defined]  # as it comes, so that the clock is looked at
        size += len(part)
        if size > LARGEST:
            raise ResourceError(f"cannot fetch {url}: it has more than the {LARGEST} bytes allowed")
        if time.monotonic() > deadline:
            raise ResourceError(f"cannot fetch {url}: it took longer than {LONGEST_SECONDS} s; {size} bytes came")
        yield part
    if size < announced:
        raise ResourceError(
            f"cannot fetch {url}: the server sent {size} of {announced} bytes; the next pass asks again"
        )


def verified(parts: Iterable[bytes], content: Content) -> Iterator[bytes]:
    """The same parts; ResourceError instead of the end when together they are not the content that was named."""
    digest, size = hashlib.sha256(), 0
    for part in parts:
        digest.update(part)
        size += len(part)
        yield part
    if digest.hexdigest() != content.digest or content.size not in (-1, size):
        raise ResourceError(
            f"{content.url} is not what Git names: its sha256 is {digest.hexdigest()}, not {content.digest}; "
            f"if it was meant to change, correct the checksum"
        )


@contextmanager
def fetched(parts: Iterable[bytes], state_dir: str, name: str) -> Iterator[str]:
    """A file with these bytes and this base name, in a directory that only the agent can enter, gone afterwards."""
    try:
        directory = tempfile.mkdtemp(prefix="fetched-", dir=_spool(state_dir) if state_dir else None)  # mode 0700
    except OSError as error:
        raise failure("make a directory in", state_dir or tempfile.gettempdir(), error) from error
    try:
        path = os.path.join(directory, os.path.basename(name) or "content")
        _write(path, parts)
        yield path
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _write(path: str, parts: Iterable[bytes]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        for part in parts:
            write_all(descriptor, part)
    except OSError as error:
        with suppress(OSError):
            os.ftruncate(descriptor, 0)
        raise write_failure(path, -1, descriptor, error) from error
    finally:
        os.close(descriptor)


@cache
def _spool(state_dir: str) -> str:
    """Where files are fetched to, cleared once of what a killed pass left."""
    spool = os.path.join(state_dir, "fetched")
    shutil.rmtree(spool, ignore_errors=True)
    os.makedirs(spool, mode=0o700)
    return spool


class _Redirects(HTTPRedirectHandler):
    """Few, and never to where the way there is less safe."""

    max_redirections = REDIRECTS
    max_repeats = REDIRECTS

    def redirect_request(
        self,
        req: Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> Request | None:
        scheme = urlsplit(newurl).scheme
        if scheme not in _SCHEMES or (urlsplit(req.full_url).scheme == "https" and scheme != "https"):
            raise URLError(f"it redirects to {newurl}, which is not as safe")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


@cache
def _opener() -> OpenerDirector:
    import ssl

    return build_opener(ProxyHandler({}), HTTPSHandler(context=ssl.create_default_context()), _Redirects)
