// The times of single calls.

#include "native.h"

static double ns_per_tick = 1;
static uint64_t overhead; // the cost of two readings with nothing between them

void latency_start(void) {
	uint64_t from_ns = clock_ns(), from = ticks(), to_ns;
	do {
		to_ns = clock_ns();
	} while (to_ns - from_ns < 10 * 1000 * 1000);
	ns_per_tick = (double)(to_ns - from_ns) / (double)(ticks() - from);

	overhead = UINT64_MAX;
	for (int i = 0; i < 1000; i++) {
		uint64_t a = ticks(), b = ticks();
		if (b - a < overhead)
			overhead = b - a;
	}
}

static size_t bucket_of(uint64_t v) {
	if (v < 16)
		return v;
	unsigned shift = 63 - (unsigned)__builtin_clzll(v) - 4; // v>>shift has five bits, the first of them 1
	return shift * 16 + (v >> shift);
}

// bucket_least is the inverse: the least value of a bucket.
static uint64_t bucket_least(size_t bucket) {
	if (bucket < 32)
		return bucket;
	unsigned shift = (unsigned)(bucket / 16 - 1);
	return (uint64_t)(bucket % 16 + 16) << shift;
}

void latency_add(struct histogram *h, uint64_t ticks) {
	// The clocks of two processors may differ slightly, and a thread can move between readings.
	if ((int64_t)ticks < 0 || ticks < overhead)
		ticks = 0;
	else
		ticks -= overhead;
	h->count++;
	if (ticks > h->max)
		h->max = ticks;
	h->buckets[bucket_of(ticks)]++;
}

void latency_merge(struct histogram *into, const struct histogram *from) {
	into->count += from->count;
	if (from->max > into->max)
		into->max = from->max;
	for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
		into->buckets[i] += from->buckets[i];
}

double latency_quantile(const struct histogram *h, unsigned permille) {
	uint64_t rank = (h->count * permille + 999) / 1000, seen = 0;
	for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
		seen += h->buckets[i];
		if (seen >= rank && seen > 0)
			return (double)bucket_least(i) * ns_per_tick;
	}
	return 0;
}

double latency_max(const struct histogram *h) {
	return (double)h->max * ns_per_tick;
}
