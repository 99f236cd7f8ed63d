# What the adapters of Remora share; not executable, so no partner itself.

# $1 is the title, $2 what it carries, $3 sidecar or node.
remora_about() {
    echo "title: $1"
    echo "mode: $3"
    # On a node, too: its listeners are in the pods.
    echo "redirection: pods"
    echo "pods: 500"
    # A pod that no policy selects is open: it serves before its policy comes.
    echo 'policy: 16000 /policy "rules":0,'
    echo "protocols: $2"
    sidecar="${BENCH_PROGRAMS:?}/remora-sidecar"
    if [ -x "$sidecar" ]; then
        echo "version: $("$sidecar" --version | sed 's/.* //')"
    else
        echo "missing: $sidecar is not built"
    fi
}

# Rules that read requests: as many as asked for, of which the last two allow
# what loads ask.
remora_l7() {
    echo "      rules:"
    echo "        l7proto: memcache"
    echo "        l7:"
    seq 3 "${BENCH_RULES:?}" | sed 's|.*|        - {command: get, keyPrefix: "tenant-&:"}|'
    echo '        - {command: get, keyPrefix: "bench:"}'
    echo '        - {command: set, keyPrefix: "bench:"}'
}

# A policy for the pod $1. $2 is what stands below the memcached port.
remora_policy() {
    cat > "$BENCH_DIR/policy.yaml" <<end
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: bench-$1}
spec:
  endpointSelector: {matchLabels: {app: $1}}
  ingress:
  - fromEndpoints: [{matchLabels: {role: client}}]
    toPorts:
    - ports: [{port: "11211", protocol: TCP}]
$2
    - ports: [{port: "6379", protocol: TCP}, {port: "5001", protocol: TCP}]
end
    mv "$BENCH_DIR/policy.yaml" "$BENCH_MANIFESTS/bench-$1.yaml"
}

# A sidecar with the rules $1. Its variables are as the injector sets them, but
# for files, as the benchmark has no cluster, and for clients, of whom it has one.
remora_sidecar() {
    : "${BENCH_DIR:?}" "${BENCH_MANIFESTS:?}"
    remora_policy "${BENCH_POD:?}" "$1"
    printf '%s\n' \
        "REMORA_AGENT=unix:${BENCH_SOCKETS:?}/${BENCH_NAMESPACE:?}_$BENCH_POD/agent.sock" \
        "REMORA_POD_NAME=$BENCH_POD" \
        "REMORA_POD_NAMESPACE=$BENCH_NAMESPACE" \
        "REMORA_POD_UID=${BENCH_UID:?}" \
        "REMORA_POD_IPS=${BENCH_IPS:?}" \
        "REMORA_INBOUND_PORT=${BENCH_PORT:?}" \
        "REMORA_LOG=warn" \
        "REMORA_MAX_CONNECTIONS_PER_SOURCE=10000" \
        "${BENCH_PROGRAMS:?}/remora-sidecar" run
}

# One proxy for all pods, with the rules $1. A pod's endpoint has the variables
# of its sidecar.
remora_node() {
    : "${BENCH_DIR:?}" "${BENCH_MANIFESTS:?}"
    folder="$BENCH_DIR/endpoints"
    mkdir -p "$folder"
    printf '%s\n' "${BENCH_ENDPOINTS:?}" | cut -d ' ' -f 2,4- | sort -u |
    while read -r address namespace pod uid pid; do
        [ -n "$pid" ] || continue
        remora_policy "$pod" "$1"
        cat > "$folder/$pod.json" <<end
{"network": "/proc/$pid/ns/net", "variables": {
  "REMORA_AGENT": "unix:${BENCH_SOCKETS:?}/${namespace}_$pod/agent.sock",
  "REMORA_POD_NAME": "$pod",
  "REMORA_POD_NAMESPACE": "$namespace",
  "REMORA_POD_UID": "$uid",
  "REMORA_POD_IPS": "$address",
  "REMORA_MAX_CONNECTIONS_PER_SOURCE": "10000"
}}
end
    done
    printf '%s\n' "REMORA_LOG=warn" \
        "${BENCH_PROGRAMS:?}/remora-sidecar" node --endpoints "$folder"
}
