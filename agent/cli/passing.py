"""One pass, as `apply` and the daemon's child run it: hold the host to the desired state, then write down what came of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from agent import journal, orders, track
from agent.apply import BLOCKED, FAILED, PENDING, Conduct, Outcome, Reason
from agent.cli.interruption import Interruption, Overtaken
from agent.cli.session import Session
from agent.cli.text import differences
from agent.desired import ROLLED_BACK, Desired, desired_by_itself, newest_desired, refusal, refuse
from agent.errors import FetchFailed
from agent.host import LocalHost
from agent.host.ledger import Ledger
from agent.reconcile import Means, Result, hold
from agent.report import Report, drift_to_json, remarks, summary
from agent.report.recorded import is_news, record_of
from agent.report.standing import after_contact, status_of
from agent.status import read_status, write_status
from agent.store import Store

REPAIRS_SECONDS = 86_400  # what status tells of drift that was repaired


@dataclass(frozen=True)
class Asked:
    """Why a pass runs, and what the person who asked for it said."""

    reason: str  # start, poll, drift, retry, sync, apply
    force: bool = False  # change the host although it is suspended
    confirm_removals: bool = False


def note_lost_state(session: Session) -> None:
    """Say it when the state is gone that the status file tells of, and keep that no older history is let in.

    The status file lies in memory beside the daemon, so it outlives a state directory that somebody removed.
    """
    site, store = session.site, session.store
    status = read_status(site.status_path)
    held = status.get("revision", {}).get("commit", "")
    if held and status.get("state_dir") == site.state_dir and not store.recall("in_force"):
        store.remember(in_force=held)
        lost = f"the state in {site.state_dir} was gone while {held[:7]} was held; it is begun anew, and what is here already is left as it is when it leaves Git"
        store.notices.append(lost)
        if _journalled(session):
            journal.send("state_lost", lost, revision=held)


ASK_NOBODY = ("drift", "retry")  # passes that do not ask the remote


def desired_for(session: Session, reason: str, ref: str | None) -> Desired:
    """Find what is to be held in a pass of this reason. Raises RevisionError when there is nothing to hold."""
    if reason in ("start", "sync", "apply"):
        session.source.contacts.forgive()
    if session.site.working_tree or ref:
        return session.newest(ref)
    if reason in ASK_NOBODY:
        return desired_by_itself(session.source, session.floor, session.store, session.compiled)
    return newest_desired(session.source, session.floor, session.store, session.compiled)


def unmoved(session: Session) -> bool:
    """Ask the remote for one ref: tell whether nothing is to be done about it. Raises FetchFailed.

    It was attempted, by the same keys, is held or still refused, and the clone can still be read.
    """
    source, store = session.source, session.store
    tip, held = source.remote_tip(), store.recall("in_force")
    if (tip, source.trust.mark()) != (store.recall("attempted"), store.recall("attempted_by")):
        return False
    if tip == held:
        return source.holds(held)
    silent = read_status(session.site.status_path).get("source", {}).get("state") == "failed"
    return (
        refusal(store) is not None and not silent and source.holds(held)
    )  # what was refused is said again after a silence


def _attempted(session: Session, asked: Asked, desired: Desired) -> str:
    """The newest revision that was seen; nothing when this pass is not about the branch."""
    if session.site.working_tree or asked.reason == "apply":
        return ""
    seen = "" if desired.rejection else desired.revision.commit
    return desired.attempted or seen or session.store.recall("attempted")


def make_pass(session: Session, asked: Asked, desired: Desired, conduct: Conduct, started: float) -> Report:
    """Hold the host to what is desired, then write the history (when anything happened) and the status file."""
    site, store = session.site, session.store
    ledger = Ledger(site.ledger_path, site.verify_content_every)
    overtaken = Overtaken(session, _attempted(session, asked, desired))
    interruption = Interruption(session, conduct.stopped, overtaken)
    host = LocalHost(site.root, desired.read, site.engine, ledger, site.state_dir, interruption.given_up)
    conduct = replace(conduct, stopped=interruption.stopped, given_up=interruption.given_up)
    conduct = _conduct(session, asked, desired, conduct)
    result = hold(desired, host, session.source, store, Means(conduct, site.care))
    held_back = conduct.held_back or interruption.suspended
    ledger.save()
    held = result.desired
    report = Report(
        host=site.host,
        reason=asked.reason,
        revision=held.revision,
        branch=site.remote.branch,
        outcomes=result.outcomes,
        rejection=held.rejection,
        attempted=held.attempted,
        started=started,
        seconds=time.time() - started,
        health=result.health,
        held_back=held_back,
        orders=orders.to_json(store),
        soak_until=_soak_until(store, result, time.time()),
        retry_at=_retry_at(session, result, held_back),
        in_force=store.recall("in_force") if held_back else held.revision.commit,
        good=track.good(store),
        one_way=_one_way(store, held),
        notices=[*_notices(session), *host.notices, *remarks(result.outcomes)],
        origin=session.origin(held.revision.commit),
        overtaken=overtaken.newer,
        repairs=store.history.repaired(time.time() - REPAIRS_SECONDS),
    )
    _write(session, report)
    if _journalled(session):
        _journal(report)
    return report


def _notices(session: Session) -> Iterator[str]:
    """What a person should know of the agent's own things."""
    for part in (session.store, session.floor, session.source):
        yield from part.notices


def _conduct(session: Session, asked: Asked, desired: Desired, conduct: Conduct) -> Conduct:
    """Add what settings, orders and the repository say of how this pass is to go."""
    site, store = session.site, session.store
    approved = orders.given(store, orders.REMOVE)
    approval = replace(site.approval, digest=approved.about if approved else "", everything=asked.confirm_removals)
    held_back = "" if asked.force else orders.suspension(store, desired.compiled.catalog.suspension)
    tell = conduct.tell
    if _journalled(session):
        known = {problem["id"]: problem["message"] for problem in read_status(site.status_path).get("problems", ())}
        tell = partial(_tell_both, conduct.tell, desired.revision.commit, known)
    return replace(
        conduct, tell=tell, removals=approval, drift=site.repairs, held_back=held_back, redact=desired.redact
    )


def _one_way(store: Store, held: Desired) -> Sequence[str]:
    """What the revision that is not held, because it was rolled back, left behind for ever."""
    if getattr(held.rejection, "reason", "") != ROLLED_BACK:
        return ()
    commit = getattr(held.rejection, "commit", "")
    return next((found.one_way for found in track.rejections(store) if found.commit == commit), ())


def _soak_until(store: Store, result: Result, now: float) -> int:
    """Until when the revision that is held has to stay healthy; 0 when it is past that, or need not."""
    soak = track.soaking(store, result.desired.compiled.plan)
    return soak.until if soak and soak.until > now else 0


def _retry_at(session: Session, result: Result, held_back: str) -> float:
    """When a failed pass is tried again, at the latest; 0 when it was fine, or a person has to act first."""
    if held_back:
        return 0
    if not any(found.result in (FAILED, BLOCKED) or found.reason is Reason.INTERRUPTED for found in result.outcomes):
        track.succeeded(session.store)
        return 0
    return track.failed(session.store, result.desired.compiled.plan, session.site.host).next_at


def _journalled(session: Session) -> bool:
    """Tell whether the host that is held is the one whose journal is here."""
    return session.site.root == "/" and journal.available()


def _tell_both(tell: Callable[[Outcome], None], revision: str, known: Mapping[str, str], outcome: Outcome) -> None:
    """Tell the person and the journal; what is only left for now is told to the journal once."""
    tell(outcome)
    if outcome.result == PENDING and known.get(outcome.id) == outcome.message:
        return
    text = "; ".join(part for part in (differences(drift_to_json(outcome.drift)), outcome.message) if part)
    message = f"{outcome.result}: {outcome.id}: {text}"
    journal.send(outcome.result, message, revision=revision, resource=outcome.id, place=outcome.place)


def _journal(report: Report) -> None:
    revision = report.revision.commit
    for notice in report.notices:
        journal.send("noticed", notice, revision=revision)
    if report.rejection is not None and report.reason not in ASK_NOBODY:
        result = "unreachable" if isinstance(report.rejection, FetchFailed) else "refused"
        journal.send(result, str(report.rejection), revision=report.attempted)
    if report.changed or (report.exit_status and not report.held_back):
        message = (
            f"{report.verdict} {revision[:7]}: {summary(report.counts)} in {report.seconds:.1f} s ({report.reason})"
        )
        journal.send("report", message, revision=revision)


def _write(session: Session, report: Report) -> None:
    if not isinstance(report.rejection, FetchFailed):
        refuse(session.store, report.rejection, report.attempted or report.revision.commit)
        if report.reason not in ASK_NOBODY:
            session.store.remember(attempted_by=session.source.trust.mark())
    history = session.store.history
    record = record_of(report)
    if is_news(record, history.last_pass()):
        history.record(record)
    path = session.site.status_path
    status = status_of(report, read_status(path), session.site.limits)
    given = orders.to_json(session.store)  # since the report was made, another may have been
    write_status(path, {**status, "orders": given, "state_dir": session.site.state_dir})


def note_contact(session: Session, error: FetchFailed | None) -> None:
    """Keep in the status file that the remote was asked, and what it said: nothing new, or nothing at all."""
    path = session.site.status_path
    status = read_status(path)
    if not status:
        return
    if error is not None and status["source"]["state"] != "failed" and _journalled(session):
        journal.send("unreachable", str(error))  # once, not with every poll
    write_status(path, after_contact(status, error, session.origin(status["revision"]["commit"]), time.time()))
