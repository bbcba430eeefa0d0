"""Cached Debian roots: a bare one by debootstrap, and layers of packages over it."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CACHE = Path(os.environ.get("GITOPS_AGENT_TEST_CACHE", "/var/cache/gitops-agent-tests"))
RUNTIME = (
    "python3-pygit2",
    "python3-apscheduler",
    "python3-jinja2",
    "python3-yaml",
    "python3-psutil",
    "python3-systemd",
    "age",
)
DNF = ("dnf", "rpm", "dnf-plugins-core")
DNF_5 = ("--target-release=forky", "dnf5", "rpm")  # in no earlier release of Debian
ENGINE = ("docker.io", "iptables", "python3-docker")
ENGINE_COMMAND = {"bookworm": (), "trixie": ("docker-cli",)}  # a package of its own since trixie
PODMAN = ("podman", "netavark", "aardvark-dns", "crun", "nftables", "catatonit")
_BARE = ("systemd", "systemd-sysv", "dbus", "ca-certificates", "iproute2", "procps")


@dataclass(frozen=True)
class Image:
    """A Debian suite with the packages of each layer installed, the last layer on top."""

    suite: str
    layers: tuple[tuple[str, ...], ...] = ()

    def directories(self) -> list[Path]:
        """The lower directories of an overlay, the topmost first; what is missing is built."""
        found = [_built(self.suite, self.layers[:depth]) for depth in range(len(self.layers) + 1)]
        return found[::-1]


def bare(suite: str) -> Image:
    """A booting system and nothing else."""
    return Image(suite)


def ready(suite: str) -> Image:
    """With what the agent's package depends on, so that it installs in a moment."""
    return Image(suite, (RUNTIME,))


def with_engine(suite: str) -> Image:
    """With a container engine as well."""
    return Image(suite, (RUNTIME, (*ENGINE, *ENGINE_COMMAND[suite])))


def with_dnf(suite: str) -> Image:
    """With dnf and rpm, which know of nothing yet."""
    return Image(suite, (RUNTIME, DNF))


def with_dnf_5() -> Image:
    """With dnf 5 and its rpm, of the release after the last that the agent is for, and as much else of it as they need."""
    return Image("trixie", (RUNTIME, DNF_5))


def with_verifiers(suite: str) -> Image:
    """With the programs that judge signatures as well."""
    return Image(suite, (RUNTIME, ("gpgv", "openssh-client")))


def with_engines(suite: str) -> Image:
    """With Podman beside Docker, for tests that say which of the two is meant."""
    return Image(suite, (*with_engine(suite).layers, PODMAN))


def mirror() -> str:
    """The archive this machine's own apt uses."""
    asked = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"]
    found = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.split()
    urls = [url for url in found if url.rstrip("/").endswith("/debian")]
    if not urls:
        raise RuntimeError("apt knows no Debian archive: run apt-get update first")
    return urls[0]


def _built(suite: str, layers: tuple[tuple[str, ...], ...]) -> Path:
    recipe = hashlib.sha256(repr((1, suite, _BARE, layers)).encode()).hexdigest()[:12]
    target = CACHE / "images" / f"{suite}-{len(layers)}-{recipe}"
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            temporary = target.with_suffix(".new")
            shutil.rmtree(temporary, ignore_errors=True)
            _say(f"building the test host image {target.name} (once)")
            _layer(Image(suite, layers), temporary) if layers else _debootstrap(suite, temporary)
            temporary.rename(target)  # an interrupted build never counts
    return target


def _debootstrap(suite: str, target: Path) -> None:
    include = ",".join(_BARE)
    _run("debootstrap", "--variant=minbase", f"--include={include}", suite, str(target), mirror())
    (target / "etc/machine-id").write_text("")
    (target / "etc/resolv.conf").unlink(missing_ok=True)
    shutil.rmtree(target / "var/cache/apt/archives")
    (target / "var/cache/apt/archives/partial").mkdir(parents=True)


def _layer(image: Image, upper: Path) -> None:
    """Install the topmost layer's packages over the others, in a chroot with this machine's network."""
    lower = Image(image.suite, image.layers[:-1]).directories()
    upper.mkdir()
    work, merged = upper.with_suffix(".work"), upper.with_suffix(".merged")
    with overlay(lower, upper, work, merged):
        shutil.copy("/etc/resolv.conf", merged / "etc/resolv.conf")
        (merged / "usr/sbin/policy-rc.d").write_text("#!/bin/sh\nexit 101\n")
        (merged / "usr/sbin/policy-rc.d").chmod(0o755)
        apt = ["chroot", str(merged), "env", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C", "apt-get", "-qq", "-y"]
        with _another_release(merged, apt, image.layers[-1]):
            _run(*apt, "--no-install-recommends", "install", *image.layers[-1])
        _run(*apt, "clean")
        (merged / "usr/sbin/policy-rc.d").unlink()
        (merged / "etc/resolv.conf").unlink()
    shutil.rmtree(work, ignore_errors=True)
    merged.rmdir()


@contextlib.contextmanager
def _another_release(root: Path, apt: list[str], words: tuple[str, ...]) -> Iterator[None]:
    """Let apt take what a layer asks for from the release that it names, if it names one, while the body runs."""
    releases = [word.partition("=")[2] for word in words if word.startswith("--target-release=")]
    source = root / "etc/apt/sources.list.d/another.list"
    for release in releases:
        source.write_text(
            f"deb [check-valid-until=no] {mirror()} {release} main\n"
        )  # one in the making may be of any day
        _run(*apt, "update")
    yield
    source.unlink(missing_ok=True)


@contextlib.contextmanager
def overlay(lower: list[Path], upper: Path, work: Path, merged: Path) -> Iterator[None]:
    """An overlay file system while the body runs."""
    for directory in (upper, work, merged):
        directory.mkdir(parents=True, exist_ok=True)
    options = f"lowerdir={':'.join(map(str, lower))},upperdir={upper},workdir={work}"
    _run("mount", "-t", "overlay", "overlay", "-o", options, str(merged))
    try:
        yield
    finally:
        _run("umount", "--lazy", str(merged))


def _run(*command: str) -> None:
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{ended.stdout[-2000:]}\n{ended.stderr[-2000:]}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
