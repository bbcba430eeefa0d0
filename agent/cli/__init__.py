"""agentctl: parse, call one function, render, choose the exit status. One verb a file, imported when it is called."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from importlib import import_module

VERBS = {  # verb -> module, in the order of --help
    "status": ("agent.cli.status", "tell whether this host is what Git says, and since when"),
    "plan": ("agent.cli.plan", "show what would change, and change nothing"),
    "apply": ("agent.cli.apply", "converge this host now, without the daemon"),
    "sync": ("agent.cli.sync", "ask the running daemon for a pass now, and wait for it"),
    "validate": ("agent.cli.validate", "check a repository for every host, all problems at once"),
    "show": ("agent.cli.show", "show the resources of this host, or one in full"),
    "explain": ("agent.cli.explain", "tell which file and line gives a variable or a resource"),
    "history": ("agent.cli.history", "show what the passes on this host came to"),
    "log": ("agent.cli.log", "show which commit, author or cause changed a resource"),
    "diff": ("agent.cli.diff", "show what two revisions say differently of this host"),
    "facts": ("agent.cli.facts", "show what templates can know about this host"),
    "suspend": ("agent.cli.suspend", "change nothing on this host for a while"),
    "resume": ("agent.cli.resume", "change it again"),
    "rollback": ("agent.cli.rollback", "go back to an earlier revision and stay there"),
    "unpin": ("agent.cli.unpin", "go on with the newest revision"),
    "retry": ("agent.cli.retry", "try again what failed or was rolled back"),
    "prune": ("agent.cli.prune", "show or approve the removal of what left Git"),
    "source": ("agent.cli.source", "show where revisions come from, and accept one that was refused"),
    "secret": ("agent.cli.secret", "make secrets that only some hosts can open"),
    "run": ("agent.cli.run", "be the daemon, in the foreground (what the systemd unit starts)"),
    "version": ("agent.cli.version", "show the version"),
}
HIDDEN = {"pass": "agent.cli.one_pass"}
EPILOG = """exit status:
  plan           0 in sync, 2 changes are pending, 1 error
  apply, sync    0 converged, 4 something failed, waits or was rolled back, 1 could not run or is refused
  validate       0 fine, 1 problems
  status         0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN (the monitoring-plugin convention)
  all            1 for wrong usage, 130 when interrupted

`agentctl VERB --help` tells more; the manual is agentctl(8)."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; its exit status. No error ends in a traceback: what is known is said in one message."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")  # a name that this terminal cannot show is no error
        status = _dispatch(given)
        sys.stdout.flush()  # while a reader that has left can still be told from a bug
    except SystemExit as left:  # the parser said what is wrong
        return int(left.code or 0)
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  (no traceback reaches a user; explain says all)
        from agent.cli.failures import explain  # what it needs is dear, and `status` seldom needs it

        status = explain(error)
        return 3 if given[:1] == ["status"] and status == 1 else status
    return status


def _dispatch(given: list[str]) -> int:
    from agent.cli.parser import parse, usage

    verb = given[0] if given else "--help"
    if verb in ("-h", "--help", "help"):
        print(usage(VERBS, EPILOG))
        return 0
    if verb == "--version":
        verb = "version"
    module = VERBS[verb][0] if verb in VERBS else HIDDEN.get(verb)
    if module is None:
        import difflib

        close = difflib.get_close_matches(verb, VERBS, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        print(f"agentctl: there is no verb {verb!r}{hint} (agentctl --help lists them)", file=sys.stderr)
        return 1
    loaded = import_module(module)
    options = parse(verb, loaded, given[1:])
    return int(loaded.run(options)) if options is not None else 1
