// The command: native NAME [key=value...]

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "native.h"

static const struct workload *const workloads[] = {
	&larson,       &xmalloc_test, &mstress, &rptest, &sh6bench,    &cache_scratch, &cache_thrash, &alloc_test, &glibc_simple,
	&glibc_thread, &malloc_large, &slots,   &growth, &random_free, &pair,          &batch,        &trace,
};

enum { WORKLOADS = sizeof workloads / sizeof workloads[0] };

struct param common[] = {
	[THREADS] = {.name = "threads", .value = 1, .least = 1, .most = 1024},
	[SEED] = {.name = "seed", .value = 4141, .most = UINT64_MAX},
	[LATENCY] = {.name = "latency", .most = 1},
	[SETTLE] = {.name = "settle", .most = 3600 * 1000},
	{0},
};

static const struct workload *chosen; // NULL until the name has been read

// The answer, which is written at once.
static struct {
	char text[8192];
	size_t len;
} answer;

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void say(const char *format, ...) {
	va_list args;
	va_start(args, format);
	size_t room = sizeof answer.text - answer.len;
	int n = vsnprintf(answer.text + answer.len, room, format, args);
	va_end(args);
	if (n > 0)
		answer.len += (size_t)n < room ? (size_t)n : room - 1;
}

// say_text adds a JSON string. Bytes outside of ASCII, which can only come from the command line,
// are assumed to be UTF-8.
static void say_text(const char *s) {
	say("\"");
	for (; *s != 0; s++) {
		unsigned char c = (unsigned char)*s;
		if (c == '"' || c == '\\')
			say("\\%c", c);
		else if (c < 0x20)
			say("\\u%04x", c);
		else
			say("%c", c);
	}
	say("\"");
}

static void send_answer(void) {
	say("\n");
	for (size_t sent = 0; sent < answer.len;) {
		ssize_t n = write(STDOUT_FILENO, answer.text + sent, answer.len - sent);
		if (n < 0 && errno != EINTR)
			_exit(1); // the error cannot be reported
		if (n > 0)
			sent += (size_t)n;
	}
}

void fail(const char *format, ...) {
	static atomic_flag failed = ATOMIC_FLAG_INIT;
	while (atomic_flag_test_and_set(&failed))
		pause(); // another thread is about to end the process
	static char message[2048];
	va_list args;
	va_start(args, format);
	vsnprintf(message, sizeof message, format, args);
	va_end(args);
	answer.len = 0;
	say("{\"workload\":");
	say_text(chosen == NULL ? "" : chosen->name);
	say(",\"error\":");
	say_text(message);
	say("}");
	send_answer();
	_exit(1);
}

// The command line.

static void choose(const char *name) {
	char all[512] = "";
	for (size_t i = 0; i < WORKLOADS; i++) {
		if (name != NULL && strcmp(workloads[i]->name, name) == 0) {
			chosen = workloads[i];
			return;
		}
		strcat(strcat(all, i == 0 ? "" : ", "), workloads[i]->name);
	}
	if (name == NULL)
		fail("usage: native NAME [key=value...], where NAME is one of %s", all);
	fail("unknown workload \"%s\": the workloads are %s", name, all);
}

static struct param *find_param(struct param *params, const char *key, size_t len) {
	for (; params != NULL && params->name != NULL; params++) {
		if (strlen(params->name) == len && memcmp(params->name, key, len) == 0)
			return params;
	}
	return NULL;
}

static void set(const char *setting) {
	const char *equals = strchr(setting, '=');
	size_t len = equals == NULL ? strlen(setting) : (size_t)(equals - setting);
	struct param *p = find_param(common, setting, len);
	if (p == NULL)
		p = find_param(chosen->params, setting, len);
	if (p == NULL) {
		char all[512] = "";
		for (struct param *q = common; q->name != NULL; q++)
			strcat(strcat(all, q == common ? "" : ", "), q->name);
		for (struct param *q = chosen->params; q != NULL && q->name != NULL; q++)
			strcat(strcat(all, ", "), q->name);
		fail("%s has no parameter \"%.*s\": the parameters are %s", chosen->name, (int)len, setting, all);
	}
	if (equals == NULL)
		fail("%s: \"%s\" has no value: write %s=...", chosen->name, setting, p->name);
	const char *value = equals + 1;
	if (p->is_text) {
		p->text = value;
		return;
	}
	char *end;
	errno = 0;
	p->value = strtoull(value, &end, 10);
	// strtoull also accepts signs and spaces.
	if (*value < '0' || *value > '9' || *end != 0 || errno != 0 || p->value < p->least || p->value > p->most)
		fail("%s: %s must be a number from %llu to %llu, not \"%s\"", chosen->name, p->name, (unsigned long long)p->least,
			(unsigned long long)p->most, value);
}

static void check_range(void) {
	const struct param *min = find_param(chosen->params, "min", 3), *max = find_param(chosen->params, "max", 3);
	if (min != NULL && max != NULL && min->value >= max->value)
		fail("%s: min must be less than max", chosen->name);
}

// The result.

static void say_number(const char *key, uint64_t n) {
	say(",\"%s\":%llu", key, (unsigned long long)n);
}

// add_up adds the counts of a thread to the boss's counts.
static void add_up(const struct thread *t) {
	boss.allocs += t->allocs;
	boss.bytes += t->bytes;
	boss.ops += t->ops;
	if (boss.histogram != NULL)
		latency_merge(boss.histogram, t->histogram);
}

int main(int argc, char **argv) {
	choose(argc > 1 ? argv[1] : NULL);
	for (int i = 2; i < argc; i++)
		set(argv[i]);
	check_range();
	allocator_start();
	if (common[LATENCY].value != 0)
		latency_start();
	chosen->prepare();
	base_memory();
	chosen->run();
	uint64_t peak = peak_memory();
	uint64_t settle = common[SETTLE].value, end = 0;
	if (settle > 0) {
		struct timespec rest = {.tv_sec = (time_t)(settle / 1000), .tv_nsec = (long)(settle % 1000) * 1000000};
		while (nanosleep(&rest, &rest) != 0 && errno == EINTR)
			;
		end = resident();
	}

	for (size_t i = 0; i < crew_size; i++)
		add_up(&crew[i]);
	say("{\"workload\":");
	say_text(chosen->name);
	say(",\"allocator\":");
	say_text(allocator_name());
	say_number("threads", chosen == &trace ? crew_size : common[THREADS].value);
	say_number("ops", boss.ops);
	if (boss.histogram == NULL)
		say_number("ns", measured_ns);
	for (size_t i = 0; boss.histogram == NULL && i < round_count; i++)
		say("%s%llu%s", i == 0 ? ",\"rounds\":[" : ",", (unsigned long long)round_ns[i], i + 1 == round_count ? "]" : "");
	say_number("allocs", boss.allocs);
	say_number("bytes", boss.bytes);
	say_number("peak_rss", peak);
	if (settle > 0)
		say_number("end_rss", end);
	if (boss.histogram != NULL) {
		const struct histogram *h = boss.histogram;
		say_number("calls", h->count);
		say(",\"p50\":%.1f,\"p99\":%.1f,\"p999\":%.1f,\"max\":%.1f", latency_quantile(h, 500), latency_quantile(h, 990),
			latency_quantile(h, 999), latency_max(h));
	}
	say(",\"error\":\"\"}");
	send_answer();
	return 0;
}
