"""Host lists and lock files: which file it is, what it may hold, and who may change it.  Run by: pytest."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import pytest
from support.profile_files import REASON, write

from hardbox import files, lockfiles, profile
from hardbox.errors import HardboxError
from hardbox.profile import Setting

if TYPE_CHECKING:
    from pathlib import Path

    from hardbox.policy import Policy

ROW: Final = '[[host]]\ndestination = "{}"\nadded = 2026-11-28\nreason = "a reason that is long enough"\n'
CHILD: Final = (
    'extends = "net-client"\n[network]\nallow = [{}]\n[loosen]\n"network.allow" = "' + REASON + '"\n'
)
SHIPPED: Final = ("index.example.org:443", "*.files.example.org:443")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory to which nobody else may write; also the current one."""
    tmp_path.chmod(0o755)
    (tmp_path / "hosts").mkdir(mode=0o755)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def put(folder: Path, name: str, content: str | bytes) -> str:
    return write(folder / "hosts", content, name)


def load(folder: Path, *allow: str) -> Policy:
    """Load a profile that names these in its list."""
    return profile.load(write(folder, CHILD.format(", ".join(f'"{one}"' for one in allow))))


def refused(folder: Path, *allow: str) -> HardboxError:
    with pytest.raises(HardboxError) as caught:
        load(folder, *allow)
    return caught.value


def asked(*words: str, lockfile: str = "") -> Policy:
    """Load the shipped profile with --allow or --lockfile."""
    settings = [Setting("network.allow", [word], "--allow", append=True) for word in words]
    if lockfile:
        settings.append(Setting("network.from_lockfile", [lockfile], "--lockfile", append=True))
    return profile.load("net-client", settings)


def test_a_list_stands_for_its_rows_in_their_place(folder: Path) -> None:
    put(folder, "ours.toml", ROW.format("B.example.org:443") + ROW.format("10.0.3.7:22"))
    found = load(folder, "a.example.org:443", "@ours", "10.0.3.7:22", "c.example.org:443").network.allow
    assert set(found) == {"a.example.org:443", "b.example.org:443", "10.0.3.7:22", "c.example.org:443"}
    assert len(found) == 4


def test_a_list_that_ships(folder: Path) -> None:
    assert set(load(folder, "@example").network.allow) == set(SHIPPED)
    assert set(asked("@example").network.allow) == set(SHIPPED)


def test_a_list_beside_the_profile_wins_over_one_that_ships(folder: Path) -> None:
    put(folder, "example.toml", ROW.format("own.example.org:443"))
    assert load(folder, "@example").network.allow == ("own.example.org:443",)
    assert set(asked("@example").network.allow) == set(SHIPPED), "the working directory is not the profile's"


def test_one_beside_that_leads_nowhere_is_no_reason_to_take_the_other(folder: Path) -> None:
    (folder / "hosts" / "example.toml").symlink_to("nothing.toml")
    assert refused(folder, "@example").code == "HB402"


def test_paths_count_from_the_profile_and_from_here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(folder, "ours.toml", ROW.format("b.example.org:443"))
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir(mode=0o755)
    for name in ("@./hosts/ours.toml", f"@{path}"):
        assert load(folder, name).network.allow == ("b.example.org:443",)
        assert asked(name).network.allow == ("b.example.org:443",)
    monkeypatch.chdir(elsewhere)
    assert load(folder, "@./hosts/ours.toml").network.allow == ("b.example.org:443",)
    assert asked("@../hosts/ours.toml").network.allow == ("b.example.org:443",)
    with pytest.raises(HardboxError) as caught:
        asked("@./hosts/ours.toml")
    assert caught.value.code == "HB402"


def test_a_list_that_is_not_there(folder: Path) -> None:
    for name in ("@examples", "@nothing"):
        error = refused(folder, name)
        assert error.code == "HB434"
        assert name in error.value
    assert '"example"' in refused(folder, "@examples").instead
    with pytest.raises(HardboxError) as caught:
        asked("@nothing")
    assert (caught.value.code, str(caught.value.origin)) == ("HB434", "--allow")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "[[host]]"),
        ('summary = "x"', "[[host]]"),
        ("host = []", "[[host]]"),
        ('host = "a.example.org:443"', "[[host]]"),
        ('[host]\ndestination = "a.example.org:443"', "[[host]]"),
        ("summary = 1\n" + ROW.format("a.example.org:443"), "[[host]]"),
        ('more = "x"\n' + ROW.format("a.example.org:443"), "[[host]]"),
        ("host = [1]", "each [[host]]"),
        ('[[host]]\ndestination = "a.example.org:443"', "each [[host]]"),
        (ROW.format("a.example.org:443") + 'port = "443"', "each [[host]]"),
        (ROW.format("a.example.org:443").replace("2026-11-28", '"2026-11-28"'), "added is a date"),
        (ROW.format("a.example.org:443").replace("2026-11-28", "2026-11-28T10:00:00"), "added is a date"),
        (ROW.format("a.example.org:443").replace("2026-11-28", "20261128"), "added is a date"),
        (ROW.format("a.example.org:443").replace("a reason that is long enough", "short"), "a reason is"),
        (ROW.format("a.example.org:443").replace("a reason that", "a reason\\nthat"), "a reason is"),
        (
            ROW.format("a.example.org:443").replace('"a reason that is long enough"', "1234567890"),
            "a reason is",
        ),
        (ROW.format("@example"), "not other lists"),
        (ROW.format("@./example.toml"), "not other lists"),
        ("[[host", "not TOML"),
        ("x = 2026-13-99", "not TOML"),
        ("x = " + "[" * 5000, "not TOML"),
        (b"\xff\xfe", "not TOML"),
    ],
)
def test_a_list_that_is_none(folder: Path, content: str | bytes, says: str) -> None:
    path = put(folder, "ours.toml", content)
    error = refused(folder, "@ours")
    assert error.code == "HB434"
    assert says in error.why
    assert error.value == path
    assert "[[host]]" in error.instead


@pytest.mark.parametrize(
    ("destination", "code"), [("a.example.org", "HB413"), ("0x7f.1:80", "HB413"), ("", "HB413")]
)
def test_a_destination_of_a_list_is_read_as_any_other(folder: Path, destination: str, code: str) -> None:
    path = put(folder, "ours.toml", ROW.format("b.example.org:443") + ROW.format(destination))
    error = refused(folder, "@ours")
    assert error.code == code
    assert path in str(error.origin)
    put(folder, "ours.toml", ROW.format("x").replace('"x"', "443"))
    assert refused(folder, "@ours").code == "HB408"


def test_what_is_no_file_is_refused(folder: Path) -> None:
    (folder / "hosts" / "ours.toml").mkdir()
    assert refused(folder, "@ours").code == "HB403"
    os.mkfifo(folder / "hosts" / "pipe.toml")
    assert refused(folder, "@pipe").code == "HB403"
    put(folder, "large.toml", "#" * (files.MOST_BYTES + 1))
    assert refused(folder, "@large").code == "HB404"


def test_every_list_that_is_wrong_is_told(folder: Path) -> None:
    found = profile.inspect(write(folder, CHILD.format('"@nothing", "@neither", "a.example.org:443"')))
    assert [problem.code for problem in found.problems] == ["HB434", "HB434"]


def test_a_list_that_others_can_write_is_refused(folder: Path) -> None:
    path = put(folder, "ours.toml", ROW.format("b.example.org:443"))
    load(folder, "@ours")
    for mode in (0o664, 0o646):
        os.chmod(path, mode)
        assert refused(folder, "@ours").code == "HB230"
    os.chmod(path, 0o644)
    (folder / "hosts").chmod(0o777)
    assert refused(folder, "@ours").code == "HB230"
    with pytest.raises(HardboxError) as caught:
        asked(f"@{path}")
    assert caught.value.code == "HB230"


def test_what_decides_about_a_list_is_among_the_policys_files(folder: Path) -> None:
    """So that a job that may change it is refused, and a sealed decision looks at it again."""
    path = put(folder, "real.toml", ROW.format("b.example.org:443"))
    (folder / "hosts" / "ours.toml").symlink_to("real.toml")
    link = f"{folder}/hosts/ours.toml"
    assert {path, link, f"{folder}/ci.toml"} <= set(load(folder, "@ours").files)
    assert {path, link} <= set(asked("@./hosts/ours.toml").files)
    assert path not in asked("@example").files


def test_a_list_of_a_parent_is_beside_the_parent(folder: Path) -> None:
    put(folder, "ours.toml", ROW.format("b.example.org:443"))
    write(folder, CHILD.format('"@ours"'), "parent.toml")
    below = folder / "below"
    below.mkdir(mode=0o755)
    (below / "hosts").mkdir(mode=0o755)
    write(below / "hosts", ROW.format("other.example.org:443"), "ours.toml")
    path = write(below, 'extends = "../parent.toml"\n')
    found = profile.load(path)
    assert found.network.allow == ("b.example.org:443",)
    assert f"{folder}/hosts/ours.toml" in found.files


def test_a_profile_that_grants_nothing_takes_no_list_either(folder: Path) -> None:
    write(folder, CHILD.format('"a.example.org:443"'))
    strict = write(folder, 'extends = "./ci.toml"\n[network]\ngrants = "none"\n', "strict.toml")
    with pytest.raises(HardboxError) as caught:
        profile.load(strict, [Setting("network.allow", ["@example"], "--allow", append=True)])
    assert "network.grants" in caught.value.why + caught.value.instead + caught.value.what


LOCK: Final = """version = 1
[[package]]
name = "x"
version = "1"
source = { registry = "https://index.example.org/simple" }
sdist = { url = "https://files.example.org/x.tar.gz", hash = "sha256:00", size = 1 }
"""


def test_a_lock_file_names_its_hosts(folder: Path) -> None:
    path = write(folder, LOCK, "uv.lock")
    found = asked("a.example.org:443", lockfile=path)
    assert set(found.network.allow) == {
        *("a.example.org:443", "index.example.org:443", "files.example.org:443"),
    }
    assert found.network.from_lockfile == (path,)
    assert set(found.locked) == {"index.example.org:443", "files.example.org:443"}
    assert path in found.files


@pytest.mark.parametrize(
    "host", ["127.0.0.1:6000", "169.254.169.254", "10.0.3.7", "[::1]", "0x7f.1", "localhost"]
)
def test_a_lock_file_opens_no_address(folder: Path, host: str) -> None:
    """It comes with the project: which address is meant, a person says."""
    path = write(folder, LOCK.replace("files.example.org", host), "uv.lock")
    with pytest.raises(HardboxError) as caught:
        asked(lockfile=path)
    assert caught.value.code == "HB435"
    assert asked("127.0.0.1:6000").network.allow == ("127.0.0.1:6000",)


def test_a_lock_file_with_another_name_is_refused(folder: Path) -> None:
    path = write(folder, LOCK, "uv.lock")
    os.link(path, f"{folder}/other")
    with pytest.raises(HardboxError) as caught:
        asked(lockfile=path)
    assert (caught.value.code, "another name" in caught.value.why) == ("HB435", True)


def test_a_lock_file_of_a_profile_is_beside_it(folder: Path) -> None:
    path = write(folder, LOCK, "uv.lock")
    text = f'[network]\nfrom_lockfile = ["uv.lock"]\n[loosen]\n"network.from_lockfile" = "{REASON}"'
    found = profile.load(write(folder, 'extends = "net-client"\n' + text))
    assert "index.example.org:443" in found.network.allow
    assert path in found.files


def test_a_lock_file_that_does_not_say_is_told_once(folder: Path) -> None:
    for content, name in ((LOCK, "nosuch.lock"), ("x", "uv.lock"), (LOCK.replace("https", "ssh"), "uv.lock")):
        path = write(folder, content, name)
        with pytest.raises(HardboxError) as caught:
            asked(lockfile=path)
        assert (caught.value.code, caught.value.value) == ("HB435", path)
        assert caught.value.why


def test_a_lock_file_that_cannot_be_read(folder: Path) -> None:
    with pytest.raises(HardboxError) as caught:
        asked(lockfile=f"{folder}/uv.lock")
    assert caught.value.code == "HB402"
    path = write(folder, LOCK, "uv.lock")
    os.chmod(path, 0o666)
    with pytest.raises(HardboxError) as caught:
        asked(lockfile=path)
    assert caught.value.code == "HB230"


def test_a_lock_file_may_be_as_long_as_they_are(folder: Path) -> None:
    """Programs write them: those of large projects have several MiB."""
    path = write(folder, LOCK + "# " + "x" * (3 << 20) + "\n", "uv.lock")
    assert "index.example.org:443" in asked(lockfile=path).network.allow
    with open(path, "ab") as file:
        file.truncate(lockfiles.MOST_BYTES + 1)
    with pytest.raises(HardboxError) as caught:
        asked(lockfile=path)
    assert caught.value.code == "HB404"
    assert "64 MiB" in caught.value.what
