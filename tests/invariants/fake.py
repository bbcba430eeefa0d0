"""The world of fakes: the agent's own passes and verbs, on a machine in memory and a real repository in a directory."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import tempfile
import time
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

import pygit2

from agent import cli, track
from agent.cli import one_pass, session
from agent.cli.interruption import Stop
from agent.cli.passing import Asked
from agent.errors import AgentError
from agent.secrets import Open, SecretUnavailable
from agent.source import ACCEPTED, Trust
from agent.source.floor import NAME as FLOOR
from agent.source.floor import read_floor
from agent.source.signatures import Run
from agent.status import read_status
from modules.api import Completed
from tests.invariants.remote import Remote, Sign
from tests.invariants.seen import Seen, Service
from tests.invariants.wishes import APP, WEB, Sealed
from tests.unit.fake_systemd import SERVICE, Loaded
from tests.unit.world import NAME, Fuse, Fused, PowerCut
from tests.unit.world import World as Machine

MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
SIGNATURE = "-----BEGIN SSH SIGNATURE-----\nby {}\n-----END SSH SIGNATURE-----\n"


@dataclass(frozen=True)
class Tools:
    """What signs and verifies commits, and what seals and opens secrets."""

    sign: Sign
    verify: Run
    seal: Callable[[Sealed], bytes]
    open: Open
    keys: Path | None = None  # a directory with the keys that count


def _verify(argv: Sequence[str], _data: bytes) -> Completed:
    """Stands in for ssh-keygen: what alice and ops signed is good."""
    good = Path(argv[-1]).read_text().split()[4:5] in (["alice"], ["ops"])
    return Completed(0 if good else 255, "alice@example.com\n" if good else "", "")


def _open(path: str, sealed: bytes) -> bytes:
    if not sealed.startswith(b"ours "):
        raise SecretUnavailable(f"{path} cannot be opened with the key of this host")
    return bytes.fromhex(sealed.split()[1].decode())


def _seal(secret: Sealed) -> bytes:
    return f"{'ours' if secret.ours else 'theirs'} {secret.text.encode().hex()}".encode()


STANDING_IN = Tools(lambda by, _commit: SIGNATURE.format(by), _verify, _seal, _open)


class FakeWorld:
    """A world (tests.invariants.seen.World) in which a step takes milliseconds."""

    def __init__(self, verify: str, rollback: str, tools: Tools = STANDING_IN) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="invariants-", dir=MEMORY))
        self.remote = Remote(self.directory / "fleet.git", tools.sign)
        self._tools, self._keys = tools, tools.keys or self._key_of_alice()
        self._configure(verify, rollback)
        self.machine = Machine(self.directory / "state")
        self.host, self.systemd = self.machine.host, self.machine.systemd
        self.host.programs["checker"] = self._check
        self._tries, self._failing = 0, set[str]()
        self._services = {name: Service() for name in (APP, WEB)}
        self._said = io.StringIO()
        self._fuse: Fuse | None = None
        self._prepare_services()
        self._patches = self._patched()

    def close(self) -> None:
        self._patches.close()
        shutil.rmtree(self.directory)

    def _key_of_alice(self) -> Path:
        keys = self.directory / "trusted.d"
        keys.mkdir(mode=0o755)
        (keys / "people.signers").write_text("alice@example.com ssh-ed25519 AAAA\n")
        (keys / "people.signers").chmod(0o644)
        return keys

    def _configure(self, verify: str, rollback: str) -> None:
        for name in ("root", "config", "state"):
            (self.directory / name).mkdir()
        wishes = {
            "repository": self.remote.path, "host": NAME, "verify": f'"{verify}"', "rollback": rollback,
            "contested_after": 100_000, "health_settle": 0, "health_timeout": 0, "health_soak": 0,
        }  # fmt: skip
        text = "".join(f"{name}: {value}\n" for name, value in wishes.items())
        (self.directory / "config/agent.yaml").write_text(text)
        self.place = {name: str(self.directory / name) for name in ("root", "config", "state")}
        options = {"repo": None, "host": None, "working_tree": False, "state_dir": self.place["state"]}
        site = session.site_of(Namespace(root=self.place["root"], config=self.place["config"], **options))
        self.site = replace(site, trust=Trust(verify, str(self._keys), self._tools.verify))

    def _patched(self) -> contextlib.ExitStack:
        """Put the machine where the agent would open this one."""
        with contextlib.ExitStack() as stack:
            for target, value in (
                ("agent.cli.passing.LocalHost", self._local),
                ("agent.cli.plan.LocalView", self._local),
                ("agent.cli.prune.LocalView", self._local),
                ("agent.cli.passing._journalled", lambda _session: True),
                ("agent.journal.send", self._journal),
                ("agent.cli.session.opener", lambda _identity: self._tools.open),
            ):
                stack.enter_context(mock.patch(target, value))
            return stack.pop_all()

    def _local(self, _root: str, read: Callable[[str], bytes], *_more: object) -> Any:
        self.host.read, self.host.notices = read, []
        return Fused(self.host, self._fuse) if self._fuse else self.host

    def _journal(self, result: str, message: str, **fields: str) -> None:
        print(result, message, fields, file=self._said)

    # Services

    def _prepare_services(self) -> None:
        self.systemd.unit(APP)
        self.systemd.unit(WEB, f"{SERVICE}ExecReload=/bin/true\n")
        self._start, self._reload = self.systemd._start, self.systemd._reload
        self.systemd._start, self.systemd._reload = self._starts, self._reloads  # type: ignore[method-assign]

    def _starts(self, unit: Loaded) -> str:
        if self.systemd.active.get(unit.name) == "active":
            return self._start(unit)
        if unit.name in self._failing:
            self.systemd.active[unit.name] = "failed"
            return f"Job for {unit.name} failed."
        self._reads(unit.name)
        return self._start(unit)

    def _reloads(self, unit: Loaded) -> str:
        if unit.name in self._failing:
            return f"Job for {unit.name} failed."
        self._reads(unit.name)
        return self._reload(unit)

    def _reads(self, name: str) -> None:
        self._services[name] = Service(True, self._services[name].reads + 1, self._files())

    def _check(self, _words: Sequence[str]) -> Completed:
        self._tries += 1
        return Completed(1, "", "no")

    # What people do

    def seal(self, secret: Sealed) -> bytes:
        return self._tools.seal(secret)

    def put(self, path: str, text: str) -> None:
        self.host.files.put(path, text)

    def remove(self, path: str) -> None:
        self.host.files.unlink(path)

    def stop(self, unit: str) -> None:
        self.systemd.active.pop(unit, None)

    def let_fail(self, unit: str, *, fails: bool) -> None:
        (self._failing.add if fails else self._failing.discard)(unit)

    def forgive(self) -> None:
        with session.writing(self.site) as opened:
            track.forgive(opened.store)

    # Passes

    def run(self, reason: str, *, approved: bool = False) -> bool:
        said = io.StringIO()
        asked = Asked(reason, confirm_removals=approved)
        with contextlib.redirect_stdout(said), session.writing(self.site) as opened:
            try:
                one_pass._run(self._fused(opened), asked, Stop(), time.time())
            except AgentError as error:
                print(error)
        self._said.write(said.getvalue())
        return '"event": "unchanged"' not in said.getvalue()

    def die(self, at: int) -> bool:
        self._fuse = Fuse(at)
        try:
            self.run("sync")
        except PowerCut:
            return True
        finally:
            self._fuse = None
        return False

    def _fused(self, opened: session.Session) -> session.Session:
        if self._fuse is None:
            return opened
        used: Any = Fused(opened.store, self._fuse)
        floor = session._floor(self.site, used, opened.source, writable=True)
        return replace(opened, store=used, floor=floor)

    # What is seen

    def _files(self) -> dict[str, str]:
        entries = self.host.files.entries
        return {path: entry.data.decode() for path, entry in entries.items()
                if path.startswith("/srv/") and entry.type == "file" and not path.endswith(".staged")}  # fmt: skip

    def see(self) -> Seen:
        with self.machine.store(writable=False) as store:
            floor = str(read_floor(self.site.floor_path).get("accepted", "")) or store.recall(FLOOR)
            inventory = store.inventory()
            kept = frozenset(inventory), len(store.owed()), store.recall("in_force")
        status = read_status(self.site.status_path)
        services = {
            name: replace(service, active=self.systemd.active.get(name) == "active")
            for name, service in self._services.items()
        }
        return Seen(
            files=self._files(), services=services, floor=floor, reference=self._reference(),
            inventory=kept[0], pending=frozenset(name for name, entry in inventory.items() if entry.pending), owed=kept[1], tries=self._tries, verdict=status.get("verdict", ""), held=kept[2],
            conditions=frozenset(found["reason"] for found in status.get("conditions", ())),
            failed=frozenset(found["id"] for found in status.get("problems", ()) if found["result"] == "failed"),
        )  # fmt: skip

    def _reference(self) -> str:
        clone = self.directory / "state/repo.git"
        references = (
            {ref.name: str(ref.target) for ref in pygit2.Repository(str(clone)).references.iterator()}
            if clone.exists()
            else {}
        )
        assert set(references) <= {ACCEPTED}, "only what is accepted has a name"
        return references.get(ACCEPTED, "")

    def look(self) -> None:
        at = ("--config", self.place["config"], "--root", self.place["root"])
        place = (*at, "--state-dir", self.place["state"])
        verbs = [
            ("status", *at[2:], "--runtime-dir", self.place["state"]), ("status", "--json", "--runtime-dir", self.place["state"]),
            ("plan", *place), ("plan", "--json", *place), ("show", *place), ("show", "--json", *place), ("source", *place),
            ("log", "--diff", *place), ("log", "--json", *place), ("history", *place), ("history", "--json", *place),
            ("prune", *place),
        ]  # fmt: skip
        with contextlib.redirect_stdout(self._said), contextlib.redirect_stderr(self._said):
            with self.machine.store(writable=False) as store:
                held = store.recall("in_force")
            for verb in (*verbs, ("diff", held, *place), ("diff", held, "--json", *place)):
                cli.main(verb)

    def said(self) -> bytes:
        said = self._said.getvalue().encode() + "\n".join(self.host.history + self.host.inputs).encode()
        self._said = io.StringIO()
        self.host.history.clear()
        return said + b"\n".join(self._kept())

    def _kept(self) -> Iterator[bytes]:
        """Everything in the agent's directories but its clone, which has what the remote serves."""
        for above, folders, files in os.walk(self.place["state"]):
            folders[:] = [name for name in folders if name != "repo.git"]
            yield from (Path(above, name).read_bytes() for name in files)
