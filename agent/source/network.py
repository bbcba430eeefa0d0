"""What is asked of a remote, over the network in a child process, and errors in words with the next step."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from agent.errors import FetchFailed, Unreachable
from agent.isolated import Died, Overdue, run_isolated
from agent.source.library import home, library
from agent.source.remote import Remote, private_file, without_login

REFS = ("refs/heads/", "refs/tags/")


def remote_refs(remote: Remote, repository: str) -> dict[str, str]:
    """Ask for the remote's branches and tags, by full name; downloads nothing else. Raises FetchFailed.

    The commit that a tag with a message stands for has the tag's name and `^{}`.
    """

    def ask(connection: Any, callbacks: Any) -> dict[str, str]:  # noqa: ANN401  (pygit2)
        asked = connection.list_heads if hasattr(connection, "list_heads") else connection.ls_remotes
        found = asked(callbacks=callbacks, proxy=_proxy(remote))
        return {name: commit for name, commit in map(_head, found) if name.startswith(REFS)}

    return dict(_with_remote(remote, repository, ask, remote.connect_timeout_seconds))


def download(remote: Remote, repository: str, refs: Sequence[str]) -> str:
    """Fetch objects of refs and move no ref of ours: nothing is to refer to what nobody has checked. Raises FetchFailed.

    Returns the commit of the first ref, as `FETCH_HEAD` has it.
    """

    def fetch(connection: Any, callbacks: Any) -> str:  # noqa: ANN401
        connection.fetch(list(refs), callbacks=callbacks, proxy=_proxy(remote))
        with open(os.path.join(repository, "FETCH_HEAD"), encoding="utf-8", errors="replace") as file:
            fetched = file.read(40)
        return str(library(repository).Repository(repository)[fetched].peel(library(repository).Commit).id)

    return str(_with_remote(remote, repository, fetch, remote.transfer_timeout_seconds))


def _proxy(remote: Remote) -> bool | None:
    return True if remote.scheme in ("http", "https") else None


def _head(found: Any) -> tuple[str, str]:  # noqa: ANN401  (an object in newer versions of pygit2, a mapping in older ones)
    return (found["name"], str(found["oid"])) if isinstance(found, dict) else (found.name, str(found.oid))


Work = Callable[[Any, Any], Any]


def _with_remote(remote: Remote, repository: str, work: Work, quiet_seconds: float) -> Any:  # noqa: ANN401
    """Do some work with a connection; a remote that is not a path of this machine gets a process of its own."""
    _check_files(remote)
    if remote.scheme == "ssh":
        _trust(remote, repository)
    password = remote.password()

    def isolated(alive: Callable[[], None]) -> Any:  # noqa: ANN401
        pygit2 = library(repository)
        callbacks = _callbacks(pygit2, remote, password, alive)
        try:
            if not remote.local:
                _set_up_child(pygit2, remote, repository)
            return {"result": work(_connection(pygit2.Repository(repository), remote.url), callbacks)}
        except Exception as error:  # noqa: BLE001  (every failure in the child has to reach the parent as words)
            return {"error": callbacks.refused or f"{type(error).__name__}: {error}"}

    try:
        answer = isolated(_nobody) if remote.local else run_isolated(isolated, quiet_seconds)
    except Overdue as error:
        raise Unreachable(
            f"{remote.shown} did not answer for {quiet_seconds:g} s", "is the server up, and the port right?"
        ) from error
    except Died as error:
        raise Unreachable(
            f"asking {remote.shown} failed: {error}", "see the journal for a crash of the Git library"
        ) from error
    if "error" in answer:
        raise explain(remote, answer["error"])
    return answer["result"]


def _check_files(remote: Remote) -> None:
    """Say what is wrong with a file before the library does in words of its own."""
    if remote.local and not os.path.isdir(remote.url.removeprefix("file://")):
        raise explain(remote, "failed to resolve path")
    if remote.ssh_key:
        private_file(remote.ssh_key, "ssh key")
    if remote.ca_file and not os.access(remote.ca_file, os.R_OK):
        raise FetchFailed(f"the ca_file {remote.ca_file} cannot be read", "check the path in the settings")


def _connection(repository: Any, url: str) -> Any:  # noqa: ANN401
    """A remote without a name where the library has such (1.13 and newer), else one that has nothing but a name and a URL.

    One that says what to fetch, or to bring tags along, would move refs that nobody asked for.
    """
    remotes = repository.remotes
    if hasattr(remotes, "create_anonymous"):
        return remotes.create_anonymous(url)
    name = "gitops-agent"
    repository.config[f"remote.{name}.url"] = url
    repository.config[f"remote.{name}.tagOpt"] = "--no-tags"
    return remotes[name]


def _nobody() -> None:
    """Tell nobody: in process there is no deadline to renew."""


def _trust(remote: Remote, repository: str) -> None:
    """Put the known host keys where libgit2 looks: `.ssh/known_hosts` of a home directory of its own."""
    with open(remote.known_hosts_file(), "rb") as file:
        keys = file.read(8 << 20)
    path = os.path.join(home(repository), ".ssh", "known_hosts")
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    if os.path.exists(path):
        with open(path, "rb") as file:
            if file.read() == keys:
                return
    with open(f"{path}.new", "wb") as file:
        file.write(keys)
    os.rename(f"{path}.new", path)


def _set_up_child(pygit2: Any, remote: Remote, repository: str) -> None:  # noqa: ANN401
    """Process-wide settings of libgit2, which is why this runs in a process of its own."""
    os.environ["HOME"] = home(repository)  # read anew for every connection by versions before 1.7
    pygit2.settings.search_path[pygit2.GIT_CONFIG_LEVEL_GLOBAL] = home(repository)
    if hasattr(pygit2.settings, "homedir"):
        pygit2.settings.homedir = home(repository)
    if remote.ca_file:
        pygit2.settings.set_ssl_cert_locations(remote.ca_file, None)


def _callbacks(pygit2: Any, remote: Remote, password: str, alive: Callable[[], None]) -> Any:  # noqa: ANN401
    class Callbacks(pygit2.RemoteCallbacks):  # type: ignore[misc]  # imported late
        """Answers what the library asks, once: it would ask for other credentials for ever."""

        refused = ""
        asked = 0

        def credentials(self, _url: str, _user: str | None, allowed: int) -> Any:  # noqa: ANN401
            self.asked += 1
            offer = _credential(pygit2, remote, password, int(allowed))
            if offer is None or self.asked > 2:
                given = offer is not None or remote.password_in_url
                self.refused = "credentials refused" if given else "credentials wanted"
                raise pygit2.GitError(self.refused)
            return offer

        def certificate_check(self, _certificate: None, valid: bool, _host: bytes) -> bool:
            alive()
            if not valid:
                self.refused = "host key" if remote.scheme == "ssh" else "certificate"
            return valid

        def transfer_progress(self, _stats: Any) -> None:  # noqa: ANN401
            alive()

        def sideband_progress(self, _text: str) -> None:
            alive()

    return Callbacks()


_SSH_KEY, _USERNAME = 1 << 1, 1 << 5  # git_credential_t of libgit2, named differently in versions of pygit2


def _credential(pygit2: Any, remote: Remote, password: str, allowed: int) -> Any:  # noqa: ANN401
    if remote.scheme == "ssh":
        if allowed & _USERNAME and not allowed & _SSH_KEY:
            return pygit2.Username(remote.user())
        return pygit2.Keypair(remote.user(), None, remote.ssh_key, "") if remote.ssh_key else None
    return pygit2.UserPass(remote.user(), password) if password else None


_MEANINGS = (  # a phrase of libgit2 or of ours, what it means, and what to do next
    (
        "credentials wanted",
        "{url} asks for credentials and there are none",
        "set token_file, password_file or ssh_key in the settings",
    ),
    (
        "credentials refused",
        "{url} refuses the credentials",
        "check username, token_file, password_file or ssh_key in the settings",
    ),
    (
        "authentication replays",
        "{url} refuses the credentials",
        "check username, token_file or password_file in the settings",
    ),
    (
        "status code: 401",
        "{url} refuses the credentials",
        "check username, token_file or password_file in the settings",
    ),
    (
        "private key file",
        "the ssh_key for {url} cannot be used: it is no private key, or has a passphrase",
        "give a private key without a passphrase",
    ),
    ("status code: 403", "{url} does not allow this account to read", "give the account read access to the repository"),
    ("status code: 404", "{url} has no such repository", "check the path in the URL, and that the account may see it"),
    (
        "expected CN",
        "the certificate of {url} is for another name",
        "use a name that stands in it; an address does not do on Debian 12",
    ),
    ("host key", "the host key of {url} is not known, or has changed", "{trust}"),
    ("hostkey", "the host key of {url} is not known, or has changed", "{trust}"),
    (
        "certificate",
        "the certificate of {url} is not trusted",
        "set ca_file to the CA that signed it, and check the name and date",
    ),
    (
        "SSL",
        "the certificate of {url} is not trusted",
        "set ca_file to the CA that signed it, and check the name and date",
    ),
    ("connect to", "{url} cannot be reached", "check the network, and that the server listens"),
    ("timed out", "{url} did not answer in time", "check the network, and that the server listens"),
    (
        "safe.directory",
        "{url} belongs to another user, so Git refuses it",
        "make it root's, or serve it over http or ssh",
    ),
    ("owned by", "{url} belongs to another user, so Git refuses it", "make it root's, or serve it over http or ssh"),
    ("does not appear to be a git repository", "{url} has no such repository", "check the path in the URL"),
    (
        "could not find repository",
        "{url} is not a Git repository",
        "check the path, or add --working-tree to take a directory as it lies",
    ),
    ("failed to resolve path", "{url} is not there", "check the path"),
    ("resolve", "the name of {url} cannot be resolved", "check the URL and the host's resolver"),
)


_SILENCE = ("connect to", "timed out", "resolve", "failed to resolve path")  # of these phrases: nobody answered


def explain(remote: Remote, message: str) -> FetchFailed:
    """Put a failure into words, without any secret. What is no refusal in words that we know is taken for no answer."""
    for phrase, meaning, step in _MEANINGS:
        if phrase.lower() in message.lower():
            kind = Unreachable if phrase in _SILENCE else FetchFailed
            return kind(meaning.format(url=remote.shown), step.format(trust=remote.how_to_trust()))
    return Unreachable(
        f"{remote.shown} cannot be read: {without_login(message.strip())}",
        "try `git ls-remote` with the same URL as root",
    )
