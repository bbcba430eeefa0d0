"""A container registry on a test host's loopback, and tiny images to push to it without any engine."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import shutil
import subprocess
import tarfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.hosts.network import socket_inside

PORT = 5000
_CONFIG = """version: 0.1
storage:
  filesystem: {{rootdirectory: {root}}}
  delete: {{enabled: true}}
http: {{addr: "{address}:{port}"{tls}}}
log: {{level: error}}
"""
LOGIN = "agent:correct-horse"
_HTPASSWD = "agent:$2b$04$W6zIFk17UwU0kZpzOZNp8u69uf1BwmFtORZXpJR6U41Pt8Xw7ZeGa\n"
_AUTH = "auth: {{htpasswd: {{realm: test, path: {path}}}}}\n"
_APPLETS = ("sh", "sleep", "httpd", "wget", "cat", "echo", "id", "test", "true", "false", "env", "touch", "ls")


@contextlib.contextmanager
def registry(directory: Path, pid: int, port: int = PORT, *, private: str = "") -> Iterator[str]:
    """Run Debian's docker-registry inside the network of a process; its address there.

    With `private`, a host name, it asks for LOGIN and has TLS under that name, by the authority `ca.crt` of the directory.
    """
    directory.mkdir(parents=True, exist_ok=True)
    tls, more = "", ""
    if private:
        _certify(directory, private)
        tls = f", tls: {{certificate: {directory}/server.crt, key: {directory}/server.key}}"
        (directory / "htpasswd").write_text(_HTPASSWD)
        more = _AUTH.format(path=directory / "htpasswd")
    (directory / "config.yml").write_text(
        _CONFIG.format(root=directory / "data", address="" if private else "127.0.0.1", port=port, tls=tls) + more
    )
    command = ["nsenter", "-t", str(pid), "-n", "--", "docker-registry", "serve", str(directory / "config.yml")]
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        _await(pid, port)
        yield f"{private or '127.0.0.1'}:{port}"
    finally:
        process.terminate()
        process.wait(10)


def _certify(directory: Path, name: str) -> None:
    """A certificate for a name, which is its own authority."""
    request = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
    ]
    request += ["-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"]
    request += ["-keyout", str(directory / "server.key"), "-out", str(directory / "server.crt")]
    subprocess.run(request, check=True, capture_output=True)
    shutil.copy(directory / "server.crt", directory / "ca.crt")


def _await(pid: int, port: int) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket_inside(pid) as connection:
            connection.connect(("127.0.0.1", port))
            return
        time.sleep(0.1)
    raise RuntimeError("the registry did not start")


def push(
    directory: Path,
    pid: int,
    reference: str,
    *,
    text: str,
    healthcheck: Sequence[str] = (),
    serves: bool = True,
    login: str = "",
) -> str:
    """Make a tiny image that answers HTTP on port 8080 with `text`, and push it; its digest."""
    layout = directory / f"oci-{hashlib.sha256(repr((reference, text, healthcheck, serves)).encode()).hexdigest()[:8]}"
    _oci_layout(layout, text, healthcheck, serves=serves)
    digest_file = layout.with_suffix(".digest")
    command = ["nsenter", "-t", str(pid), "-n", "--", "skopeo", "copy", "--quiet", "--dest-tls-verify=false"]
    command += ["--format=v2s2", f"--digestfile={digest_file}", f"oci:{layout}:latest", f"docker://{reference}"]
    command += [f"--dest-creds={login}"] if login else []
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise RuntimeError(ended.stderr)
    return digest_file.read_text().strip()


def _oci_layout(layout: Path, text: str, healthcheck: Sequence[str], *, serves: bool) -> None:
    blobs = layout / "blobs/sha256"
    blobs.mkdir(parents=True, exist_ok=True)

    def blob(data: bytes) -> dict[str, object]:
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return {"digest": f"sha256:{digest}", "size": len(data)}

    layer = _layer(text)
    command = ["/bin/httpd", "-f", "-p", "8080", "-h", "/www"] if serves else ["/bin/sleep", "1000000"]
    config: dict[str, object] = {"Cmd": command, "Env": ["PATH=/bin"]}
    if healthcheck:
        config["Healthcheck"] = {
            "Test": ["CMD", *healthcheck],
            "Interval": 1_000_000_000,
            "Timeout": 1_000_000_000,
            "Retries": 2,
        }
    image = {
        "architecture": "amd64",
        "os": "linux",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }
    described = blob(json.dumps(image).encode()) | {"mediaType": "application/vnd.oci.image.config.v1+json"}
    layered = blob(layer) | {"mediaType": "application/vnd.oci.image.layer.v1.tar"}
    manifest = blob(json.dumps({"schemaVersion": 2, "config": described, "layers": [layered]}).encode())
    manifest |= {
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "annotations": {"org.opencontainers.image.ref.name": "latest"},
    }
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [manifest]}))
    (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')


def _layer(text: str) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name in ("bin", "www", "tmp"):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
            archive.addfile(folder)
        for name, data, mode in (
            ("bin/busybox", Path("/bin/busybox").read_bytes(), 0o755),
            ("www/index.html", text.encode(), 0o644),
        ):
            file = tarfile.TarInfo(name)
            file.size, file.mode = len(data), mode
            archive.addfile(file, io.BytesIO(data))
        for applet in _APPLETS:
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            archive.addfile(link)
    return packed.getvalue()
