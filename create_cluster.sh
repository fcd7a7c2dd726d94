#!/usr/bin/env bash
# Makes a ring of three nodes in containers, opens a shell on the third, and takes everything down when that ends.
#
#   bash create_cluster.sh             nodes that are driven by `chord http client`
#   bash create_cluster.sh --xmlrpc    nodes that are driven by `chord xmlrpc client`
#
# In the shell, for instance:
#
#   chord http client node3 5000 put foo bar
#   chord http client node1 5000 --get foo
#
# Without a terminal the shell reads its commands from standard input, and their exit code is the script's. Only what
# the shell prints goes to standard output.
set -euo pipefail
cd "$(dirname "$0")"

image=chordpy
network=chordnet
port=5000
ring_size=8
nodes=(node1 node2 node3)
# A container starts and serves in less than a second; a machine that is busy takes longer.
ready_seconds=30

say() { printf '%s\n' "$*" >&2; }

fail() {
    say "create_cluster.sh: $*"
    exit 1
}

container() { printf 'chordpy_%s' "$1"; }

# One command to a node, given by its own container: only there are create and join obeyed.
client() {
    local node=$1
    shift
    docker exec "$(container "$node")" chord "$door" client "$node" "$port" "$@" </dev/null >&2
}

# What an earlier run, or one in another terminal, has left: to take that over could end somebody's work.
refuse_leftovers() {
    local node found=()
    for node in "${nodes[@]}"; do
        if docker container inspect "$(container "$node")" >/dev/null 2>&1; then
            found+=("$(container "$node")")
        fi
    done
    if ((${#found[@]})); then
        fail "there already: ${found[*]}. If no other cluster runs: docker rm -f ${found[*]}"
    fi
    if docker network inspect "$network" >/dev/null 2>&1; then
        fail "there already: the network $network. If nothing uses it: docker network rm $network"
    fi
}

# Removes what was made, and goes on when one part fails: the rest can still be removed.
made=()
made_network=
take_down() {
    local code=$?
    trap - EXIT
    trap '' INT TERM HUP
    if ((${#made[@]})); then
        say "Removing ${made[*]}"
        docker rm -f "${made[@]}" >/dev/null 2>&1 </dev/null || true
    fi
    if [[ $made_network ]]; then
        # It stays when somebody else's container is on it: the engine's own words say which.
        docker network rm "$network" >/dev/null </dev/null || true
    fi
    exit "$code"
}

start() {
    local node=$1 name
    name=$(container "$node")
    made+=("$name")
    docker run --detach --init --name "$name" --hostname "$node" --network "$network" --network-alias "$node" \
        --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges \
        "$image" "$door" server "$node" "$port" "$ring_size" </dev/null >/dev/null
}

runs() {
    [[ $(docker container inspect --format '{{.State.Running}}' "$(container "$1")" 2>/dev/null </dev/null) == true ]]
}

wait_until_ready() {
    local node=$1 deadline=$((SECONDS + ready_seconds))
    until client "$node" node 2>/dev/null; do
        if ((SECONDS >= deadline)) || ! runs "$node"; then
            docker logs --tail 20 "$(container "$node")" >&2 </dev/null || true
            fail "$node ended, or does not answer after $ready_seconds seconds; its log is above"
        fi
        sleep 0.1
    done
}

door=http
case "${1-}" in
    "") ;;
    --xmlrpc) door=xmlrpc ;;
    *) fail "unknown argument: $1 (there is only --xmlrpc)" ;;
esac

command -v docker >/dev/null || fail "the program docker is missing: install Docker first"
docker info >/dev/null 2>&1 </dev/null || fail "no Docker engine answers: start it, or see what 'docker info' says"
refuse_leftovers

say "Building the image $image"
docker build --tag "$image" . </dev/null >&2

trap take_down EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

say "Starting ${nodes[*]}"
made_network=yes
docker network create --internal "$network" </dev/null >/dev/null
for node in "${nodes[@]}"; do
    start "$node"
done
for node in "${nodes[@]}"; do
    wait_until_ready "$node"
done
client node1 create
client node2 join node1 "$port"
client node3 join node1 "$port"

if [[ -t 0 ]]; then
    say "A shell on node3; try: chord $door client node3 $port put foo bar"
    # How the last command in an interactive shell ended is no matter of the cluster's.
    docker exec --interactive --tty "$(container node3)" bash || true
else
    # In the background, since bash would let a signal wait for the end of what runs in the foreground.
    docker exec --interactive "$(container node3)" bash <&0 &
    wait "$!"
fi
