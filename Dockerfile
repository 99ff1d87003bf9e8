# SPDX-License-Identifier: Apache-2.0
#
# The images of the manager and of the mover. They only copy static binaries
# that "make build" has put into bin/linux-<architecture>/, so one build makes
# them for any architecture:
#
#   docker buildx build --platform linux/amd64,linux/arm64 --target mover .
#
# The binaries carry their own root certificates: --build-arg BASE=scratch works.
ARG BASE=gcr.io/distroless/static:nonroot

FROM ${BASE} AS manager
ARG TARGETARCH
LABEL org.opencontainers.image.title="s3populator manager" \
      org.opencontainers.image.description="Fills Kubernetes volumes from S3 before they are bound, and exports them back" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="https://github.com/s3populator/s3populator"
COPY bin/linux-${TARGETARCH}/manager.LICENSES /licenses/manager/LICENSES
COPY bin/linux-${TARGETARCH}/manager /manager
USER 65532:65532
ENTRYPOINT ["/manager"]

FROM ${BASE} AS mover
ARG TARGETARCH
LABEL org.opencontainers.image.title="s3populator mover" \
      org.opencontainers.image.description="Moves and verifies the data of one volume; runs mc, the MinIO client, as a separate process" \
      org.opencontainers.image.licenses="Apache-2.0 AND AGPL-3.0-or-later" \
      org.opencontainers.image.source="https://github.com/s3populator/s3populator" \
      io.s3populator.mc.license="AGPL-3.0-or-later" \
      io.s3populator.mc.source="https://github.com/minio/mc, at the version in /licenses/mc/go.mod; see /NOTICE"
COPY hack/tools/mc/NOTICE /NOTICE
COPY hack/tools/mc/go.mod /licenses/mc/go.mod
COPY bin/linux-${TARGETARCH}/mover.LICENSES /licenses/mover/LICENSES
COPY bin/linux-${TARGETARCH}/mc.LICENSES /licenses/mc/LICENSES
COPY bin/linux-${TARGETARCH}/mc.LICENSE /licenses/mc/LICENSE
COPY bin/linux-${TARGETARCH}/mc /mc
COPY bin/linux-${TARGETARCH}/mover /mover
USER 65532:65532
ENTRYPOINT ["/mover"]
