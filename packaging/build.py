"""Build the packages: `python packaging/build.py deb rpm` (`make deb`, `make rpm`) writes them to dist/."""

from __future__ import annotations

import argparse
import fcntl
import gzip
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import fields
from email.utils import formatdate
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(HERE), str(HERE / "packaging")]

from man import manual  # noqa: E402

from agent import __version__  # noqa: E402
from agent.settings import Settings  # noqa: E402

BUILD = HERE / "build"
ROOT = BUILD / "root"
MAINTAINER = "gitops-agent maintainers <maintainers@example.com>"  # as in nfpm.yaml
EXAMPLES = {
    "repository": "https://git.example.com/fleet.git",
    "fallbacks": "[https://mirror.example.com/fleet.git]",
    "host": "web-01",
    "verify": "range",
}
DOC = "usr/share/doc/gitops-agent"


def lay_out(version: str) -> None:
    """Put every file where a host has it, with its mode."""
    shutil.rmtree(BUILD, ignore_errors=True)
    for package in ("agent", "modules"):
        for source in sorted((HERE / package).rglob("*")):
            if source.suffix == ".py":
                _put(source.read_bytes(), f"usr/lib/gitops-agent/{source.relative_to(HERE)}")
    stamped = (HERE / "agent/__init__.py").read_text().replace(f'"{__version__}"', f'"{version}"')
    _put(stamped.encode(), "usr/lib/gitops-agent/agent/__init__.py")
    _put((HERE / "packaging/agentctl").read_bytes(), "usr/bin/agentctl", 0o755)
    _put((HERE / "systemd/gitops-agent.service").read_bytes(), "usr/lib/systemd/system/gitops-agent.service")
    _put(_zipped(manual(version, _epoch()).encode()), "usr/share/man/man8/agentctl.8.gz")
    _put((HERE / "agent/schema.json").read_bytes(), "usr/share/gitops-agent/schema.json")
    _put((HERE / "README.md").read_bytes(), f"{DOC}/README.md")
    _put((HERE / "packaging/copyright").read_bytes(), f"{DOC}/copyright")
    _put(_zipped(_changelog(version).encode()), f"{DOC}/changelog.gz")
    (BUILD / "agent.yaml").write_text("\n".join(_settings()) + "\n")


def _put(data: bytes, path: str, mode: int = 0o644) -> None:
    target = ROOT / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)
    target.chmod(mode)


def _zipped(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


def _changelog(version: str) -> str:
    """The newest section of CHANGELOG.md as deb-changelog(5) has it."""
    newest = (HERE / "CHANGELOG.md").read_text().split("\n## ")[1]
    written = "\n".join(line for line in newest.splitlines()[1:] if not line.startswith("#"))
    items = [" ".join(item.split()) for item in f"\n{written}".split("\n- ")[1:]]
    text = "\n".join(textwrap.fill(item, 78, initial_indent="  * ", subsequent_indent="    ") for item in items)
    signed = f" -- {MAINTAINER}  {formatdate(_epoch())}"
    return f"gitops-agent ({version}) unstable; urgency=medium\n\n{text}\n\n{signed}\n"


def _settings() -> Iterator[str]:
    yield "# Settings of gitops-agent. Every key may also stand in agent.d/*.yaml, which your own tools can write."
    yield "# Without a repository the agent does nothing. After a change: systemctl reload-or-restart gitops-agent"
    yield ""
    for field in fields(Settings):
        default = str(field.default).lower() if isinstance(field.default, bool) else field.default
        example = EXAMPLES.get(field.name, default)
        yield f"# {field.metadata['doc']}\n#{field.name}: {example}".rstrip()


def build(kind: str, version: str, into: Path) -> Path:
    """Make one package (deb, rpm); its path. The same sources give the same bytes."""
    epoch = _epoch()
    for path in [ROOT, *ROOT.rglob("*"), BUILD / "agent.yaml"]:
        os.utime(path, (epoch, epoch))
        if path.is_dir():
            path.chmod(0o755)  # whatever the umask of who builds
    into.mkdir(parents=True, exist_ok=True)
    nfpm = str(Path(sys.executable).parent / "nfpm")
    subprocess.run(
        [nfpm, "package", "-f", "packaging/nfpm.yaml", "-p", kind, "-t", f"{into.resolve()}/"],
        check=True,
        cwd=HERE,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "VERSION": version, "SOURCE_DATE_EPOCH": str(epoch)},
    )
    return max(into.glob(f"gitops-agent*{kind}"), key=lambda path: path.stat().st_mtime)


def _epoch() -> int:
    """When the sources were committed, in seconds: the time of everything in a package."""
    if "SOURCE_DATE_EPOCH" in os.environ:
        return int(os.environ["SOURCE_DATE_EPOCH"])
    found = subprocess.run(["git", "log", "-1", "--format=%ct"], cwd=HERE, capture_output=True, text=True, check=False)
    return int(found.stdout.strip() or 0)


def main() -> int:
    """Build what is asked for and print where it is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*", metavar="deb|rpm", help="which packages (default: both)")
    parser.add_argument("--version", default=__version__, help="another version than that of the sources")
    parser.add_argument("--into", type=Path, default=HERE / "dist", metavar="DIR", help="where to (default: dist/)")
    options = parser.parse_args()
    fcntl.flock(os.open(HERE / "packaging", os.O_RDONLY), fcntl.LOCK_EX)  # one build at a time in build/, until we end
    lay_out(options.version)
    for kind in options.kinds or ["deb", "rpm"]:
        print(os.path.relpath(build(kind, options.version, options.into)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
