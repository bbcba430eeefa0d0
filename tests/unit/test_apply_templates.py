"""Instances of a template have its text: they are refreshed when that changes, and not when anything else of it does."""

from __future__ import annotations

import pytest

from agent.cli.plan_text import refreshes_of
from tests.unit.fake_systemd import ETC, SERVICE
from tests.unit.world import World

SERVED = """  - unit: w@.service
    content: |
      [Service]
      ExecStart=/bin/sleep
      [Install]
      WantedBy=multi-user.target
    dropins:
      a.conf: |
        [Service]
        Nice=1
  - unit: w@one.service
    active: true
  - unit: w@two.service
    masked: false
  - unit: other@one.service
    active: true
"""
ONE, TWO, OTHER = "w@one.service", "w@two.service", "other@one.service"


@pytest.fixture
def served(world: World) -> World:
    world.systemd.unit("other@.service", SERVICE)
    world.run(SERVED)
    world.host.run("systemctl", "start", "--", TWO)
    assert [world.systemd.starts[name] for name in (ONE, TWO, OTHER)] == [1, 1, 1]
    return world


@pytest.mark.parametrize(("before", "after"), [("=/bin/sleep", "=/bin/cat"), ("Nice=1", "Nice=2")])
def test_a_change_of_a_templates_text_restarts_its_instances(served: World, before: str, after: str) -> None:
    changed = SERVED.replace(before, after)
    text = "unit:w@.service changes"
    assert refreshes_of(served.plan(changed)) == {f"unit:{name}": ("restart", [text]) for name in (ONE, TWO)}
    served.run(changed)
    assert [served.systemd.starts[name] for name in (ONE, TWO, OTHER)] == [2, 2, 1]
    assert not [outcome for outcome in served.told if outcome.id == "unit:w@.service" and outcome.message]
    assert set(served.run(changed).values()) == {"in_sync"}
    assert [served.systemd.starts[name] for name in (ONE, TWO, OTHER)] == [2, 2, 1]


def test_so_does_one_that_no_event_tells_of(served: World) -> None:
    changed = SERVED.replace("Nice=1", "Nice=2")
    path = f"{ETC}/w@.service.d/a.conf"
    served.host.files.put(path, served.host.files.read(path).replace(b"Nice=1", b"Nice=2").decode())
    served.systemd.daemon_reload()
    served.run(changed)
    assert [served.systemd.starts[name] for name in (ONE, TWO, OTHER)] == [2, 2, 1]


def test_an_instance_does_as_its_on_change_says(served: World) -> None:
    quiet = SERVED.replace("unit: w@two.service\n", "unit: w@two.service\n    on_change: report\n")
    assert set(served.run(quiet).values()) == {"in_sync"}
    served.run(quiet.replace("Nice=1", "Nice=2"))
    assert [served.systemd.starts[name] for name in (ONE, TWO)] == [2, 1]
    assert "restart, because unit:w@.service changed" in next(
        outcome.owed for outcome in served.outcomes if outcome.id == f"unit:{TWO}"
    )


def test_a_template_that_is_only_enabled_restarts_nothing(served: World) -> None:
    enabled = SERVED.replace("  - unit: w@.service\n", "  - unit: w@.service\n    enabled: false\n")
    served.host.run("systemctl", "enable", "--", "w@.service")
    assert served.run(enabled)["unit:w@.service"] == "converged"
    assert [served.systemd.starts[name] for name in (ONE, TWO)] == [1, 1]


def test_an_explicit_cause_counts_once(served: World) -> None:
    explicit = SERVED.replace("w@one.service\n", "w@one.service\n    restart_on: ['unit:w@.service']\n")
    served.run(explicit)
    served.run(explicit.replace("Nice=1", "Nice=2"))
    assert [served.systemd.starts[name] for name in (ONE, TWO)] == [2, 2]
