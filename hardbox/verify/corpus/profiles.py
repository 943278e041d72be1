"""P in profile files: what does not load. One row is one file.

Run by: tests/attack/test_policy.py; data only.
"""

from __future__ import annotations

from typing import Final

_CHILD: Final = 'extends = "strict"\nsummary = "a child"\n'
BENIGN: Final = _CHILD

# id -> the file's text
TEXTS: Final = {
    "P1-pid": _CHILD + '[namespaces]\npid = "host"\n',
    "P1-pid-join": _CHILD + 'pid = "container:x"\n',
    "P1-net": _CHILD + '[network]\nmode = "host"\n',
    "P1-net-with-reason": _CHILD
    + '[network]\nmode = "host"\n[loosen]\n"network.mode" = "long enough a reason"\n',
    "P1-net-join": _CHILD + '[network]\nmode = "/proc/1/ns/net"\n',
    "P2-privileged": _CHILD + "privileged = true\n",
    "P2-no-new-privs": _CHILD + "no_new_privs = false\n",
    "P2-unconfined": _CHILD + '[seccomp]\nfilter = "unconfined"\n',
    "P2-unconfined-with-reason": _CHILD
    + '[seccomp]\nfilter = "unconfined"\n[loosen]\n"seccomp.filter" = "long enough a reason"\n',
    "P2-filter-file-missing": _CHILD + '[seccomp]\nfilter = "/nonexistent.toml"\n',
    "P2-sysctls": _CHILD + '[sysctls]\n"kernel.core_pattern" = "|/bin/sh"\n',
    "P2-devices": _CHILD + 'devices = ["/dev/kvm"]\n',
    "P3-unknown-key": _CHILD + "colour = 1\n",
    "P3-unknown-in-table": _CHILD + '[network]\nmod = "none"\n',
    "P3-unknown-table": _CHILD + "[networks]\n",
    "P3-case": _CHILD + '[Network]\nmode = "none"\n',
    "P3-duplicate": _CHILD + '[network]\nmode = "none"\nmode = "none"\n',
    "P3-duplicate-table": _CHILD + '[network]\nmode = "none"\n[network]\nallow = []\n',
    "P3-duplicate-dotted": _CHILD + 'network.mode = "none"\n[network]\nmode = "loopback"\n',
    "P3-wrong-type": _CHILD + "[limits]\ntasks = [64]\n",
    "P3-boolean-number": _CHILD + "[limits]\ntasks = true\n",
    "P3-float": _CHILD + "[limits]\ntasks = 1.5\n",
    "P3-nan": _CHILD + "[limits]\ntasks = nan\n",
    "P3-date": _CHILD + "[limits]\nwall = 2020-01-01\n",
    "P3-string-for-list": _CHILD + '[filesystem]\nread = "/usr"\n',
    "P3-include": 'include = ["strict.toml"]\n',
    "P3-interpolation": _CHILD + '[network]\nmode = "${MODE}"\n',
    "P3-nul": _CHILD + '[identity]\nhostname = "a\\u0000b"\n',
    "P3-control": _CHILD + '[identity]\nhostname = "a\\u001b[31m"\n',
    "P3-bidi": _CHILD + '[environment]\nset = { "P\\u202eATH" = "/x" }\n',
    "P3-truncated": _CHILD + "[network\n",
    "P3-deep": _CHILD + "x = " + "[" * 5000 + "]" * 5000 + "\n",
    "P3-long-number": _CHILD + "[limits]\ntasks = " + "9" * 6000 + "\n",
    "P3-empty": "",
    "P4-user-root": _CHILD + "[identity]\nuser = 0\n",
    "P4-capability": _CHILD + '[capabilities]\nkeep = ["NET_ADMIN"]\n',
    "P4-capability-with-reason": _CHILD
    + '[capabilities]\nkeep = ["SYS_ADMIN"]\n[loosen]\n"capabilities.keep" = "long enough a reason"\n',
    "P4-loopback": _CHILD + '[network]\nmode = "loopback"\n',
    "P4-memory": _CHILD + '[limits]\nmemory = "64G"\n',
    "P4-filter": _CHILD + '[seccomp]\nfilter = "inspect"\n',
    "P4-add": _CHILD + '[seccomp]\nadd = ["tracing"]\n',
    "P4-exec": _CHILD + '[filesystem]\nexec = "anywhere"\n',
    "P4-ephemeral": _CHILD + '[filesystem]\nmode = "ephemeral"\n',
    "P4-scratch": _CHILD + '[filesystem]\nscratch = { "/tmp" = "64G" }\n',
    "P4-show": _CHILD + '[filesystem]\nshow = ["/usr", "/var"]\n',
    "P4-pass": _CHILD + '[environment]\npass = ["LANG", "AWS_SECRET_ACCESS_KEY"]\n',
    "P4-refuse": _CHILD + "[refuse]\nhost-network = false\n",
    "P4-empty-reason": _CHILD + '[network]\nmode = "loopback"\n[loosen]\n"network.mode" = ""\n',
    "P4-reason-for-another-key": _CHILD
    + '[network]\nmode = "loopback"\n[loosen]\n"limits.memory" = "long enough a reason"\n',
    "P4-reason-for-a-table": _CHILD
    + '[network]\nmode = "loopback"\n[loosen]\nnetwork = "long enough a reason"\n',
    "P4-no-parent": 'summary = "alone"\n[network]\nmode = "none"\n',
    "P4-self": 'extends = "{own}"\nsummary = "x"\n',
    "P4-two-parents": 'extends = ["strict", "inspect"]\nsummary = "x"\n',
    "A17-size-zero": _CHILD + '[filesystem]\nscratch = { "/tmp" = "0" }\n',
    "A17-size-zero-number": _CHILD + '[filesystem]\nscratch = { "/tmp" = 0 }\n',
    "A17-size-bogus": _CHILD + '[filesystem]\nscratch = { "/tmp" = "bogus" }\n',
    "A17-size-empty": _CHILD + '[filesystem]\nscratch = { "/tmp" = "" }\n',
    "A17-size-negative": _CHILD + '[filesystem]\nscratch = { "/tmp" = "-1M" }\n',
    "A17-size-negative-number": _CHILD + '[filesystem]\nscratch = { "/tmp" = -1 }\n',
    "A17-size-two-to-64": _CHILD + '[filesystem]\nscratch = { "/tmp" = "18446744073709551616" }\n',
    "A17-size-past-signed": _CHILD + '[filesystem]\nscratch = { "/tmp" = 9223372036854775809 }\n',
    "A17-size-overflow": _CHILD + '[filesystem]\nscratch = { "/tmp" = "99999999999G" }\n',
    "A17-size-option": _CHILD + '[filesystem]\nscratch = { "/tmp" = "1M,mode=0777" }\n',
    "B12-scratch-proc": _CHILD + '[filesystem]\nscratch = { "/proc/sys" = "1M" }\n',
    "B12-scratch-dev": _CHILD + '[filesystem]\nscratch = { "/dev" = "1M" }\n',
    "B12-scratch-root": _CHILD + '[filesystem]\nscratch = { "/" = "1M" }\n',
    "B12-scratch-usr": _CHILD + '[filesystem]\nscratch = { "/usr/../proc" = "1M" }\n',
    "B12-scratch-relative": _CHILD + '[filesystem]\nscratch = { "tmp" = "1M" }\n',
    "M9-mounts": _CHILD + '[[mounts]]\ntype = "debugfs"\ntarget = "/d"\n',
    "M9-filesystem-type": _CHILD + '[filesystem]\ntype = "securityfs"\n',
    "M9-root-cgroup": _CHILD + '[filesystem]\nroot = "dir:/sys/fs/cgroup"\n',
    "M9-root-proc": _CHILD + '[filesystem]\nroot = "dir:/proc/1/root"\n',
    "M9-root-slash": _CHILD + '[filesystem]\nroot = "dir:/"\n',
    "M9-root-relative": _CHILD + '[filesystem]\nroot = "dir:x"\n',
    "M8-show-root": _CHILD + '[filesystem]\nshow = ["/"]\n',
    "M8-show-etc": _CHILD
    + '[filesystem]\nshow = ["/usr", "/etc"]\n[loosen]\n"filesystem.show" = "long enough a reason"\n',
    "M8-show-root-home": _CHILD
    + '[filesystem]\nshow = ["/usr", "/root"]\n[loosen]\n"filesystem.show" = "long enough a reason"\n',
    "M8-show-proc": _CHILD
    + '[filesystem]\nshow = ["/usr", "/proc"]\n[loosen]\n"filesystem.show" = "long enough a reason"\n',
    "M8-show-run": _CHILD
    + '[filesystem]\nshow = ["/usr", "/run"]\n[loosen]\n"filesystem.show" = "long enough a reason"\n',
    "M8-write-etc": _CHILD
    + '[filesystem]\nwrite = ["/etc"]\n[loosen]\n"filesystem.write" = "long enough a reason"\n',
    "C9-read-device": _CHILD
    + '[filesystem]\nread = ["/dev/zero"]\n[loosen]\n"filesystem.read" = "long enough a reason"\n',
    "J5-capability-unknown": _CHILD
    + '[capabilities]\nkeep = ["NO_SUCH"]\n[loosen]\n"capabilities.keep" = "long enough a reason"\n',
    "J5-capability-case": _CHILD
    + '[capabilities]\nkeep = ["chown"]\n[loosen]\n"capabilities.keep" = "long enough a reason"\n',
    "J5-capability-number": _CHILD
    + '[capabilities]\nkeep = [0]\n[loosen]\n"capabilities.keep" = "long enough a reason"\n',
    "K23-group-unknown": _CHILD + '[seccomp]\nrefuse = ["no-such-group"]\n',
    "G2-hostname-empty": _CHILD + '[identity]\nhostname = ""\n',
    "G2-hostname-long": _CHILD + '[identity]\nhostname = "' + "a" * 65 + '"\n',
    "I10-user-negative": _CHILD + "[identity]\nuser = -1\n",
    "I10-user-overflow": _CHILD + "[identity]\nuser = 4294967296\n",
    "I10-mappings": _CHILD + '[identity]\nuid_map = ["0 0 1"]\n',
    "I10-ids": _CHILD + '[identity]\nids = "none"\n',
    "N6-tasks-zero": _CHILD + "[limits]\ntasks = 0\n",
    "N6-tasks-minus-one": _CHILD + "[limits]\ntasks = -1\n",
    "N6-memory-unlimited": _CHILD + '[limits]\nmemory = "unlimited"\n',
}

# K23, K26: filters of one's own that must not compile; each is put beside a profile that names it.
FILTERS: Final = {
    "K23-call-unknown": 'summary = "x"\nextends = "strict"\n[group.x]\nwhy = "x"\nallow = ["no_such_call"]\n',
    "K23-errno-unknown": 'summary = "x"\nextends = "strict"\n[group.x]\nwhy = "x"\nrefuse = ["ustat"]\n'
    'errno = "ALLOW"\n',
    "K23-key-unknown": 'summary = "x"\nextends = "strict"\n[group.x]\nwhy = "x"\naction = "allow"\n',
    "K23-architecture": 'summary = "x"\nextends = "strict"\narchitectures = ["x86"]\n',
    "K23-alone": 'summary = "x"\n[group.x]\nwhy = "x"\nallow = ["mount", "setns", "ptrace", "bpf"]\n',
    "K23-default": 'summary = "x"\nextends = "strict"\ndefault = "allow"\n',
    "K23-argument": 'summary = "x"\nextends = "strict"\n[group.x]\nwhy = "x"\n'
    'refuse_when = [{ call = "kill", arg = 6, mask = 1, value = 1 }]\n',
    "K26-many-rules": 'summary = "x"\nextends = "strict"\n[group.x]\nwhy = "x"\nrefuse_when = [\n'
    + "".join(f'{{ call = "kill", arg = 1, mask = 0xffffffff, value = {n} }},\n' for n in range(5000))
    + "]\n",
}
