#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# hack/again.sh COMMAND...: runs what needs a network, and again after a while where it fails: a
# mirror or a proxy that does not answer is mostly back soon. The last try decides. Nothing is tried
# again when a signal has ended it, or when who asked for it is gone.
set -euo pipefail
trap 'exit 130' INT
trap 'exit 143' TERM
for pause in ${AGAIN_PAUSES:-5 20}; do
  status=0
  "$@" || status=$?
  [ $status != 0 ] && [ $status -le 128 ] || exit $status
  kill -0 "$PPID" 2>/dev/null || exit $status
  echo "again.sh: status $status, again in $pause s, in $PWD: $*" >&2
  sleep "$pause"
  kill -0 "$PPID" 2>/dev/null || exit $status
done
exec "$@"
