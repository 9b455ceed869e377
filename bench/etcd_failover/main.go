// SPDX-FileCopyrightText: 2026 The Holdfast authors
// SPDX-License-Identifier: Apache-2.0

// The etcd side of the failover benchmark: clientv3 connections that write all the time, each with
// one put open, while a member is killed. Prints one line of JSON: the longest time without an
// acknowledged put from the kill on, the one before the kill included, until writes have gone well
// for a while again. With `-op level` it waits until all members have applied the same.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.etcd.io/etcd/clientv3"
)

func connect(list []string) *clientv3.Client {
	c, err := clientv3.New(clientv3.Config{Endpoints: list, DialTimeout: 5 * time.Second})
	if err != nil {
		fmt.Fprintln(os.Stderr, "etcd: cannot connect:", err)
		os.Exit(1)
	}
	return c
}

// level waits until every member answers, follows one leader, and has applied the same index.
func level(list []string) error {
	clients := make([]*clientv3.Client, len(list))
	for i := range list {
		clients[i] = connect(list[i : i+1])
	}
	for try := 0; try < 600; try++ {
		good := true
		var first *clientv3.StatusResponse
		for i, c := range clients {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			s, err := c.Status(ctx, list[i])
			cancel()
			if err != nil || s.Leader == 0 {
				good = false
				break
			}
			if first == nil {
				first = s
			}
			good = good && s.Leader == first.Leader && s.RaftAppliedIndex == first.RaftAppliedIndex
		}
		if good {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return errors.New("the members do not come level")
}

type acks struct {
	lock    sync.Mutex
	started time.Time
	killed  time.Time
	first   time.Time
	last    time.Time
	gap     time.Duration
	before  int
}

func (a *acks) add(now time.Time) {
	a.lock.Lock()
	defer a.lock.Unlock()
	if a.killed.IsZero() {
		a.before++
	} else {
		if now.Sub(a.last) > a.gap {
			a.gap = now.Sub(a.last)
		}
		if a.first.IsZero() {
			a.first = now
		}
	}
	a.last = now
}

// over: counted from the end of the longest gap, as the first acknowledgements after the kill may
// have been on their way before it.
func (a *acks) over(now time.Time, after time.Duration) bool {
	a.lock.Lock()
	defer a.lock.Unlock()
	gap := a.gap
	if now.Sub(a.last) > gap {
		gap = now.Sub(a.last) // and still open
	}
	return now.Sub(a.killed) > time.Minute || now.Sub(a.killed) > gap+after
}

func main() {
	endpoints := flag.String("endpoints", "127.0.0.1:2379", "comma-separated")
	op := flag.String("op", "failover", "failover or level")
	clients := flag.Int("clients", 8, "connections, one put open on each")
	pid := flag.Int("kill", 0, "process to kill")
	warm := flag.Int("warm-ms", 1000, "writing before the kill")
	after := flag.Int("after-ms", 2000, "writing after the gap")
	patience := flag.Int("patience-ms", 100, "a put without an answer for so long is given up")
	flag.Parse()

	list := strings.Split(*endpoints, ",")
	if *op == "level" {
		if err := level(list); err != nil {
			fmt.Fprintln(os.Stderr, "etcd:", err)
			os.Exit(1)
		}
		return
	}
	conns := make([]*clientv3.Client, *clients)
	for i := range conns {
		conns[i] = connect(list)
		if _, err := conns[i].Put(context.Background(), "failover/warm", "v"); err != nil {
			fmt.Fprintln(os.Stderr, "etcd: first put:", err)
			os.Exit(1)
		}
	}
	var stop int32
	var failed int64
	a := &acks{started: time.Now(), last: time.Now()}
	var wait sync.WaitGroup
	for i := range conns {
		wait.Add(1)
		go func(i int) {
			defer wait.Done()
			for n := 0; atomic.LoadInt32(&stop) == 0; n++ {
				key := fmt.Sprintf("failover/%d/%d", i, n%1000)
				ctx, cancel := context.WithTimeout(context.Background(), time.Duration(*patience)*time.Millisecond)
				_, err := conns[i].Put(ctx, key, key)
				cancel()
				if err != nil {
					atomic.AddInt64(&failed, 1)
					time.Sleep(time.Millisecond)
					continue
				}
				a.add(time.Now())
			}
		}(i)
	}
	time.Sleep(time.Duration(*warm) * time.Millisecond)
	a.lock.Lock()
	a.killed = time.Now()
	a.lock.Unlock()
	if err := syscall.Kill(*pid, syscall.SIGKILL); err != nil {
		fmt.Fprintln(os.Stderr, "etcd: cannot kill:", err)
		os.Exit(1)
	}
	for !a.over(time.Now(), time.Duration(*after)*time.Millisecond) {
		time.Sleep(10 * time.Millisecond)
	}
	atomic.StoreInt32(&stop, 1)
	wait.Wait()
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	line, _ := json.Marshal(map[string]interface{}{
		"gap_ms": ms(a.gap), "first_ms": ms(a.first.Sub(a.killed)), "failed": failed,
		"puts_per_second": float64(a.before) / a.killed.Sub(a.started).Seconds(),
	})
	fmt.Println(string(line))
}
