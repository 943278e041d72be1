"""Each known blocker is named from the files that show it.  Run by: pytest."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest

from hardbox.host import HostFacts
from hardbox.probe import blockers
from hardbox.probe.check import Place
from hardbox.probe.children import Outcome
from hardbox.probe.mounts import judge_proc

if TYPE_CHECKING:
    from pathlib import Path

USER_STEP = "unshare user namespace"
MOUNTINFO = "22 1 0:1 / / rw - ext4 /dev/x rw\n"


class Fake:
    """A root directory of files that a probe reads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.put("/proc/self/status", "Name:\tx\nSeccomp:\t0\n")
        self.put("/proc/self/uid_map", "0 0 4294967295\n")
        self.put("/proc/self/mountinfo", MOUNTINFO)

    def put(self, path: str, text: str) -> None:
        file = self.folder / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def place(self, uid: int = 1000, launcher: str = "/opt/hb/bin/hardbox-launch") -> Place:
        return Place(HostFacts(uid=uid, gid=uid), str(self.folder), launcher)

    def name(self, error: int, step: str = USER_STEP, uid: int = 1000) -> str:
        return blockers.diagnose(Outcome(error, step), self.place(uid)).name


@pytest.fixture
def fake(tmp_path: Path) -> Fake:
    return Fake(tmp_path)


def test_user_namespaces_switched_off(fake: Fake) -> None:
    fake.put("/proc/sys/user/max_user_namespaces", "0\n")
    assert fake.name(errno.ENOSPC) == "max_user_namespaces"
    found = blockers.diagnose(Outcome(errno.ENOSPC, USER_STEP), fake.place())
    assert "user.max_user_namespaces" in found.fix


def test_a_count_that_is_reached(fake: Fake) -> None:
    fake.put("/proc/sys/user/max_user_namespaces", "9\n")
    assert fake.name(errno.ENOSPC) == "namespace-count"
    assert fake.name(errno.EUSERS) == "namespace-count"


def test_debians_switch_stops_users_only(fake: Fake) -> None:
    fake.put("/proc/sys/kernel/unprivileged_userns_clone", "0\n")
    assert fake.name(errno.EPERM) == "unprivileged_userns_clone"
    assert fake.name(errno.EPERM, uid=0) == "unknown"
    fake.put("/proc/sys/kernel/unprivileged_userns_clone", "1\n")
    assert fake.name(errno.EPERM) == "unknown"


@pytest.mark.parametrize(
    ("error", "step"),
    [(errno.EPERM, "write uid_map"), (errno.EACCES, USER_STEP), (errno.EPERM, "unshare mount namespace")],
)
def test_ubuntus_restriction_gets_a_profile_for_the_launcher_alone(fake: Fake, error: int, step: str) -> None:
    fake.put("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1\n")
    found = blockers.diagnose(Outcome(error, step), fake.place())
    assert found.name == "apparmor"
    assert 'profile hardbox-launch "/opt/hb/bin/hardbox-launch" flags=(unconfined) {' in found.fix
    assert "  userns,\n" in found.fix
    assert "sysctl" not in found.fix
    assert fake.name(error, step, uid=0) == "unknown"


def test_an_outer_containers_filter(fake: Fake) -> None:
    fake.put("/proc/self/status", "Name:\tx\nSeccomp:\t2\nSeccomp_filters:\t1\n")
    assert fake.name(errno.EPERM) == "outer-seccomp"
    found = blockers.diagnose(Outcome(errno.EPERM, USER_STEP), fake.place())
    assert "not one that is unconfined" in found.fix


def test_a_chroot_has_no_mount_at_its_root(fake: Fake) -> None:
    fake.put("/proc/self/mountinfo", "31 22 0:5 / /proc rw - proc proc rw\n")
    assert fake.name(errno.EPERM) == "chroot"


def test_an_id_that_is_not_mapped(fake: Fake) -> None:
    fake.put("/proc/self/uid_map", "         0     100000       1000\n")
    assert fake.name(errno.EPERM, uid=1000) == "unmapped-id"
    assert fake.name(errno.EPERM, uid=999) == "unknown"


def test_selinux(fake: Fake) -> None:
    fake.put("/sys/fs/selinux/enforce", "1")
    assert fake.name(errno.EACCES) == "selinux"


def test_a_kernel_without_user_namespaces(fake: Fake) -> None:
    assert fake.name(errno.ENOSYS) == "clone-filtered"
    (fake.folder / "proc/self/uid_map").unlink()
    assert fake.name(errno.EINVAL) == "no-user-namespaces"


def test_no_proc(fake: Fake) -> None:
    (fake.folder / "proc/self/status").unlink()
    assert fake.name(errno.EPERM) == "no-proc"


def test_the_unknown_is_called_so_with_its_errno(fake: Fake) -> None:
    found = blockers.diagnose(Outcome(errno.EPERM, USER_STEP), fake.place())
    assert (found.name, "EPERM" in found.found) == ("unknown", True)


def test_a_masked_proc_is_named_with_what_hides_it(fake: Fake) -> None:
    fake.put("/proc/self/mountinfo", MOUNTINFO + "40 23 0:6 /null /proc/kcore rw - devtmpfs d rw\n")
    check = judge_proc(Outcome(errno.EPERM, "fsmount proc"), fake.place())
    assert check.blocker == "masked-proc"
    assert "/proc/kcore" in check.found
    assert "Mount too revealing" in check.found


def test_a_proc_that_fails_for_want_of_a_namespace_is_not_called_masked(fake: Fake) -> None:
    fake.put("/proc/self/mountinfo", MOUNTINFO + "40 23 0:6 /null /proc/kcore rw - devtmpfs d rw\n")
    fake.put("/proc/sys/kernel/unprivileged_userns_clone", "0\n")
    check = judge_proc(Outcome(errno.EPERM, USER_STEP), fake.place())
    assert check.blocker == "unprivileged_userns_clone"


def test_no_fix_of_any_blocker_switches_a_wall_off_for_everyone(fake: Fake) -> None:
    fake.put("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1\n")
    fix = blockers.diagnose(Outcome(errno.EPERM, USER_STEP), fake.place()).fix
    for wide in ("apparmor_restrict_unprivileged_userns=0", "seccomp=unconfined", "--privileged"):
        assert wide not in fix
