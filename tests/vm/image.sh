#!/bin/sh
# Makes the disk of the second kernel: Debian's cloud kernel and the programs that the tests
# start, from Debian's packages by the machine's own apt sources. The name of the result says
# what is in it, so that it is made once.
# Run by: tests/vm/__main__.py. usage: tests/vm/image.sh CACHE; prints the directory that holds
# `vmlinuz`, `initrd.img`, `root.ext4` and `packages`.
set -eu

cache=$1
here=$(cd "$(dirname "$0")" && pwd)
kernel=linux-image-cloud-amd64
# As tools/needs has them for `test`, and what a minimal Debian lacks beside them.
packages="$kernel initramfs-tools kmod iproute2 python3 python3-venv gcc libc6-dev gcc-multilib make
	libseccomp2 libcap2 git strace uidmap passwd util-linux procps less vim perl bzip2 xz-utils acl"

say() { echo "vm-test: $*" >&2; }
die() { say "$*"; exit 1; }

for program in mmdebstrap mke2fs apt-get; do
	command -v "$program" >/dev/null || die "$program is missing (Debian: mmdebstrap, e2fsprogs, apt)"
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

say "making the image of $kernel $version ($suite); this is done once"
mkdir -p "$cache"
work=$(mktemp -d "$cache/making.XXXXXX")
# shellcheck disable=SC2064 # the value of now
trap "rm -rf '$work'" EXIT

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
