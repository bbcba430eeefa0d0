"""How a revision proves itself: baseline, settling, soak; what brings the last good one back, and what never does."""

from __future__ import annotations

import pytest

from agent import track
from tests.unit.fake_systemd import ETC, FAILING, SERVICE
from tests.unit.following import CHECK, Following, break_when, commit_of, reason_of, results, verdict
from tests.unit.world import file, unit

GOOD, BAD, OTHER = file("/etc/a", "good"), file("/etc/a", "bad"), file("/etc/a", "other")
ABSENT = "  - unit: {}.service\n    enabled: true\n"  # there is no such unit
ILL = "http:http://localhost/ is degraded"


@pytest.fixture
def broken(following: Following) -> Following:
    """A host with a good revision, and a newer one that breaks its service."""
    break_when(following, "bad")
    following.branch.push(GOOD, [CHECK])
    following.poll()
    following.branch.push(BAD, [CHECK])
    return following


def test_what_regresses_is_rolled_back_and_never_a_success(broken: Following) -> None:
    good, bad = list(broken.branch.commits)
    result = broken.poll()
    assert broken.world.read("/etc/a") == "good"
    assert (commit_of(result), reason_of(result), result.desired.attempted) == (good, "RolledBack", bad)
    assert f"{bad[:7]} was rolled back: {ILL}" in str(result.desired.rejection)
    assert (broken.good, broken.recall("in_force")) == (good, good)


@pytest.mark.parametrize("rollback", ["never", "health", "failure"])
def test_only_the_setting_brings_anything_back(broken: Following, rollback: str) -> None:
    good, bad = list(broken.branch.commits)
    broken.with_care(rollback=rollback)
    result = broken.poll()
    assert commit_of(result) == (bad if rollback == "never" else good)
    assert broken.good == good, "what is ill is not good, whether it is brought back or not"


def test_it_is_remembered_by_what_it_asks_for_and_across_restarts(broken: Following) -> None:
    good = next(iter(broken.branch.commits))
    broken.poll()
    broken.branch.push(BAD, [CHECK], note="unrelated")
    for result in (broken.poll(), broken.look(), broken.poll()):
        assert (commit_of(result), reason_of(result)) == (good, "RolledBack")
        assert not result.changed
    assert broken.world.read("/etc/a") == "good"


def test_a_commit_that_asks_for_something_else_is_applied(broken: Following) -> None:
    broken.poll()
    other = broken.branch.push(OTHER, [CHECK])
    assert (commit_of(broken.poll()), broken.world.read("/etc/a"), broken.good) == (other, "other", other)
    broken.branch.push(BAD, [CHECK])
    assert commit_of(broken.poll()) == other, "the bad one is remembered all the same"


def test_a_commit_that_mends_the_check_is_another(broken: Following) -> None:
    broken.poll()
    mended = broken.branch.push(BAD, ["http: http://localhost/\n    status: 503\n"])
    assert commit_of(broken.poll()) == mended


def test_a_person_may_have_it_tried_again(broken: Following) -> None:
    bad = list(broken.branch.commits)[-1]
    broken.poll()
    with broken.store() as store:
        assert track.forgive(store) == 1
    broken.with_care(rollback="never")
    assert commit_of(broken.poll()) == bad


def test_a_drift_pass_does_not_forget_why_the_newest_is_not_held(broken: Following) -> None:
    broken.poll()
    broken.host.files.put("/etc/a", "drifted")
    result = broken.look()
    assert (broken.world.read("/etc/a"), reason_of(result)) == ("good", "RolledBack")


# What counts


def test_what_was_ill_before_counts_against_nothing(following: Following) -> None:
    following.branch.push(GOOD, [CHECK])
    following.poll()
    following.answers_well(False)
    other = following.branch.push(OTHER, [CHECK])
    result = following.poll()
    assert (commit_of(result), reason_of(result), following.good) == (other, "", other)
    assert not verdict(result).well, "it is told all the same"


def test_what_is_new_and_ill_counts(following: Following) -> None:
    good = following.branch.push(GOOD)
    following.poll()
    following.answers_well(False)
    following.branch.push(OTHER, [CHECK])
    assert commit_of(following.poll()) == good


def test_what_is_not_required_never_counts(broken: Following) -> None:
    wanted = broken.branch.push(BAD, [CHECK + "    required: false\n"])
    result = broken.poll()
    assert (commit_of(result), broken.good, verdict(result).well) == (wanted, wanted, False)


def test_illness_long_after_a_change_is_only_told(following: Following) -> None:
    good = following.branch.push(GOOD, [CHECK])
    following.poll()
    following.answers_well(False)
    for result in (following.look(), following.poll()):
        assert (commit_of(result), reason_of(result), verdict(result).well) == (good, "", False)
    assert following.recall("rejected") in ("", "[]")


def test_the_first_revision_has_nothing_to_go_back_to(following: Following) -> None:
    following.answers_well(False)
    first = following.branch.push(GOOD, [CHECK])
    result = following.poll()
    assert (commit_of(result), reason_of(result), following.good) == (first, "", "")


def test_a_unit_that_is_held_active_is_watched_by_itself(following: Following) -> None:
    following.world.systemd.unit("app.service")
    following.branch.push(unit("app.service"))
    result = following.poll()
    assert verdict(result, "unit:app.service").well


# Soak


def test_it_is_good_after_its_soak_and_not_before(following: Following) -> None:
    following.with_care(soak_seconds=300)
    first = following.branch.push(GOOD, [CHECK])
    following.poll()
    assert following.good == ""
    following.now += 299
    following.look()
    assert following.good == ""
    following.now += 1
    following.look()
    assert following.good == first
    assert following.recall("soak") == ""


def test_only_within_the_soak_does_illness_bring_anything_back(following: Following) -> None:
    first = following.branch.push(GOOD, [CHECK])
    following.poll()
    following.with_care(soak_seconds=300)
    second = following.branch.push(OTHER, [CHECK])
    assert commit_of(following.poll()) == second
    following.now += 100
    following.answers_well(False)
    assert (commit_of(following.look()), following.world.read("/etc/a")) == (first, "good")


def test_illness_that_is_first_seen_after_the_soak_is_only_told(following: Following) -> None:
    first = following.branch.push(GOOD, [CHECK])
    following.poll()
    following.with_care(soak_seconds=300)
    second = following.branch.push(OTHER, [CHECK])
    following.poll()
    following.now += 301
    following.answers_well(False)
    assert (commit_of(following.look()), following.good) == (second, first)


def test_a_commit_that_changes_nothing_here_does_not_end_the_soak_of_another(following: Following) -> None:
    following.branch.push(GOOD, [CHECK])
    following.poll()
    following.with_care(soak_seconds=300)
    following.branch.push(GOOD + file("/etc/b"), [CHECK])
    following.poll()
    same = following.branch.push(GOOD + file("/etc/b") + "    after: file:/etc/a\n", [CHECK])
    assert not following.poll().changed
    assert following.good != same, "what the other changed still has to prove itself"
    following.now += 300
    following.look()
    assert following.good == same


def test_a_pass_that_is_stopped_judges_nothing(broken: Following) -> None:
    result = broken.poll(given_up=lambda: "stopped")
    assert reason_of(result) == ""
    assert broken.world.read("/etc/a") == "bad"
    assert reason_of(broken.poll()) == "RolledBack", "it is still on trial in the next"


# Failures


def test_what_newly_fails_is_brought_back_only_if_asked(following: Following) -> None:
    good = following.branch.push(unit("app.service"))
    following.world.systemd.unit("app.service")
    following.poll()
    failing = following.branch.push(unit("app.service") + ABSENT.format("no"))
    result = following.poll()
    assert (commit_of(result), results(result)["unit:no.service"]) == (failing, "failed")
    assert following.good == good
    following.with_care(rollback="failure")
    again = following.branch.push(unit("app.service") + ABSENT.format("nor"))
    result = following.poll()
    assert (commit_of(result), result.desired.attempted) == (good, again)
    assert "unit:nor.service failed" in str(result.desired.rejection)


def test_what_failed_before_is_no_reason(following: Following) -> None:
    following.with_care(rollback="failure")
    following.host.files.put(f"{ETC}/app.service", SERVICE)
    following.world.systemd.daemon_reload()
    following.branch.push(unit("app.service"))
    following.poll()
    following.world.systemd.unit("app.service", FAILING, where=ETC)
    following.world.systemd.active.clear()
    assert results(following.look())["unit:app.service"] == "failed"
    other = following.branch.push(unit("app.service") + file("/etc/b"))
    result = following.poll()
    assert (commit_of(result), results(result)["file:/etc/b"]) == (other, "converged")


def test_a_good_revision_that_newly_fails_is_not_given_up(following: Following) -> None:
    following.with_care(rollback="failure")
    following.world.systemd.unit("app.service", where=ETC)
    good = following.branch.push(unit("app.service"))
    following.poll()
    following.world.systemd.unit("app.service", FAILING, where=ETC)
    following.world.systemd.active.clear()
    result = following.look()
    assert results(result)["unit:app.service"] == "failed"
    assert (commit_of(result), reason_of(result), following.good) == (good, "", good)


def test_a_commit_that_asks_for_what_is_good_is_not_what_is_bad(following: Following) -> None:
    following.world.systemd.unit("app.service", where=ETC)
    following.branch.push(unit("app.service"))
    following.poll()
    following.with_care(rollback="failure")
    following.world.systemd.unit("app.service", FAILING, where=ETC)
    following.world.systemd.active.clear()
    again = following.branch.push(unit("app.service"), note="about another host")
    result = following.poll()
    assert results(result)["unit:app.service"] == "failed"
    assert (commit_of(result), reason_of(result)) == (again, "")
    following.world.systemd.unit("app.service", where=ETC)
    following.world.systemd.active.clear()
    result = following.poll()
    assert (results(result)["unit:app.service"], reason_of(result)) == ("converged", "")


def test_a_rollback_has_no_removals_of_its_own_to_make_without_approval(broken: Following) -> None:
    good = next(iter(broken.branch.commits))
    few, many = ("".join(file(f"/etc/f{number}") for number in numbers) for numbers in (range(5, 10), range(10)))
    broken.with_care(soak_seconds=3600)
    broken.branch.push(GOOD + many, [CHECK])
    broken.poll()
    broken.branch.push(BAD + few, [CHECK])
    for result in (broken.poll(), broken.poll(), broken.look()):
        assert (commit_of(result), reason_of(result)) == (good, "RolledBack")
        assert not broken.world.has("/etc/f0"), "five of eleven are usual"
        assert {results(result)[f"file:/etc/f{number}"] for number in range(5, 10)} == {"pending"}


# One-way


def test_what_cannot_be_undone_is_named(following: Following) -> None:
    break_when(following, "bad")
    following.world.apt.offer("tool", "1.0")
    following.branch.push(GOOD, [CHECK])
    following.poll()
    following.branch.push(BAD + "  - package: tool\n", [CHECK])
    following.poll()
    with following.store() as store:
        (rejection,) = track.rejections(store)
    assert list(rejection.one_way) == ["package:tool"]
