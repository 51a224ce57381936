/*
 * subscribers: opens many live connections, counts what arrives, and proves that nothing is missing.
 *
 * One thread, one epoll loop, one receive buffer that stays in the second-level cache. The framing of each protocol is
 * really parsed (WebSocket frames, HTTP chunks and SSE lines, NATS MSG, MQTT PUBLISH), so a message counts only when it
 * is whole. MQTT is version 3.1.1; with --qos 1 each message is acknowledged, all of one read in one write.
 *
 * A benchmark message carries "^" + ten digits + "." somewhere in its text; the last one of a run ends in "!" instead.
 * The digits count from 1 for every subscriber: a hole is counted as missing, a step back as repeated.
 * With --match TEXT, messages that hold TEXT are counted instead, and each time that all subscribers have had one more
 * "all <n> <monotonic nanoseconds>" is printed.
 *
 * Standard output: "ready" once every connection is subscribed; at the end one line of JSON.
 * Standard input: end of file ends the run early (and is the only end when --match is given or nobody publishes).
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { READ_SIZE = 256 * 1024, CARRY_LIMIT = 1024 * 1024, OPENING_LIMIT = 100, DIGITS = 10, NAP_NS = 1000 * 1000, NAP_BYTES = 16384 };
enum protocol { WS, SSE, NATS, MQTT };
enum chunk_state { CHUNK_SIZE_LINE, CHUNK_DATA, CHUNK_END };

struct connection {
    int fd;
    bool shaken, ready, done, closed;
    bool chunked;
    enum chunk_state chunk_state;
    size_t chunk_left;
    char *carry;         /* the beginning of a message whose end has not arrived */
    size_t carry_length;
    uint64_t expected;   /* counter of the next message */
    uint64_t matched;
};

static enum protocol protocol = WS;
static int port, count = 1000;
static int qos;
static const char *topic = "events";
static const char *path = "/", *send_text, *ready_text, *match_text;
static char headers[4096];
static double warmup = 1.0, idle_limit = 30.0;
static double publish_seconds;
static int publish_window = 2000, publish_size = 300;

static struct connection *connections;
static int epoll, opened, shaken, ready, done, closed_early;
static bool announced;
static uint64_t messages, payload_bytes, wire_bytes, missing, repeated, last_counter;
static int64_t first_at, last_at, warm_at;
static uint64_t warm_messages;
static char *buffer;

static int64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void fail(const char *what) {
    fprintf(stderr, "subscribers: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void send_all(int fd, const char *data, size_t length) {
    while (length > 0) {
        ssize_t n = send(fd, data, length, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return; /* the reader will see the end of the connection */
        data += n;
        length -= (size_t)n;
    }
}

/* RFC 6455, section 5.3: a client masks. The zero key is a valid one, and leaves the text readable. */
static void send_frame(int fd, int opcode, const char *data, size_t length) {
    char frame[8 + 65536];
    size_t head = 2;
    if (length > 65535) length = 65535;
    frame[0] = (char)(0x80 | opcode);
    if (length < 126) {
        frame[1] = (char)(0x80 | length);
    } else {
        frame[1] = (char)(0x80 | 126);
        frame[2] = (char)(length >> 8);
        frame[3] = (char)length;
        head = 4;
    }
    memset(frame + head, 0, 4);
    memcpy(frame + head + 4, data, length);
    send_all(fd, frame, head + 4 + length);
}

static void mark_ready(struct connection *c) {
    if (c->ready) return;
    c->ready = true;
    if (++ready == count) {
        puts("ready");
        fflush(stdout);
    }
}

static void mark_shaken(struct connection *c) {
    c->shaken = true;
    shaken++;
    for (const char *line = protocol == WS ? send_text : NULL; line; ) { /* each line is a message */
        const char *end = strchr(line, '\n');
        send_frame(c->fd, 1, line, end ? (size_t)(end - line) : strlen(line));
        line = end ? end + 1 : NULL;
    }
    if (!ready_text && protocol != MQTT) mark_ready(c);
}

static void mark_closed(struct connection *c) {
    if (c->closed) return;
    c->closed = true;
    if (!c->done) closed_early++;
    close(c->fd);
}

static void count_match(struct connection *c, size_t length) {
    c->matched++;
    payload_bytes += length;
    messages++;
    if (messages % (uint64_t)count == 0) {
        printf("all %llu %lld\n", (unsigned long long)(messages / (uint64_t)count), (long long)now());
        fflush(stdout);
    }
}

static void on_message(struct connection *c, const char *text, size_t length) {
    if (match_text) {
        if (c->ready && memmem(text, length, match_text, strlen(match_text))) {
            count_match(c, length);
            return;
        }
    } else {
        const char *at = memchr(text, '^', length);
        if (at && (size_t)(text + length - at) >= DIGITS + 2) {
            uint64_t counter = 0;
            for (int i = 1; i <= DIGITS; i++) counter = counter * 10 + (uint64_t)(at[i] - '0');
            if (counter >= c->expected) {
                missing += counter - c->expected;
                c->expected = counter + 1;
            } else {
                repeated++;
            }
            messages++;
            payload_bytes += length;
            if (at[DIGITS + 1] == '!' && !c->done) {
                c->done = true;
                done++;
                last_counter = counter;
            }
            return;
        }
    }
    if (!c->ready && ready_text && memmem(text, length, ready_text, strlen(ready_text))) mark_ready(c);
}

/* Each parser takes the bytes from `data` and returns how many of them are dealt with. */

static size_t parse_ws(struct connection *c, const char *data, size_t length) {
    const unsigned char *d = (const unsigned char *)data;
    size_t at = 0;
    while (length - at >= 2) {
        size_t head = 2, size = d[at + 1] & 0x7f;
        if (size == 126) {
            if (length - at < 4) break;
            size = (size_t)d[at + 2] << 8 | d[at + 3];
            head = 4;
        } else if (size == 127) {
            if (length - at < 10) break;
            size = 0;
            for (int i = 2; i < 10; i++) size = size << 8 | d[at + i];
            head = 10;
        }
        if (size > CARRY_LIMIT) {
            fprintf(stderr, "subscribers: a WebSocket frame of %zu bytes\n", size);
            exit(1);
        }
        if (length - at < head + size) break;
        int opcode = d[at] & 0x0f;
        if (opcode == 1 || opcode == 2) on_message(c, data + at + head, size);
        if (opcode == 9) send_frame(c->fd, 10, data + at + head, size);
        at += head + size;
        if (opcode == 8) {
            mark_closed(c);
            return at;
        }
    }
    return at;
}

static size_t parse_sse(struct connection *c, const char *data, size_t length) {
    size_t at = 0;
    while (at < length) {
        const char *end = memchr(data + at, '\n', length - at);
        if (!end) break;
        size_t size = (size_t)(end - (data + at));
        if (size > 16 && memcmp(data + at, "data: {\"cursor\":", 16) == 0) {
            ; /* not an event: where the stream stands */
        } else if (size > 5 && memcmp(data + at, "data:", 5) == 0) {
            on_message(c, data + at + 5, size - 5);
        } else if (!c->ready && ready_text && memmem(data + at, size, ready_text, strlen(ready_text))) {
            mark_ready(c);
        }
        at += size + 1;
    }
    return at;
}

static size_t parse_nats(struct connection *c, const char *data, size_t length) {
    size_t at = 0;
    while (at < length) {
        const char *end = memchr(data + at, '\n', length - at);
        if (!end) break;
        size_t line = (size_t)(end - (data + at)) + 1;
        if (memcmp(data + at, "MSG ", 4) == 0) {
            const char *digit = end - 1; /* the carriage return; the size is the last word before it */
            while (digit[-1] != ' ') digit--;
            size_t size = strtoul(digit, NULL, 10);
            if (length - at < line + size + 2) break;
            on_message(c, data + at + line, size);
            at += line + size + 2;
            continue;
        }
        if (memcmp(data + at, "PING", 4) == 0) send_all(c->fd, "PONG\r\n", 6);
        if (memcmp(data + at, "PONG", 4) == 0 && !c->shaken) mark_shaken(c);
        if (memcmp(data + at, "-ERR", 4) == 0) fprintf(stderr, "subscribers: nats says %.*s", (int)line, data + at);
        at += line;
    }
    return at;
}

/* MQTT 3.1.1, sections 2.2 and 3.3. */
static size_t parse_mqtt(struct connection *c, const char *data, size_t length) {
    static char acks[READ_SIZE];
    const unsigned char *d = (const unsigned char *)data;
    size_t at = 0, acked = 0;
    while (length - at >= 2) {
        size_t size = 0, head = 1;
        for (int shift = 0; at + head < length && head < 5; shift += 7) {
            unsigned char byte = d[at + head++];
            size |= (size_t)(byte & 0x7f) << shift;
            if (byte < 0x80) goto known;
        }
        break;
    known:
        if (length - at < head + size) break;
        const unsigned char *body = d + at + head;
        if (d[at] == 0x20 && !c->shaken) mark_shaken(c);
        else if (d[at] == 0x90) mark_ready(c);
        else if ((d[at] & 0xf0) == 0x30) {
            size_t skip = 2 + ((size_t)body[0] << 8 | body[1]);
            if (d[at] & 0x06) {
                memcpy(acks + acked, (char[]){0x40, 2, (char)body[skip], (char)body[skip + 1]}, 4);
                acked += 4;
                skip += 2;
            }
            on_message(c, (const char *)body + skip, size - skip);
        }
        at += head + size;
    }
    if (acked) send_all(c->fd, acks, acked);
    return at;
}

/* Takes the chunk framing (RFC 9112, section 7.1) out of data[0..length) in place; returns what is left of it. */
static size_t unchunk(struct connection *c, char *data, size_t length) {
    size_t from = 0, to = 0;
    while (from < length) {
        if (c->chunk_state == CHUNK_DATA) {
            size_t n = length - from < c->chunk_left ? length - from : c->chunk_left;
            memmove(data + to, data + from, n);
            from += n;
            to += n;
            c->chunk_left -= n;
            if (c->chunk_left == 0) c->chunk_state = CHUNK_END;
            continue;
        }
        char byte = data[from++];
        if (c->chunk_state == CHUNK_END) {
            if (byte == '\n') c->chunk_state = CHUNK_SIZE_LINE;
        } else if (byte == '\n') {
            if (c->chunk_left == 0) {
                mark_closed(c); /* the last chunk */
                return to;
            }
            c->chunk_state = CHUNK_DATA;
        } else if (byte != '\r') {
            size_t digit = byte <= '9' ? (size_t)(byte - '0') : (size_t)((byte | 0x20) - 'a' + 10);
            c->chunk_left = c->chunk_left * 16 + digit;
        }
    }
    return to;
}

/* The head of the HTTP answer; returns its size, or 0 while it is incomplete. */
static size_t parse_head(struct connection *c, char *data, size_t length) {
    char *end = memmem(data, length, "\r\n\r\n", 4);
    if (!end) return 0;
    const char *wanted = protocol == WS ? " 101 " : " 200 ";
    if (length < 13 || memcmp(data + 8, wanted, 5) != 0) {
        fprintf(stderr, "subscribers: refused: %.*s\n", (int)length, data);
        exit(1);
    }
    *end = 0;
    c->chunked = strcasestr(data, "transfer-encoding: chunked") != NULL;
    mark_shaken(c);
    return (size_t)(end - data) + 4;
}

static void on_readable(struct connection *c) {
    size_t kept = c->carry_length;
    memcpy(buffer, c->carry, kept);
    ssize_t n = recv(c->fd, buffer + kept, READ_SIZE, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) {
        mark_closed(c);
        return;
    }
    wire_bytes += (uint64_t)n;
    size_t length = kept + (size_t)n, used = 0;
    size_t fresh = kept; /* where bytes begin that have not been through unchunk() */
    bool plain = protocol == NATS || protocol == MQTT;
    if (!plain && !c->shaken) {
        used = parse_head(c, buffer, length);
        fresh = used;
    }
    if (plain || c->shaken) {
        if (c->chunked) length = fresh + unchunk(c, buffer + fresh, length - fresh);
        size_t rest = length - used;
        if (protocol == WS) used += parse_ws(c, buffer + used, rest);
        else if (protocol == SSE) used += parse_sse(c, buffer + used, rest);
        else if (protocol == MQTT) used += parse_mqtt(c, buffer + used, rest);
        else used += parse_nats(c, buffer + used, rest);
    }
    size_t left = length - used;
    if (left > CARRY_LIMIT) {
        fprintf(stderr, "subscribers: a message of more than %d bytes\n", CARRY_LIMIT);
        exit(1);
    }
    if (left > c->carry_length) c->carry = realloc(c->carry, left);
    memcpy(c->carry, buffer + used, left);
    c->carry_length = left;
}

static int dial(void) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    if (fd < 0) fail("socket");
    if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0) fail("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static void open_connection(struct connection *c) {
    char hello[8192];
    c->fd = dial();
    c->expected = 1;
    size_t length = 0;
    if (protocol == MQTT) { /* SUBSCRIBE follows at once, as section 3.1.4 allows */
        size_t name = strlen(topic);
        memcpy(hello, "\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00\x82", 15);
        memcpy(hello + 15, (char[]){(char)(5 + name), 0, 1, 0, (char)name}, 5);
        memcpy(hello + 20, topic, name);
        hello[20 + name] = (char)qos;
        length = 21 + name;
    } else if (protocol == NATS) {
        snprintf(hello, sizeof hello, "CONNECT {\"verbose\":false,\"pedantic\":false}\r\nSUB events 1\r\nPING\r\n");
    } else if (protocol == WS) {
        snprintf(hello, sizeof hello,
                 "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                 "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s\r\n",
                 path, port, headers);
    } else {
        snprintf(hello, sizeof hello, "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAccept: text/event-stream\r\n%s\r\n",
                 path, port, headers);
    }
    send_all(c->fd, hello, length ? length : strlen(hello));
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event) < 0) fail("epoll_ctl");
}

/* The publisher to NATS or MQTT: one more connection, held back so that no subscriber is more than a window behind. */
static void publish(int fd) {
    static uint64_t published;
    static char out[64 * 1024], *payload;
    static bool ended;
    static size_t length, sent;
    if (!payload) {
        payload = malloc((size_t)publish_size + 1);
        memset(payload, 'x', (size_t)publish_size);
    }
    int64_t clock = now();
    for (;;) {
        while (sent < length) {
            ssize_t n = send(fd, out + sent, length - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
            if (n < 0) return; /* full: the next turn goes on */
            sent += (size_t)n;
        }
        sent = length = 0;
        while (!ended && length + (size_t)publish_size + 64 < sizeof out &&
               published * (uint64_t)count <= messages + (uint64_t)publish_window * (uint64_t)count) {
            char mark[DIGITS + 3];
            ended = first_at && clock - first_at > (int64_t)(publish_seconds * 1e9);
            snprintf(mark, sizeof mark, "^%0*llu%c", DIGITS, (unsigned long long)++published, ended ? '!' : '.');
            memcpy(payload + 20, mark, DIGITS + 2);
            if (protocol == MQTT) {
                size_t name = strlen(topic), size = 2 + name + (size_t)publish_size + (qos ? 2 : 0);
                out[length++] = (char)(0x30 | qos << 1);
                out[length++] = (char)(size | 0x80);
                out[length++] = (char)(size >> 7);
                out[length++] = 0;
                out[length++] = (char)name;
                memcpy(out + length, topic, name);
                length += name;
                if (qos) {
                    out[length++] = (char)((published % 65535 + 1) >> 8);
                    out[length++] = (char)(published % 65535 + 1);
                }
            } else {
                length += (size_t)snprintf(out + length, sizeof out - length, "PUB events %d\r\n", publish_size);
            }
            memcpy(out + length, payload, (size_t)publish_size);
            length += (size_t)publish_size;
            if (protocol == NATS) {
                memcpy(out + length, "\r\n", 2);
                length += 2;
            }
        }
        if (length == 0) return;
    }
}

static void parse_arguments(int argc, char **argv) {
    for (int i = 1; i + 1 < argc; i += 2) {
        const char *name = argv[i], *value = argv[i + 1];
        if (!strcmp(name, "--protocol")) 
            protocol = !strcmp(value, "ws") ? WS : !strcmp(value, "sse") ? SSE : !strcmp(value, "mqtt") ? MQTT : NATS;
        else if (!strcmp(name, "--topic")) topic = value;
        else if (!strcmp(name, "--qos")) qos = atoi(value);
        else if (!strcmp(name, "--port")) port = atoi(value);
        else if (!strcmp(name, "--path")) path = value;
        else if (!strcmp(name, "--count")) count = atoi(value);
        else if (!strcmp(name, "--header")) strncat(strncat(headers, value, 2000), "\r\n", 3);
        else if (!strcmp(name, "--send")) send_text = value;
        else if (!strcmp(name, "--ready")) ready_text = value;
        else if (!strcmp(name, "--match")) match_text = value;
        else if (!strcmp(name, "--warmup")) warmup = atof(value);
        else if (!strcmp(name, "--idle")) idle_limit = atof(value);
        else if (!strcmp(name, "--publish")) publish_seconds = atof(value);
        else if (!strcmp(name, "--window")) publish_window = atoi(value);
        else {
            fprintf(stderr, "subscribers: unknown option %s\n", name);
            exit(2);
        }
    }
}

static double cpu_seconds(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static double warm_cpu, last_cpu;

/* Notes the first message, the end of the warm-up and the last message; the rate is taken between the latter two. */
static void take_time(uint64_t before) {
    if (messages == before) return;
    last_at = now();
    if (!first_at) first_at = last_at;
    if (!warm_at && last_at - first_at >= (int64_t)(warmup * 1e9)) {
        warm_at = last_at;
        warm_messages = messages;
        warm_cpu = cpu_seconds();
    }
    if (done == count) last_cpu = cpu_seconds();
}

static void report(void) {
    uint64_t rounds = (messages + (uint64_t)count - 1) / (uint64_t)count;
    for (int i = 0; i < count; i++) {
        struct connection *c = &connections[i];
        if (match_text && c->matched < rounds) missing += rounds - c->matched;
        else if (match_text) repeated += c->matched - rounds;
        else if (!c->done && last_counter >= c->expected) missing += last_counter + 1 - c->expected;
    }
    double seconds = warm_at ? (double)(last_at - warm_at) / 1e9 : 0;
    uint64_t counted = messages - warm_messages;
    if (done < count) last_cpu = cpu_seconds();
    printf("{\"subscribers\": %d, \"finished\": %d, \"closed\": %d, \"events\": %llu, \"messages\": %llu, "
           "\"missing\": %llu, \"repeated\": %llu, \"seconds\": %.6f, \"rate\": %.1f, \"payload\": %.1f, "
           "\"wire_bytes\": %llu, \"cpu\": %.4f}\n",
           count, done, closed_early, (unsigned long long)last_counter, (unsigned long long)messages,
           (unsigned long long)missing, (unsigned long long)repeated, seconds,
           seconds > 0 ? (double)counted / seconds : 0.0, messages ? (double)payload_bytes / (double)messages : 0.0,
           (unsigned long long)wire_bytes, seconds > 0 ? (last_cpu - warm_cpu) / seconds : 0.0);
}

int main(int argc, char **argv) {
    parse_arguments(argc, argv);
    connections = calloc((size_t)count, sizeof *connections);
    buffer = malloc(READ_SIZE + CARRY_LIMIT);
    epoll = epoll_create1(0);
    struct epoll_event events[1024];
    struct epoll_event input = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, 0, &input) < 0) fail("epoll_ctl on standard input");
    int publisher = -1;
    int64_t heard = now();
    bool stopped = false;
    while (!stopped && done + closed_early < count) {
        while (opened < count && opened - shaken < OPENING_LIMIT) open_connection(&connections[opened++]);
        if (ready == count && !announced) {
            announced = true;
            heard = now();
            if (publish_seconds > 0) {
                publisher = dial();
                if (protocol == MQTT) send_all(publisher, "\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00", 14);
                else send_all(publisher, "CONNECT {\"verbose\":false,\"pedantic\":false}\r\n", 44);
            }
        }
        if (publisher >= 0) publish(publisher);
        int n = epoll_wait(epoll, events, 1024, publisher >= 0 ? 1 : 1000);
        uint64_t before = messages, bytes_before = wire_bytes;
        for (int i = 0; i < n; i++) {
            struct connection *c = events[i].data.ptr;
            if (c) {
                if (!c->closed) on_readable(c);
                continue;
            }
            char line[256];
            if (read(0, line, sizeof line) <= 0) stopped = true;
        }
        take_time(before);
        if (wire_bytes != bytes_before) heard = now();
        /*
         * While counting, a nap instead of a sleep in epoll_wait(): a server's send() then need not wake this thread,
         * which spares the servers that write little at a time a large part of their time, and lets reads gather.
         */
        if (!match_text && messages != before && wire_bytes - bytes_before < (uint64_t)n * NAP_BYTES)
            nanosleep(&(struct timespec){.tv_nsec = NAP_NS}, NULL);
        bool waiting_for_work = announced && (match_text || !first_at);
        if (!waiting_for_work && now() - heard > (int64_t)(idle_limit * 1e9)) stopped = true;
    }
    report();
    return 0;
}
