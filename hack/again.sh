#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# hack/again.sh COMMAND...: runs what needs a network, and again after a while where it fails: a
# mirror or a proxy that does not answer is mostly back soon. The last try decides.
set -euo pipefail
for pause in ${AGAIN_PAUSES:-5 20}; do
  if "$@"; then exit 0; fi
  echo "again.sh: again in $pause s: $*" >&2
  sleep "$pause"
done
exec "$@"
