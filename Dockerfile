# Dockerfile - voxlock-cloud in a container. docs/container.md gives the reason for each line.
#   docker build --target slim .   the native engine, nothing else
#   docker build .                 full: libtorch beside it, and a model folder with every form of the network, measured
# Build arguments:
#   MODEL              the model to bake in: a folder in models/, or another one of the build context
#   BASE               image of the build stages: Debian 12, by digest where builds must repeat for months
#   VERSION REVISION   for the image's labels; scripts/image.sh passes them
#   SOURCE_DATE_EPOCH  time of every file in the image
ARG BASE=docker.io/library/debian:bookworm-slim

FROM ${BASE} AS tools
WORKDIR /src
COPY scripts/setup.sh scripts/
RUN scripts/setup.sh bake

# What both images are but for their files.
FROM scratch AS runtime
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="voxlock-cloud" \
      org.opencontainers.image.description="Speaker embeddings over HTTP" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
ENV PORT=8010 \
    ECAPA_CACHE_DIR=/opt/ecapa_cache
USER 10001:10001
EXPOSE 8010
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/voxlock-cloud"]

FROM tools AS build
COPY . .
ARG SOURCE_DATE_EPOCH=0
RUN make -j"$(nproc)" build/release/voxlock-cloud
RUN scripts/image_root.sh build/release /image
ARG MODEL=starter
RUN scripts/bake_model.sh --native "$MODEL" /image/model

FROM runtime AS slim
COPY --from=build /image/system/ /
COPY --from=build /image/model/ /opt/ecapa_cache/
COPY --from=build /image/program/ /

FROM tools AS tools-full
RUN scripts/setup.sh torch

FROM tools-full AS build-full
COPY . .
ARG SOURCE_DATE_EPOCH=0
RUN make -j"$(nproc)" build/release/voxlock-cloud build/release/vx_network_torch.so
RUN scripts/image_root.sh build/release /image vx_network_torch.so
ARG MODEL=starter
RUN scripts/bake_model.sh "$MODEL" /image/model

FROM runtime AS full
COPY --from=build-full /image/system/ /
COPY --from=build-full /image/model/ /opt/ecapa_cache/
COPY --from=build-full /image/program/ /
