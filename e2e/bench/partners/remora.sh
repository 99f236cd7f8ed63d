# What the adapters of Remora's sidecar share; not executable, so no partner
# itself.

remora_about() {
    echo "title: $1"
    echo "mode: sidecar"
    echo "protocols: $2"
    sidecar="${BENCH_PROGRAMS:?}/remora-sidecar"
    if [ -x "$sidecar" ]; then
        echo "version: $("$sidecar" --version | sed 's/.* //')"
    else
        echo "missing: $sidecar is not built"
    fi
}

# A policy for this pod. $1 is what stands below the memcached port.
remora_policy() {
    policy="$BENCH_MANIFESTS/bench-${BENCH_POD:?}.yaml"
    cat > "$BENCH_DIR/policy.yaml" <<end
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: bench-$BENCH_POD}
spec:
  endpointSelector: {matchLabels: {app: $BENCH_POD}}
  ingress:
  - fromEndpoints: [{matchLabels: {role: client}}]
    toPorts:
    - ports: [{port: "11211", protocol: TCP}]
$1
    - ports: [{port: "6379", protocol: TCP}, {port: "5001", protocol: TCP}]
end
    mv "$BENCH_DIR/policy.yaml" "$policy"
}

# As the injector sets it, but for files: the benchmark has no cluster.
remora_command() {
    printf '%s\n' \
        "REMORA_AGENT=unix:${BENCH_SOCKETS:?}/${BENCH_NAMESPACE:?}_$BENCH_POD/agent.sock" \
        "REMORA_POD_NAME=$BENCH_POD" \
        "REMORA_POD_NAMESPACE=$BENCH_NAMESPACE" \
        "REMORA_POD_UID=${BENCH_UID:?}" \
        "REMORA_POD_IPS=${BENCH_IPS:?}" \
        "REMORA_INBOUND_PORT=${BENCH_PORT:?}" \
        "REMORA_LOG=warn" \
        "${BENCH_PROGRAMS:?}/remora-sidecar" run
}
