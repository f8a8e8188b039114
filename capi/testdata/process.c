// A host in C: forks, signals, ends of threads. Each case is a separate process. It is linked with
// libgalloc.
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "../galloc.h"
#include "check.h"

extern char **environ;

// Threads that allocate all the time, which makes the child of a fork hang if it calls Go.
enum { THREADS = 3 };

static pthread_t threads[THREADS];
static int stop;

static void *churn(void *arg) {
	(void)arg;
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		void *p[50];
		for (size_t i = 0; i < 50; i++) p[i] = galloc_alloc(16 + i * 100, 16);
		for (size_t i = 0; i < 50; i++) galloc_dealloc(p[i], 16 + i * 100, 16);
	}
	return NULL;
}

static void begin_churn(void) {
	stop = 0;
	for (int i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, churn, NULL) == 0);
}

static void end_churn(void) {
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	for (int i = 0; i < THREADS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
}

static void expect_success(pid_t pid) {
	int status;
	CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
	CHECK(!(WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM), "the child hangs");
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %#x", status);
}

static void exec_true(void) {
	execl("/bin/sh", "sh", "-c", "exit 0", (char *)NULL);
	_exit(99);
}

// in_child uses all functions where only the arena is available. old is a block of 100 bytes from
// before the fork, all 'x'.
static void in_child(char *old) {
	alarm(60); // ends a child that hangs
	CHECK(strstr(galloc_name(), "arena") != NULL, "%s", galloc_name());
	char *last = NULL;
	for (size_t align = 1; align <= 64 << 10; align *= 4) for (size_t size = 1; size < 100000; size = size * 3 + 1) {
		char *p = galloc_alloc(size, align);
		CHECK(p != NULL && p != last && (uintptr_t)p % align == 0, "size %zu, align %zu: %p", size, align, p);
		memset(p, 'y', size);
		char *q = galloc_alloc_zeroed(size, align);
		CHECK(q != NULL && (q >= p + size || q + size <= p));
		for (size_t i = 0; i < size; i++) CHECK(q[i] == 0);
		p = galloc_reallocate(p, size, 2 * size, align);
		CHECK(p != NULL && (uintptr_t)p % align == 0);
		for (size_t i = 0; i < size; i++) CHECK(p[i] == 'y');
		CHECK(galloc_usable_size(size, align) == size && galloc_reallocate_inplace(p, 2 * size, size, align) == 2 * size);
		galloc_deallocate(p, 2 * size, align);
		galloc_dealloc(q, size, align);
		last = q;
	}
	old = galloc_realloc(old, 100, 1, 200);
	for (int i = 0; i < 100; i++) CHECK(old[i] == 'x');
	galloc_dealloc(old, 200, 1);

	CHECK(galloc_alloc(0, 4096) != NULL && (uintptr_t)galloc_allocate(0, 4096) % 4096 == 0);
	CHECK(galloc_alloc(8, 3) == NULL && galloc_alloc(SIZE_MAX, 1) == NULL && galloc_alloc((size_t)PTRDIFF_MAX - 64, 1) == NULL);
	CHECK(galloc_realloc(old, 200, 1, SIZE_MAX) == NULL && galloc_realloc(old, 200, 3, 10) == NULL);
	CHECK(galloc_alloc(8, 8) != NULL);
}

static void fork_without_exec(void) {
	begin_churn();
	for (int i = 0; i < 60; i++) {
		char *old = galloc_alloc(100, 1);
		memset(old, 'x', 100);
		pid_t pid = fork();
		if (pid == 0) {
			in_child(old);
			switch (i % 4) {
			case 0: _exit(0);
			case 1: exit(0); // runs atexit handlers and destructors
			case 2: exec_true();
			}
			pid = fork(); // a child of a child
			if (pid == 0) {
				in_child(old);
				_exit(0);
			}
			expect_success(pid);
			_exit(0);
		}
		expect_success(pid);
		galloc_dealloc(old, 100, 1);
	}
	end_churn();
	CHECK(strstr(galloc_name(), "arena") == NULL, "%s", galloc_name());
}

// When the arena is used up, the result is NULL. Threads of the child share it, and begin at once,
// so that they meet.
enum { TAKERS = 4, TAKEN = sizeof(size_t) == 8 ? 300000 : 10000 };

static unsigned char *taken[TAKERS][TAKEN];
static int takers;

static void *take(void *arg) {
	unsigned char **to = arg;
	__atomic_fetch_add(&takers, 1, __ATOMIC_RELAXED);
	while (__atomic_load_n(&takers, __ATOMIC_RELAXED) < TAKERS) {
	}
	for (int i = 0; i < TAKEN; i++) CHECK((to[i] = galloc_alloc(8, 8)) != NULL);
	for (int i = 0; i < TAKEN; i++) memset(to[i], (int)((to - taken[0]) / TAKEN), 8);
	return NULL;
}

static void arena_ends(void) {
	pid_t pid = fork();
	if (pid == 0) {
		alarm(60);
		for (int round = 0; round < 5; round++) {
			pthread_t t[TAKERS];
			takers = 0;
			for (int i = 0; i < TAKERS; i++) CHECK(pthread_create(&t[i], NULL, take, taken[i]) == 0);
			for (int i = 0; i < TAKERS; i++) CHECK(pthread_join(t[i], NULL) == 0);
			for (int i = 0; i < TAKERS; i++)
				for (int j = 0; j < TAKEN; j++)
					for (int k = 0; k < 8; k++) CHECK(taken[i][j][k] == i, "block %d of thread %d", j, i);
		}
		size_t sum = 0, size = 10 << 20;
		while (galloc_alloc(size, 8) != NULL) sum += size;
		CHECK(sum > (size_t)50 << 20 && sum <= (size_t)1 << 30, "%zu bytes", sum);
		while (galloc_alloc(1, 1) != NULL) sum++;
		CHECK(galloc_alloc(1, 1) == NULL && galloc_alloc(1, 4096) == NULL && galloc_alloc(0, 8) != NULL);
		_exit(0);
	}
	expect_success(pid);
}

// If there is no room for a large arena, the child gets a small one.
static void arena_small(void) {
	void *p = galloc_alloc(100, 8);
	pid_t pid = fork();
	if (pid == 0) {
		struct rlimit none = {0, 0};
		CHECK(setrlimit(RLIMIT_AS, &none) == 0);
		pid = fork(); // has the arena of its parent
		if (pid == 0) {
			CHECK(galloc_alloc(100, 8) != NULL);
			_exit(0);
		}
		expect_success(pid);
		_exit(0);
	}
	expect_success(pid);

	struct rlimit none = {0, RLIM_INFINITY}, was;
	CHECK(getrlimit(RLIMIT_AS, &was) == 0);
	none.rlim_max = was.rlim_max;
	CHECK(setrlimit(RLIMIT_AS, &none) == 0);
	pid = fork();
	if (pid == 0) {
		// Without an arena, a call neither hangs nor crashes.
		CHECK(galloc_alloc(100, 8) == NULL && galloc_realloc(p, 100, 8, 200) == NULL);
		galloc_dealloc(p, 100, 8);
		_exit(0);
	}
	CHECK(setrlimit(RLIMIT_AS, &was) == 0);
	expect_success(pid);
}

static void fork_then_exec(void) {
	begin_churn();
	for (int i = 0; i < 50; i++) {
		pid_t pid = fork();
		if (pid == 0) exec_true();
		expect_success(pid);
		char *args[] = {"sh", "-c", "exit 0", NULL};
		CHECK(posix_spawn(&pid, "/bin/sh", NULL, NULL, args, environ) == 0);
		expect_success(pid);
		CHECK(system("exit 0") == 0);
	}
	end_churn();
}

// Signals that arrive all the time, at threads in Go too. The handler has SA_ONSTACK, and allocates
// nothing.
static int signals;

static void on_signal(int s) {
	(void)s;
	volatile char stack[4096]; // more than a small stack has left
	stack[0] = 1;
	stack[4095] = stack[0];
	__atomic_fetch_add(&signals, 1, __ATOMIC_RELAXED);
}

static void signal_handlers(void) {
	struct sigaction act = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK | SA_RESTART}, was;
	CHECK(sigaction(SIGALRM, &act, NULL) == 0);
	begin_churn();
	struct itimerval often = {{0, 500}, {0, 500}}, never = {{0, 0}, {0, 0}};
	CHECK(setitimer(ITIMER_REAL, &often, NULL) == 0);
	while (__atomic_load_n(&signals, __ATOMIC_RELAXED) < 300) {
		for (int i = 0; i < THREADS; i++) pthread_kill(threads[i], SIGALRM);
		galloc_dealloc(galloc_alloc(100, 8), 100, 8);
	}
	CHECK(setitimer(ITIMER_REAL, &never, NULL) == 0);
	end_churn();

	// Go's runtime has installed its handlers on the alternate stack, as the README says.
	static const int go[] = {SIGSEGV, SIGBUS, SIGFPE, SIGPIPE, SIGURG}, host[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGCHLD, SIGPROF};
	for (size_t i = 0; i < sizeof go / sizeof *go; i++) {
		CHECK(sigaction(go[i], NULL, &was) == 0);
		CHECK(was.sa_handler != SIG_DFL && (was.sa_flags & SA_ONSTACK) != 0, "%s: flags %#x", strsignal(go[i]), (unsigned)was.sa_flags);
	}
	// The other signals are the host's.
	for (size_t i = 0; i < sizeof host / sizeof *host; i++) {
		CHECK(sigaction(host[i], NULL, &was) == 0);
		CHECK(was.sa_handler == SIG_DFL, "%s has a handler", strsignal(host[i]));
	}
}

// A crash in C is a crash: Go's handler passes it on.
static void crash(void) {
	galloc_dealloc(galloc_alloc(100, 8), 100, 8);
	pid_t pid = fork();
	if (pid == 0) {
		struct rlimit no_core = {0, 0};
		setrlimit(RLIMIT_CORE, &no_core);
		*(volatile int *)8 = 1;
		_exit(0);
	}
	int status;
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV, "status %#x", status);
}

// Blocks that threads leave to destructors: of keys that were made before and after the first call,
// again and again in one thread, since a destructor may leave another block; and of threads that
// have allocated nothing themselves.
static pthread_key_t keys[6];
static int destroyed;

struct left {
	int key, more;
	char rest[200];
};

static void leave(int key, int more) {
	struct left *l = galloc_alloc_zeroed(sizeof *l, 8);
	CHECK(l != NULL);
	l->key = key;
	l->more = more;
	CHECK(pthread_setspecific(keys[key], l) == 0);
}

static void destroy(void *p) {
	struct left l = *(struct left *)p;
	galloc_dealloc(p, sizeof l, 8);
	__atomic_fetch_add(&destroyed, 1, __ATOMIC_RELAXED);
	if (l.more > 0) leave(l.key, l.more - 1);
}

static void *leaving(void *arg) {
	if (arg != NULL) // a thread whose first call is in a destructor
		CHECK(pthread_setspecific(keys[0], arg) == 0);
	else
		for (int i = 0; i < 6; i++) leave(i, 2);
	return NULL;
}

static void thread_exit(void) {
	for (int i = 0; i < 3; i++) CHECK(pthread_key_create(&keys[i], destroy) == 0);
	galloc_dealloc(galloc_alloc(1, 1), 1, 1);
	for (int i = 3; i < 6; i++) CHECK(pthread_key_create(&keys[i], destroy) == 0);
	for (int round = 0; round < 60; round++) {
		pthread_t t[6];
		for (int i = 0; i < 6; i++) {
			struct left *given = i < 3 ? galloc_alloc_zeroed(sizeof *given, 8) : NULL;
			CHECK(pthread_create(&t[i], NULL, leaving, given) == 0);
		}
		for (int i = 0; i < 6; i++) CHECK(pthread_join(t[i], NULL) == 0);
	}
	CHECK(destroyed == 60 * 3 * (1 + 6 * 3), "%d", destroyed);
}

MAIN({"fork without exec", fork_without_exec}, {"arena ends", arena_ends}, {"arena small", arena_small}, {"fork then exec", fork_then_exec},
	{"signal handlers", signal_handlers}, {"crash", crash}, {"thread exit", thread_exit})
