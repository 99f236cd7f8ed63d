# The cluster's keys and certificates, and a kubeconfig for each who needs one. Sourced by ./up.

make_keys() {
  openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=remora-cluster-ca \
    -keyout "$pki/ca.key" -out "$pki/ca.crt" 2>/dev/null
  openssl genrsa -out "$pki/sa.key" 2048 2>/dev/null
  openssl rsa -in "$pki/sa.key" -pubout -out "$pki/sa.pub" 2>/dev/null

  local names=DNS:localhost,IP:127.0.0.1,IP:$node_ip,IP:$api_ip part
  for part in kubernetes{,.default{,.svc{,.cluster.local}}}; do names+=,DNS:$part; done
  certificate apiserver /CN=kube-apiserver "$names"
  certificate admin /O=system:masters/CN=admin
  certificate controller-manager /CN=system:kube-controller-manager
  certificate scheduler /CN=system:kube-scheduler
  certificate kubelet "/O=system:nodes/CN=system:node:$node" "DNS:$node,IP:$node_ip,IP:127.0.0.1"
  certificate proxy /CN=system:kube-proxy
  certificate front-proxy /CN=front-proxy-client

  local who
  for who in admin controller-manager scheduler kubelet proxy; do kubeconfig "$who"; done
}

# certificate NAME SUBJECT [NAMES]
certificate() {
  local extensions="subjectAltName=${3:-DNS:$1}"$'\n'"extendedKeyUsage=serverAuth,clientAuth"
  openssl req -newkey rsa:2048 -nodes -subj "$2" -keyout "$pki/$1.key" -out "$pki/$1.csr" 2>/dev/null
  openssl x509 -req -in "$pki/$1.csr" -CA "$pki/ca.crt" -CAkey "$pki/ca.key" -CAcreateserial -days 30 \
    -out "$pki/$1.crt" -extfile <(echo "$extensions") 2>/dev/null
}

# kubeconfig NAME: as the holder of that certificate.
kubeconfig() {
  cat >"$state/$1.conf" <<C
apiVersion: v1
kind: Config
clusters:
- name: remora
  cluster: {server: "https://127.0.0.1:6443", certificate-authority: $pki/ca.crt}
users:
- name: $1
  user: {client-certificate: $pki/$1.crt, client-key: $pki/$1.key}
contexts:
- name: remora
  context: {cluster: remora, user: $1}
current-context: remora
C
}
