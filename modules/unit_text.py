"""A unit's own files: the unit file and drop-ins that its resource brings, in /etc/systemd/system.

Each begins with a line that says whose it is. So what Git no longer asks for is known by looking, and removed; a file
without that line is somebody else's, and is only replaced by one that Git asks for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from modules.api import Content, Files, FileView, Host, HostView, ResourceError, Staged, Value

DIRECTORY = "/etc/systemd/system"
MARK = b"# Held by gitops-agent: change it in Git, an edit here is undone.\n"
ABSENT, FOREIGN = "absent", "not ours"
_LIMIT = 1 << 20  # bytes that systemd takes of a file
_MODE, _OWNER = 0o644, (0, 0)


@dataclass(frozen=True)
class OwnText:
    """The files of one unit that Git says the text of."""

    name: str
    content: Content | None
    dropins: Mapping[str, Content]  # by file name

    @property
    def path(self) -> str:
        """Where its unit file is."""
        return f"{DIRECTORY}/{self.name}"

    @property
    def directory(self) -> str:
        """Where its drop-ins are."""
        return f"{DIRECTORY}/{self.name}.d"

    @property
    def contents(self) -> Mapping[str, Content]:
        """Everything that Git wants, by path."""
        unit_file = {} if self.content is None else {self.path: self.content}
        return unit_file | {f"{self.directory}/{name}": text for name, text in sorted(self.dropins.items())}

    def desired(self, observed: Mapping[str, Value]) -> dict[str, Value]:
        """What is wanted of the two properties; what is ours and not wanted is to go."""
        unwanted = observed.get("content") not in (None, ABSENT, FOREIGN)
        dropins = tuple(f"{name} {text.digest}" for name, text in sorted(self.dropins.items()))
        return {
            "content": self.content.digest if self.content else ABSENT if unwanted else None,
            "dropins": dropins if dropins or observed.get("dropins") else None,
        }

    def observe(self, files: FileView, entries: Collection[str]) -> dict[str, Value]:
        """Both properties; `entries` is what lies in DIRECTORY. Raises ResourceError."""
        content = _seen(files, self.path, wanted=self.content is not None) if self.name in entries else ABSENT
        state: dict[str, Value] = {"content": content}
        found = files.listdir(self.directory) if f"{self.name}.d" in entries else ()
        seen = {name: self._seen_dropin(files, name) for name in found if name.endswith(".conf")}
        state["dropins"] = tuple(f"{name} {value}" for name, value in seen.items() if value != FOREIGN)
        return state

    def _seen_dropin(self, files: FileView, name: str) -> str:
        return _seen(files, f"{self.directory}/{name}", wanted=name in self.dropins)

    def unwanted(self, files: FileView) -> list[str]:
        """The paths of drop-ins that are ours and that Git no longer wants."""
        names = [name for name in files.listdir(self.directory) if name.endswith(".conf") and name not in self.dropins]
        return [path for name in names if is_ours(files, path := f"{self.directory}/{name}")]

    def shown(self, host: HostView) -> tuple[bytes, bytes]:
        """All of it before and after, each file under its path, as `systemctl cat` shows it."""
        files, wanted = host.files, self.contents
        gone = [self.path] if self.content is None and is_ours(files, self.path) else []
        paths = (*wanted, *self.unwanted(files), *gone)
        before = {path: text for path in paths if (text := _text(files, path)) is not None}
        return _cat(before), _cat({path: host.content(content) for path, content in wanted.items()})


def write(host: Host, texts: Sequence[OwnText]) -> dict[str, ResourceError]:
    """Bring the files of units to what Git wants, but for unit files that are to go; an error for each unit that failed."""
    errors: dict[str, ResourceError] = {}
    staged: list[tuple[str, Staged]] = []
    for text in texts:
        try:
            staged += [(text.name, one) for one in _stage(host, text)]
        except ResourceError as error:
            errors[text.name] = error
    published = host.files.publish([one for _, one in staged])
    errors |= {name: error for (name, _), error in zip(staged, published, strict=True) if error is not None}
    for text in texts:
        if text.name not in errors:
            _remove_dropins(host.files, text)
    return errors


def _stage(host: Host, text: OwnText) -> Iterator[Staged]:
    """Complete temporary files for what differs; none is left when one cannot be made."""
    files = host.files
    if text.dropins and files.lstat(text.directory) is None:
        files.make_directory(text.directory, mode=0o755, owner=_OWNER)
    made: list[Staged] = []
    try:
        for path, content in text.contents.items():
            if _seen(files, path, wanted=True) != content.digest:
                _check_replaceable(files, path)
                made.append(files.stage(path, MARK + host.content(content), mode=_MODE, owner=_OWNER))
    except ResourceError:
        for one in made:
            files.discard(one)
        raise
    yield from made


def _check_replaceable(files: FileView, path: str) -> None:
    found = files.lstat(path)
    if found is None or found.type == "file":
        return
    if found.type == "symlink" and files.readlink(path) == "/dev/null":
        return  # a mask, and Git wants the unit
    what = f"a link to {files.readlink(path)}" if found.type == "symlink" else f"a {found.type}"
    raise ResourceError(f"{path} is {what}, and the text of the unit is wanted there; remove it by hand")


def _remove_dropins(files: Files, text: OwnText) -> None:
    unwanted = text.unwanted(files)
    for path in unwanted:
        files.unlink(path)
    if unwanted and not files.listdir(text.directory):
        files.remove_directory(text.directory)


def _seen(files: FileView, path: str, *, wanted: bool) -> str:
    """The digest of a file's text, or what keeps it from being as Git wants it; FOREIGN when Git does not want it."""
    found = files.lstat(path)
    if found is None:
        return ABSENT
    if found.type != "file" or found.size > _LIMIT:
        return (found.type if found.type != "file" else f"{found.size} bytes") if wanted else FOREIGN
    data = files.read(path, _LIMIT)
    if not wanted and not data.startswith(MARK):
        return FOREIGN
    if wanted and (found.uid, found.gid, found.mode) != (*_OWNER, _MODE):
        return f"{found.uid}:{found.gid} {found.mode:04o}"
    return hashlib.sha256(data.removeprefix(MARK)).hexdigest()


def is_ours(files: FileView, path: str) -> bool:
    """Whether a file is one that this kind has written."""
    return _seen(files, path, wanted=False) not in (ABSENT, FOREIGN)


def _text(files: FileView, path: str) -> bytes | None:
    found = files.lstat(path)
    if found is None or found.type != "file" or found.size > _LIMIT:
        return None
    return files.read(path, _LIMIT).removeprefix(MARK)


def _cat(texts: Mapping[str, bytes]) -> bytes:
    return b"".join(b"# " + path.encode() + b"\n" + text for path, text in sorted(texts.items()))
