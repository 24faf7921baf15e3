// Flanneld for the cluster tier: flannel's own vxlan backend, Kubernetes subnet manager and nftables rules, without the
// clouds' backends that its main program links.
package main

import (
	"context"
	"flag"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/flannel-io/flannel/pkg/backend"
	_ "github.com/flannel-io/flannel/pkg/backend/vxlan"
	"github.com/flannel-io/flannel/pkg/ip"
	"github.com/flannel-io/flannel/pkg/ipmatch"
	"github.com/flannel-io/flannel/pkg/subnet/kube"
	"github.com/flannel-io/flannel/pkg/trafficmngr/nftables"
	"k8s.io/klog/v2"
)

// Between two attempts at what needs the node's object to be there and to have its pod range.
const pause = 300 * time.Millisecond

func main() {
	kubeconfig := flag.String("kubeconfig-file", "", "kubeconfig of this node")
	config := flag.String("net-config-path", "", "network configuration (JSON)")
	iface := flag.String("iface", "eth0", "the underlay's interface")
	subnetFile := flag.String("subnet-file", "/run/flannel/subnet.env", "where this node's range is written to")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	for {
		err := run(ctx, *kubeconfig, *config, *iface, *subnetFile)
		if ctx.Err() != nil {
			return
		}
		klog.Errorf("again in %v: %v", pause, err)
		time.Sleep(pause)
	}
}

func run(parent context.Context, kubeconfig, config, iface, subnetFile string) error {
	ctx, cancel := context.WithCancel(parent)
	defer cancel()
	manager, err := kube.NewSubnetManager(ctx, "", kubeconfig, "flannel.alpha.coreos.com", config, false)
	if err != nil {
		return err
	}
	network, err := manager.GetNetworkConfig(ctx)
	if err != nil {
		return err
	}
	stack, err := ipmatch.GetIPFamily(network.EnableIPv4, network.EnableIPv6)
	if err != nil {
		return err
	}
	underlay, err := ipmatch.LookupExtIface(iface, "", "", stack, ipmatch.PublicIPOpts{})
	if err != nil {
		return err
	}
	vxlan, err := backend.NewManager(ctx, manager, underlay).GetBackend(network.BackendType)
	if err != nil {
		return err
	}
	var running sync.WaitGroup
	registered, err := vxlan.RegisterNetwork(ctx, &running, network)
	if err != nil {
		return err
	}
	rules := &nftables.NFTablesManager{}
	if err := rules.Init(ctx); err != nil {
		return err
	}
	lease := registered.Lease()
	none4, none6 := ip.IP4Net{}, ip.IP6Net{}
	err = rules.SetupAndEnsureMasqRules(ctx, network.Network, none4, none4, network.IPv6Network, none6, none6, lease, 60, false)
	if err != nil {
		return err
	}
	rules.SetupAndEnsureForwardRules(ctx, network.Network, network.IPv6Network, 60)
	if err := manager.HandleSubnetFile(subnetFile, network, true, lease.Subnet, lease.IPv6Subnet, registered.MTU()); err != nil {
		return err
	}
	klog.Infof("this node has %v", lease.Subnet)
	running.Add(1)
	go func() {
		defer running.Done()
		registered.Run(ctx)
	}()
	// It returns at once: the lease is the node's range, and never ends.
	if err = manager.CompleteLease(ctx, lease, &running); err != nil {
		cancel()
	}
	running.Wait()
	return err
}
