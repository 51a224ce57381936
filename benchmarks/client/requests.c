/*
 * requests: a closed loop of GET requests, with --post of POSTs of that body, over keep-alive connections (one request in
 * flight on each).
 *
 * Every answer must have the status 200 and, with --body, that Content-Length; anything else is counted as an error. The first
 * --warmup seconds are not counted. Prints one line of JSON: requests a second and the latency's p50 and p99.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BUFFER = 64 * 1024, BUCKETS = 1000 * 1000 };

struct connection {
    int fd;
    int64_t sent_at;
    size_t length;
    char data[BUFFER];
};

static int port, connections = 32, epoll;
static const char *path = "/", *posted;
static char headers[4096], request[8192];
static size_t request_length;
static double seconds = 3.0, warmup = 0.5;
static long body_size = -1;
static uint64_t answered, all, errors; /* answered: after the warm-up */
static uint32_t histogram[BUCKETS]; /* by microsecond; the last bucket takes all that is slower */

static int64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void stop(const char *what) {
    perror(what);
    exit(1);
}

static void ask(struct connection *c) {
    c->length = 0;
    c->sent_at = now();
    if (send(c->fd, request, request_length, MSG_NOSIGNAL) != (ssize_t)request_length) stop("requests: send");
}

static void on_readable(struct connection *c, int counting) {
    ssize_t n = recv(c->fd, c->data + c->length, BUFFER - 1 - c->length, 0);
    if (n <= 0) stop("requests: the server closed the connection");
    c->length += (size_t)n;
    c->data[c->length] = 0;
    char *end = memmem(c->data, c->length, "\r\n\r\n", 4);
    if (!end) return;
    *end = 0;
    const char *size_header = strcasestr(c->data, "\r\ncontent-length:");
    if (!size_header) {
        fprintf(stderr, "requests: an answer without Content-Length: %s\n", c->data);
        exit(1);
    }
    long size = strtol(size_header + 17, NULL, 10);
    *end = '\r';
    if (c->length < (size_t)(end + 4 - c->data) + (size_t)size) return;
    if (memcmp(c->data + 8, " 200 ", 5) != 0 || (body_size >= 0 && size != body_size)) {
        if (errors++ == 0) fprintf(stderr, "requests: unexpected answer: %s\n", c->data);
    }
    all++;
    if (counting) {
        int64_t took = (now() - c->sent_at) / 1000;
        histogram[took < BUCKETS ? took : BUCKETS - 1]++;
        answered++;
    }
    ask(c);
}

static long percentile(double share) {
    uint64_t rank = (uint64_t)((double)answered * share), seen = 0;
    for (long i = 0; i < BUCKETS; i++)
        if ((seen += histogram[i]) > rank) return i;
    return BUCKETS;
}

static double cpu_seconds(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

int main(int argc, char **argv) {
    for (int i = 1; i + 1 < argc; i += 2) {
        if (!strcmp(argv[i], "--port")) port = atoi(argv[i + 1]);
        if (!strcmp(argv[i], "--path")) path = argv[i + 1];
        if (!strcmp(argv[i], "--connections")) connections = atoi(argv[i + 1]);
        if (!strcmp(argv[i], "--seconds")) seconds = atof(argv[i + 1]);
        if (!strcmp(argv[i], "--warmup")) warmup = atof(argv[i + 1]);
        if (!strcmp(argv[i], "--body")) body_size = atol(argv[i + 1]);
        if (!strcmp(argv[i], "--post")) posted = argv[i + 1];
        if (!strcmp(argv[i], "--header")) strncat(strncat(headers, argv[i + 1], 2000), "\r\n", 3);
    }
    if (posted) snprintf(headers + strlen(headers), 64, "Content-Length: %zu\r\n", strlen(posted));
    request_length = (size_t)snprintf(request, sizeof request, "%s %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n%s\r\n%s",
                                      posted ? "POST" : "GET", path, port, headers, posted ? posted : "");
    epoll = epoll_create1(0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (int i = 0; i < connections; i++) {
        struct connection *c = calloc(1, sizeof *c);
        int one = 1;
        c->fd = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(c->fd, (struct sockaddr *)&to, sizeof to) < 0) stop("requests: connect");
        setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
        epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event);
        ask(c);
    }
    int64_t begin = now() + (int64_t)(warmup * 1e9), end = begin + (int64_t)(seconds * 1e9);
    double cpu_begin = 0;
    int counting = 0;
    for (int64_t clock = now(); clock < end; clock = now()) {
        struct epoll_event events[256];
        if (!counting && clock >= begin) {
            counting = 1;
            cpu_begin = cpu_seconds();
        }
        int n = epoll_wait(epoll, events, 256, 100);
        for (int i = 0; i < n; i++) on_readable(events[i].data.ptr, counting);
    }
    printf("{\"requests\": %llu, \"all\": %llu, \"errors\": %llu, \"rate\": %.1f, \"p50_us\": %ld, \"p99_us\": %ld, \"cpu\": %.4f}\n",
           (unsigned long long)answered, (unsigned long long)all, (unsigned long long)errors, (double)answered / seconds, percentile(0.5),
           percentile(0.99), (cpu_seconds() - cpu_begin) / seconds);
    return 0;
}
