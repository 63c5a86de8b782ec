# Dockerfile - voxlock-cloud in a container. docs/container.md gives the reason for each line.
#   docker build --target slim .   the native engine, nothing else
# Build arguments:
#   MODEL              the model folder to bake in; a folder in models/, or another one of the build context
#   BASE               image of the build stage: Debian 12 or newer, by digest where builds must repeat for months
#   VERSION REVISION   for the image's labels; `make image` passes them
#   SOURCE_DATE_EPOCH  time of every file in the image
ARG BASE=docker.io/library/debian:bookworm-slim

FROM ${BASE} AS build
WORKDIR /src
COPY scripts/setup.sh scripts/
RUN scripts/setup.sh build
COPY . .
ARG SOURCE_DATE_EPOCH=0
RUN make -j"$(nproc)" build/release/voxlock-cloud
RUN scripts/image_root.sh build/release /image
ARG MODEL=starter
RUN scripts/bake_model.sh "$MODEL" /image/model

FROM scratch AS slim
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="voxlock-cloud" \
      org.opencontainers.image.description="Speaker embeddings over HTTP: native engine" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /image/system/ /
COPY --from=build /image/model/ /opt/ecapa_cache/
COPY --from=build /image/program/ /
ENV PORT=8010 \
    ECAPA_CACHE_DIR=/opt/ecapa_cache
USER 10001:10001
EXPOSE 8010
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/voxlock-cloud"]
