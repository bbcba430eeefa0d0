"""The place of a container in a network that is made anew: it is given back as it was."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from modules.api import Engine
from modules.container_network import _place

ID = "db2ba98abbb7" + "0" * 52


@pytest.mark.parametrize(
    ("listed", "kept"),
    [
        (["db", ID[:12]], ["db"]),  # an alias that the id begins with
        (["app", ID[:12]], ["app"]),
        ([ID[:12]], []),
        (None, []),
    ],
)
def test_aliases_are_kept_and_the_short_id_is_left_to_the_engine(listed: list[str] | None, kept: list[str]) -> None:
    found: dict[str, Any] = {"Id": ID, "NetworkSettings": {"Networks": {"net": {"Aliases": listed}}}}
    engine = cast("Engine", SimpleNamespace(inspect=lambda _name: found))
    assert _place(engine, "web", "net") == {"Aliases": kept}
