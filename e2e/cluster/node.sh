# containerd, kubelet, kube-proxy and CoreDNS. Sourced by ./up.

start_node() {
  cat "$forwarding" >"$state/forwarding"
  echo 1 >"$forwarding"
  start_containerd
  start_kubelet
  start_proxy
  admin apply -f "$here/coredns.yaml" >/dev/null
  wait_for kubelet 90 node_is_ready
  wait_for kubelet 90 admin -n kube-system rollout status deployment/coredns --timeout=1s
}

node_is_ready() {
  admin get node "$node" -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}' | grep -q True
}

start_containerd() {
  # Lowering oom_score_adj takes a right that root in a container may lack.
  cat >"$state/containerd.toml" <<C
version = 2
root = "$state/containerd"
state = "$state/containerd-state"
[grpc]
address = "$containerd_socket"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "remora-cluster/pause:1"
disable_apparmor = true
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "$state/cni"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false
C
  cat >"$state/cni/10-pods.conflist" <<C
{"cniVersion": "0.4.0", "name": "pods", "plugins": [
  {"type": "bridge", "bridge": "$pod_link", "isGateway": true, "ipMasq": true, "hairpinMode": true,
   "ipam": {"type": "host-local", "dataDir": "$state/ipam", "ranges": [[{"subnet": "$pod_cidr"}]],
            "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
C
  start containerd containerd --config "$state/containerd.toml"
  wait_for containerd 30 containers version
  "$here/load" "$cache"/images/{pause,coredns}.tar
}

start_kubelet() {
  # The kubelet looks here for plugins, wherever its own directory is.
  [ -e /var/lib/kubelet ] || { mkdir -p /var/lib/kubelet; touch "$state/made-var-lib-kubelet"; }
  echo "nameserver 127.0.0.1" >"$state/resolv.conf"
  cat >"$state/kubelet.yaml" <<C
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $pki/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: $pki/kubelet.crt
tlsPrivateKeyFile: $pki/kubelet.key
containerRuntimeEndpoint: unix://$containerd_socket
cgroupDriver: cgroupfs
failCgroupV1: false
failSwapOn: false
clusterDNS: [$dns_ip]
clusterDomain: cluster.local
resolvConf: $state/resolv.conf
# The machine is not the node's alone: what fills its disk is no reason to evict pods.
evictionHard: {imagefs.available: "0%", nodefs.available: "0%", memory.available: "50Mi"}
imageGCHighThresholdPercent: 100
localStorageCapacityIsolation: false
# ConfigMaps reach pods within this time.
syncFrequency: 5s
C
  start kubelet kubelet --config "$state/kubelet.yaml" --kubeconfig "$state/kubelet.conf" \
    --hostname-override "$node" --node-ip "$node_ip" --root-dir "$state/kubelet"
}

start_proxy() {
  cat >"$state/proxy.yaml" <<C
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clientConnection: {kubeconfig: $state/proxy.conf}
clusterCIDR: $pod_cidr
hostnameOverride: $node
mode: iptables
conntrack: {maxPerCore: 0}
C
  start proxy kube-proxy --config "$state/proxy.yaml"
}
