"""systemd of the small machine: units are the unit files that lie there, and act as these say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from modules.api import Completed
from tests.unit.fake_host import Entry, FakeHost

ETC, RUN, LIB = "/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system"
DIRECTORIES = (ETC, RUN, "/usr/local/lib/systemd/system", LIB)
SERVICE = "[Service]\nExecStart=/bin/sleep\n[Install]\nWantedBy=multi-user.target\n"
STATIC = "[Service]\nExecStart=/bin/sleep\n"
ONESHOT = "[Service]\nType=oneshot\nExecStart=/bin/true\n"
FAILING = "[Service]\nExecStart=/bin/false\n"
_DONE = Completed(0, "", "")


@dataclass
class Loaded:
    """A unit as systemd read it."""

    name: str
    state: str  # LoadState
    settings: dict[str, str] = field(default_factory=dict)
    read: tuple[tuple[str, int], ...] = ()  # what it was read from, and when that changed


class FakeSystemd:
    """A running system manager."""

    def __init__(self, host: FakeHost) -> None:
        self.host = host
        self.loaded: dict[str, Loaded] = {}
        self.active: dict[str, str] = {}  # ActiveState of what is not inactive
        self.facts: dict[str, dict[str, str]] = {}  # other properties of a unit since it was last started
        self.starts: Counter[str] = Counter()
        self.reloads: Counter[str] = Counter()
        self.entered: dict[str, int] = {}  # when a unit was last started, in seconds since the epoch
        self.reenabled: Counter[str] = Counter()
        self.after_start = ""  # ActiveState that a start ends in, whatever the unit says
        self.jobs = ""  # what list-jobs says of the jobs that others wait for
        host.programs |= {
            "systemctl": self._systemctl,
            "systemd-analyze": self._analyze,
        }
        for directory in DIRECTORIES:
            host.files.put(directory, kind="directory")
        host.files.put(f"{LIB}/multi-user.target", "[Unit]\n")
        for directory in (ETC, RUN):
            host.files.put(f"{directory}/multi-user.target.wants", kind="directory")
        self.daemon_reload()
        host.files.put_clock_to_now()

    def unit(self, name: str, text: str = SERVICE, *, where: str = LIB, active: bool = False) -> None:
        """Have a unit file that systemd has read, and perhaps the unit running."""
        self.host.files.put(f"{where}/{name}", text)
        self.daemon_reload()
        if active:
            self.active[name] = "active"

    def daemon_reload(self) -> None:
        self.host.files.put("/run/systemd/generator", kind="directory")
        self.loaded.clear()
        for name in {path.rpartition("/")[2] for path in self.host.files.entries if path.startswith(DIRECTORIES)}:
            self.load(name)

    # What is there

    def load(self, name: str) -> Loaded:
        """The unit as it was last read; read now when it never was."""
        if name in self.loaded:
            return self.loaded[name]
        path = self._path(name)
        if path is None:
            return Loaded(name, "not-found")
        entry = self.host.files.entries[path]
        if entry.type == "symlink" and entry.data != b"/dev/null":
            return self.load(entry.data.decode().rpartition("/")[2])
        masked = entry.type == "symlink" or not entry.data
        text = entry.data.decode() + "".join(self.host.files.read(drop_in).decode() for drop_in in self._drop_ins(name))
        settings = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
        state = "masked" if masked else "loaded" if "ExecStart" in settings or ".service" not in name else "bad-setting"
        self.loaded[name] = Loaded(name, state, settings, self._read_from(name))
        return self.loaded[name]

    def _path(self, name: str) -> str | None:
        names = [name, name.partition("@")[0] + "@." + name.rpartition(".")[2]] if "@" in name else [name]
        paths = [f"{directory}/{one}" for one in names for directory in DIRECTORIES]
        return next((path for path in paths if path in self.host.files.entries), None)

    def _drop_ins(self, name: str) -> list[str]:
        return [
            f"{directory}/{one}.d/{entry}"
            for one in dict.fromkeys(
                (name, name.partition("@")[0] + "@." + name.rpartition(".")[2] if "@" in name else name)
            )
            for directory in DIRECTORIES
            for entry in self.host.files.listdir(f"{directory}/{one}.d")
        ]

    def _read_from(self, name: str) -> tuple[tuple[str, int], ...]:
        path = self._path(name)
        paths = [*([path] if path else []), *self._drop_ins(name)]
        return tuple((path, self.host.files.entries[path].mtime_ns) for path in paths)

    def file_state(self, name: str) -> str:
        """What is-enabled says."""
        path = self._path(name)
        if path is None:
            return ""
        entry = self.host.files.entries[path]
        if entry.type == "symlink" and entry.data != b"/dev/null":
            return "alias"
        if entry.type == "symlink" or not entry.data:
            return "masked-runtime" if path.startswith(RUN) else "masked"
        for directory, state in ((ETC, "enabled"), (RUN, "enabled-runtime")):
            if name in self.host.files.listdir(f"{directory}/multi-user.target.wants"):
                return state
        text = entry.data.decode()
        return "disabled" if "WantedBy=" in text else "indirect" if "Also=" in text else "static"

    # What is done

    def _systemctl(self, words: Sequence[str]) -> Completed:
        names = list(words[words.index("--") + 1 :]) if "--" in words else []
        options = [word for word in words[: len(words) - len(names)] if word.startswith("-")]
        verb = next(word for word in words if not word.startswith("-"))
        if verb == "daemon-reload":
            self.daemon_reload()
            return _DONE
        if verb in ("enable", "reenable", "disable", "mask", "unmask"):
            done = self._change_files(verb, RUN if "--runtime" in options else ETC, names)
            if "--no-reload" not in options:
                self.daemon_reload()
            return done
        verbs: dict[str, Callable[[list[str]], Completed]] = {
            "show": self._show,
            "list-units": self._list_units,
            "list-unit-files": self._list_unit_files,
            "is-enabled": self._is_enabled,
            "restart": lambda names: self._jobs(names, self._restart),
            "start": lambda names: self._jobs(names, self._start),
            "stop": lambda names: self._jobs(names, self._stop),
            "reset-failed": lambda names: self._jobs(names, self._reset_failed),
            "reload": lambda names: self._jobs(names, self._reload),
            "list-jobs": lambda names: Completed(
                0, "".join(f"1 {name} start waiting\n" for name in names) + self.jobs, ""
            ),
            "try-restart": lambda names: self._jobs(names, self._try_restart),
            "try-reload-or-restart": lambda names: self._jobs(names, self._try_reload),
        }
        return verbs[verb](names)

    def _show(self, names: list[str]) -> Completed:
        if any("@." in name for name in names):
            return Completed(1, "", "Unit name is neither a valid invocation ID nor unit name.")
        return Completed(0, "\n".join(self._properties(name) for name in names), "")

    def _properties(self, asked: str) -> str:
        unit = self.load(asked)
        name = unit.name
        wanted = "multi-user.target" if self.file_state(name) == "enabled" else ""
        changed = unit.read and unit.read[0] != (self._read_from(name) or ((), 0))[0]
        properties = {
            "Id": name,
            "LoadState": unit.state,
            "LoadError": 'org.freedesktop.systemd1.BadUnitSetting "bad unit file setting."'
            * (unit.state == "bad-setting"),
            "ActiveState": self.active.get(name, "inactive"),
            "SubState": "auto-restart" if self.active.get(name) == "activating" else "x",
            "UnitFileState": "enabled",  # cached by systemd, and not to be believed
            "NeedDaemonReload": "yes" if changed else "no",
            "DropInPaths": " ".join(path for path, _ in unit.read[1:]),
            "Type": unit.settings.get("Type", "simple"),
            "RemainAfterExit": unit.settings.get("RemainAfterExit", "no"),
            "WantedBy": wanted,
            "Result": "success",
            "ExecMainStatus": "0",
            "ExecMainStartTimestamp": "",
            "NRestarts": "0",
            "Job": "",
            "ActiveEnterTimestamp": f"@{self.entered.get(name, 0)}",
            "StateChangeTimestamp": f"@{self.entered.get(name, 0)}",
            **(self.facts.get(name, {}) if wanted or self.active.get(name) else {}),  # else forgotten at once
        }
        return "".join(f"{key}={value}\n" for key, value in properties.items())

    def _list_units(self, names: list[str]) -> Completed:
        shown = [unit for name in names if (unit := self.load(name)).name == name and name in self.active]
        rows = (f"{unit.name} {unit.state} {self.active[unit.name]} running A unit\n" for unit in shown)
        return Completed(0, "".join(rows), "")

    def _list_unit_files(self, names: list[str]) -> Completed:
        rows = (f"{name} {state} -\n" for name in names if "@" not in name and (state := self.file_state(name)))
        said = "".join(rows)
        return Completed(0 if said else 1, said, "")

    def _is_enabled(self, names: list[str]) -> Completed:
        state = self.file_state(names[0])
        return Completed(0 if state == "enabled" else 1, f"{state or 'not-found'}\n", "")

    def _change_files(self, verb: str, where: str, names: list[str]) -> Completed:
        for name in names:
            if verb in ("enable", "disable") and self._path(name) is None:
                return Completed(1, "", f"Failed to {verb} unit: Unit file {name} does not exist.")
            if verb in ("enable", "disable") and self.file_state(name) in ("alias", "masked"):
                return Completed(1, "", f"Failed to {verb} unit: Refusing to operate on alias name {name}")
            link, mask = f"{where}/multi-user.target.wants/{name}", f"{where}/{name}"
            if verb == "enable" and "WantedBy" in self.load(name).settings:
                self.host.files.put(link, "../" + name, kind="symlink")
            elif verb == "disable":
                self.host.files.unlink(link)
            elif verb == "reenable":
                self.reenabled[name] += 1
            elif verb == "mask" and mask in self.host.files.entries:
                return Completed(1, "", f"Failed to mask unit: File {mask} already exists.")
            elif verb == "mask":
                self.host.files.put(mask, "/dev/null", kind="symlink")
            elif verb == "unmask" and self.host.files.entries.get(mask, Entry()).type == "symlink":
                self.host.files.unlink(mask)
        return _DONE

    def _jobs(self, names: list[str], job: Callable[[Loaded], str]) -> Completed:
        said = [job(self.load(name)) for name in names]
        return Completed(1 if any(said) else 0, "", "\n".join(line for line in said if line))

    def _start(self, unit: Loaded) -> str:
        if unit.state != "loaded":
            return f"Failed to start {unit.name}: Unit {unit.name} is {unit.state}."
        if self._is_unmet(unit):
            self._say(unit, f"{unit.name} was skipped because of an unmet condition check")
            return ""
        if self.active.get(unit.name) == "active":
            return ""
        self.starts[unit.name] += 1
        if self.after_start:
            self.active[unit.name] = self.after_start
            return f"Job for {unit.name} failed." if self.after_start == "failed" else ""
        self.entered[unit.name] = self.host.files.now_ns // 10**9
        command = unit.settings.get("ExecStart", "")
        self.facts[unit.name] = {"ExecMainStartTimestamp": "Mon 2026-01-05 10:00:00 UTC"}
        if command == "/bin/false":
            self.active[unit.name] = "failed"
            self.facts[unit.name] |= {"Result": "exit-code", "ExecMainStatus": "1"}
            self._say(unit, "cannot find my configuration")
            return f"Job for {unit.name} failed because the control process exited with error code."
        if unit.settings.get("Type") == "oneshot" and unit.settings.get("RemainAfterExit") != "yes":
            self.active.pop(unit.name, None)
        else:
            self.active[unit.name] = "active"
        return ""

    def _is_unmet(self, unit: Loaded) -> bool:
        return unit.settings.get("ConditionPathExists", "/") not in self.host.files.entries

    def _analyze(self, words: Sequence[str]) -> Completed:
        if words[0] != "condition":
            return _DONE  # any schedule is understood
        unmet = self._is_unmet(self.load(words[1].removeprefix("--unit=")))
        return Completed(int(unmet), "", "Conditions failed." if unmet else "Conditions succeeded.")

    def _stop(self, unit: Loaded) -> str:
        self.active.pop(unit.name, None)
        return ""

    def _reset_failed(self, unit: Loaded) -> str:
        return self._stop(unit) if self.active.get(unit.name) == "failed" else ""

    def _restart(self, unit: Loaded) -> str:
        self.active.pop(unit.name, None)
        return self._start(unit)

    def _try_restart(self, unit: Loaded) -> str:
        if unit.state == "not-found":
            return f"Failed to try-restart {unit.name}: Unit {unit.name} not found."
        return self._start(unit) if self.active.pop(unit.name, "") in ("active", "activating") else ""

    def _try_reload(self, unit: Loaded) -> str:
        return self._reload(unit) if "ExecReload" in unit.settings else self._try_restart(unit)

    def _reload(self, unit: Loaded) -> str:
        if "ExecReload" not in unit.settings:
            return f"Failed to reload {unit.name}: Job type reload is not applicable for unit {unit.name}."
        if unit.settings["ExecReload"] == "/bin/false":
            self._say(unit, "unknown cipher")
            return f"Job for {unit.name} failed because the control process exited with error code."
        self.reloads[unit.name] += 1
        return ""

    def _say(self, unit: Loaded, line: str) -> None:
        self.host.journals.setdefault(unit.name, []).append(line)
