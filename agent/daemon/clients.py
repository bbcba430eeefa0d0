"""Who is connected to the control socket: each asks once, sees the pass that it asked for, and leaves."""

from __future__ import annotations

import contextlib
import selectors
import socket
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from agent.daemon.control import MAX_CLIENTS, Client

READ, BOTH = selectors.EVENT_READ, selectors.EVENT_READ | selectors.EVENT_WRITE


class Clients:
    """The connections; `asked` is called when one of them asks for a pass, with whether it is to be forced."""

    def __init__(self, selector: selectors.BaseSelector, asked: Callable[[bool], None]) -> None:
        self._selector = selector
        self._asked = asked
        self._clients: list[Client] = []

    @property
    def present(self) -> bool:
        """Tell whether anybody is connected."""
        return bool(self._clients)

    def accept(self, server: socket.socket) -> None:
        """Take a new connection; one that is too many is told so."""
        try:
            client = Client(server.accept()[0])
        except OSError:
            return  # it left again, or there is no descriptor for it; the loop goes on
        if not client.allowed:
            client.close()
            return
        self._clients.append(client)
        self._selector.register(client, READ, partial(self._serve, client))
        if len(self._clients) > MAX_CLIENTS:
            self._send(client, _refusal(f"{MAX_CLIENTS} others are connected; try again later"), last=True)
            self._drop(client)

    def _serve(self, client: Client, events: int) -> None:
        if client.closed:
            return  # dropped in this very turn of the loop
        try:
            if events & selectors.EVENT_WRITE:
                client.flush()
            if events & selectors.EVENT_READ:
                self._listen(client)
        except OSError:
            self._drop(client)
        self._wait_for(client)

    def _listen(self, client: Client) -> None:
        request = client.request()
        if request is None or client.waiting or client.leaving:
            return
        if request.get("verb") != "sync":
            self._send(client, _refusal('the only request is {"verb": "sync"}'), last=True)
            return
        client.waiting = True
        self._asked(request.get("force") is True)

    def watch(self) -> None:
        """A pass begins: it is the one that everybody waits for who asked before."""
        for client in self._clients:
            client.watching = client.waiting

    def tell(self, event: Mapping[str, Any]) -> None:
        """Pass an event on to those whose pass it is of; the report is the last."""
        for client in [client for client in self._clients if client.watching]:
            self._send(client, event, last=event["event"] == "report")

    def refuse(self, message: str) -> None:
        """Let those go whose pass will not come."""
        for client in [client for client in self._clients if not client.watching]:
            self._send(client, _refusal(message), last=True)

    def _send(self, client: Client, event: Mapping[str, Any], *, last: bool) -> None:
        try:
            client.send(dict(event), last=last)
        except OSError:
            self._drop(client)
        client.watching = client.watching and not last
        self._wait_for(client)

    def _wait_for(self, client: Client) -> None:
        """Wait for what is next: that it takes what is kept for it, and that it says something or leaves."""
        if client.leaving and not client.lagging:
            self._drop(client)
        if not client.closed:
            self._selector.modify(client, BOTH if client.lagging else READ, partial(self._serve, client))

    def check(self) -> None:
        """Drop those who said or took nothing for too long."""
        for client in list(self._clients):
            if client.seconds_left() == 0:
                self._drop(client)

    def seconds_left(self) -> float | None:
        """How long until `check` has something to do."""
        return min((left for client in self._clients if (left := client.seconds_left()) is not None), default=None)

    def _drop(self, client: Client) -> None:
        if not client.closed:
            self._clients.remove(client)
            self._selector.unregister(client)
            client.close()

    def close(self) -> None:
        """End all connections, with what they still take."""
        for client in list(self._clients):
            with contextlib.suppress(OSError):
                client.flush()
            self._drop(client)


def _refusal(message: str) -> dict[str, Any]:
    return {"event": "refused", "message": message}
