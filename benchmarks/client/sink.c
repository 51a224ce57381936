/*
 * sink: the fastest server that the machine allows, to find the ceiling of the counting client.
 *
 * It accepts --count connections, answers their handshake (ws, sse, nats or mqtt), and after a line "feed <seconds>" on
 * standard input writes blocks of --burst ready-made frames of --size bytes to each in turn. Only the counters inside
 * the block change from round to round, so nearly all of its time is spent in send().
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { DIGITS = 10, LEAD = 20 };

static const char *protocol = "ws";
static int count = 1000, burst = 100, size = 300;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void send_all(int fd, const char *data, size_t length) {
    while (length > 0) {
        ssize_t n = send(fd, data, length, MSG_NOSIGNAL);
        if (n <= 0) {
            perror("sink: send");
            exit(1);
        }
        data += n;
        length -= (size_t)n;
    }
}

static void shake(int fd) {
    char request[16384];
    bool nats = !strcmp(protocol, "nats");
    if (!strcmp(protocol, "mqtt")) { /* CONNECT has 14 bytes here; SUBSCRIBE says how many it has */
        size_t had = 0;
        while (had < 16 || had < 16 + (size_t)request[15]) {
            ssize_t n = recv(fd, request + had, sizeof request - had, 0);
            if (n <= 0) exit(1);
            had += (size_t)n;
        }
        send_all(fd, "\x20\x02\x00\x00\x90\x03\x00\x01\x00", 9);
        return;
    }
    const char *end = nats ? "PING\r\n" : "\r\n\r\n", *answer = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
                                                               "Upgrade: websocket\r\n\r\n";
    size_t length = 0;
    if (nats) send_all(fd, "INFO {}\r\n", 9);
    do {
        ssize_t n = recv(fd, request + length, sizeof request - 1 - length, 0);
        if (n <= 0) exit(1);
        length += (size_t)n;
        request[length] = 0;
    } while (!strstr(request, end));
    if (nats) answer = "PONG\r\n";
    if (!strcmp(protocol, "sse"))
        answer = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    send_all(fd, answer, strlen(answer));
}

/* Appends one frame to the block; returns the place of its counter. */
static char *frame(char **at) {
    char *start;
    if (!strcmp(protocol, "ws")) {
        *(*at)++ = (char)0x81;
        *(*at)++ = 126;
        *(*at)++ = (char)(size >> 8);
        *(*at)++ = (char)size;
    } else if (!strcmp(protocol, "mqtt")) {
        *(*at)++ = 0x30;
        *(*at)++ = (char)((size + 8) | 0x80);
        *(*at)++ = (char)((size + 8) >> 7);
        *(*at)++ = 0;
        *(*at)++ = 6;
        *at += sprintf(*at, "events");
    } else if (!strcmp(protocol, "nats")) {
        *at += sprintf(*at, "MSG events 1 %d\r\n", size);
    } else {
        *at += sprintf(*at, "data: ");
    }
    start = *at;
    memset(start, 'x', (size_t)size);
    start[LEAD] = '^';
    *at += size;
    if (!strcmp(protocol, "nats")) *at += sprintf(*at, "\r\n");
    if (!strcmp(protocol, "sse")) *at += sprintf(*at, "\n\n");
    return start + LEAD + 1;
}

static uint64_t feed(const int *fds, double seconds) {
    char *block = malloc((size_t)burst * (size_t)(size + 64) + 64), **counters = calloc((size_t)burst, sizeof *counters);
    char *at = block + 16; /* room for the head of the chunk */
    for (int i = 0; i < burst; i++) counters[i] = frame(&at);
    char *start = block + 16;
    if (!strcmp(protocol, "sse")) {
        char head[17];
        int n = sprintf(head, "%lx\r\n", (unsigned long)(at - start));
        start -= n;
        memcpy(start, head, (size_t)n);
        at += sprintf(at, "\r\n");
    }
    uint64_t sent = 0;
    double end = now() + seconds;
    bool last = false;
    while (!last) {
        last = now() >= end;
        for (int i = 0; i < burst; i++) {
            char digits[DIGITS + 2];
            snprintf(digits, sizeof digits, "%0*llu", DIGITS, (unsigned long long)++sent);
            memcpy(counters[i], digits, DIGITS);
            counters[i][DIGITS] = last && i == burst - 1 ? '!' : '.';
        }
        for (int i = 0; i < count; i++) send_all(fds[i], start, (size_t)(at - start));
    }
    return sent;
}

int main(int argc, char **argv) {
    for (int i = 1; i + 1 < argc; i += 2) {
        if (!strcmp(argv[i], "--protocol")) protocol = argv[i + 1];
        if (!strcmp(argv[i], "--count")) count = atoi(argv[i + 1]);
        if (!strcmp(argv[i], "--burst")) burst = atoi(argv[i + 1]);
        if (!strcmp(argv[i], "--size")) size = atoi(argv[i + 1]);
    }
    struct sockaddr_in here = {.sin_family = AF_INET};
    socklen_t length = sizeof here;
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    if (bind(listener, (struct sockaddr *)&here, sizeof here) || listen(listener, 4096)) return perror("sink"), 1;
    getsockname(listener, (struct sockaddr *)&here, &length);
    printf("port %d\n", ntohs(here.sin_port));
    fflush(stdout);
    int *fds = calloc((size_t)count, sizeof *fds);
    for (;;) { /* one round for each set of subscribers */
        for (int i = 0; i < count; i++) {
            fds[i] = accept(listener, NULL, NULL);
            setsockopt(fds[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
            shake(fds[i]);
        }
        double seconds;
        if (scanf(" feed %lf", &seconds) != 1) return 0;
        printf("fed %llu\n", (unsigned long long)feed(fds, seconds));
        fflush(stdout);
        for (int i = 0; i < count; i++) close(fds[i]);
    }
}
