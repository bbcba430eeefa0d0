"""agentctl sync: ask the running daemon for a pass now, and wait for it."""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
from collections.abc import Iterator
from typing import Any

from agent.cli.text import coloured, outcome_line, paint, printable
from agent.errors import AgentError

HELP = "Ask the running daemon for a pass now, show what it does, and return what came of it."
EPILOG = (
    "exit status: 0 converged, 4 some resource failed or is blocked, 1 could not run or the newest revision is refused"
)
MAX_WAIT_SECONDS = 3600


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take how to print."""
    parser.add_argument("--json", action="store_true", help="print each event as one line of JSON")
    parser.add_argument(
        "--runtime-dir", default="/run/gitops-agent", metavar="DIR", help="where the socket is (default: %(default)s)"
    )


def run(options: argparse.Namespace) -> int:
    """Ask, show, return."""
    status, steps = 1, 0
    for event in _events(os.path.join(options.runtime_dir, "control.sock")):
        if options.json:
            print(json.dumps(event), flush=True)
        elif event["event"] == "step":
            steps += 1
            _progress("")
            print(outcome_line(event), flush=True)
        elif event["event"] == "started":
            _progress(f"{event['revision'][:7]}: {event['resources']} resources ...")
        if event["event"] == "report":
            status = int(event["exit"])
            if not options.json:
                _progress("")
                _conclude(event)
    return status


def _progress(text: str) -> None:
    """Show what is going on, on a terminal only, on a line that is written over."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{text}" if coloured(sys.stderr) else "")
        sys.stderr.flush()


def _conclude(event: dict[str, Any]) -> None:
    revision = f"{event['revision'][:7]}: " if event.get("revision") else ""
    seconds = f" in {event['seconds']:.1f} s" if "seconds" in event else ""
    print(f"{revision}{printable(event['summary'])}{seconds}")
    if event.get("rejection"):
        print(paint("the newest revision is refused:", "red", sys.stderr), file=sys.stderr)
        print(printable(event["rejection"]), file=sys.stderr)


def _events(path: str) -> Iterator[dict[str, Any]]:
    """Ask for a pass; its events until the report. Raises AgentError when nobody answers."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            connection.settimeout(MAX_WAIT_SECONDS)
            connection.connect(path)
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise AgentError(
                "the agent is not running", "systemctl start gitops-agent, or use agentctl apply"
            ) from error
        except PermissionError as error:
            raise AgentError(f"{path} is for root alone", "use sudo") from error
        connection.sendall(b'{"verb": "sync"}\n')
        for line in connection.makefile("rb"):
            event = json.loads(line)
            yield event
            if event["event"] == "report":
                return
    raise AgentError("the agent stopped before the pass ended", "see journalctl -u gitops-agent")
