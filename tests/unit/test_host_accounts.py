"""Names and numbers of accounts, of this machine and of another root."""

from __future__ import annotations

import grp
import os
import pwd
from pathlib import Path

import pytest

from agent.host import LocalHost, LocalView
from modules.api import ResourceError

PASSWD = """root:x:0:0:root:/root:/bin/bash
toor:x:0:0:also root:/root:/bin/sh
web-data:x:33:33::/srv:/bin/false
+::::::
broken line
::7:7:::
odd:x:²:1::/:
nobody:x:number:1::/:/bin/false
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "passwd").write_text(PASSWD)
    (tmp_path / "etc" / "group").write_text("root:x:0:\nstaff:x:50:web-data\n")
    return tmp_path


def test_accounts_of_this_machine_are_those_of_its_name_service() -> None:
    accounts = LocalView().accounts
    for user in pwd.getpwall():
        assert accounts.user_id(user.pw_name) == user.pw_uid
        assert accounts.user_name(user.pw_uid) == pwd.getpwuid(user.pw_uid).pw_name
    for group in grp.getgrall():
        assert accounts.group_id(group.gr_name) == group.gr_gid
    assert accounts.group_name(0) == "root"
    assert accounts.user_name(4_000_000_001) == "4000000001"


def test_accounts_of_another_root_are_those_of_its_files(root: Path) -> None:
    accounts = LocalView(root=str(root)).accounts
    assert (accounts.user_name(0), accounts.user_name(33), accounts.user_name(34)) == ("root", "web-data", "34")
    assert (accounts.user_id("toor"), accounts.user_id("web-data")) == (0, 33)
    assert (accounts.group_name(50), accounts.group_id("staff"), accounts.group_id("root")) == ("staff", 50, 0)
    for name in ("daemon", "nobody", "+", "broken line", ""):
        with pytest.raises(ResourceError, match=f'there is no user "{name}"'.replace("+", r"\+")):
            accounts.user_id(name)


def test_homes_are_those_of_the_local_file_and_of_the_owner(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    accounts = LocalView(root=str(root)).accounts
    assert [accounts.home_at(path, 0) for path in ("/root", "/srv", "/srv/data")] == ["root", "web-data", ""]
    here = pwd.getpwuid(os.geteuid())
    assert LocalView().accounts.home_at(here.pw_dir, 0) != ""
    known = pwd.struct_passwd(("alice", "x", 4_000_000_002, 100, "", "/net/alice/", "/bin/sh"))
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: {4_000_000_002: known}[uid])
    machine = LocalView().accounts
    assert machine.home_at("/net/alice", 4_000_000_002) == "alice", "whom only a directory service knows"
    assert machine.home_at("/net/bob", 4_000_000_002) == ""
    assert machine.home_at("/net/alice", 4_000_000_003) == ""


def test_an_empty_root_knows_root_only(tmp_path: Path) -> None:
    accounts = LocalView(root=str(tmp_path)).accounts
    assert (accounts.user_id("root"), accounts.group_id("root"), accounts.user_name(0)) == (0, 0, "root")
    with pytest.raises(ResourceError, match='there is no user "www-data" on this host; create it first'):
        accounts.user_id("www-data")


def test_numbers_stand_for_themselves_within_their_range() -> None:
    accounts = LocalView().accounts
    assert (accounts.user_id("0"), accounts.group_id("0033"), accounts.user_id("4294967294")) == (0, 33, 4294967294)
    for text in ("4294967295", "4294967296", "9" * 5000):
        with pytest.raises(ResourceError, match="is no user id: the highest is 4294967294"):
            accounts.user_id(text)
    for text in ("-1", "\N{SUPERSCRIPT TWO}", "1 "):
        with pytest.raises(ResourceError, match="there is no user"):
            accounts.user_id(text)


def test_a_missing_account_suggests_the_nearest(root: Path) -> None:
    accounts = LocalView(root=str(root)).accounts
    with pytest.raises(ResourceError) as caught:
        accounts.user_id("webdata")
    assert str(caught.value) == (
        'there is no user "webdata" on this host; did you mean "web-data"?; '
        "create it first (a package may bring it), or give a number"
    )
    with pytest.raises(ResourceError, match='there is no group "zzz" on this host; create it'):
        accounts.group_id("zzz")


def test_an_account_that_a_command_brought_is_found(root: Path) -> None:
    host = LocalHost(root=str(root))
    assert host.accounts.user_name(90) == "90"
    with pytest.raises(ResourceError):
        host.accounts.user_id("new")
    assert host.accounts.user_id("web-data") == 33
    host.run("sh", "-c", f"sed -i s/:33:/:34:/ {root}/etc/passwd; echo new:x:90:90::/: >> {root}/etc/passwd")
    assert (host.accounts.user_id("new"), host.accounts.user_name(90)) == (90, "new")
    assert host.accounts.user_id("web-data") == 34


def test_a_name_is_asked_for_once(root: Path) -> None:
    accounts = LocalView(root=str(root)).accounts
    assert accounts.user_name(33) == "web-data"
    assert accounts.user_name(77) == "77"
    os.unlink(root / "etc" / "passwd")
    assert (accounts.user_name(33), accounts.user_name(77)) == ("web-data", "77")


def test_account_files_that_could_be_planted_are_not_read(root: Path) -> None:
    os.unlink(root / "etc" / "passwd")
    os.mkfifo(root / "etc" / "passwd")
    with pytest.raises(ResourceError, match="not a regular file"):
        LocalView(root=str(root)).accounts.user_id("web-data")
