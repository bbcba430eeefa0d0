"""Podman behind Docker's interface, where it differs."""

from __future__ import annotations

import re
import time
from urllib.parse import quote

from agent.host.engine_choice import PODMAN
from agent.host.engine_client import ANSWER_SECONDS
from agent.host.engine_docker import POLL_SECONDS, DockerEngine
from modules.api import ResourceError

_PORT_TRIES = 60  # the 22nd was the last that Podman 5 needed


class PodmanEngine(DockerEngine):
    """Podman's Docker-compatible interface, where it differs."""

    program = PODMAN

    def _newest(self, reference: str, registry: str) -> str:  # noqa: ARG002
        from agent.host.registry import newest_digest

        return newest_digest(reference, self._credentials)  # it has no /distribution

    def start(self, name: str) -> None:
        """Try again while the port is taken: after a start that failed, Podman itself has it until it next collects garbage.

        That is after some number of requests, not a time.
        """
        for _ in range(_PORT_TRIES - 1):
            try:
                return super().start(name)
            except ResourceError as error:
                if "address already in use" not in str(error):
                    raise
            time.sleep(POLL_SECONDS)
        return super().start(name)

    def stop(self, name: str, timeout_seconds: int) -> None:
        """Wait for its clean-up too, another process, which would take a port away from the container that gets it next.

        That process also starts again what died before it was told to stop; then it is told once more.
        """
        deadline = time.monotonic() + ANSWER_SECONDS
        status = "running"
        while status == "running" and time.monotonic() < deadline:
            self._tell_to_stop(name, timeout_seconds)
            while (status := self._status(name)) in ("stopping", "stopped") and time.monotonic() < deadline:
                time.sleep(POLL_SECONDS)

    def _status(self, name: str) -> str:
        found = self._connection.get(f"/v4.0.0/libpod/containers/{quote(name)}/json", {}, missing=None)
        return "" if found is None else str(found["State"]["Status"])

    def remove(self, name: str, *, anonymous_volumes: bool) -> None:
        """Podman removes none whose network others share; those of ours are made anew by their own resources."""
        try:
            super().remove(name, anonymous_volumes=anonymous_volumes)
        except ResourceError as error:
            sharing = re.findall(r"[0-9a-f]{64}", str(error).partition("must be removed before it")[2])
            if not sharing or not all(self._is_ours(container) for container in sharing):
                raise
            for container in sharing:
                super().remove(container, anonymous_volumes=False)
            super().remove(name, anonymous_volumes=anonymous_volumes)

    def _is_ours(self, container: str) -> bool:
        found = self.found(f"/containers/{container}/json")
        return found is None or "gitops-agent.spec" in (found["Config"]["Labels"] or {})

    def retire(self, name: str) -> None:
        """Podman 4 cannot; there only podman-restart.service, which is not enabled, would bring it back."""
        try:
            super().retire(name)
        except ResourceError as error:
            if getattr(error.__cause__, "status_code", None) != 404:
                raise
