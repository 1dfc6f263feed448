// Command kube-network-policies enforces network policies: it decides about each new connection that iptables puts into queue 100.
//
// The module's own program reads its kubeconfig as a pod only, and queues by a nftables expression that some kernels lack. Then its rules
// are refused, which it reports, and those of the node remain.
package main

import (
	"context"
	"flag"
	"os"
	"os/signal"
	"syscall"

	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	"sigs.k8s.io/kube-network-policies/pkg/networkpolicy"
)

func main() {
	kubeconfig := flag.String("kubeconfig", "", "file that may read network policies, pods and namespaces")
	node := flag.String("node", "", "name of this node")
	flag.Parse()
	if err := run(*kubeconfig, *node); err != nil {
		klog.ErrorS(err, "Cannot enforce network policies")
		os.Exit(1)
	}
}

func run(kubeconfig, node string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	// In JSON an empty list of rules is not an absent one, and the module takes it for "all allowed".
	config.ContentType = "application/vnd.kubernetes.protobuf"
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	controller, err := networkpolicy.NewController(
		client,
		factory.Networking().V1().NetworkPolicies(),
		factory.Core().V1().Namespaces(),
		factory.Core().V1().Pods(),
		nil, nil, nil, nil,
		networkpolicy.Config{NodeName: node, QueueID: 100},
	)
	if err != nil {
		return err
	}
	factory.Start(ctx.Done())
	return controller.Run(ctx)
}
