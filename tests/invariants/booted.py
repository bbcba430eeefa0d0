"""The booted world: an installed agent, a remote over HTTP, and what systemctl, cat and the agent's own verbs say."""

from __future__ import annotations

import base64
import json
import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pygit2

from agent.source import ACCEPTED
from agent.source.floor import NAME as FLOOR
from agent.source.floor import read_floor
from agent.store import Store
from tests.hosts.machine import Machine
from tests.invariants.real import Real
from tests.invariants.remote import Remote
from tests.invariants.seen import Seen, Service
from tests.invariants.wishes import APP, WEB

STATE, RUNTIME, REPOSITORY = "/var/lib/gitops-agent", "/run/gitops-agent", "fleet.git"
UNIT = """\
[Unit]
StartLimitIntervalSec=0
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/local/bin/reads {0}
ExecReload=/usr/local/bin/reads {0}
"""
READS = """\
#!/bin/sh -e
test ! -e /run/fails-$1
rm -rf /run/read-$1
mkdir /run/read-$1
for path in /srv/*; do if test -f $path; then cp $path /run/read-$1; fi; done
echo >>/run/count-$1
"""
CHECKER = "#!/bin/sh\necho >>/run/tries\nexit 1\n"
LOOK = f"""
say() {{ for path in $2/*; do if test -f $path; then echo "$1 ${{path##*/}} $(base64 -w0 <$path)"; fi; done; }}
count() {{ if test -e $1; then wc -l <$1; else echo 0; fi; }}
say file /srv
for unit in {APP} {WEB}; do
  echo "active $unit $(systemctl is-active $unit)"
  echo "reads $unit $(count /run/count-$unit)"
  say "read-$unit" /run/read-$unit
done
echo "tries all $(count /run/tries)"
agentctl status --root /. --runtime-dir {RUNTIME} >/dev/null 2>&1 && echo "exit status 0" || echo "exit status $?"
"""  # another name for /, for no daemon runs here, which is what status would say of /
VERDICTS = {"0": "OK", "1": "WARNING", "2": "CRITICAL", "3": "UNKNOWN"}
VERBS = (
    ("status",), ("status", "--json"), ("plan",), ("plan", "--json"), ("show",), ("show", "--json"), ("source",), ("prune",),
    ("log", "--diff"), ("log", "--json"), ("history",), ("history", "--json"),
)  # fmt: skip


class BootedWorld:
    """A world (tests.invariants.seen.World) on a machine; each one begins it anew."""

    def __init__(self, machine: Machine, keys: Real, served: Path, url: str, verify: str, rollback: str) -> None:
        self.machine, self._keys, self._said = machine, keys, [""]
        self.seal = keys.seal
        machine.shell(
            f"systemctl stop {APP} {WEB} 2>/dev/null || true; rm -rf {STATE} {RUNTIME} /srv/* /run/read-* /run/count-* /run/tries"
        )
        served.mkdir()
        self.remote = Remote(served / REPOSITORY, keys.sign)
        self._prepare(f"{url}/{served.name}/{REPOSITORY}", verify, rollback)

    def close(self) -> None:
        """Leave it to the next."""

    def _prepare(self, url: str, verify: str, rollback: str) -> None:
        for name, text in (("reads", READS), ("checker", CHECKER)):
            self.machine.write(f"/usr/local/bin/{name}", text, 0o755)
        for name in (APP, WEB):
            self.machine.write(f"/etc/systemd/system/{name}", UNIT.format(name))
        self.machine.write("/etc/ssh/ssh_host_ed25519_key", Path(self._keys.key("host")).read_text(), 0o600)
        for path in self._keys.trusted.iterdir():
            self.machine.write(f"/etc/gitops-agent/trusted.d/{path.name}", path.read_text())
        wishes = {
            "repository": url, "verify": f'"{verify}"', "rollback": rollback, "contested_after": 100_000,
            "health_settle": 0, "health_timeout": 1, "health_soak": 0,
        }  # fmt: skip
        text = "".join(f"{name}: {value}\n" for name, value in wishes.items())
        self.machine.write("/etc/gitops-agent/agent.yaml", text)
        self.machine.run("systemctl", "daemon-reload")

    # What people do

    def put(self, path: str, text: str) -> None:
        self.machine.write(path, text)

    def remove(self, path: str) -> None:
        self.machine.run("rm", "-f", path)

    def stop(self, unit: str) -> None:
        self.machine.run("systemctl", "stop", unit)

    def let_fail(self, unit: str, *, fails: bool) -> None:
        self.machine.run(*("touch", f"/run/fails-{unit}") if fails else ("rm", "-f", f"/run/fails-{unit}"))

    def forgive(self) -> None:
        self._agentctl("retry")

    # Passes

    def run(self, reason: str, *, approved: bool = False) -> bool:
        self._agentctl("apply", *(("--confirm-removals",) if approved else ()))
        return True

    def die(self, at: int) -> bool:
        ended = self.machine.run("timeout", "-s", "KILL", f"{0.03 * at:.2f}", "agentctl", "apply", check=False)
        self._said.append(ended.stdout + ended.stderr)
        self.machine.shell('while test -n "$(systemctl list-jobs --no-legend)"; do sleep 0.05; done')
        return ended.returncode in (137, -9)

    def _agentctl(self, *words: str) -> int:
        ended = self.machine.run("agentctl", *words, check=False)
        assert "Traceback" not in ended.stderr
        self._said.append(ended.stdout + ended.stderr)
        return ended.returncode

    # What is seen

    def see(self) -> Seen:
        texts: defaultdict[str, dict[str, str]] = defaultdict(dict)
        for line in self.machine.shell(LOOK).splitlines():
            kind, name, value = (*line.split(" "), "")[:3]
            texts[kind][name] = value
        with Store(str(self.machine.path(STATE)), writable=False) as store:
            floor = str(read_floor(str(self.machine.path(f"{STATE}/floor.json"))).get("accepted", "")) or store.recall(
                FLOOR
            )
            inventory = store.inventory()
            kept = frozenset(inventory), len(store.owed()), store.recall("in_force")
        file = self.machine.run("cat", f"{RUNTIME}/status.json", check=False).stdout  # in the memory of the host
        status = json.loads(file or "{}")
        return Seen(
            files=_decoded(texts["file"]),
            services={name: _service(texts, name) for name in (APP, WEB)},
            floor=floor, reference=self._reference(),
            inventory=kept[0], pending=frozenset(name for name, entry in inventory.items() if entry.pending), owed=kept[1], held=kept[2], tries=int(texts["tries"]["all"]),
            verdict=VERDICTS[texts["exit"]["status"]],
            conditions=frozenset(found["reason"] for found in status.get("conditions", ())),
            failed=frozenset(found["id"] for found in status.get("problems", ()) if found["result"] == "failed"),
        )  # fmt: skip

    def _reference(self) -> str:
        clone = self.machine.path(f"{STATE}/repo.git")
        if not clone.exists():
            return ""
        references = {ref.name: str(ref.target) for ref in pygit2.Repository(str(clone)).references.iterator()}
        assert set(references) <= {ACCEPTED}, "only what is accepted has a name"
        return references.get(ACCEPTED, "")

    def look(self) -> None:
        for verb in VERBS:
            self._agentctl(*verb)
        with Store(str(self.machine.path(STATE)), writable=False) as store:
            held = store.recall("in_force")
        self._agentctl("diff", held)

    def said(self) -> bytes:
        journal = self.machine.shell(
            "journalctl -o cat --cursor-file=/run/said --no-pager; cat -v /proc/*/cmdline || true"
        )
        runtime = self.machine.shell(f"find {RUNTIME} -type f -exec cat {{}} + 2>/dev/null || true")
        said = "\n".join([*self._said, journal, runtime]).encode()
        self._said.clear()
        return said + b"\n".join(self._kept())

    def _kept(self) -> Iterator[bytes]:
        """Everything in the state directory but the clone, which has what the remote serves."""
        for above, folders, files in os.walk(self.machine.path(STATE)):
            folders[:] = [name for name in folders if name != "repo.git"]
            yield from (Path(above, name).read_bytes() for name in files)


def _decoded(texts: dict[str, str]) -> dict[str, str]:
    return {f"/srv/{name}": base64.b64decode(text).decode() for name, text in texts.items()}


def _service(texts: dict[str, dict[str, str]], name: str) -> Service:
    return Service(texts["active"][name] == "active", int(texts["reads"][name]), _decoded(texts[f"read-{name}"]))
