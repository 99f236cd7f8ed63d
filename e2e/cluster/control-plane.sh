# etcd, API server, controller manager and scheduler. Sourced by ./up.

etcd_url=http://127.0.0.1:23790    # not etcd's own port: Debian may run one there

start_control_plane() {
  start_etcd
  start_apiserver
  start controller-manager kube-controller-manager --leader-elect=false --use-service-account-credentials \
    --{,authentication-,authorization-}kubeconfig="$state/controller-manager.conf" \
    --service-account-private-key-file="$pki/sa.key" --root-ca-file="$pki/ca.crt" \
    --cluster-signing-cert-file="$pki/ca.crt" --cluster-signing-key-file="$pki/ca.key" \
    --allocate-node-cidrs --cluster-cidr="$pod_cidr" --node-cidr-mask-size="${pod_cidr#*/}"
  start scheduler kube-scheduler --leader-elect=false \
    --{,authentication-,authorization-}kubeconfig="$state/scheduler.conf"
}

start_etcd() {
  local peers=http://127.0.0.1:23800
  # The data need not outlive a power cut.
  start etcd etcd --unsafe-no-fsync --data-dir "$state/etcd" \
    --listen-client-urls "$etcd_url" --advertise-client-urls "$etcd_url" \
    --listen-peer-urls "$peers" --initial-advertise-peer-urls "$peers" --initial-cluster "default=$peers"
  wait_for etcd 30 curl --fail --silent "$etcd_url/health"
}

start_apiserver() {
  # Serving on an address that pods reach needs that address first.
  ip link add "$node_link" type bridge
  ip addr add "$node_ip/32" dev "$node_link"
  ip link set "$node_link" up

  start apiserver kube-apiserver --etcd-servers="$etcd_url" --advertise-address="$node_ip" \
    --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction --allow-privileged \
    --service-cluster-ip-range="$service_cidr" \
    --tls-cert-file="$pki/apiserver.crt" --tls-private-key-file="$pki/apiserver.key" --client-ca-file="$pki/ca.crt" \
    --service-account-issuer=https://kubernetes.default.svc.cluster.local \
    --service-account-key-file="$pki/sa.pub" --service-account-signing-key-file="$pki/sa.key" \
    --kubelet-preferred-address-types=InternalIP --kubelet-certificate-authority="$pki/ca.crt" \
    --kubelet-client-certificate="$pki/admin.crt" --kubelet-client-key="$pki/admin.key" \
    --proxy-client-cert-file="$pki/front-proxy.crt" --proxy-client-key-file="$pki/front-proxy.key" \
    --requestheader-client-ca-file="$pki/ca.crt" --requestheader-allowed-names=front-proxy-client \
    --requestheader-extra-headers-prefix=X-Remote-Extra- --requestheader-group-headers=X-Remote-Group \
    --requestheader-username-headers=X-Remote-User
  wait_for apiserver 90 admin get --raw /readyz
}
