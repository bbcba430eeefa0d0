"""Build the packages: `python packaging/build.py deb rpm` (`make deb`, `make rpm`) writes them to dist/."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(HERE), str(HERE / "packaging")]

from man import manual  # noqa: E402

from agent import __version__  # noqa: E402
from agent.settings import Settings  # noqa: E402

BUILD = HERE / "build"
ROOT = BUILD / "root"
DOC = "usr/share/doc/gitops-agent"


def lay_out() -> None:
    """Put every file where a host has it, with its mode."""
    shutil.rmtree(BUILD, ignore_errors=True)
    for package in ("agent", "modules"):
        for source in sorted((HERE / package).rglob("*")):
            if source.suffix == ".py":
                _put(source.read_bytes(), f"usr/lib/gitops-agent/{source.relative_to(HERE)}")
    _put((HERE / "packaging/agentctl").read_bytes(), "usr/bin/agentctl", 0o755)
    _put((HERE / "systemd/gitops-agent.service").read_bytes(), "usr/lib/systemd/system/gitops-agent.service")
    _put(_zipped(manual().encode()), "usr/share/man/man8/agentctl.8.gz")
    _put((HERE / "agent/schema.json").read_bytes(), "usr/share/gitops-agent/schema.json")
    _put((HERE / "README.md").read_bytes(), f"{DOC}/README.md")
    _put((HERE / "LICENSE").read_bytes(), f"{DOC}/copyright")
    _put(_zipped((HERE / "CHANGELOG.md").read_bytes()), f"{DOC}/changelog.gz")
    (BUILD / "agent.yaml").write_text("\n".join(_settings()) + "\n")


def _put(data: bytes, path: str, mode: int = 0o644) -> None:
    target = ROOT / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)
    target.chmod(mode)


def _zipped(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


def _settings() -> Iterator[str]:
    yield "# Settings of gitops-agent. Every key may also stand in agent.d/*.yaml, which your own tools can write."
    yield "# Without a repository the agent does nothing. After a change: systemctl reload-or-restart gitops-agent"
    yield ""
    for field in fields(Settings):
        default = str(field.default).lower() if isinstance(field.default, bool) else field.default
        example = {"repository": "https://git.example.com/fleet.git", "host": "web-01"}.get(field.name, default)
        yield f"# {field.metadata['doc']}\n#{field.name}: {example}".rstrip()


def build(kind: str) -> Path:
    """Make one package (deb, rpm); its path. The same sources give the same bytes."""
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH") or _committed_at())
    for path in [ROOT, *ROOT.rglob("*"), BUILD / "agent.yaml"]:
        os.utime(path, (epoch, epoch))
    (HERE / "dist").mkdir(exist_ok=True)
    command = [
        str(Path(sys.executable).parent / "nfpm"),
        "package",
        "-f",
        "packaging/nfpm.yaml",
        "-p",
        kind,
        "-t",
        "dist/",
    ]
    subprocess.run(
        command,
        check=True,
        cwd=HERE,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "VERSION": __version__, "SOURCE_DATE_EPOCH": str(epoch)},
    )
    return max((HERE / "dist").glob(f"gitops-agent*{kind}"), key=lambda path: path.stat().st_mtime)


def _committed_at() -> str:
    found = subprocess.run(["git", "log", "-1", "--format=%ct"], cwd=HERE, capture_output=True, text=True, check=False)
    return found.stdout.strip() or "0"


def main() -> int:
    """Build what is asked for and print where it is."""
    lay_out()
    for kind in sys.argv[1:] or ["deb", "rpm"]:
        print(build(kind).relative_to(HERE))
    return 0


if __name__ == "__main__":
    sys.exit(main())
