/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The parts of a host and what they offer each other.
 *
 *   loop.c         events into the node, effects out of it, timers, completions
 *   stream.c       one connection: half-received bytes, unsent bytes
 *   client_conn.c  clients: accepting, limits, MessagePack-RPC
 *   peer_conn.c    other nodes: dialling, greeting, frames
 *   gossip_udp.c   gossip's datagrams
 *   threads.c      WAL thread and job pools
 *   device.c, device_thread.c   a GPU for coding
 */
#ifndef HOLDFAST_SERVER_HOST_HOST_INTERNAL_H
#define HOLDFAST_SERVER_HOST_HOST_INTERNAL_H

#include "base/rng.h"
#include "server/host/cipher.h"
#include "server/host/data_dir.h"
#include "server/host/device.h"
#include "server/host/host.h"
#include "server/node/node.h"
#include "wire/frame.h"
#include "wire/scan.h"

#include <pthread.h>
#include <sys/socket.h>
#include <uv.h>

#define HOST_READ_BYTES 65536u
#define HOST_FX_MAX 128u
#define HOST_STEPS_MAX 512u /* events of clients before their effects are carried out */
#define HOST_IOV_MAX 96u
#define HOST_PREFIX_BYTES WIRE_FRAME_HEADER_BYTES
#define HOST_JOBS_MAX 64u      /* posted at once */
#define HOST_LEAVE_US 1000000u /* an orderly end takes at most */
#define HOST_SWEEP_US 50000u
#define HOST_DONE_MAX 16u /* completions given back at once by one thread */

struct host;
struct host_stream;

/* ---- stream.c ------------------------------------------------------------------------------- */

/* Unsent: prefix, head, body, in that order. */
struct host_item {
    struct host_item *next;
    struct buf head;
    struct node_blob *body;
    uint32_t prefix_bytes;
    uint8_t prefix[HOST_PREFIX_BYTES];
};

struct host_stream_ops {
    /* Takes whole messages from data and sets *used; *want is the size of the message that begins
     * after them, as far as known. returns: 0, or why the connection must end. */
    int (*arrived)(struct host_stream *s, struct bytes data, size_t *used, size_t *want);
    /* The connection has ended, once; closed comes later. */
    void (*ended)(struct host_stream *s, int code, const char *reason);
    /* Everything about it may be released. */
    void (*closed)(struct host_stream *s);
};

struct host_stream {
    uv_tcp_t tcp;
    uv_write_t write;
    struct host *host;
    const struct host_stream_ops *ops;
    struct buf in; /* a half-received message */
    bool in_blobs; /* its memory is blobs, which the node may retain */
    size_t want;
    struct host_item *first;
    struct host_item *last;
    size_t sent_bytes; /* of the first item */
    uint64_t out_bytes;
    uint64_t out_bytes_max;
    uint32_t out_items;
    size_t writing_bytes;
    struct host_stream *dirty_next;
    uint64_t half_since_us; /* 0: no message is half-received */
    uint64_t last_in_us;
    uint64_t last_out_us; /* something was sent, or there was nothing to send */
    bool known; /* the other side is a node of this cluster: it is believed what is still to come */
    bool dirty;
    bool writing;
    bool ended;
    bool end_when_sent;
    int end_code; /* what it ends with then */
};

/* The TCP handle is initialised. in_bytes_max: of one message; in_blobs: what is half-received is
 * held in blobs. */
int host_stream_init(struct host_stream *s, struct host *h, const struct host_stream_ops *ops,
                     size_t in_bytes_max, bool in_blobs);
/* part: of what ops.arrived was given. returns: the blob that has it; NULL: there is none. */
struct node_blob *host_stream_held(const struct host_stream *s, struct bytes part);
int host_stream_read(struct host_stream *s);
/* Queues one item; takes head and body whatever happens. prefix_bytes: at most HOST_PREFIX_BYTES.
 * returns: 0, ERR_BUSY (more unsent bytes than allowed) or ERR_NO_MEMORY: end the connection. */
int host_stream_send(struct host_stream *s, const uint8_t *prefix, size_t prefix_bytes,
                     struct buf *head, struct node_blob *body);
void host_stream_flush(struct host_stream *s);
/* Ends it now; a second time does nothing. reason: static. */
void host_stream_end(struct host_stream *s, int code, const char *reason);
void host_streams_flush(struct host *h);
/* Address of the other side, "1.2.3.4:5". returns: into. */
const char *host_stream_name(const struct host_stream *s, char *into, size_t bytes);

/* ---- threads.c ------------------------------------------------------------------------------ */

struct host_done {
    struct node_job *job;
    struct node_wal_batch *batch;
    int code; /* of the batch; without one: the log failed by itself */
};

struct host_threads;

/* The calling thread is let at a core soon after it wakes, also beside others of its weight. */
void host_thread_prompt(void);
/* completed: called by any thread when completions wait; env: stores, for every thread. */
int host_threads_start(struct host_threads **out, struct host *h, const struct node_env *env,
                       struct err_info *why);
void host_threads_wal(struct host_threads *t, struct node_wal_batch *batch);
/* Starts jobs of one lane, in order. */
void host_threads_jobs(struct host_threads *t, enum node_lane lane, struct node_job *const *jobs,
                       unsigned count);
/* Takes all completions; they are valid until the next call. */
unsigned host_threads_done(struct host_threads *t, struct host_done **out);
/* Ends all threads; what was not run, or not taken, is given back to n. */
void host_threads_stop(struct host_threads *t, struct node *n);

/* ---- loop.c --------------------------------------------------------------------------------- */

/* Fills the times of ev and gives it to the node. */
void host_step(struct host *h, struct node_event *ev);
/* Carries out what the node wants, but writes nothing yet. One read of a client may hold thousands
 * of requests, so their answers are not left to pile up until the turn ends. */
void host_drain(struct host *h);
uint64_t host_now_us(void); /* CLOCK_BOOTTIME */
int host_loop_init(struct host *h, struct err_info *why);
/* Any thread: the loop takes what has been given back, and looks whether it is to end. */
void host_wake(struct host *h);
/* The node must end; host_run returns code. */
void host_fail(struct host *h, int code);

/* ---- client_conn.c -------------------------------------------------------------------------- */

struct host_client;

struct host_clients {
    uv_tcp_t listener;
    bool listening;
    struct host_client **slots;
    uint32_t *free_slots;
    uint32_t slots_count;
    uint32_t free_count;
    uint64_t generation;
    uint64_t refused_logged_us;
};

int host_clients_open(struct host *h, const char *host, uint16_t port, struct err_info *why);
void host_clients_reply(struct host *h, struct node_fx *fx);
void host_clients_close(struct host *h, const struct node_fx *fx);
void host_clients_sweep(struct host *h, uint64_t now_us);
void host_clients_end(struct host *h);
void host_clients_release(struct host *h);

/* ---- peer_conn.c ---------------------------------------------------------------------------- */

struct host_link;

struct host_peer {
    struct host *host;
    const struct wire_identity_node *row;
    struct host_link *link;    /* greeted */
    struct host_link *dialled; /* on its way */
    uv_getaddrinfo_t lookup;
    bool looking;
    bool told; /* its absence has been logged */
    bool addressed;
    struct sockaddr_storage address; /* where it was last reached, with its peer port */
    uint64_t retry_us;
    uint64_t backoff_us;
};

struct host_peers {
    uv_tcp_t listener;
    bool listening;
    const char *congestion; /* of all links; NULL: the system's */
    struct host_peer *rows;
    uint32_t count;
    struct host_link *links; /* all of them */
    uint32_t links_count;
};

int host_peers_open(struct host *h, const char *host, uint16_t port, struct err_info *why);
void host_peers_send(struct host *h, struct node_fx *fx);
void host_peers_sweep(struct host *h, uint64_t now_us);
void host_peers_end(struct host *h);
void host_peers_release(struct host *h);
/* Says why a fenced node ends, and what helps. */
void host_log_fenced(struct host *h);
/* returns: false while it is not known. */
bool host_peer_address(const struct host *h, uint32_t id, struct sockaddr_storage *out);

/* ---- gossip_udp.c --------------------------------------------------------------------------- */

struct host_gossip {
    uv_udp_t udp;
    bool open;
    bool v6;
    uint8_t *in; /* a batch of datagrams */
    size_t in_bytes;
    uint32_t queued;  /* datagrams that the kernel has not taken yet */
    uint64_t dropped; /* queue full, or no address known */
    uint64_t errors;
};

int host_gossip_open(struct host *h, const char *host, uint16_t port, struct err_info *why);
void host_gossip_send(struct host *h, struct node_fx *fx);
void host_gossip_end(struct host *h);
void host_gossip_release(struct host *h);

/* ---- the whole ------------------------------------------------------------------------------ */

struct host {
    const struct host_settings *settings;
    const struct log *log;
    struct alloc heap;
    struct rng rng; /* jitter only */
    struct host_data_dir dir;
    struct wire_identity identity;
    struct store_superblock sb;
    uint64_t nonce;
    char client_host[256];
    char peer_host[256];
    uint16_t client_port;
    uint16_t peer_port;
    struct limits limits;       /* the settings', made to fit */
    struct node_env env;        /* the loop thread's */
    struct compute_whole whole; /* the device's */
    struct store_kv state;
    struct store_kv index;
    struct node *node;
    struct host_threads *threads;
    struct host_device *device;

    uv_loop_t loop;
    uv_poll_t wake;
    int wake_fd; /* an eventfd; -1: none */
    uv_timer_t tick;
    uv_timer_t sweep;
    uv_timer_t patience; /* how long an orderly end is waited for */
    uv_prepare_t prepare;
    uv_check_t check;
    uv_signal_t signals[2];
    bool loop_open;
    bool signals_open;
    bool dirty;     /* the node has been stepped since the last pump */
    unsigned steps; /* by clients since effects were last carried out */
    bool leaving;   /* the node has been told that the process ends */
    bool ending;
    int code;
    uint64_t wall_us;
    struct host_stream *dirty_first;
    uint64_t input_bytes; /* memory of half-received messages */
    uint8_t *read_buffer;

    struct host_clients clients;
    struct host_peers peers;
    struct host_gossip gossip;
    struct host_cipher *cipher;

    struct host_stats stats; /* the loop thread's */
    pthread_mutex_t lock;    /* of the two below */
    bool stop_asked;
    struct host_stats published;
};

/* An address in words, looked up if it is a name. returns: 0 or an error of libuv. */
int host_listen_address(struct host *h, const char *host, uint16_t port,
                        struct sockaddr_storage *out);
/* A bound listener on an address in words. what: for messages. returns: 0 or an error with why. */
int host_listen(struct host *h, uv_tcp_t *tcp, const char *host, uint16_t port,
                uv_connection_cb accept, const char *what, struct err_info *why);

#endif
