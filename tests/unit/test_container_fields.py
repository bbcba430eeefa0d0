"""The short syntaxes of containers: what is taken, in which form, and what is refused with which reason."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest

from modules import container_fields as fields
from modules.api import Content
from modules.container_networks import NETWORK_MODE
from modules.container_values import LABELS
from modules.fields import FieldType, Folder
from tests.unit.convergence import text

DIGEST = "sha256:" + "a" * 64


class Repository:
    def source(self, name: str) -> Content:
        raise AssertionError(name)

    def folder(self, name: str) -> Folder:
        raise AssertionError(name)

    def template(self, name: str) -> Content:
        raise AssertionError(name)

    def text(self, text_: str) -> Content:
        return text(text_)


def parse(kind: FieldType, value: object) -> Any:
    return kind.parse(value, Repository())


TAKEN: list[tuple[FieldType, object, object]] = [
    (fields.CONTAINER_NAME, "web-1.a_b", "web-1.a_b"),
    (fields.IMAGE, "nginx", "nginx:latest"),
    (fields.IMAGE, "nginx:1.25", "nginx:1.25"),
    (fields.IMAGE, "localhost:5000/team/app", "localhost:5000/team/app:latest"),
    (fields.IMAGE, f"registry.example.com/app@{DIGEST}", f"registry.example.com/app@{DIGEST}"),
    (fields.IMAGE, f"[::1]:5000/app:1@{DIGEST}", f"[::1]:5000/app:1@{DIGEST}"),
    (fields.ARGV, ["sh", "-c", "a b"], ("sh", "-c", "a b")),
    (fields.ARGV, [], ()),
    (fields.ENV, {}, None),
    (LABELS, {"a": ""}, {"a": ""}),
    (fields.VOLUMES, ["data:/d", "/a//b/:/c/:rw", "/e:/f:ro"], ("/a/b:/c", "/e:/f:ro", "data:/d")),
    (NETWORK_MODE, "host", "host"),
    (NETWORK_MODE, "container:web", "container:web"),
    (NETWORK_MODE, "backend", "backend"),
    (fields.RESTART, "on-failure:3", "on-failure:3"),
    (fields.USER, "1000:1000", "1000:1000"),
    (fields.WORKDIR, "/srv/./x", "/srv/x"),
    (fields.HOSTNAME, "web.example.com", "web.example.com"),
    (fields.STOP_SECONDS, 0, 0),
    (fields.HEALTHCHECK, {"test": "true"}, {"test": ("CMD-SHELL", "true")}),
    (
        fields.HEALTHCHECK,
        {"test": ["CMD", "true"], "interval": "1m30s", "timeout": "500ms", "start_period": "1h", "retries": 3},
        {"test": ("CMD", "true"), "interval": "90000ms", "timeout": "500ms", "start_period": "3600000ms", "retries": 3},
    ),
    (fields.HEALTHCHECK, {"test": ["NONE"]}, {"test": ("NONE",)}),
]


@pytest.mark.parametrize(("kind", "value", "result"), TAKEN)
def test_taken_in_one_canonical_form(kind: FieldType, value: object, result: object) -> None:
    assert parse(kind, value) == result


@pytest.mark.parametrize(("kind", "value", "result"), TAKEN)
def test_the_canonical_form_is_its_own(kind: FieldType, value: object, result: object) -> None:
    if result is not None:
        assert parse(kind, result) == result


REFUSED: list[tuple[FieldType, object, str]] = [
    (fields.CONTAINER_NAME, "a", "2 to 200"),
    (fields.CONTAINER_NAME, "-web", "2 to 200"),
    (fields.CONTAINER_NAME, "web/x", "2 to 200"),
    (fields.CONTAINER_NAME, "web.gitops-agent-old", "while a container is replaced"),
    (fields.IMAGE, "Nginx", "must be an image"),
    (fields.IMAGE, "nginx:", "must be an image"),
    (fields.IMAGE, "nginx@sha256:abc", "must be an image"),
    (fields.IMAGE, "https://example.com/app", "must be an image"),
    (fields.IMAGE, "a" * 600, "must be an image"),
    (fields.IMAGE, 7, "put it in quotes"),
    (fields.ARGV, "httpd -f", "never split into words"),
    (fields.ARGV, ["sleep", 10], "put it in quotes"),
    (fields.ARGV, {"a": "b"}, "not a mapping"),
    (fields.ARGV, ["a\0"], "NUL"),
    (fields.ENV, {"PORT": 8080}, "'PORT' must be text, not the number 8080: put it in quotes"),
    (fields.ENV, {"DEBUG": True}, "put it in quotes"),
    (fields.ENV, {"A": None}, "must be text, not empty"),
    (fields.ENV, {"A=B": "x"}, "cannot be a variable"),
    (fields.ENV, {"": "x"}, "cannot be a variable"),
    (fields.ENV, {"A": "x\0"}, "cannot be a variable"),
    (fields.ENV, ["A=B"], "must be a mapping"),
    (LABELS, {"gitops-agent.spec": "x"}, "the agent's own"),
    (fields.VOLUMES, ["/data"], "unnamed volumes"),
    (fields.VOLUMES, ["./data:/d"], "a volume's name or an absolute path"),
    (fields.VOLUMES, ["d:/x"], "a volume's name"),
    (fields.VOLUMES, ["data:d"], "absolute path"),
    (fields.VOLUMES, ["/a/../b:/d"], "without '..'"),
    (fields.VOLUMES, ["data:/d:z"], "'z' is not supported"),
    (fields.VOLUMES, ["data:/"], "the container's /"),
    (fields.VOLUMES, ["data:/d", "/x:/d/"], "more than one thing at /d"),
    (NETWORK_MODE, "default", "must be none, host"),
    (NETWORK_MODE, "container:", "must be none, host"),
    (fields.RESTART, False, "put it in quotes"),
    (fields.RESTART, "on-failure:0", "must be no, always"),
    (fields.RESTART, "always:3", "must be no, always"),
    (fields.USER, 1000, "put it in quotes"),
    (fields.USER, "a b", "must be USER"),
    (fields.WORKDIR, "srv", "absolute path"),
    (fields.HOSTNAME, "-web", "must be a host name"),
    (fields.STOP_SECONDS, True, "whole number of seconds"),
    (fields.STOP_SECONDS, -1, "0 to 3600"),
    (fields.STOP_SECONDS, "10", "not '10'"),
    (fields.HEALTHCHECK, "true", "must be a mapping"),
    (fields.HEALTHCHECK, {"interval": "1s"}, "needs `test`"),
    (fields.HEALTHCHECK, {"test": "true", "intervall": "1s"}, "does not know 'intervall'"),
    (fields.HEALTHCHECK, {"test": []}, "test must be"),
    (fields.HEALTHCHECK, {"test": ""}, "test must be"),
    (fields.HEALTHCHECK, {"test": ["wget", "-q"]}, "test must be"),
    (fields.HEALTHCHECK, {"test": "true", "interval": 10}, "interval must be text"),
    (fields.HEALTHCHECK, {"test": "true", "timeout": "10"}, "timeout must be a duration"),
    (fields.HEALTHCHECK, {"test": "true", "timeout": "0s"}, "from 1ms"),
    (fields.HEALTHCHECK, {"test": "true", "timeout": "25h"}, "to 24h"),
    (fields.HEALTHCHECK, {"test": "true", "retries": "3"}, "retries must be a whole number"),
    (fields.PORTS, "80", "must be a list"),
    (fields.PORTS, [8080], "put it in quotes"),
]


@pytest.mark.parametrize(("kind", "value", "reason"), REFUSED)
def test_refused_with_the_reason(kind: FieldType, value: object, reason: str) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)):
        parse(kind, value)


def test_variables_become_a_content_so_that_their_values_are_kept_nowhere() -> None:
    content = parse(fields.ENV, {"B": "2", "A": "hush"})
    assert isinstance(content, Content)
    assert content.data is not None
    assert json.loads(content.data) == {"A": "hush", "B": "2"}
    assert parse(fields.ENV, {"A": "hush", "B": "2"}) == content


def test_an_order_that_means_nothing_makes_no_difference() -> None:
    assert parse(fields.VOLUMES, ["b1:/b", "a1:/a"]) == parse(fields.VOLUMES, ["a1:/a", "b1:/b"])
    assert parse(fields.PORTS, ["2:2", "1:1"]) == parse(fields.PORTS, ["1:1/tcp", "2:2/tcp"])


def test_the_schema_of_a_health_check_names_the_keys_it_takes() -> None:
    properties = fields.HEALTHCHECK.schema["properties"]
    assert isinstance(properties, Mapping)
    for key in properties:
        value = {"retries": 2, "test": "true"}.get(key, "2s")
        assert key in parse(fields.HEALTHCHECK, {"test": "true", key: value})
