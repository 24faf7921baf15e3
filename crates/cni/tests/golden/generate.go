// Makes results.txt with the reference library: go get github.com/containernetworking/cni@v1.3.0 && go run generate.go
package main

import (
	"bytes"
	"fmt"

	_ "github.com/containernetworking/cni/pkg/types/020"
	_ "github.com/containernetworking/cni/pkg/types/040"
	_ "github.com/containernetworking/cni/pkg/types/100"
	"github.com/containernetworking/cni/pkg/types/create"
)

var inputs = []struct{ name, json string }{
	{"empty", `{"cniVersion":"1.1.0"}`},
	{"layer2", `{"cniVersion":"1.1.0","interfaces":[{"name":"eth0","mac":"02:00:00:00:00:01","sandbox":"/run/netns/a"}]}`},
	{"v4", `{"cniVersion":"1.1.0","interfaces":[{"name":"eth0","mac":"02:00:00:00:00:01","mtu":1500,"sandbox":"/run/netns/a"}],"ips":[{"address":"10.1.2.3/24","gateway":"10.1.2.1","interface":0}],"routes":[{"dst":"0.0.0.0/0"}]}`},
	{"full", `{"cniVersion":"1.1.0","interfaces":[{"name":"veth1"},{"name":"eth0","mac":"02:00:00:00:00:01","mtu":9000,"sandbox":"/run/netns/a","socketPath":"/run/s","pciID":"0000:00:1f.6"}],
	"ips":[{"address":"10.1.2.3/24","gateway":"10.1.2.1","interface":1},{"address":"2001:db8::5/64","gateway":"2001:db8::1","interface":1},{"address":"10.9.9.9/32"}],
	"routes":[{"dst":"0.0.0.0/0","gw":"10.1.2.1"},{"dst":"10.7.0.9/8","gw":"10.1.2.9","mtu":1400,"advmss":1360,"priority":50,"table":0,"scope":0},{"dst":"::/0","gw":"2001:db8::1"},{"dst":"fd00::/8","table":4294967295,"scope":253}],
	"dns":{"nameservers":["10.1.2.1","fd00::1"],"domain":"a<b>&c.example","search":["x\u2028y","zürich.example"],"options":["ndots:1","tab\there\u0001\u007f\"\\"]}}`},
	{"v6", `{"cniVersion":"1.1.0","ips":[{"address":"2001:DB8:0:0:0:0:0:5/64","gateway":"2001:db8::1"}],"routes":[{"dst":"::/0"},{"dst":"10.0.0.0/8"}],"dns":{"domain":"example"}}`},
	{"mapped", `{"cniVersion":"1.1.0","ips":[{"address":"10.0.0.1/8","gateway":"::ffff:10.0.0.2"}]}`},
}

var versions = []string{"0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"}

func main() {
	for _, in := range inputs {
		fmt.Printf("== input %s\n%s\n", in.name, in.json)
		r, err := create.CreateFromBytes([]byte(in.json))
		if err != nil {
			panic(err)
		}
		for _, v := range versions {
			fmt.Printf("== down %s %s\n", in.name, v)
			o, err := r.GetAsVersion(v)
			if err != nil {
				fmt.Printf("error: %v\n", err)
				continue
			}
			var b bytes.Buffer
			if err := o.PrintTo(&b); err != nil {
				panic(err)
			}
			fmt.Printf("%s\n", b.String())
			back, err := create.Create(v, b.Bytes())
			if err != nil {
				panic(err)
			}
			up, err := back.GetAsVersion("1.1.0")
			if err != nil {
				panic(err)
			}
			var c bytes.Buffer
			if err := up.PrintTo(&c); err != nil {
				panic(err)
			}
			fmt.Printf("== up %s %s\n%s\n", in.name, v, c.String())
		}
	}
}
