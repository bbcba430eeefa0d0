"""What is said of a label, and on which file systems there is none."""

from __future__ import annotations

import os
from collections.abc import Mapping

import pytest

from agent.host.selinux import unlabelled
from modules import selinux
from tests.unit.test_package_options import TEXTS

FULL = {"user": "a_u", "role": "b_r", "type": "c_t", "range": "s0-s15:c0.c1023"}


@pytest.mark.parametrize(
    ("given", "parts"),
    [
        ("etc_t", {"type": "etc_t"}),
        ("a_u:b_r:c_t:s0-s15:c0.c1023", FULL),
        ("a_u:b_r:c_t", {"user": "a_u", "role": "b_r", "type": "c_t"}),
        ({"role": "b_r"}, {"role": "b_r"}),
        ({}, {}),
    ],
)
def test_a_label_is_a_type_a_context_or_parts(given: object, parts: Mapping[str, str]) -> None:
    assert selinux.CONTEXT.parse(given, TEXTS) == parts


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("a:b", "must be a type such as etc_t"),
        ("", "must have a type"),
        ("a b", "must have a type"),
        ("a:b:c:", "must have a range"),
        ({"level": "s0"}, "must be a mapping of user, role, type, range"),
        ({"type": "a:b"}, "must have a type"),
        ({"type": 1}, "must be text"),
        (["etc_t"], "must be a mapping"),
    ],
)
def test_what_is_no_label_is_refused(given: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        selinux.CONTEXT.parse(given, TEXTS)


@pytest.mark.parametrize(
    ("given", "found", "default", "wanted"),
    [
        ({"type": "x_t"}, "a:b:c:s1", "u:r:t:s0", "u:r:x_t:s0"),
        ({"type": "x_t"}, "a:b:c:s1:c1,c2", "", "a:b:x_t:s1:c1,c2"),
        ({"type": "x_t"}, "", "", "system_u:object_r:x_t:s0"),
        ({"type": "x_t"}, "", "u:r:t", "u:r:x_t"),
        ({"user": "x_u"}, "", "", None),
        ({}, "a:b:c:s1", "", "a:b:c:s1"),
        (FULL, "a:b:c:s1", None, None),
    ],
)
def test_what_is_given_counts_before_the_policy_and_that_before_what_is_found(
    given: Mapping[str, str], found: str, default: str | None, wanted: str | None
) -> None:
    assert selinux.context(given, found, default) == wanted


def test_file_systems_with_one_label_as_a_whole_are_known_by_their_mounts() -> None:
    mounts = (
        "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,seclabel\n"
        "23 22 0:20 / /mnt\\040a rw - nfs server:/x rw,vers=4\n"
        "24 22 0:21 / /tmp rw,nosuid - tmpfs tmpfs rw,seclabel,size=1k\n"
    )
    assert unlabelled(mounts) == {os.makedev(0, 20)}
