"""Replacing containers: whatever fails or is interrupted, one that runs is never lost."""

from __future__ import annotations

from typing import Any

import pytest

from modules.api import ResourceError
from modules.container_fields import FAILED, NEW, OLD
from modules.container_options import options_of
from modules.container_spec import SPEC_FIELDS, Spec
from modules.container_swap import RETRY_SECONDS, Place, Wanted
from tests.unit.fake_engine import FAILING, KILLED, FakeEngine, PowerCut


def options(version: int, *, pull: str = "missing", **fields: Any) -> Wanted:
    given = {**dict.fromkeys(SPEC_FIELDS), "image": f"app:{version}", "ports": ("8080:80/tcp",), **fields}
    spec = Spec(given)
    return Wanted({**options_of(spec.fields, {}, {}), "Labels": spec.labels()}, {}, pull)


@pytest.fixture
def engine() -> FakeEngine:
    """It runs version 1 and has the images of all."""
    engine = FakeEngine("app:1", "app:2", "app:3")
    Place(engine, "web").make(options(1), running=True)
    return engine


def test_a_container_is_made_and_started() -> None:
    engine = FakeEngine(registry=["app:1"])
    Place(engine, "web").make(options(1), running=True)
    assert engine.running() == ["web"]
    assert set(engine.images) == {"app:1"}


def test_a_container_can_be_made_without_being_started() -> None:
    engine = FakeEngine("app:1")
    Place(engine, "web").make(options(1), running=False)
    assert list(engine.standing) == ["web"]
    assert engine.running() == []


def test_a_new_one_takes_the_place_of_the_old_one(engine: FakeEngine) -> None:
    Place(engine, "web").make(options(2), running=True)
    assert list(engine.standing) == engine.running() == ["web"]
    assert engine.image_of("web") == "app:2"
    assert engine.volumes_removed_of == []


def test_a_new_one_that_is_not_to_run_takes_the_place_of_one_that_does(engine: FakeEngine) -> None:
    Place(engine, "web").make(options(2), running=False)
    assert list(engine.standing) == ["web"]
    assert engine.running() == []
    assert engine.image_of("web") == "app:2"


def test_an_image_that_cannot_be_pulled_leaves_the_old_one_running(engine: FakeEngine) -> None:
    before = engine.standing["web"]["Id"]
    with pytest.raises(ResourceError, match="cannot be pulled"):
        Place(engine, "web").make(options(9), running=True)
    assert list(engine.standing) == engine.running() == ["web"]
    assert engine.standing["web"]["Id"] == before


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"command": FAILING}, "ended with status 3"),
        ({"healthcheck": {"test": ("CMD", "ill")}}, "is unhealthy: its check says 'broken'"),
        ({"ports": ("9090:80/tcp",)}, "port 9090 is already allocated"),
    ],
)
def test_the_old_one_is_put_back_when_the_new_one_fails(engine: FakeEngine, fields: Any, reason: str) -> None:
    engine.create("other", options(3, ports=("9090:80/tcp",)).options)
    engine.start("other")
    before = engine.standing["web"]["Id"]
    with pytest.raises(ResourceError, match=rf"failed, and the one before it was put back: .*{reason}"):
        Place(engine, "web").make(options(2, **fields), running=True)
    assert engine.running() == ["other", "web"]
    assert engine.standing["web"]["Id"] == before
    assert set(engine.standing) == {"other", "web", "web" + FAILED}
    assert engine.standing["web" + FAILED]["HostConfig"]["RestartPolicy"] == {"Name": "no"}


def test_one_that_failed_lately_does_not_take_the_old_one_down_again(engine: FakeEngine) -> None:
    for reason in ("was put back", "this very spec failed at"):
        before = engine.changes
        with pytest.raises(ResourceError, match=reason):
            Place(engine, "web").make(options(2, command=FAILING), running=True)
    assert engine.changes == before
    assert engine.running() == ["web"]


def test_one_that_was_killed_for_lack_of_memory_is_held_back_with_that_reason(engine: FakeEngine) -> None:
    wanted = options(2, command=FAILING, memory=1 << 24)
    with pytest.raises(ResourceError, match="was put back"):
        Place(engine, "web").make(wanted, running=True)
    engine.standing["web" + FAILED]["State"]["OOMKilled"] = True
    with pytest.raises(
        ResourceError, match=r"UTC, killed for lack of memory \(limit 16m\), so the container before it"
    ):
        Place(engine, "web").make(wanted, running=True)


def test_one_that_was_stopped_from_outside_has_not_failed_and_one_that_ended_so_by_itself_has(
    engine: FakeEngine,
) -> None:
    engine.stopped_from_outside.add("web")
    for _ in range(2):
        with pytest.raises(ResourceError, match="was put back"):
            Place(engine, "web").make(options(2, command=KILLED), running=True)
        assert list(engine.standing) == ["web"]
    engine.stopped_from_outside.clear()
    for reason in ("was put back", "this very spec failed at"):
        with pytest.raises(ResourceError, match=reason):
            Place(engine, "web").make(options(2, command=KILLED), running=True)
    assert engine.running() == ["web"]


def test_one_that_failed_long_ago_is_tried_again(engine: FakeEngine) -> None:
    for _ in range(2):
        with pytest.raises(ResourceError, match="was put back"):
            Place(engine, "web").make(options(2, command=FAILING), running=True)
        engine.age("web" + FAILED, seconds=RETRY_SECONDS + 1)
    assert engine.image_of("web") == "app:1"


def test_another_spec_is_tried_at_once_and_clears_the_failed_one_away(engine: FakeEngine) -> None:
    with pytest.raises(ResourceError, match="was put back"):
        Place(engine, "web").make(options(2, command=FAILING), running=True)
    Place(engine, "web").make(options(3), running=True)
    assert list(engine.standing) == ["web"]
    assert engine.volumes_removed_of == ["web" + FAILED]


def test_a_strangers_container_is_refused_and_left(engine: FakeEngine) -> None:
    engine.create("theirs", {"Image": "app:1"})
    with pytest.raises(ResourceError, match="made by somebody else; remove it"):
        Place(engine, "theirs").make(options(2), running=True)
    for change in (Place.remove, Place.start, Place.stop, Place.restart):
        with pytest.raises(ResourceError, match="made by somebody else; remove it"):
            change(Place(engine, "theirs"))
    assert engine.image_of("theirs") == "app:1"
    assert engine.standing["theirs"]["State"]["Status"] == "created"


@pytest.mark.parametrize("suffix", [NEW, OLD, FAILED])
def test_a_strangers_container_under_a_spare_name_is_left(engine: FakeEngine, suffix: str) -> None:
    engine.create("web" + suffix, {"Image": "app:1"})
    with pytest.raises(ResourceError, match=f"web{suffix} was made by somebody else"):
        Place(engine, "web").make(options(2), running=True)
    assert engine.running() == ["web"]
    assert "web" + suffix in engine.standing


def test_removal_takes_what_swaps_left_and_keeps_volumes(engine: FakeEngine) -> None:
    for suffix in (NEW, OLD, FAILED):
        engine.create("web" + suffix, options(2).options)
    Place(engine, "web").remove()
    Place(engine, "web").remove()
    assert engine.standing == {}
    assert engine.volumes_removed_of == []


def test_a_restart_leaves_a_stopped_one_stopped(engine: FakeEngine) -> None:
    Place(engine, "web").restart()
    assert engine.standing["web"].pop("Restarted")
    Place(engine, "web").stop()
    Place(engine, "web").restart()
    Place(engine, "absent").restart()
    assert engine.running() == []


# Interruptions

CHANGES_OF_A_SWAP = 6  # create, stop, rename, rename, start, remove
CHANGES_OF_A_FAILED_SWAP = 11


def interrupted(engine: FakeEngine, fuse: int, wanted: Wanted, *, running: bool = True) -> bool:
    """Tell whether the power was cut before the change of this number."""
    engine.fuse = fuse
    try:
        Place(engine, "web").make(wanted, running=running)
    except PowerCut:
        return True
    except ResourceError:
        return False
    finally:
        engine.fuse = -1
    return False


@pytest.mark.parametrize("fuse", range(1, CHANGES_OF_A_SWAP + 1))
def test_a_swap_that_is_cut_short_anywhere_loses_nothing_and_is_finished(engine: FakeEngine, fuse: int) -> None:
    assert interrupted(engine, fuse, options(2))
    images = {engine.image_of(name) for name in engine.standing}
    assert images & {"app:1", "app:2"}
    Place(engine, "web").tidy(running=True)
    assert engine.running() == ["web"] or engine.standing["web"]["State"]["Status"] == "exited"
    assert list(engine.standing) == ["web"]
    Place(engine, "web").make(options(2), running=True)
    assert list(engine.standing) == engine.running() == ["web"]
    assert engine.image_of("web") == "app:2"


def test_the_number_of_interruptions_is_that_of_the_changes(engine: FakeEngine) -> None:
    assert not interrupted(engine, CHANGES_OF_A_SWAP + 1, options(2))
    assert engine.image_of("web") == "app:2"


@pytest.mark.parametrize("fuse", range(1, CHANGES_OF_A_FAILED_SWAP + 1))
def test_a_failed_swap_that_is_cut_short_anywhere_ends_with_the_old_one(engine: FakeEngine, fuse: int) -> None:
    before = engine.standing["web"]["Id"]
    bad = options(2, command=FAILING)
    interrupted(engine, fuse, bad)
    Place(engine, "web").tidy(running=True)
    interrupted(engine, -1, bad)
    assert engine.standing["web"]["Id"] == before
    assert set(engine.standing) == {"web", "web" + FAILED}
    Place(engine, "web").start()
    assert engine.running() == ["web"]


@pytest.mark.parametrize("fuse", range(1, CHANGES_OF_A_SWAP))
def test_a_swap_without_a_start_is_finished_too(engine: FakeEngine, fuse: int) -> None:
    assert interrupted(engine, fuse, options(2), running=False)
    Place(engine, "web").make(options(2), running=False)
    assert list(engine.standing) == ["web"]
    assert engine.image_of("web") == "app:2"


def test_an_interrupted_swap_does_not_count_as_a_failure(engine: FakeEngine) -> None:
    assert interrupted(engine, 5, options(2))  # renamed, not yet started
    Place(engine, "web").tidy(running=True)
    assert engine.image_of("web") == "app:1"
    assert engine.running() == ["web"]
    Place(engine, "web").make(options(2), running=True)
    assert engine.image_of("web") == "app:2"
