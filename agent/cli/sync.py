"""agentctl sync: ask the running daemon for a pass now, and wait for it."""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from typing import Any

from agent.cli.progress import Progress, applying, observing
from agent.cli.text import outcome_line, paint, printable
from agent.errors import AgentError

HELP = "Ask the running daemon for a pass now, show what it does, and return what came of it."
EPILOG = """exit status: 0 converged, 4 something failed, is blocked or pending, or was rolled back,
1 could not run or the newest revision is refused"""
MAX_WAIT_SECONDS = 7200  # for the next event; passes have a deadline of their own
MAX_LINE = 4 << 20  # bytes of one event


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take how to print."""
    parser.add_argument("--force", action="store_true", help="change the host this once although it is suspended")
    parser.add_argument("--json", action="store_true", help="print each event as one line of JSON")
    parser.add_argument(
        "--runtime-dir", default="/run/gitops-agent", metavar="DIR", help="where the socket is (default: %(default)s)"
    )


def run(options: argparse.Namespace) -> int:
    """Ask, show, return."""
    path = os.path.join(options.runtime_dir, "control.sock")
    with Progress() as progress, _asked(path, force=options.force) as connection:
        progress.say("waiting for the agent")
        for event in _events(connection, progress):
            if event["event"] == "refused":
                raise AgentError(f"the agent refuses: {printable(event['message'])}")
            if options.json:
                print(json.dumps(event), flush=True)
            else:
                _show(event, progress)
            if event["event"] == "report":
                return int(event["exit"])
    raise AgentError("the agent stopped before the pass ended", "see journalctl -u gitops-agent")


def _show(event: dict[str, Any], progress: Progress) -> None:
    """Print what is of interest; events that a newer agent may send are passed over."""
    if event["event"] == "started":
        progress.say(f"{event['revision'][:7]}: {observing(event['resources'])}")
    elif event["event"] == "applying":
        progress.say(f"{applying(event)}")
    elif event["event"] == "step":
        progress.clear()
        print(outcome_line(event), flush=True)
    elif event["event"] == "report":
        progress.clear()
        _conclude(event)


def _conclude(event: dict[str, Any]) -> None:
    revision = f"{event['revision'][:7]}: " if event.get("revision") else ""
    seconds = f" in {event['seconds']:.1f} s" if "seconds" in event else ""
    print(f"{revision}{printable(event['summary'])}{seconds}")
    if event.get("rejection"):
        print(paint("the newest revision is refused:", "red", sys.stderr), file=sys.stderr)
        print(printable(event["rejection"]), file=sys.stderr)


def _asked(path: str, *, force: bool) -> socket.socket:
    """Connect and ask for a pass. Raises AgentError when nobody answers."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(path)
        connection.sendall(json.dumps({"verb": "sync", "force": force}).encode() + b"\n")
    except (FileNotFoundError, ConnectionRefusedError) as error:
        connection.close()
        raise AgentError("the agent is not running", "systemctl start gitops-agent, or use agentctl apply") from error
    except PermissionError as error:
        connection.close()
        raise AgentError(f"{path} is for root alone", "use sudo") from error
    except BrokenPipeError:
        pass  # refused at once; why is there to be read
    return connection


def _events(connection: socket.socket, progress: Progress) -> Iterator[dict[str, Any]]:
    """The events as they come. Raises AgentError for silence, and for what is no event."""
    for line in _lines(connection, progress):
        try:
            event = dict(json.loads(line))
        except (ValueError, TypeError) as error:
            raise AgentError(
                "what answers is not the agent, or another version of it", "restart gitops-agent"
            ) from error
        yield event


def _lines(connection: socket.socket, progress: Progress) -> Iterator[bytes]:
    """Lines until the connection ends; the line of progress is kept current meanwhile."""
    connection.settimeout(1.0 if progress.shown else MAX_WAIT_SECONDS)
    received, heard = b"", time.monotonic()
    while True:
        try:
            chunk = connection.recv(1 << 16)
        except TimeoutError:
            if time.monotonic() - heard >= MAX_WAIT_SECONDS:
                raise AgentError("the agent said nothing for hours", "see systemctl status gitops-agent") from None
            progress.show()
            continue
        except ConnectionResetError:
            return
        *lines, received = (received + chunk).split(b"\n")
        yield from lines
        if not chunk or len(received) > MAX_LINE:
            return
        heard = time.monotonic()
