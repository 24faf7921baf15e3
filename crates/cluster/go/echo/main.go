// Echo is what the cluster tier's containers run: a server that says who it is and who asks, a client for the same, and
// the pause of a pod's sandbox. It is static and resolves names itself.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

const usage = `usage:
  echo serve [HTTP-ADDRESS [TCP-ADDRESS]]   answer HTTP (:8080) with JSON and echo TCP and UDP (:9000)
  echo get URL                              print what a GET answers; fails unless it is 200
  echo lookup NAME                          print the addresses of a name
  echo tcp HOST:PORT WORD                   print what comes back for a word
  echo udp HOST:PORT WORD                   the same with a datagram
  echo pause                                sleep until SIGTERM`

const patience = 5 * time.Second

// Answer is what GET / gives.
type Answer struct {
	Host      string   `json:"host"`
	Pod       string   `json:"pod,omitempty"`
	Node      string   `json:"node,omitempty"`
	Addresses []string `json:"addresses"`
	Local     string   `json:"local"`
	Remote    string   `json:"remote"`
	Path      string   `json:"path"`
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "echo:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	word := func(at int, instead string) string {
		if at < len(args) {
			return args[at]
		}
		return instead
	}
	switch word(0, "") {
	case "pause":
		pause()
		return nil
	case "serve":
		return serve(word(1, ":8080"), word(2, ":9000"))
	case "get":
		return get(word(1, ""))
	case "lookup":
		return lookup(word(1, ""))
	case "tcp", "udp":
		return call(args[0], word(1, ""), word(2, "hello"))
	}
	return fmt.Errorf("%s", usage)
}

func ending() chan os.Signal {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt)
	return signals
}

func pause() {
	// As the first process of a sandbox it is the parent of orphans.
	signal.Ignore(syscall.SIGCHLD)
	<-ending()
}

func serve(httpAddress, echoAddress string) error {
	listener, err := net.Listen("tcp", echoAddress)
	if err != nil {
		return err
	}
	packets, err := net.ListenPacket("udp", echoAddress)
	if err != nil {
		return err
	}
	failed := make(chan error, 1)
	go echoStreams(listener)
	go echoPackets(packets)
	http.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	http.HandleFunc("/", answer)
	go func() { failed <- http.ListenAndServe(httpAddress, nil) }()
	fmt.Printf("serving HTTP on %s, TCP and UDP on %s\n", httpAddress, echoAddress)
	select {
	case err := <-failed:
		return err
	case <-ending():
		return nil
	}
}

func echoStreams(listener net.Listener) {
	for {
		stream, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer stream.Close()
			_, _ = io.Copy(stream, stream)
		}()
	}
}

func echoPackets(packets net.PacketConn) {
	buffer := make([]byte, 65536)
	for {
		size, from, err := packets.ReadFrom(buffer)
		if err != nil {
			return
		}
		_, _ = packets.WriteTo(buffer[:size], from)
	}
}

func answer(w http.ResponseWriter, request *http.Request) {
	host, _ := os.Hostname()
	answer := Answer{Host: host, Pod: os.Getenv("POD"), Node: os.Getenv("NODE"), Remote: request.RemoteAddr, Path: request.URL.Path}
	if local, ok := request.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		answer.Local = local.String()
	}
	if addresses, err := net.InterfaceAddrs(); err == nil {
		for _, address := range addresses {
			answer.Addresses = append(answer.Addresses, address.String())
		}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}

func get(url string) error {
	if !strings.Contains(url, "://") {
		url = "http://" + url
	}
	client := http.Client{Timeout: patience}
	response, err := client.Get(url)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(os.Stdout, response.Body); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, response.Status)
	}
	return nil
}

func lookup(name string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	addresses, err := net.DefaultResolver.LookupHost(ctx, name)
	if err != nil {
		return err
	}
	fmt.Println(strings.Join(addresses, "\n"))
	return nil
}

func call(network, address, word string) error {
	stream, err := net.DialTimeout(network, address, patience)
	if err != nil {
		return err
	}
	defer stream.Close()
	if err := stream.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := stream.Write([]byte(word)); err != nil {
		return err
	}
	buffer := make([]byte, len(word))
	if _, err := io.ReadFull(stream, buffer); err != nil {
		return err
	}
	fmt.Println(string(buffer))
	return nil
}
