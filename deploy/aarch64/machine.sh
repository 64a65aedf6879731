# Sourced by test.sh: a Debian for aarch64 in .aarch64/machine, and the two ways to run something in it. As root; installs the emulator
# (QEMU) by apt.
#
# `emulate` translates the processor and leaves the kernel to this machine: fast, but packet sockets and system-call filters are not
# translated. `boot` emulates the whole machine with Debian's kernel: slow, and all is as on a gateway. Both emulate a Cortex-A53, an
# ARMv8.0 without any extension: what runs there runs on all.
# shellcheck shell=bash

MACHINE=$WORK/machine
PACKAGES=python3,libstdc++6,libpcap0.8,iproute2,procps,kmod,coreutils,findutils,grep,sed,bash,dash,mount,util-linux,libc-bin,linux-image-arm64
PROCESSOR=cortex-a53

if ! command -v apt-get >/dev/null || [ "$(id -u)" -ne 0 ]; then
  echo "error: the emulated machine is made of Debian packages, by root: run this as root on Debian" >&2
  exit 2
fi
wanted=()
command -v qemu-aarch64-static >/dev/null || wanted+=(qemu-user-static)
command -v qemu-system-aarch64 >/dev/null || wanted+=(qemu-system-arm)
command -v mmdebstrap >/dev/null || wanted+=(mmdebstrap)
command -v arch-test >/dev/null || wanted+=(arch-test)
command -v cpio >/dev/null || wanted+=(cpio)
if [ "${#wanted[@]}" -gt 0 ]; then
  echo "== aarch64: installing ${wanted[*]}"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -qq -y --no-install-recommends "${wanted[@]}" >/dev/null
fi

# The kernel is told once what runs programs for aarch64: those that a program starts, too. (F: the emulator is opened now, and found in
# every root.)
formats=/proc/sys/fs/binfmt_misc
[ -e "$formats/register" ] || mount -t binfmt_misc binfmt_misc "$formats"
if [ ! -e "$formats/qemu-aarch64" ]; then
  magic='\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00'
  mask='\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff'
  printf '%s' ":qemu-aarch64:M::$magic:$mask:$(command -v qemu-aarch64-static):F" >"$formats/register"
fi

# Unpacked and not configured: nothing of it has to be emulated for that. The mirrors are this machine's.
if [ ! -e "$MACHINE/.made" ]; then
  echo "== aarch64: a Debian for it"
  rm -rf "$MACHINE"
  mirrors=(/etc/apt/sources.list.d/debian.sources)
  [ -e "${mirrors[0]}" ] || mirrors=(/etc/apt/sources.list)
  mmdebstrap --quiet --architectures=arm64 --variant=extract --include="$PACKAGES" \
    "$(. /etc/os-release && echo "$VERSION_CODENAME")" "$MACHINE" "${mirrors[@]}"
  echo 'nameserver 127.0.0.1' >"$MACHINE/etc/resolv.conf"
  printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n' >"$MACHINE/etc/passwd"
  printf 'root:x:0:\nnogroup:x:65534:\n' >"$MACHINE/etc/group"
  touch "$MACHINE/.made"
fi

# emulate COMMAND…: runs it in the machine, with this machine's kernel and the captures in /captures.
emulate() {
  unshare --mount bash -euc '
    root=$1 captures=$2; shift 2
    mkdir -p "$root"/{proc,sys,dev,tmp,captures}
    mount -t proc proc "$root/proc"; mount --rbind /dev "$root/dev"; mount -t tmpfs tmpfs "$root/tmp"
    [ -z "$captures" ] || mount --bind -o ro "$captures" "$root/captures"
    exec chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 QEMU_CPU='"$PROCESSOR"' \
      ${captures:+ICSIGHT_CAPTURES=/captures} "$@"' emulate "$MACHINE" "${ICSIGHT_CAPTURES:-}" "$@"
}

# boot SCRIPT: starts the whole machine, runs the script in it, and returns its exit status. Its clock counts instructions, so that it
# is as fast as any to its own programs, however slow it is to us.
boot() {
  local files=$WORK/machine.cpio log=$WORK/boot.log
  printf '%s\n' '#!/bin/sh' 'export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8' \
    'mount -t proc proc /proc; mount -t sysfs sysfs /sys; mount -t devtmpfs dev /dev' \
    'for folder in /dev/shm /run /tmp; do mkdir -p $folder; mount -t tmpfs tmpfs $folder; done; ln -s /proc/self/fd /dev/fd' \
    'insmod $(find /lib/modules -name "veth.ko*"); ip link set lo up' \
    "sh -c '$1'; echo \"exit status \$?\"" 'echo o >/proc/sysrq-trigger; sleep 60' >"$MACHINE/init"
  chmod +x "$MACHINE/init"
  (cd "$MACHINE" && find . \( -path ./boot -o -path './usr/share/doc' -o -path './usr/share/locale' -o -path './usr/share/man' \) -prune \
    -o -path './lib/modules/*/kernel/*' ! -type d ! -name 'veth.ko*' -prune -o -print0 | cpio -0 -o -H newc --quiet) >"$files"
  qemu-system-aarch64 -M virt -cpu $PROCESSOR -m 3072 -icount shift=1,sleep=off -nographic -no-reboot -nic none \
    -kernel "$(echo "$MACHINE"/boot/vmlinuz-*)" -initrd "$files" -append "console=ttyAMA0 quiet rdinit=/init panic=-1" </dev/null | tee "$log"
  rm -f "$files"
  grep -q '^exit status 0' "$log"
}
