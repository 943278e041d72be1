/* The vocabulary of launch plans: one row per kind of step.
 *
 * Read by: plan.c (decoding), init.c and supervisor.c (execution), and, as text, by
 * tests/unit/test_steps.py, which compares it with hardbox/plan/steps/ row by row.
 *
 * KIND(number, NAME, "name", "fields", PHASE)
 *   fields: u = 32-bit number, q = 64-bit number, s = string without NUL, b = bytes
 *   PHASE:  OUTSIDE  done by the supervisor, on the host, before the job's root exists
 *           DATA     collected while decoding: environment, arguments, search path
 *           INSIDE   done by init, in order, one after the other
 */
#ifndef HB_KINDS_H
#define HB_KINDS_H

#define HB_KINDS(KIND)                                                                  \
	KIND(1, HOST, "host", "us", OUTSIDE)                                            \
	KIND(2, NAMESPACES, "namespaces", "q", OUTSIDE)                                 \
	KIND(3, ID_LEASE, "id-lease", "suuu", OUTSIDE)                                  \
	KIND(4, MAP_UID, "map-uid", "uuuu", OUTSIDE)                                    \
	KIND(5, MAP_GID, "map-gid", "uuuu", OUTSIDE)                                    \
	KIND(6, MAP_HELPERS, "map-helpers", "ss", OUTSIDE)                              \
	KIND(7, STDIO, "stdio", "u", OUTSIDE)                                           \
	KIND(8, WALL, "wall", "qq", OUTSIDE)                                            \
	KIND(9, TREE, "tree", "suuuuu", OUTSIDE)                                        \
	KIND(10, CGROUP, "cgroup", "suu", OUTSIDE)                                      \
	KIND(11, CGROUP_LIMIT, "cgroup-limit", "squ", OUTSIDE)                          \
	KIND(12, WATCH, "watch", "quu", OUTSIDE)                                        \
	KIND(13, OUTPUT, "output", "q", OUTSIDE)                                        \
	KIND(20, ENV, "env", "ss", DATA)                                                \
	KIND(21, PASS_ENV, "pass-env", "s", DATA)                                       \
	KIND(22, ARG, "arg", "s", DATA)                                                 \
	KIND(23, SEARCH, "search", "s", DATA)                                           \
	KIND(24, POLICY, "policy", "ss", DATA)                                          \
	KIND(25, DESTINATION, "destination", "s", DATA)                                \
	KIND(26, FACTS, "facts", "s", DATA)                                            \
	KIND(40, BECOME, "become", "uu", INSIDE)                                        \
	KIND(41, PRIVATE, "private", "", INSIDE)                                        \
	KIND(42, NEW_ROOT, "new-root", "sqq", INSIDE)                                   \
	KIND(43, MAKE_DIR, "make-dir", "su", INSIDE)                                    \
	KIND(44, SYMLINK, "symlink", "ss", INSIDE)                                      \
	KIND(45, WRITE_FILE, "write-file", "sub", INSIDE)                               \
	KIND(46, BIND, "bind", "ssqu", INSIDE)                                          \
	KIND(47, ATTACH, "attach", "usq", INSIDE)                                       \
	KIND(48, DEVICE, "device", "ssuu", INSIDE)                                      \
	KIND(49, TMPFS, "tmpfs", "sqquq", INSIDE)                                       \
	KIND(50, STAGE, "stage", "sqq", INSIDE)                                         \
	KIND(51, OVERLAY, "overlay", "ssq", INSIDE)                                     \
	KIND(52, UNSTAGE, "unstage", "s", INSIDE)                                       \
	KIND(53, PROC, "proc", "s", INSIDE)                                             \
	KIND(54, DEVPTS, "devpts", "s", INSIDE)                                         \
	KIND(55, SYSCTL, "sysctl", "ss", INSIDE)                                        \
	KIND(56, MASK, "mask", "ss", INSIDE)                                            \
	KIND(57, ATTRIBUTES, "attributes", "sqqu", INSIDE)                              \
	KIND(58, PIVOT_ROOT, "pivot-root", "", INSIDE)                                  \
	KIND(59, HOSTNAME, "hostname", "s", INSIDE)                                     \
	KIND(60, LOOPBACK_UP, "loopback-up", "", INSIDE)                                \
	KIND(61, KEYRING, "keyring", "", INSIDE)                                        \
	KIND(62, RLIMIT, "rlimit", "uqq", INSIDE)                                       \
	KIND(63, CPUS, "cpus", "u", INSIDE)                                             \
	KIND(64, NORMALISE, "normalise", "", INSIDE)                                    \
	KIND(65, CHDIR, "chdir", "s", INSIDE)                                           \
	KIND(66, NO_NEW_PRIVS, "no-new-privs", "", INSIDE)                              \
	KIND(67, LANDLOCK, "landlock", "qqq", INSIDE)                                   \
	KIND(68, LANDLOCK_PATH, "landlock-path", "sq", INSIDE)                          \
	KIND(69, LANDLOCK_STDIO, "landlock-stdio", "q", INSIDE)                         \
	KIND(70, LANDLOCK_ENFORCE, "landlock-enforce", "", INSIDE)                      \
	KIND(71, SECUREBITS, "securebits", "", INSIDE)                                  \
	KIND(72, DROP_BOUNDING_SET, "drop-bounding-set", "q", INSIDE)                   \
	KIND(73, SET_IDS, "set-ids", "uuu", INSIDE)                                     \
	KIND(74, SET_CAPS, "set-caps", "q", INSIDE)                                     \
	KIND(75, CLOSE_FDS, "close-fds", "", INSIDE)                                    \
	KIND(76, SECCOMP, "seccomp", "bu", INSIDE)                                      \
	KIND(77, EXEC, "exec", "", INSIDE)                                              \
	KIND(78, TERMINAL, "terminal", "uu", INSIDE)                                    \
	KIND(79, LISTEN, "listen", "ubu", INSIDE)                                       \
	KIND(80, LOCAL_ROUTE, "local-route", "bu", INSIDE)

/* Bits of the flags of a step (tests/unit/test_numbers.py compares them with the steps). */
#define HB_STDIO_REOPEN_PIPES 1u /* the job may reopen pipes on 0-2, each in its direction */
#define HB_STDIO_RELAY_SOCKETS 2u /* socket pairs on 0-2 are copied; without it they are refused */
#define HB_STDIO_RELAY_FILES 4u	  /* files and pipes on 0-2 are copied */
#define HB_TREE_RECURSIVE 1u
#define HB_TREE_IDMAPPED 2u
#define HB_CGROUP_DELEGATE 1u /* version 2: give children of the place the memory controller */
#define HB_CGROUP_DELEGATE_CPU 2u /* the same for the cpu controller */
#define HB_CGROUP_LIMIT_IF_THERE 1u /* a kernel without this file has nothing to limit */
#define HB_BIND_RECURSIVE 1u
#define HB_SET_IDS_DROP_GROUPS 1u
/* Not bits: what a socket of LISTEN is for. */
#define HB_LISTEN_TCP 1u
#define HB_LISTEN_UDP 2u
#define HB_LISTEN_BARE 3u /* not bound: it only tells the keeper which network it is */
/* Not bits: how much the supervisor hears; 0 is nothing. */
#define HB_SECCOMP_TELL 1u  /* what is refused */
#define HB_SECCOMP_WATCH 2u /* that, and the calls that the filter lets it look at */

#endif
