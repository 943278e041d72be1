#!/bin/sh
# The first process of the second kernel: unpacks the tests from the second disk and becomes
# their script; the image stays as it is when that changes.
# Run by: the kernel (tests/vm/image.sh installs it as /sbin/vm-init).
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8
mkdir -p /srv/vm
tar -C /srv/vm -xf /dev/vdb && exec /srv/vm/guest.sh
echo "vm-init: there is no guest.sh on the second disk"
# The end of process 1 is a panic, which switches the machine off.
