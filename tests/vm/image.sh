#!/bin/sh
# Makes the disk of the second kernel: Debian's cloud kernel and the programs that the tests
# start, from Debian's packages by the machine's own apt sources. The name of the result says
# what is in it, so that it is made once.
# Run by: tests/vm/__main__.py. usage: tests/vm/image.sh CACHE; prints the directory that holds
# `vmlinuz`, `initrd.img`, `root.ext4` and `packages`. It starts itself once more, with the word
# `private`, in a mount namespace of its own.
set -eu

cache=$1
here=$(cd "$(dirname "$0")" && pwd)
kernel=linux-image-cloud-amd64
# As tools/needs has them for `test`, and what a minimal Debian lacks beside them.
packages="$kernel initramfs-tools kmod iproute2 python3 python3-venv gcc libc6-dev gcc-multilib make
	libseccomp2 libcap2 git strace uidmap passwd util-linux procps less vim perl bzip2 xz-utils acl"
# Both ends of a connection, and what carries or filters it: the machine itself has no network.
packages="$packages nftables passt slirp4netns iputils-ping curl ca-certificates openssl
	openssh-client openssh-server nodejs"

say() { echo "vm-test: $*" >&2; }
die() { say "$*"; exit 1; }

for program in mmdebstrap mke2fs apt-get unshare; do
	command -v "$program" >/dev/null || die "$program is missing (Debian: mmdebstrap, e2fsprogs, apt, util-linux)"
done

# The sources of this machine that are Debian's own, as apt itself understands them.
sources=$(apt-get indextargets --format "deb \$(REPO_URI) \$(RELEASE) \$(COMPONENT)" \
	"Created-By: Packages" "Origin: Debian" | sort -u)
[ -n "$sources" ] || die "apt knows no lists of Debian packages; as root: apt-get update"
version=$(apt-cache policy "$kernel" | sed -n 's/^ *Candidate: //p')
case "$version" in
"" | "(none)") die "apt knows no package $kernel; as root: apt-get update" ;;
esac
# shellcheck disable=SC1091 # a file of the machine
suite=$(. /etc/os-release && echo "$VERSION_CODENAME")

key=$( (echo "$suite $version $packages"; cat "$0" "$here/init.sh") | sha256sum | cut -c1-12)
image=$cache/$kernel-$version-$key
if [ -e "$image/packages" ]; then
	echo "$image"
	exit 0
fi

# Root's package scripts and mmdebstrap's mounts must not reach this machine: a file of /dev that
# one of them replaces, or a mount that it leaves when it is killed, ends with the namespace.
if [ "${2:-}" != private ]; then
	say "making the image of $kernel $version ($suite); this is done once"
	mkdir -p "$cache"
	exec unshare --mount --propagation private "$0" "$cache" private
fi
mount -t tmpfs -o mode=755,nosuid,noexec private-dev /dev
mkdir /dev/pts /dev/shm
mount -t devpts -o newinstance,ptmxmode=666,nosuid,noexec devpts /dev/pts
mount -t tmpfs -o mode=1777,nosuid,nodev shm /dev/shm
ln -s pts/ptmx /dev/ptmx
ln -s /proc/self/fd /dev/fd
for stream in stdin:0 stdout:1 stderr:2; do ln -s "/proc/self/fd/${stream#*:}" "/dev/${stream%:*}"; done
for device in null:3 zero:5 full:7 random:8 urandom:9; do
	mknod -m 666 "/dev/${device%:*}" c 1 "${device#*:}"
done
mknod -m 666 /dev/tty c 5 0
mknod -m 600 /dev/console c 5 1

work=$(mktemp -d "$cache/making.XXXXXX")
# shellcheck disable=SC2064 # the value of now
trap "rm -rf --one-file-system '$work'" EXIT

# shellcheck disable=SC2086,SC2016 # a list of words; mmdebstrap's shell fills in $1, the new root
# MODULES=list: an initramfs of a few modules starts in a second under emulation.
echo "$sources" | mmdebstrap --mode=root --variant=minbase --quiet --format=directory \
	--include="$(echo $packages | tr ' ' ,)" \
	--aptopt='Apt::Install-Recommends "false"' \
	--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
	--dpkgopt='path-exclude=/usr/share/man/*' \
	--essential-hook='mkdir -p "$1/etc/initramfs-tools/conf.d" "$1/usr/share/initramfs-tools/modules.d"' \
	--essential-hook='echo MODULES=list >"$1/etc/initramfs-tools/conf.d/vm"' \
	--essential-hook='printf "virtio_pci\nvirtio_blk\n" >"$1/usr/share/initramfs-tools/modules.d/vm"' \
	--customize-hook="install -m 755 '$here/init.sh' \"\$1/sbin/vm-init\"" \
	--customize-hook='echo second-kernel >"$1/etc/hostname"' \
	--customize-hook='printf "127.0.0.1 localhost second-kernel\n" >"$1/etc/hosts"' \
	"$suite" "$work/root" - >&2
test -c /dev/null || say "a program has replaced /dev/null (of the private /dev alone)"

truncate -s 4G "$work/root.ext4"
mke2fs -q -t ext4 -L root -d "$work/root" "$work/root.ext4"
cp "$work"/root/boot/vmlinuz-* "$work/vmlinuz"
cp "$work"/root/boot/initrd.img-* "$work/initrd.img"
dpkg-query --admindir="$work/root/var/lib/dpkg" -W >"$work/packages.new"
rm -rf "$work/root"
chmod 755 "$work"
mv "$work/packages.new" "$work/packages"
mv "$work" "$image"
trap - EXIT
echo "$image"
