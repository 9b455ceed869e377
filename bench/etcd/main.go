// SPDX-FileCopyrightText: 2026 The Holdfast authors
// SPDX-License-Identifier: Apache-2.0

// The etcd side of the key-value benchmark: one clientv3 connection a client, each with one request
// open, for a number of seconds. Prints one line of JSON with the rate and the latencies. With
// `-op leader` it prints the endpoint of the leader, once there is one.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/clientv3"
)

// leader asks each member whom it follows, until the one asked is the leader itself.
func leader(list []string) (string, error) {
	c, err := clientv3.New(clientv3.Config{Endpoints: list, DialTimeout: 5 * time.Second})
	if err != nil {
		return "", err
	}
	defer c.Close()
	for try := 0; try < 100; try++ {
		for _, endpoint := range list {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			s, err := c.Status(ctx, endpoint)
			cancel()
			if err == nil && s.Leader != 0 && s.Leader == s.Header.MemberId {
				return endpoint, nil
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
	return "", errors.New("no leader")
}

func main() {
	endpoints := flag.String("endpoints", "127.0.0.1:2379", "comma-separated")
	clients := flag.Int("clients", 50, "connections, one request open on each")
	seconds := flag.Float64("seconds", 5, "measured time")
	op := flag.String("op", "put", "put, get or leader")
	keys := flag.Int("keys", 10000, "different keys")
	bytes := flag.Int("bytes", 100, "value size")
	flag.Parse()

	list := strings.Split(*endpoints, ",")
	if *op == "leader" {
		endpoint, err := leader(list)
		if err != nil {
			fmt.Fprintln(os.Stderr, "etcd:", err)
			os.Exit(1)
		}
		fmt.Println(endpoint)
		return
	}
	value := strings.Repeat("v", *bytes)
	conns := make([]*clientv3.Client, *clients)
	for i := range conns {
		// each client talks to one member, members in turn
		c, err := clientv3.New(clientv3.Config{
			Endpoints:   []string{list[i%len(list)]},
			DialTimeout: 5 * time.Second,
		})
		if err != nil {
			fmt.Fprintln(os.Stderr, "etcd: cannot connect:", err)
			os.Exit(1)
		}
		conns[i] = c
	}
	// the first request of each opens its connection; measuring begins when all have had theirs
	for i := range conns {
		if _, err := conns[i].Get(context.Background(), "bench/warm"); err != nil {
			fmt.Fprintln(os.Stderr, "etcd: first request:", err)
			os.Exit(1)
		}
	}

	var stop int32
	var failed int64
	times := make([][]time.Duration, *clients)
	var wait sync.WaitGroup
	start := time.Now()
	for i := range conns {
		wait.Add(1)
		go func(i int) {
			defer wait.Done()
			ctx := context.Background()
			for n := 0; atomic.LoadInt32(&stop) == 0; n++ {
				key := fmt.Sprintf("bench/%08d", (n**clients+i)%*keys)
				from := time.Now()
				var err error
				if *op == "put" {
					_, err = conns[i].Put(ctx, key, value)
				} else {
					_, err = conns[i].Get(ctx, key)
				}
				if err != nil {
					atomic.AddInt64(&failed, 1)
					continue
				}
				times[i] = append(times[i], time.Since(from))
			}
		}(i)
	}
	time.Sleep(time.Duration(*seconds * float64(time.Second)))
	atomic.StoreInt32(&stop, 1)
	wait.Wait()
	took := time.Since(start).Seconds()

	var all []time.Duration
	for _, t := range times {
		all = append(all, t...)
	}
	sort.Slice(all, func(a, b int) bool { return all[a] < all[b] })
	at := func(p float64) float64 {
		if len(all) == 0 {
			return 0
		}
		return float64(all[int(p*float64(len(all)-1))].Microseconds())
	}
	line, _ := json.Marshal(map[string]interface{}{
		"op": *op, "clients": *clients, "done": len(all), "failed": failed,
		"per_second": float64(len(all)) / took, "p50_us": at(0.5), "p99_us": at(0.99),
	})
	fmt.Println(string(line))
}
