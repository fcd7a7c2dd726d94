# The image of one node: docker build -t chordpy .
#
# It needs no BuildKit: there are neither cache mounts nor secrets, and both builders take it.

FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
# rust-toolchain.toml stays outside: the image has the compiler, and a build needs no more of what the file asks for.
COPY Cargo.toml Cargo.lock ./
COPY crates crates
RUN CARGO_PROFILE_RELEASE_STRIP=symbols cargo build --release --locked --package chord --bin chord

FROM debian:bookworm-slim
LABEL org.opencontainers.image.title="chord" \
    org.opencontainers.image.description="One node of a Chord distributed hash table" \
    org.opencontainers.image.licenses="MIT OR Apache-2.0"
# The number is fixed, so that the owner of a volume stays the same from one image to the next.
RUN groupadd --gid 10001 chord && \
    useradd --uid 10001 --gid 10001 --home-dir /var/lib/chord --no-create-home --shell /usr/sbin/nologin chord && \
    install -d -o chord -g chord -m 0750 /var/lib/chord
COPY --from=build /src/target/release/chord /usr/local/bin/chord
# As a number, which an orchestrator can tell from root without reading /etc/passwd.
USER 10001:10001
WORKDIR /var/lib/chord
EXPOSE 5000
# chord leaves its ring on SIGTERM, also as process 1: it hands its keys over and ends with 0.
STOPSIGNAL SIGTERM
# A node is well when it is in a ring: only then does it name its successors. It answers under its own name, CHORD_ADVERTISE
# or CHORD_LISTEN if that was set, else the container's host name and port 5000. Where it has a secret, CHORD_SECRET_FILE
# names it to this client too.
HEALTHCHECK --interval=5s --timeout=3s --start-period=10s --retries=3 \
    CMD name="${CHORD_ADVERTISE:-${CHORD_LISTEN:-$HOSTNAME:5000}}"; \
        exec chord http client "${name%:*}" "${name##*:}" get_successor_list >/dev/null
ENTRYPOINT ["chord"]
CMD ["--help"]
