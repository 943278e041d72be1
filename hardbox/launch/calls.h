/* The calls that --explain looks at, and where their arguments stand: hardbox/filters/observed.py
 * says which ones the filter tells of (tests/unit/test_denials.py compares them).
 *
 * CALL(name, KIND, directory, path, more): numbers of arguments; NONE: there is no such one.
 * Read by: observe.c. */
#ifndef HB_CALLS_H
#define HB_CALLS_H

#define NONE 9
#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452 /* Linux 6.6 */
#endif

/* On every machine. */
#define HB_CALLS(CALL)                                                                   \
	CALL(openat, OPEN, 0, 1, 2)                                                      \
	CALL(execve, EXEC, NONE, 0, NONE)                                                \
	CALL(execveat, EXEC, 0, 1, NONE)                                                 \
	CALL(chdir, LOOK, NONE, 0, NONE)                                                 \
	CALL(newfstatat, LOOK, 0, 1, NONE)                                               \
	CALL(statx, LOOK, 0, 1, NONE)                                                    \
	CALL(faccessat, LOOK, 0, 1, NONE)                                                \
	CALL(faccessat2, LOOK, 0, 1, NONE)                                               \
	CALL(readlinkat, LOOK, 0, 1, NONE)                                               \
	CALL(truncate, CHANGE, NONE, 0, NONE)                                            \
	CALL(fchmodat, CHANGE, 0, 1, NONE)                                               \
	CALL(fchmodat2, CHANGE, 0, 1, NONE)                                              \
	CALL(utimensat, CHANGE, 0, 1, NONE)                                              \
	CALL(fchownat, OWNER, 0, 1, 2)                                                   \
	CALL(unlinkat, PLACE, 0, 1, NONE)                                                \
	CALL(mkdirat, PLACE, 0, 1, NONE)                                                 \
	CALL(mknodat, PLACE, 0, 1, NONE)                                                 \
	CALL(renameat, PLACE, 0, 1, NONE)                                                \
	CALL(renameat2, PLACE, 0, 1, NONE)                                               \
	CALL(linkat, PLACE, 2, 3, NONE)                                                  \
	CALL(symlinkat, PLACE, 1, 2, NONE)                                               \
	CALL(connect, ADDRESS, NONE, 1, 2)                                               \
	CALL(sendto, ADDRESS, NONE, 4, 5)                                                \
	CALL(bind, BIND, NONE, 1, 2)                                                     \
	CALL(kill, SIGNAL, NONE, NONE, 0)                                                \
	CALL(tkill, SIGNAL, NONE, NONE, 0)                                               \
	CALL(tgkill, SIGNAL, NONE, NONE, 0)                                              \
	CALL(fchown, IDS, NONE, NONE, 1)                                                 \
	CALL(setuid, ID, NONE, NONE, 0)                                                 \
	CALL(setgid, ID, NONE, NONE, 0)                                                 \
	CALL(setreuid, IDS, NONE, NONE, 0)                                               \
	CALL(setregid, IDS, NONE, NONE, 0)                                               \
	CALL(setresuid, IDS, NONE, NONE, 0)                                              \
	CALL(setresgid, IDS, NONE, NONE, 0)                                              \
	CALL(setgroups, ID, NONE, NONE, 0)                                              \
	CALL(clone, FORK, NONE, NONE, 0)

/* Where older calls are still there. */
#define HB_OLD_CALLS(CALL)                                                               \
	CALL(open, OPEN, NONE, 0, 1)                                                     \
	CALL(creat, OPEN, NONE, 0, NONE)                                                 \
	CALL(stat, LOOK, NONE, 0, NONE)                                                  \
	CALL(lstat, LOOK, NONE, 0, NONE)                                                 \
	CALL(access, LOOK, NONE, 0, NONE)                                                \
	CALL(readlink, LOOK, NONE, 0, NONE)                                              \
	CALL(unlink, PLACE, NONE, 0, NONE)                                               \
	CALL(rmdir, PLACE, NONE, 0, NONE)                                                \
	CALL(mkdir, PLACE, NONE, 0, NONE)                                                \
	CALL(mknod, PLACE, NONE, 0, NONE)                                                \
	CALL(rename, PLACE, NONE, 0, NONE)                                               \
	CALL(link, PLACE, NONE, 1, NONE)                                                 \
	CALL(symlink, PLACE, NONE, 1, NONE)                                              \
	CALL(chmod, CHANGE, NONE, 0, NONE)                                               \
	CALL(chown, OWNER, NONE, 0, 1)                                                   \
	CALL(lchown, OWNER, NONE, 0, 1)                                                 \
	CALL(fork, FORK, NONE, NONE, NONE)                                              \
	CALL(vfork, FORK, NONE, NONE, NONE)

#endif
