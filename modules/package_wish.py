"""What Git says of one package, as its parts ask for it."""

from __future__ import annotations

from typing import Protocol

from modules.api import Content, Observation
from modules.package_backend import Options

GONE = ("absent", "purged")


class Wish(Protocol):
    """One package of the catalog."""

    @property
    def name(self) -> str:
        """The package, with its architecture when that is not the host's own."""

    @property
    def ensure(self) -> str:
        """present, absent, purged or latest."""

    @property
    def version(self) -> str | None:
        """A version, a glob or a range."""

    @property
    def only_upgrade(self) -> bool:
        """Whether it stays away where it is not installed."""

    @property
    def hold(self) -> bool | None:
        """Whether it is held; None when that is an admin's business."""

    @property
    def allow_downgrade(self) -> bool:
        """Whether it may go back to an older version."""

    @property
    def options(self) -> Options:
        """How the transaction that brings it is run."""

    @property
    def file(self) -> Content | None:
        """The package file it is installed from."""

    @property
    def debconf(self) -> Content | None:
        """Answers to the questions that it asks."""

    def needs_change(self, seen: Observation) -> bool:
        """Whether more than its marks must change to have it as Git wants it, or it cannot be observed."""

    def drifts(self, seen: Observation) -> bool:
        """Whether anything is not as Git wants it, or it cannot be observed."""


def is_removal(wish: Wish) -> bool:
    """Whether it is to go."""
    return wish.ensure in GONE
