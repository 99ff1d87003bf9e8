#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# hack/debian.sh PROGRAM...: installs the Debian packages that bring programs which this machine
# lacks. It changes nothing when all are there, and says what to install when it cannot.
set -euo pipefail
apt_lock=/run/lock/s3populator-apt # One apt-get at a time; e2e/cluster/toolchain takes it, too.

# package_of PROGRAM: the package of Debian that brings it.
package_of() {
  case $1 in
  gcc) echo "gcc libc6-dev" ;; # The race detector links with C.
  make | shellcheck) echo "$1" ;;
  mkfs.ext4) echo e2fsprogs ;;
  mkfs.xfs) echo xfsprogs ;;
  mkfs.btrfs) echo btrfs-progs ;;
  mkfs.vfat) echo dosfstools ;;
  mkfs.ntfs) echo ntfs-3g ;;
  sgdisk) echo gdisk ;;
  cryptsetup) echo cryptsetup-bin ;;
  mkswap) echo util-linux ;;
  mount) echo mount ;;
  *)
    echo "debian.sh: which package brings $1? Add it to this file" >&2
    return 1
    ;;
  esac
}

export PATH=$PATH:/usr/sbin:/sbin
missing=()
for program in "$@"; do
  command -v "$program" >/dev/null && continue
  packages=$(package_of "$program")
  read -ra packages <<<"$packages"
  missing+=("${packages[@]}")
done
[ ${#missing[@]} -gt 0 ] || exit 0

cannot() {
  echo "debian.sh: $1; install these Debian packages yourself: ${missing[*]}" >&2
  exit 1
}
command -v apt-get >/dev/null || cannot "there is no apt-get"
[ "$(id -u)" = 0 ] || cannot "only root can install packages"
echo "installing the Debian packages this machine lacks: ${missing[*]}" >&2
export DEBIAN_FRONTEND=noninteractive

# apt_install PACKAGE...: the lists are asked for each time, since a mirror that changes meanwhile has
# other files than they name. Who else installs something is waited for, at most ten minutes.
apt_install() {
  local options=(-o Acquire::Retries=5 -o DPkg::Lock::Timeout=600)
  apt-get "${options[@]}" update -qq && apt-get "${options[@]}" install -y -qq --no-install-recommends "$@"
}
export -f apt_install
exec 9>"$apt_lock"
flock 9
# shellcheck disable=SC2016 # The inner shell expands it.
"$(dirname "$0")/again.sh" bash -c 'apt_install "$@"' apt_install "${missing[@]}" >&2 ||
  cannot "apt-get update or install failed"
