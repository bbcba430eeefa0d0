"""Removals that a person decides about: which they are, and that a word is about exactly one set of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from agent.apply import Conduct
from agent.apply.approval import Approval, digest_of
from agent.plan import Removal
from tests.unit.world import World, file

KEPT = file("/etc/kept")


def removals(world: World) -> Sequence[Removal]:
    return [removal for removal in world.plan(KEPT).removals if removal.undo is not None]


def several(count: int, **fields: str) -> str:
    return "".join(file(f"/etc/f{number}", **fields) for number in range(count))


def run(world: World, digest: str = "") -> dict[str, str]:
    return world.run(KEPT, Conduct(removals=Approval(digest=digest)))


def test_a_word_is_about_exactly_one_set(world: World) -> None:
    world.run(KEPT + several(8))
    digest = digest_of(removals(world))
    world.run(KEPT + several(7))
    assert not world.has("/etc/f7"), "one at a time is usual"
    assert set(run(world, digest).values()) == {"in_sync", "pending"}, "it is another set by now"
    found = removals(world)
    assert digest_of(found) == digest_of(found[::-1]), "the order says nothing"
    assert set(run(world, digest_of(found)).values()) == {"in_sync", "removed"}


def test_a_resource_that_became_another_is_another_set(world: World) -> None:
    world.run(KEPT + several(2))
    found = removals(world)
    changed = [replace(found[0], entry=replace(found[0].entry, resource="[]")), *found[1:]]
    assert digest_of(changed) != digest_of(found)


def test_the_message_is_what_to_do(world: World) -> None:
    world.run(KEPT + several(7))
    run(world)
    said = f"7 of 8 owned resources left Git at once; `agentctl prune approve {digest_of(removals(world))}`"
    assert world.message("file:/etc/f0").startswith(said)


def test_what_waits_holds_up_nothing_else(world: World) -> None:
    world.run(KEPT + several(7))
    done = world.run(file("/etc/kept", "new") + file("/etc/more"))
    assert (done["file:/etc/kept"], done["file:/etc/more"], done["file:/etc/f0"]) == (
        "converged",
        "converged",
        "pending",
    )


# As Git says of each


def test_some_wait_for_a_person_each_time(world: World) -> None:
    world.run(KEPT + file("/etc/a", prune="confirm") + file("/etc/b"))
    done = run(world)
    assert (done["file:/etc/a"], done["file:/etc/b"]) == ("pending", "removed")
    assert "it says `prune: confirm`" in world.message("file:/etc/a")
    assert run(world, "wrong")["file:/etc/a"] == "pending"
    assert run(world, digest_of(removals(world)))["file:/etc/a"] == "removed"


def test_whoever_approves_all_approves_those_too(world: World) -> None:
    world.run(KEPT + file("/etc/a", prune="confirm") + file("/etc/b"))
    assert set(run(world, digest_of(removals(world))).values()) == {"in_sync", "removed"}


def test_but_who_approves_some_does_not_approve_an_unusual_number(world: World) -> None:
    world.run(KEPT + several(7) + file("/etc/a", prune="confirm"))
    some = [removal for removal in removals(world) if removal.confirm]
    assert run(world, digest_of(some))["file:/etc/a"] == "pending"


def test_some_are_left(world: World) -> None:
    world.run(KEPT + file("/etc/a", prune="release"))
    assert run(world)["file:/etc/a"] == "released"
    assert world.has("/etc/a")
    assert "file:/etc/a" not in world.inventory()
    assert "it is released when it leaves Git" in world.message("file:/etc/a")


def test_the_word_in_the_last_commit_that_had_it_counts(world: World) -> None:
    world.run(KEPT + file("/etc/a"))
    world.run(KEPT + file("/etc/a", prune="release"))
    assert world.inventory()["file:/etc/a"].prune == "release"
    assert run(world)["file:/etc/a"] == "released"


# Renames


def test_what_is_declared_under_another_kind_is_handed_over(world: World) -> None:
    world.host.files.put("/etc/link", "before", kind="symlink")
    world.run(KEPT + "  - symlink: /etc/link\n    target: ours\n")
    world.run(KEPT + file("/etc/link", "ours", force="true"))
    assert "file:/etc/link has taken it over" in world.message("symlink:/etc/link")
    assert world.read("/etc/link") == "ours"
    entry = world.inventory()["file:/etc/link"]
    assert entry.prior["target"] == "before", "it inherits what was there before us"
    assert "symlink:/etc/link" not in world.inventory()
