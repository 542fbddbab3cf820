/* The least that a fan-out over WebSocket costs: one send(2) for each client and message.
 *
 *   floor PORT
 *
 * It answers handshakes on the port, without looking at the key, and puts each connection
 * into the room that its query names (room=r<number>). Each line of standard input
 *
 *   ROOMS START N PAYLOAD
 *
 * has it send the event "m" with that string N times, the i-th to the room (START + i) modulo
 * ROOMS, or, where ROOMS is 0, to everybody; then it writes a line. What does not fit into a
 * socket's buffer at once ends it. */

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { most_rooms = 4096, most_sockets = 65536 };

struct members {
	int *fd;
	int count, room;
};

static struct members everybody, rooms[most_rooms];
static char joined[most_sockets];

static void fail(const char *what) {
	perror(what);
	exit(1);
}

static void add(struct members *m, int fd) {
	if (m->count == m->room) {
		m->room = 2 * m->room + 8;
		if (!(m->fd = realloc(m->fd, sizeof(int) * m->room))) fail("realloc");
	}
	m->fd[m->count++] = fd;
}

static void to_all(const struct members *m, const char *frame, ssize_t size) {
	for (int i = 0; i < m->count; i++)
		if (send(m->fd[i], frame, size, MSG_DONTWAIT | MSG_NOSIGNAL) != size) fail("send");
}

static void emit(char *line) {
	int count, start, n, at;
	char frame[1200], body[1100];
	if (sscanf(line, "%d %d %d %n", &count, &start, &n, &at) != 3) fail("a line");
	line[strcspn(line, "\n")] = 0;
	int size = snprintf(body, sizeof body, "42[\"m\",\"%s\"]", line + at), head = 2;
	frame[0] = (char)0x81;
	if (size < 126) {
		frame[1] = size;
	} else {
		frame[1] = 126, frame[2] = size >> 8, frame[3] = size, head = 4;
	}
	memcpy(frame + head, body, size);
	for (int i = 0; i < n; i++) to_all(count ? &rooms[(start + i) % count] : &everybody, frame, head + size);
	if (write(1, "ok\n", 3) != 3) fail("write");
}

static void take(int fd) {
	static const char answer[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
	static const char open[] = "\x81\x02" "0{" "\x81\x04" "40{}";
	char request[4096];
	ssize_t n = read(fd, request, sizeof request - 1);
	if (n <= 0) { /* the clients leave together, at the end */
		close(fd);
		return;
	}
	if (joined[fd]) return; /* a CONNECT */
	request[n] = 0;
	const char *in = strstr(request, "room=r");
	joined[fd] = 1;
	add(&everybody, fd);
	if (in) add(&rooms[atoi(in + 6) % most_rooms], fd);
	if (send(fd, answer, sizeof answer - 1, MSG_NOSIGNAL) < 0 || send(fd, open, sizeof open - 1, MSG_NOSIGNAL) < 0) fail("send");
}

int main(int argc, char **argv) {
	if (argc != 2) return 2;
	int listener = socket(AF_INET, SOCK_STREAM, 0), poll = epoll_create1(0), yes = 1;
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
	if (bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, 4096)) fail("listen");
	struct epoll_event e = {.events = EPOLLIN, .data.fd = listener};
	epoll_ctl(poll, EPOLL_CTL_ADD, listener, &e);
	e.data.fd = 0;
	epoll_ctl(poll, EPOLL_CTL_ADD, 0, &e);
	for (;;) {
		struct epoll_event ready[64];
		int n = epoll_wait(poll, ready, 64, -1);
		for (int i = 0; i < n; i++) {
			int fd = ready[i].data.fd;
			if (fd == 0) {
				static char waiting[65536];
				static size_t has;
				ssize_t got = read(0, waiting + has, sizeof waiting - 1 - has);
				if (got <= 0) return 0;
				has += got;
				for (char *end; (end = memchr(waiting, '\n', has));) {
					size_t line = end + 1 - waiting;
					char one[2048];
					if (line >= sizeof one) return 1;
					memcpy(one, waiting, line);
					one[line] = 0;
					memmove(waiting, end + 1, has -= line);
					emit(one);
				}
			} else if (fd == listener) {
				int c = accept(listener, 0, 0);
				if (c < 0 || c >= most_sockets) fail("accept");
				setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
				joined[c] = 0;
				e.events = EPOLLIN, e.data.fd = c;
				epoll_ctl(poll, EPOLL_CTL_ADD, c, &e);
			} else {
				take(fd);
			}
		}
	}
}
