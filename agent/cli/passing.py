"""One pass, as `apply` and the daemon's child run it: hold the host to the desired state, then write down what came of it."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from types import FrameType

from agent import journal, orders, track
from agent.apply import BLOCKED, FAILED, Conduct, Outcome
from agent.cli.session import Session
from agent.cli.text import differences
from agent.desired import Desired, desired_in_force, newest_desired
from agent.errors import FetchFailed
from agent.host import LocalHost
from agent.host.ledger import Ledger
from agent.reconcile import Means, Result, hold
from agent.report import Report, drift_to_json, summary
from agent.report.recorded import is_news, record_of
from agent.report.standing import source_state, status_of
from agent.status import read_status, write_status

REPAIRS_SECONDS = 86_400  # what status tells of drift that was repaired


@dataclass
class Stop:
    """Set by SIGTERM: the step in hand is finished, and no other is begun."""

    asked: bool = field(default=False)

    def listen(self) -> None:
        """Take SIGTERM from now on."""
        signal.signal(signal.SIGTERM, self._ask)

    def _ask(self, _number: int, _frame: FrameType | None) -> None:
        self.asked = True

    def __call__(self) -> bool:
        """Tell whether to stop."""
        return self.asked


@dataclass(frozen=True)
class Asked:
    """Why a pass runs, and what the person who asked for it said."""

    reason: str  # start, poll, drift, retry, sync, apply
    force: bool = False  # change the host although it is suspended
    confirm_removals: bool = False


def desired_for(session: Session, reason: str, ref: str | None) -> Desired:
    """Find what is to be held in a pass of this reason. Raises RevisionError when there is nothing to hold."""
    if session.site.working_tree or ref:
        return session.newest(ref)
    if reason in ("drift", "retry"):
        return desired_in_force(session.source, session.store, session.compiled)
    return newest_desired(session.source, session.store, session.compiled)


def unmoved(session: Session) -> bool:
    """Ask the remote for one ref: tell whether it is the one last attempted. Raises FetchFailed."""
    return session.source.remote_tip() == session.store.recall("attempted")


def make_pass(session: Session, asked: Asked, desired: Desired, conduct: Conduct, started: float) -> Report:
    """Hold the host to what is desired, then write the history (when anything happened) and the status file."""
    site, store = session.site, session.store
    ledger = Ledger(site.ledger_path, site.verify_content_every)
    host = LocalHost(site.root, desired.read, site.engine_socket, ledger, site.state_dir)
    conduct = _conduct(session, asked, desired, conduct)
    result = hold(desired, host, session.source, store, Means(conduct, site.care))
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
        held_back=conduct.held_back,
        orders=orders.to_json(store),
        soak_until=soak.until if (soak := track.soaking(store)) else 0,
        retry_at=_retry_at(session, result),
        good=track.good(store),
        one_way=result.one_way,
        repairs=store.history.repaired(time.time() - REPAIRS_SECONDS),
        notices=[*store.notices, *session.source.notices, *host.notices],
    )
    _write(session, report)
    if _journalled(session):
        _journal(report)
    return report


def _conduct(session: Session, asked: Asked, desired: Desired, conduct: Conduct) -> Conduct:
    """Add what settings, orders and the repository say of how this pass is to go."""
    site, store = session.site, session.store
    approved = orders.given(store, orders.REMOVE)
    approval = replace(site.approval, digest=approved.about if approved else "", everything=asked.confirm_removals)
    held_back = "" if asked.force else orders.suspension(store, desired.compiled.catalog.suspension)
    tell = conduct.tell
    if _journalled(session):
        tell = partial(_tell_both, conduct.tell, desired.revision.commit)
    return replace(
        conduct, tell=tell, removals=approval, drift=site.repairs, held_back=held_back, redact=desired.redact
    )


def _retry_at(session: Session, result: Result) -> int:
    """When a failed pass is tried again, at the latest; 0 when it was fine."""
    if all(outcome.result not in (FAILED, BLOCKED) for outcome in result.outcomes):
        track.succeeded(session.store)
        return 0
    return track.failed(session.store, result.desired.compiled.plan).next_at


def _journalled(session: Session) -> bool:
    """Tell whether the host that is held is the one whose journal is here."""
    return session.site.root == "/" and journal.available()


def _tell_both(tell: Callable[[Outcome], None], revision: str, outcome: Outcome) -> None:
    tell(outcome)
    text = "; ".join(part for part in (differences(drift_to_json(outcome.drift)), outcome.message) if part)
    message = f"{outcome.result}: {outcome.id}: {text}"
    journal.send(outcome.result, message, revision=revision, resource=outcome.id, place=outcome.place)


def _journal(report: Report) -> None:
    revision = report.revision.commit
    if report.rejection is not None:
        result = "unreachable" if isinstance(report.rejection, FetchFailed) else "refused"
        journal.send(result, str(report.rejection), revision=report.attempted)
    if report.changed or report.exit_status:
        message = (
            f"{report.verdict} {revision[:7]}: {summary(report.counts)} in {report.seconds:.1f} s ({report.reason})"
        )
        journal.send("report", message, revision=revision)


def _write(session: Session, report: Report) -> None:
    if report.reason not in ("drift", "retry") and not isinstance(report.rejection, FetchFailed):
        session.store.remember(attempted=report.attempted or report.revision.commit)
    history = session.store.history
    record = record_of(report)
    if is_news(record, history.last_pass()):
        history.record(record)
    path = session.site.status_path
    write_status(path, status_of(report, read_status(path), session.site.limits))


def note_contact(session: Session, error: FetchFailed | None) -> None:
    """Keep in the status file that the remote was asked, and what it said: nothing new, or nothing at all."""
    path = session.site.status_path
    status = read_status(path)
    if status:
        before = status.get("source", {})
        if error is None:
            status["source"] = {**before, "fetched_at": round(time.time(), 3)}
            if before.get("state") == "failed":
                status["source"] |= {"state": "current", "error": ""}
        else:
            status["source"] = source_state(before, error, "", time.time())
            if before.get("state") != "failed" and _journalled(session):  # once, not with every poll
                journal.send("unreachable", str(error))
        write_status(path, status)
