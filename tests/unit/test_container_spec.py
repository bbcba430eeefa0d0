"""The spec of a container: its digest, what plans show of it, and what the engine is asked for."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from modules.container_options import options_of
from modules.container_spec import FIELDS_LABEL, SPEC_FIELDS, SPEC_LABEL, Spec, made_with
from tests.unit.container_samples import FULL, OTHER

ASKED: dict[str, Any] = {
    "Image": "app:1",
    "Cmd": ("serve", "--password=hush"),
    "Entrypoint": ("/init",),
    "Env": ["TOKEN=hush", "A=1"],
    "ExposedPorts": {"80/tcp": {}, "90/udp": {}},
    "Healthcheck": {"Test": ["CMD", "probe", "hush"], "Interval": 1_500_000_000, "Retries": 2},
    "User": "1000:1000",
    "WorkingDir": "/srv",
    "Hostname": "web",
    "StopSignal": "SIGINT",
    "StopTimeout": 0,
    "NetworkingConfig": {
        "EndpointsConfig": {"backend": {"Aliases": ["db"], "IPAMConfig": {"IPv4Address": "172.30.0.5"}}}
    },
    "HostConfig": {
        "PortBindings": {
            "80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}, {"HostIp": "::1", "HostPort": "8080"}],
            "90/udp": [{"HostIp": "", "HostPort": ""}],
        },
        "Mounts": [
            {"Type": "bind", "Source": "/etc/app", "Target": "/etc/app", "ReadOnly": True},
            {"Type": "volume", "Source": "data", "Target": "/data", "ReadOnly": False},
        ],
        "Tmpfs": {"/run": "size=64m"},
        "NetworkMode": "backend",
        "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3},
        "GroupAdd": ["2000"],
        "Dns": ["10.0.0.53"],
        "DnsSearch": ["example.com"],
        "ExtraHosts": ["db:10.0.0.5"],
        "Memory": 536870912,
        "MemoryReservation": 1048576,
        "NanoCpus": 500_000_000,
        "PidsLimit": 100,
        "Ulimits": [{"Name": "nofile", "Soft": 1024, "Hard": 2048}],
        "ShmSize": 1048576,
        "CapAdd": ["NET_ADMIN"],
        "CapDrop": ["ALL"],
        "Devices": [{"PathOnHost": "/dev/fuse", "PathInContainer": "/dev/fuse", "CgroupPermissions": "rwm"}],
        "SecurityOpt": ["no-new-privileges"],
        "Sysctls": {"net.core.somaxconn": "1024"},
        "Privileged": True,
        "ReadonlyRootfs": True,
        "Init": True,
        "LogConfig": {"Type": "json-file", "Config": {"max-size": "hush"}},
    },
}
"""What the engine is asked for with all of FULL."""


def spec(**fields: Any) -> Spec:
    return Spec({**dict.fromkeys(SPEC_FIELDS), "image": "app:1", **fields})


def api(wanted: Spec, env: dict[str, str]) -> dict[str, Any]:
    """What the engine is asked for."""
    return {**options_of(wanted.fields, env, {}), "Labels": wanted.labels()}


def test_every_field_is_covered_here() -> None:
    assert set(FULL) == set(OTHER) == set(SPEC_FIELDS)


@pytest.mark.parametrize("name", SPEC_FIELDS)
def test_every_field_makes_another_digest_when_it_changes_or_goes(name: str) -> None:
    digests = {spec(**{**FULL, name: value}).digest for value in (FULL[name], OTHER[name], None)}
    assert len(digests) == (2 if name in ("privileged", "read_only") else 3), "not privileged is as good as not given"


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
    options = api(full, {"TOKEN": "hush"})
    shown = json.dumps({name: options["Labels"][name] for name in (SPEC_LABEL, FIELDS_LABEL)})
    assert "hush" not in shown
    assert full.shown()["image"] == "app:1"
    assert full.shown()["ports"] == FULL["ports"]


def test_a_container_tells_what_it_was_made_with() -> None:
    full = spec(**FULL)
    labels = full.labels()
    assert made_with(labels) == {**full.shown(), "spec": full.digest}
    assert labels["team"] == "hush"


@pytest.mark.parametrize("label", ["not json", "[]", "null"])
def test_a_label_that_somebody_else_wrote_leaves_the_digest_to_decide(label: str) -> None:
    assert made_with({SPEC_LABEL: "abc", FIELDS_LABEL: label}) == {"spec": "abc"}


def test_the_engine_is_asked_in_its_own_words() -> None:
    options = api(spec(**FULL), {"TOKEN": "hush", "A": "1"})
    del options["Labels"]
    assert options == ASKED


def test_what_is_not_given_is_left_to_the_engine() -> None:
    options = api(spec(), {})
    del options["Labels"]
    empty: dict[str, Any] = {"Env": [], "ExposedPorts": {}, "HostConfig": {"PortBindings": {}, "Mounts": []}}
    assert options == {"Image": "app:1", **empty}
