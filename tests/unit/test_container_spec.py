"""The spec of a container: its digest, what plans show of it, and what the engine is asked for."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from modules.container_spec import FIELDS_LABEL, SPEC_FIELDS, SPEC_LABEL, Spec, made_with
from tests.unit.convergence import text

FULL: dict[str, Any] = {
    "image": "app:1",
    "command": ("serve", "--password=hush"),
    "entrypoint": ("/init",),
    "env": text('{"TOKEN": "hush"}'),
    "ports": ("127.0.0.1:8080:80/tcp", "[::1]:8080:80/tcp", "90/udp"),
    "volumes": ("/etc/app:/etc/app:ro", "data:/data"),
    "network_mode": "backend",
    "restart": "on-failure:3",
    "labels": {"team": "hush"},
    "healthcheck": {"test": ("CMD", "probe", "hush"), "interval": "1500ms", "retries": 2},
    "user": "1000:1000",
    "workdir": "/srv",
    "hostname": "web",
    "stop_timeout": 0,
}
OTHER: dict[str, Any] = {
    "image": "app:2",
    "command": ("serve",),
    "entrypoint": (),
    "env": text('{"TOKEN": "louder"}'),
    "ports": ("80/tcp",),
    "volumes": ("data:/data",),
    "network_mode": "host",
    "restart": "always",
    "labels": {"team": "b"},
    "healthcheck": {"test": ("NONE",)},
    "user": "0",
    "workdir": "/",
    "hostname": "db",
    "stop_timeout": 5,
}


def spec(**fields: Any) -> Spec:
    return Spec({**dict.fromkeys(SPEC_FIELDS), "image": "app:1", **fields})


def test_every_field_is_covered_here() -> None:
    assert set(FULL) == set(OTHER) == set(SPEC_FIELDS)


@pytest.mark.parametrize("name", SPEC_FIELDS)
def test_every_field_makes_another_digest_when_it_changes_or_goes(name: str) -> None:
    digests = {spec(**{**FULL, name: value}).digest for value in (FULL[name], OTHER[name], None)}
    assert len(digests) == 3


def test_the_digest_is_that_of_the_canonical_json_of_what_is_given() -> None:
    """Every container of every fleet is replaced when this changes."""
    written = spec(labels={"b": "2", "a": "\u00e4"}, stop_timeout=5).digest
    canonical = rb'{"image":"app:1","labels":{"a":"\u00e4","b":"2"},"stop_timeout":5}'
    assert written == hashlib.sha256(canonical).hexdigest()


def test_what_is_empty_is_as_good_as_not_given_save_an_entry_point() -> None:
    assert spec(ports=(), volumes=(), labels={}).digest == spec().digest
    assert spec(entrypoint=()).digest != spec().digest


def test_the_order_of_a_mapping_makes_no_difference() -> None:
    assert spec(labels={"a": "1", "b": "2"}).digest == spec(labels={"b": "2", "a": "1"}).digest


def test_only_the_digest_of_variables_is_needed_not_their_values() -> None:
    env = FULL["env"]
    remembered = type(env)(env.digest, env.size)
    assert spec(env=remembered).digest == spec(env=env).digest


def test_nothing_that_may_be_secret_is_shown() -> None:
    full = spec(**FULL)
    options = full.options({"TOKEN": "hush"})
    shown = json.dumps({name: options["Labels"][name] for name in (SPEC_LABEL, FIELDS_LABEL)})
    assert "hush" not in shown
    assert full.shown()["image"] == "app:1"
    assert full.shown()["ports"] == FULL["ports"]


def test_a_container_tells_what_it_was_made_with() -> None:
    full = spec(**FULL)
    labels = full.options({})["Labels"]
    assert made_with(labels) == {**full.shown(), "spec": full.digest}
    assert labels["team"] == "hush"


@pytest.mark.parametrize("label", ["not json", "[]", "null"])
def test_a_label_that_somebody_else_wrote_leaves_the_digest_to_decide(label: str) -> None:
    assert made_with({SPEC_LABEL: "abc", FIELDS_LABEL: label}) == {"spec": "abc"}


def test_the_engine_is_asked_in_its_own_words() -> None:
    options = dict(spec(**FULL).options({"TOKEN": "hush", "A": "1"}))
    del options["Labels"]
    assert options == {
        "Image": "app:1",
        "Cmd": ("serve", "--password=hush"),
        "Entrypoint": ("/init",),
        "Env": ["TOKEN=hush", "A=1"],
        "ExposedPorts": {"80/tcp": {}, "90/udp": {}},
        "Healthcheck": {"Test": ["CMD", "probe", "hush"], "Interval": 1_500_000_000, "Retries": 2},
        "User": "1000:1000",
        "WorkingDir": "/srv",
        "Hostname": "web",
        "StopTimeout": 0,
        "HostConfig": {
            "PortBindings": {
                "80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}, {"HostIp": "::1", "HostPort": "8080"}],
                "90/udp": [{"HostIp": "", "HostPort": ""}],
            },
            "Mounts": [
                {"Type": "bind", "Source": "/etc/app", "Target": "/etc/app", "ReadOnly": True},
                {"Type": "volume", "Source": "data", "Target": "/data", "ReadOnly": False},
            ],
            "NetworkMode": "backend",
            "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3},
        },
    }


def test_what_is_not_given_is_left_to_the_engine() -> None:
    options = dict(spec().options({}))
    del options["Labels"]
    empty: dict[str, Any] = {"Env": [], "ExposedPorts": {}, "HostConfig": {"PortBindings": {}, "Mounts": []}}
    assert options == {"Image": "app:1", **empty}
