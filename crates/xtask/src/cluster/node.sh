# First process of the local node, in its own PID and mount namespaces: when it ends, all processes, mounts and links of the node are gone.
# Arguments: state folder, address of the machine, address of the node, range of pods, range of Services, port of the proxy.
# `up` appends a line `run` or `serve` for each process.
set -eu
cd "$1"
machine=$2 node=$3 pods=$4 services=$5 port=$6

# Folders that the node's programs write to and that cannot be configured.
mount --make-rshared /
for folder in /run /var/lib/cni /var/lib/kubelet /var/log; do
  mkdir -p "$folder"
  mount -t tmpfs tmpfs "$folder"
done
# The machine does not know the identity provider, from which the API server reads keys.
mount --bind hosts /etc/hosts

# The parent control group of all pods, in each hierarchy. In version 2 a group has the controllers that its parent enables.
awk '$3 ~ /^cgroup/ {print $2}' /proc/mounts | while read -r root; do
  for controller in cpu cpuset hugetlb memory pids; do
    echo "+$controller" >"$root/cgroup.subtree_control" || true
  done 2>/dev/null
  mkdir -p "$root/jupyter-k8s" || true
  # By default all pods together get the time of one process outside, such as a browser of the tests. They get that of four.
  for weight in cpu.shares=4096 cpu.weight=400; do
    file=$root/jupyter-k8s/${weight%=*}
    [ ! -e "$file" ] || echo "${weight#*=}" >"$file" || true
  done
done

touch network
unshare --net=network true
inside() { nsenter --net=network "$@"; }
ip link add jk8s-node type veth peer name eth0 netns "$1/network"
ip address add "$machine/24" dev jk8s-node
ip link set jk8s-node up
inside ip address add "$node/24" dev eth0
inside ip link set eth0 up
inside ip link set lo up
inside ip route add default via "$machine"
ip route add "$services" via "$node"
ip route add "$pods" via "$node"
# Traffic between pods crosses a bridge. The firewall sees it only with this setting.
[ -e /proc/sys/net/bridge ] || modprobe br_netfilter
inside sysctl -qw net.ipv4.ip_forward=1 net.bridge.bridge-nf-call-iptables=1
# kube-network-policies decides about each new connection: between pods, and from pods to the node (the API server). Probes come from the node.
inside iptables -t mangle -A FORWARD -m conntrack ! --ctstate ESTABLISHED,RELATED -j NFQUEUE --queue-num 100
inside iptables -t mangle -A INPUT -i cni0 -m conntrack ! --ctstate ESTABLISHED,RELATED -j NFQUEUE --queue-num 100

# containerd's images outlive a node. Its containers do not, and it would restore them.
nsenter --net=network containerd --config containerd.toml >logs/containerd.log 2>&1 &
ctr() { command ctr --address "$PWD/containerd.sock" --namespace k8s.io "$@"; }
until ctr version >/dev/null 2>&1; do sleep 0.1; done
ctr containers list --quiet | xargs -r ctr --address containerd.sock --namespace k8s.io containers delete
kill $!
wait $! || true

# Restarts what ends: some of them wait for others this way.
serve() {
  log=logs/$1.log
  shift
  (while :; do "$@" || sleep 1; done) >>"$log" 2>&1 </dev/null &
}
run() {
  name=$1
  shift
  serve "$name" nsenter --net=network "$@"
}
serve forwarder socat "TCP-LISTEN:$port,bind=127.0.0.1,reuseaddr,fork" "TCP:$node:$port"
