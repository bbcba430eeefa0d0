"""What systemd shows of a unit as properties, and which of its states are as good as another (systemctl(1), is-enabled)."""

from __future__ import annotations

from collections.abc import Mapping

from modules.api import Value
from modules.systemd import Shown

_ACTIVE: Mapping[str, Value] = {"active": True, "reloading": True, "refreshing": True, "inactive": False}
_ENABLED: Mapping[str, Value] = {"enabled": True, "disabled": False}
NOT_INSTALLABLE = ("static", "indirect", "generated", "transient", "no unit file")
ENDED, UNMET, FAILING = "ran and ended", "condition not met", "keeps failing"
AS_ENABLED: Mapping[bool, tuple[str, ...]] = {  # what is as good as enabled, and as disabled
    True: NOT_INSTALLABLE,
    False: (*NOT_INSTALLABLE, "linked", "linked-runtime", "masked", "masked-runtime", "bad"),
}
AS_ACTIVE: Mapping[bool, tuple[str, ...]] = {True: (ENDED, UNMET), False: ("failed", ENDED, UNMET)}


def properties(shown: Shown, name: str) -> dict[str, Value]:
    """The properties of a unit that was asked for by this name."""
    active = _ACTIVE.get(shown.active, shown.active)
    if active is False and _ended_well(shown):
        active = ENDED
    if shown.waits_to_restart:
        active = "auto-restart"
    if shown.keeps_failing:
        active = FAILING
    loaded = "current" if shown.load in ("loaded", "masked") else shown.load
    state: dict[str, Value] = {
        "enabled": _enabled(shown),
        "active": active,
        "masked": shown.load == "masked" or shown.file_state.startswith("masked"),
        "loaded": "stale" if shown.stale else loaded,
    }
    return state if shown.id == name else state | {"alias_of": shown.id}


def _enabled(shown: Shown) -> Value:
    if not shown.exists:
        return False
    return _ENABLED.get(shown.file_state, shown.file_state or "no unit file")


def _is_short(shown: Shown) -> bool:
    """Whether it is a oneshot, which is inactive again as soon as it has done its work."""
    return shown.detail("Type") == "oneshot" and shown.detail("RemainAfterExit") == "no" and shown.load == "loaded"


def _ended_well(shown: Shown) -> bool:
    return _is_short(shown) and shown.detail("Result") == "success" and bool(shown.detail("ExecMainStartTimestamp"))


def forgets(shown: Shown, *, will_be_enabled: bool) -> str:
    """Why `active` cannot be held: systemd forgets a oneshot that nothing refers to, so it would run in every pass."""
    if not _is_short(shown) or shown.active != "inactive" or shown.is_referenced:
        return ""
    if will_be_enabled and shown.file_state == "disabled":
        return ""
    return (
        f"{shown.id} is a oneshot that systemd forgets as soon as it ended, so `active: true` would run it again and "
        "again; set RemainAfterExit=yes in it, enable it, or have a timer start it"
    )
