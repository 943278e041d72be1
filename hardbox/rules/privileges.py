"""HB1nn: rules about namespaces and privileges.

Run by: the Python front; data only.
"""

from __future__ import annotations

from typing import Final

from hardbox.rules.rule import NEW_NAMESPACES, NO_MEANS, PROMISE, Rule

PRIVILEGES: Final = (
    Rule(
        "host-pid",
        "HB101",
        ("CIS-5.16", "PSS-hostNamespaces", "NSA-host-namespaces", "800-190-4.4.3"),
        "the host's process list is asked for",
        "the job could see, signal and trace the host's processes, and read their environment in /proc",
        "leave it out: the job has process ids of its own, and signals to hardbox are forwarded",
        NEW_NAMESPACES,
    ),
    Rule(
        "host-ipc",
        "HB102",
        ("CIS-5.17", "PSS-hostNamespaces", "NSA-host-namespaces", "800-190-4.4.3"),
        "the host's shared memory and message queues are asked for",
        "the job could read and change the memory that the host's programs share",
        "leave it out, and exchange data through a directory: --write DIR",
        NEW_NAMESPACES,
    ),
    Rule(
        "host-network",
        "HB103",
        ("CIS-5.10", "PSS-hostNamespaces", "NSA-host-network", "800-190-4.4.2"),
        "the host's network is asked for",
        "services on localhost and abstract sockets of the host become reachable",
        'network.mode = "none" or "loopback"; --profile net-client --allow HOST:PORT for named destinations',
        NEW_NAMESPACES,
    ),
    Rule(
        "host-uts",
        "HB104",
        ("CIS-5.21", "800-190-4.4.3"),
        "the host's name is asked for",
        "the job could learn, and with a privilege change, the name under which the host is known",
        "--hostname NAME gives the job a name of its own",
        NEW_NAMESPACES,
    ),
    Rule(
        "host-user",
        "HB105",
        ("CIS-5.31", "800-190-4.5.4"),
        "the host's user ids are asked for",
        "without a user namespace an id inside is the same id outside, and a kernel bug is a bug for root",
        'identity.ids = "single" or "range"',
        PROMISE,
    ),
    Rule(
        "host-cgroup",
        "HB106",
        ("CIS-5.25", "PSS-hostNamespaces", "800-190-4.4.3"),
        "the host's view of control groups is asked for",
        "the job would see the host's services and the path of its own group, a known step of escapes",
        "leave it out: limits are set in [limits]",
        NEW_NAMESPACES,
    ),
    Rule(
        "host-time",
        "HB107",
        ("PSS-hostNamespaces", "800-190-4.4.3"),
        "a time namespace of the host or of others is asked for",
        "clock offsets chosen by others would move the job's timers and time limits",
        "leave it out: the job reads the host's clocks and cannot set them",
        NO_MEANS,
    ),
    Rule(
        "host-mounts",
        "HB108",
        ("CIS-5.6", "PSS-hostPathVolumes", "800-190-4.5.5"),
        "the host's mounts are asked for",
        "every file of the host would be in sight, and mounts made inside would appear on the host",
        "--read PATH and --write PATH show what the job needs, path by path",
        NEW_NAMESPACES,
    ),
    Rule(
        "joined-namespace",
        "HB109",
        ("PSS-hostNamespaces", "NSA-host-namespaces", "800-190-4.4.3"),
        "joining a namespace of other processes is asked for",
        "whatever runs there shares its processes, network or files with the job, and the job with it",
        "run both programs in one sandbox, or connect them by a pipe or a directory (--write DIR)",
        NEW_NAMESPACES,
    ),
    Rule(
        "privileged",
        "HB110",
        ("CIS-5.4", "CIS-5.5", "CIS-5.23", "PSS-privileged", "NSA-privileged", "800-190-4.4.3"),
        "a privileged sandbox is asked for",
        "with all capabilities and devices and no filter, nothing but good will would hold the job",
        "find the one thing that failed without it: hardbox run --profile inspect -- COMMAND",
        PROMISE,
    ),
    Rule(
        "added-capabilities",
        "HB111",
        ("CIS-5.4", "PSS-capabilities", "PSS-restricted-capabilities", "800-190-4.4.3"),
        "a capability beyond NET_BIND_SERVICE is asked for",
        "capabilities open kernel code that an unprivileged job never reaches, where most kernel bugs lie",
        'capabilities.keep = [] or, for ports below 1024, ["NET_BIND_SERVICE"]',
    ),
    Rule(
        "powerful-capabilities",
        "HB112",
        ("CIS-5.4", "PSS-capabilities", "PSS-restricted-capabilities", "800-190-4.4.3"),
        "a capability is asked for that even the baseline standard forbids",
        "with it the job can undo the sandbox from inside: mount, trace, open any file, program the kernel",
        "do the privileged part before or after the job, outside; show its result with --read",
        "it would let the job take down the other walls",
    ),
    Rule(
        "new-privileges",
        "HB113",
        ("CIS-5.26", "PSS-restricted-allowPrivilegeEscalation", "NSA-escalation", "800-190-4.4.3"),
        "gaining privileges by executing a program is asked for",
        "a set-user-ID program would give the job more than it started with (no_new_privs off)",
        "leave it out; sudo and su cannot work inside and are not needed there",
        PROMISE,
    ),
    Rule(
        "seccomp-unconfined",
        "HB114",
        ("CIS-5.22", "PSS-seccomp", "PSS-restricted-seccomp", "NSA-seccomp", "800-190-4.5.1"),
        "a job without a system call filter is asked for",
        "every system call of the kernel would be open to attack, the rare ones with the most bugs first",
        'seccomp.filter = "build" or "inspect", or seccomp.add with the one group that is missing',
        PROMISE,
    ),
    Rule(
        "lsm-unconfined",
        "HB115",
        ("CIS-5.2", "CIS-5.3", "PSS-appArmor", "PSS-seLinux", "NSA-lsm"),
        "leaving AppArmor or SELinux, or another label than the caller's, is asked for",
        "the host's administrator confines its users with these labels; a sandbox must not lead around them",
        "leave it out: the job keeps the caller's confinement, and Landlock stands beside it",
        NO_MEANS,
    ),
    Rule(
        "published-ports",
        "HB116",
        ("CIS-5.8", "CIS-5.9", "PSS-hostPorts", "800-190-4.4.2"),
        "publishing a port on the host is asked for",
        "whoever reaches the host would reach untrusted code",
        'talk to the job through stdin and stdout, or test inside with network.mode = "loopback"; a profile'
        " that lifts the rule may name ports in network.publish (mode bridge)",
    ),
    Rule(
        "cgroup-parent",
        "HB117",
        ("CIS-5.25", "800-190-4.4.3"),
        "a control group chosen by the request is asked for",
        "the job would count against, or escape, the limits of whatever else is in that group",
        "set the limits in [limits], or start hardbox itself in the group that you want",
        NO_MEANS,
    ),
    Rule(
        "host-helpers",
        "HB118",
        ("800-190-4.4.3", "800-190-4.4.5"),
        "running a program outside the sandbox on the job's behalf is asked for",
        "hooks, other runtimes and plug-ins run with the caller's full rights, under none of the limits",
        "do it in a script before and after `hardbox run`",
        NO_MEANS,
    ),
    Rule(
        "unmasked-proc",
        "HB119",
        ("PSS-procMount", "800-190-4.5.1"),
        "an unmasked /proc is asked for",
        "the hidden files tell kernel addresses, keys and the habits of other users",
        "leave it out: the job's own processes are fully visible in its /proc",
        NO_MEANS,
    ),
)

# What the baseline level of the Pod Security Standards lets a container have.
BASELINE_CAPABILITIES: Final = frozenset(
    (
        *("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE"),
        *("SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"),
    )
)
