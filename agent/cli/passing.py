"""One pass, as `apply` and the daemon's child run it: hold the host to the desired state, then write down what came of it."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from types import FrameType

from agent import journal
from agent.apply import Conduct, Outcome
from agent.cli.session import Session
from agent.cli.text import differences
from agent.errors import FetchFailed
from agent.host import LocalHost
from agent.reconcile import Desired, desired_in_force, newest_desired, reconcile
from agent.report import Report, drift_to_json, remarks, source_state, status_of, summary
from agent.status import read_status, write_status
from agent.store import PassRecord


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


def desired_for(session: Session, reason: str, ref: str | None) -> Desired:
    """Find what is to be held in a pass of this reason. Raises RevisionError when there is nothing to hold."""
    in_force = session.store.recall("in_force")

    if session.site.working_tree or ref:
        return session.newest(ref)
    if reason == "drift":
        return desired_in_force(session.source, in_force, session.compiled)
    return newest_desired(session.source, in_force, session.compiled)


def unmoved(session: Session) -> bool:
    """Ask the remote for one ref: tell whether it is the one last attempted. Raises FetchFailed."""
    return session.source.remote_tip() == session.store.recall("attempted")


def make_pass(session: Session, reason: str, desired: Desired, conduct: Conduct, started: float) -> Report:
    """Reconcile, then write the history (when anything happened) and the status file."""
    host = LocalHost(session.site.root, desired.read, session.site.engine_socket)
    journalled = _journalled(session)
    conduct = replace(conduct, redact=desired.redact)
    if journalled:
        conduct = replace(conduct, tell=partial(_tell_both, conduct.tell, desired.revision.commit))
    outcomes = reconcile(desired, host, session.store, conduct)
    report = Report(
        host=session.site.host,
        reason=reason,
        revision=desired.revision,
        branch=session.site.remote.branch,
        outcomes=outcomes,
        rejection=desired.rejection,
        attempted=desired.attempted,
        started=started,
        seconds=time.time() - started,
        notices=[*session.store.notices, *session.source.notices, *remarks(outcomes)],
    )
    _write(session, report)
    if journalled:
        _journal(report)
    return report


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
    if report.reason != "drift" and not isinstance(report.rejection, FetchFailed):
        session.store.remember(attempted=report.attempted or report.revision.commit)
    last = session.store.last_pass()
    failing = sorted(outcome.id for outcome in report.outcomes if outcome.result in ("failed", "blocked"))
    message = str(report.rejection or ", ".join(failing))
    news = not last or (last["verdict"], last["revision"], last["message"]) != (
        report.verdict,
        report.revision.commit,
        message,
    )
    if report.changed or news:
        session.store.record_pass(
            PassRecord(
                report.started,
                report.seconds,
                report.reason,
                report.revision.commit,
                report.verdict,
                report.counts,
                message,
            )
        )
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
