#!/bin/sh
# On the second kernel: mounts what every machine has, installs the wheel, runs the tests,
# leaves the results on the third disk, and switches off.
# Run by: tests/vm/init.sh, as process 1; by itself, with `one LINE`.
set -u
exec </dev/null
# As Debian's systemd has them; process 1 gets 4096 from the kernel.
ulimit -Hn 524288
ulimit -Sn 1024
export HARDBOX_TESTS_SLOWER=40 # emulated, perhaps on a machine that others use too
here=/srv/vm
out=$here/out

# The initramfs has moved some of them here already.
mounted() {
	mountpoint -q "$1" && return 0
	mkdir -p "$1" && mount -t "$2" -o "$3" "$2" "$1"
}

# What jobs may be given, and the first machine perhaps has not.
swap() {
	fallocate -l 256M /swap && chmod 600 /swap && mkswap /swap >/dev/null && swapon /swap
}

machine() {
	mounted /proc proc nosuid,nodev,noexec &&
		mounted /sys sysfs nosuid,nodev,noexec &&
		mounted /dev devtmpfs mode=755 &&
		mounted /dev/pts devpts nosuid,noexec,gid=5,mode=620,ptmxmode=666 &&
		mounted /dev/shm tmpfs nosuid,nodev &&
		mounted /run tmpfs nosuid,nodev,mode=755 &&
		mounted /sys/fs/cgroup cgroup2 nosuid,nodev,noexec,nsdelegate &&
		ln -sfn /proc/self/fd /dev/fd &&
		ln -sfn /proc/self/fd/0 /dev/stdin &&
		ln -sfn /proc/self/fd/1 /dev/stdout &&
		ln -sfn /proc/self/fd/2 /dev/stderr &&
		modprobe -a fuse autofs4 veth bridge tun nf_tables nft_chain_nat nft_masq nft_ct &&
		swap &&
		hostname second-kernel &&
		ip link set lo up &&
		mount --make-rshared / # as systemd does
}

# The environment was made by pip outside; its interpreter is this machine's.
install() {
	python3 -m venv --without-pip /opt/hardbox &&
		cp -a "$here/environment/." /opt/hardbox/
}

# Everything so far goes to the third disk: this machine may be ended at any time.
keep() {
	flock "$here/runs" tar -C "$out" -cf /dev/vdc . && sync
}

# A line of `runs`: a name and words for pytest.
one() {
	name=$1
	shift
	# -P: the installed hardbox is tested, not the one in this directory.
	/opt/hardbox/bin/python3 -P -m pytest "$@" --junit-xml="$here/$name.xml" 2>&1 | sed -u "s/^/$name: /"
	mv "$here/$name.xml" "$out/$name.xml"
	keep
}

# Three lines at the same time: the machine has two processors, and tests wait a lot.
run() {
	cd "$here/repository" || return
	uname -r >"$out/kernel"
	/opt/hardbox/bin/hardbox doctor --json >"$out/doctor.json"
	keep
	xargs -a "$here/runs" -d '\n' -n 1 -P 3 "$0" one
}

if [ "${1:-}" = one ]; then
	# shellcheck disable=SC2086 # the words of a line
	one $2
	exit
fi
mkdir -p "$out"
machine && echo "vm: $(uname -sr), installing" && install && echo "vm: testing" && run
echo "vm: ended after $(cut -d. -f1 /proc/uptime) s"
keep
echo o >/proc/sysrq-trigger
sleep 60
