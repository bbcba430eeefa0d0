"""What Quadlet is given for a container's fields, and what systemd must not read into it."""

from __future__ import annotations

from typing import Any

import pytest

from modules.quadlet_text import unit_text
from tests.unit.container_samples import FULL


def lines(env: dict[str, str] | None = None, **fields: Any) -> list[str]:
    return unit_text("web", {"image": "app:1", **fields}, env or {}, {}, {}).splitlines()


def test_a_bare_container() -> None:
    assert lines() == [
        "[Unit]", "Description=Container web", "",
        "[Container]", "ContainerName=web", "Pull=never", "Image=app:1", "",
        "[Service]", "Restart=no",
    ]  # fmt: skip


def test_all_fields_have_their_keys() -> None:
    given = {
        name: value
        for name, value in FULL.items()
        if name not in ("env", "env_file", "secrets", "labels", "network_mode")
    }
    text = unit_text("web", given, {"TOKEN": "x y"}, {"team": "a"}, {"EnvironmentFile": "/run/x"}).splitlines()
    for line in (
        'Environment="TOKEN=x y"', "Label=team=a", "EnvironmentFile=/run/x", "Exec=serve --password=hush", 'Entrypoint=["/init"]',
        "PublishPort=127.0.0.1:8080:80/tcp", "PublishPort=[::1]:8080:80/tcp", "PublishPort=90/udp", "Volume=/etc/app:/etc/app:ro",
        "Tmpfs=/run:size=64m", "Network=backend:alias=db,ip=172.30.0.5", "Network=front", "HostName=web", "DNS=10.0.0.53",
        "DNSSearch=example.com", "AddHost=db:10.0.0.5", "User=1000", "Group=1000", "GroupAdd=2000", "WorkingDir=/srv", "RunInit=true",
        "StopSignal=SIGINT", "StopTimeout=0", 'HealthCmd=["probe", "hush"]', "HealthInterval=1500ms", "HealthRetries=2",
        "PodmanArgs=--memory=536870912", "PodmanArgs=--memory-reservation=1048576", "PodmanArgs=--cpus=0.5", "PidsLimit=100",
        "Ulimit=nofile=1024:2048", "ShmSize=1048576", "AddCapability=NET_ADMIN", "DropCapability=ALL", "AddDevice=/dev/fuse:/dev/fuse:rwm",
        "NoNewPrivileges=true", "Sysctl=net.core.somaxconn=1024", "PodmanArgs=--privileged", "ReadOnly=true", "LogDriver=json-file",
        "LogOpt=max-size=hush", "Restart=on-failure", "WantedBy=multi-user.target",
    ):  # fmt: skip
        assert line in text, line


@pytest.mark.parametrize(
    ("word", "written"),
    [
        ("plain", "plain"),
        ("two words", '"two words"'),
        ("$HOME %h", '"$$HOME %%h"'),
        ("100%", "100%%"),
        ('a"b\\c', '"a\\"b\\\\c"'),
        ("a\nb\tc", '"a\\nb\\tc"'),
        ("", '""'),
        ("a;b", '"a;b"'),
    ],
)
def test_a_word_reaches_the_container_as_it_is(word: str, written: str) -> None:
    assert f"Exec=sh {written}" in lines(command=("sh", word))


def test_health_checks_of_each_form() -> None:
    assert 'HealthCmd=["CMD-SHELL", "test $$A"]' in lines(healthcheck={"test": ("CMD-SHELL", "test $A")})
    assert "HealthCmd=none" in lines(healthcheck={"test": ("NONE",)})


def test_one_that_shares_a_network_is_bound_to_the_other() -> None:
    text = lines(network_mode="container:db")
    assert "Network=container:db" in text
    assert "BindsTo=db.service" in text


def test_what_never_restarts_does_not_start_at_boot_by_itself() -> None:
    assert "[Install]" not in lines(restart="no")
    assert {"Restart=always", "WantedBy=multi-user.target"} <= set(lines(restart="unless-stopped"))
