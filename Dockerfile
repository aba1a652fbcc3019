# The program with the page and CUDA, for machines with an NVIDIA GPU. It is built without NVIDIA's toolkit; to run, it needs the
# run-time compiler and the headers of a CUDA that the machine's driver knows ('nvidia-smi' shows its version, 12.8 or newer here).
#
#   docker build -t lowshot .
#   docker run --rm --gpus all lowshot doctor
#   docker run --rm --gpus all -v lowshot-cache:/home/lowshot/.cache -v "$PWD:/work" lowshot train …
#
# For an older driver: --build-arg CUDA=12.4.1 --build-arg CUDARC_CUDA_VERSION=12040

ARG CUDA=12.8.1

FROM node:22-bookworm-slim AS node

FROM nvidia/cuda:${CUDA}-devel-ubuntu22.04 AS cuda
# Links are followed here, so that one folder holds all that is copied.
RUN mkdir -p /opt/cuda/lib64 && cp -rL /usr/local/cuda/include /opt/cuda/include && \
    cp -a /usr/local/cuda/lib64/libnvrtc.so* /usr/local/cuda/lib64/libnvrtc-builtins.so* /opt/cuda/lib64/

FROM rust:1.95.0-bookworm AS build
ARG FEATURES=page,cuda
# The CUDA whose calls and headers the program is made for.
ARG CUDARC_CUDA_VERSION=12080
ENV CUDARC_CUDA_VERSION=${CUDARC_CUDA_VERSION}
COPY --from=node /usr/local/ /usr/local/
WORKDIR /lowshot
COPY . .
RUN rustup target add wasm32-unknown-unknown && npm ci --no-audit --no-fund && npm run build
RUN cargo build --release --locked --features "${FEATURES}" --bin lowshot

FROM debian:bookworm-slim
COPY --from=cuda /opt/cuda /opt/cuda
COPY --from=build /lowshot/target/release/lowshot /usr/local/bin/lowshot
# What NVIDIA's container runtime mounts the driver for.
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    CUDA_PATH=/opt/cuda LD_LIBRARY_PATH=/opt/cuda/lib64
RUN useradd --create-home lowshot && mkdir -p /home/lowshot/.cache /work && chown -R lowshot /home/lowshot /work
USER lowshot
WORKDIR /work
ENTRYPOINT ["lowshot"]
CMD ["doctor"]
