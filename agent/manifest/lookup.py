"""Files and templates of the repository, as the fields of a resource ask for them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from agent.errors import TreeError, nearest
from agent.manifest.bounds import Bounds
from agent.manifest.render import Names, Renderer
from agent.secrets import Vault
from agent.source import Below, Entry, Tree
from modules.api import Content
from modules.fields import Folder, Leaf

MAX_SOURCE_BYTES = 256 << 20
MAX_FOLDER_ENTRIES = 50_000


def content_of(data: bytes, origin: str = "") -> Content:
    """A content held in memory; `origin` is the file that it was rendered from."""
    return Content(hashlib.sha256(data).hexdigest(), len(data), data=data, origin=origin)


class Scope:
    """Where one document's files and templates are looked up.

    A role finds its own first, then those at the root; a host or group those at the root, then those of its roles.
    """

    def __init__(self, tree: Tree, folders: Sequence[str], bounds: Bounds, vault: Vault) -> None:
        self._tree, self._folders, self.vault = tree, folders, vault
        self.renderer = Renderer(self.template_text, bounds)

    def lookup(self, names: Names) -> Lookup:
        """Bind the names that templates see."""
        return Lookup(self, self.renderer, names)

    def _find(self, name: str, kind: str) -> str:
        """The path of a file in the first folder that has it. Raises ValueError."""
        if name.startswith("/") or ".." in name.split("/"):
            raise ValueError(f"must be a path inside a {kind}/ folder, without '..', not {name!r}")
        paths = [f"{folder}{kind}/{name}" for folder in self._folders]
        found = [path for path in paths if self._tree.entry(path)]
        if not found:
            near = nearest(name, [known for folder in self._folders for known in self._tree.names(f"{folder}{kind}")])
            raise ValueError(f"names {name!r}, which is none of {', '.join(paths)}{near}")
        if len(found) > 1 and not self._folders[0]:
            raise ValueError(
                f"names {name!r}, which is in several places: {', '.join(found)}; use it in the role, or rename one"
            )
        return found[0]

    def source(self, name: str) -> Content:
        """The content of a file. Raises ValueError, TreeError."""
        path = self._find(name, "files")
        entry = self._tree.entry(path)
        if entry is None or entry.kind != "file":
            raise ValueError(f"names {path}, which is not a file")
        return self._content(path, entry)

    def folder(self, name: str) -> Folder:
        """All that is in a folder. Raises ValueError, TreeError."""
        path = self._find(name, "files")
        entry = self._tree.entry(path)
        if entry is None or entry.kind != "directory":
            raise ValueError(f"names {path}, which is not a folder")
        return tuple(self._leaf(path, below) for below in self._tree.below(path, MAX_FOLDER_ENTRIES))

    def _leaf(self, folder: str, below: Below) -> Leaf:
        kind = below.entry.kind
        if kind == "file":
            content = self._content(f"{folder}/{below.path}", below.entry)
            return Leaf(below.path, "file", content, executable=below.entry.executable)
        if kind == "submodule":
            raise ValueError(f"names {folder}, in which {below.path} is a submodule, whose files are elsewhere")
        return Leaf(below.path, "symlink" if kind == "link" else kind, target=below.target)

    def _content(self, path: str, entry: Entry) -> Content:
        data = self._tree.read(path, MAX_SOURCE_BYTES)
        return Content(hashlib.sha256(data).hexdigest(), len(data), blob=entry.id, origin=path)

    def template_text(self, name: str) -> tuple[str, str]:
        """The text of a template, and its path. Raises ValueError."""
        try:
            path = self._find(name, "templates")
            return self._tree.read(path).decode(), path
        except TreeError as error:
            raise ValueError(str(error)) from error
        except UnicodeDecodeError as error:
            raise ValueError(f"names {path}, which is not UTF-8 text and so no template; use `source`") from error


class Lookup:
    """What `modules.fields.Lookup` asks for, with the names of one resource."""

    def __init__(self, scope: Scope, renderer: Renderer, names: Names) -> None:
        self._scope, self._renderer, self._names = scope, renderer, names

    def source(self, name: str) -> Content:
        """The content of a file in a `files/` folder. Raises ValueError."""
        with _as_value_error():
            return self._scope.source(name)

    def folder(self, name: str) -> Folder:
        """All that is in a folder in a `files/` folder. Raises ValueError."""
        with _as_value_error():
            return self._scope.folder(name)

    def template(self, name: str) -> Content:
        """The rendered content of a template. Raises ValueError, or ManifestInvalid with places in the template."""
        text, path = self._scope.template_text(name)
        return content_of(self._renderer.template(text, self._names, path).encode(), path)

    def text(self, text: str) -> Content:
        """A content of its own."""
        return content_of(text.encode())


@contextmanager
def _as_value_error() -> Iterator[None]:
    try:
        yield
    except TreeError as error:
        raise ValueError(str(error)) from error
