# What the scripts of this folder share: where things lie, and how they wait.
# Sourced, not run.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# Built once and kept: programs and the node's own images.
cache=${REMORA_CLUSTER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/remora-cluster}
# Lives as long as the cluster: keys, logs, etcd, containerd, the kubelet.
state=${REMORA_CLUSTER_STATE:-/run/remora-cluster}

bin=$cache/bin
pki=$state/pki
log=$state/log
export PATH=$bin:$PATH:/usr/sbin:/sbin

node=node-1
node_ip=10.245.0.1         # an address of the node that pods can reach
node_link=remora-node      # the bridge that holds it
pod_link=remora-pods       # the bridge that pods are plugged into
service_cidr=10.96.0.0/16
api_ip=10.96.0.1           # the first address of service_cidr: Service `kubernetes`
dns_ip=10.96.0.10          # as in coredns.yaml
forwarding=/proc/sys/net/ipv4/ip_forward
containerd_socket=$state/containerd.sock

die() { echo "${0##*/}: $*" >&2; exit 1; }

admin() { kubectl --kubeconfig "$state/admin.conf" "$@"; }
containers() { ctr --address "$containerd_socket" --namespace k8s.io "$@"; }

# The network namespaces that CNI plugins name.
pod_namespaces() { ip netns list 2>/dev/null | awk '/^cni-/ {print $1}'; }

# start NAME PROGRAM ARG…: in the background, in a session of its own.
start() {
  local name=$1; shift
  setsid "$@" >"$log/$name.log" 2>&1 </dev/null &
  echo "$name $!" >>"$state/pids"
}

# wait_for NAME SECONDS COMMAND…: until the command succeeds.
wait_for() {
  local name=$1 end=$((SECONDS + $2)); shift 2
  until "$@" >/dev/null 2>&1; do
    if [ $SECONDS -ge $end ]; then
      echo "--- the last lines of $log/$name.log" >&2
      tail -n 20 "$log/$name.log" >&2 || true
      die "$name is not ready"
    fi
    sleep 0.2
  done
}
