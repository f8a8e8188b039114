// sh6bench: waves of sizes, freed first-in-first-out and last-in-first-out.

#include "native.h"

enum { CALLS, MIN, MAX };

static struct param params[] = {
	[CALLS] = {.name = "calls", .value = 2000, .least = 1, .most = MOST_SLOTS},
	[MIN] = {.name = "min", .value = 1, .least = 1, .most = MOST_SIZE},
	[MAX] = {.name = "max", .value = 1000, .least = 2, .most = MOST_SIZE},
	{0},
};

static void prepare(void) {
	uint64_t threads = common[THREADS].value;
	if (params[CALLS].value < threads)
		fail("sh6bench: calls must not be less than threads");
	crew_prepare(threads, params[CALLS].value / threads);
}

static void empty(struct thread *t, struct slot *s) {
	if (s->p == NULL)
		return;
	block_free(t, s->p);
	s->p = NULL;
}

static void work(struct thread *t) {
	uint64_t passes = t->slot_count, min = params[MIN].value, max = params[MAX].value;
	struct slot *begin = t->slots, *end = begin + t->slot_count;
	struct slot *mp = begin, *save_start = begin, *save_end = begin; // blocks between save_start and save_end are kept for a pass
	for (uint64_t pass = 0; pass < passes; pass++) {
		for (uint64_t base = 1; base < max; base = base * 3 / 2 + 1) {
			for (uint64_t size = base; size >= min; size /= 2) {
				unsigned n = size < 100 ? 250 : 50;
				t->ops += n;
				while (n-- > 0) {
					mp->size = size;
					mp->p = block_alloc(t, size);
					mp->p[0] = 1;
					mp->p[size - 1] = 1;
					mp++;
					if (mp == save_start && save_start != save_end)
						mp = save_end;
					if (mp < end)
						continue;
					mp = begin;
					save_start = save_end == end ? begin : save_end;
					size_t step = t->slot_count / 5, room = (size_t)(end - save_start);
					save_end = save_start + (step < room ? step : room);
					for (struct slot *s = begin; s < save_start; s++)
						empty(t, s);
					for (struct slot *s = end; s > save_end;)
						empty(t, --s);
					if (save_start == begin)
						mp = save_end;
				}
			}
		}
	}
	free_slots(t);
}

static void run(void) {
	together(NULL, work, NULL);
}

const struct workload sh6bench = {"sh6bench", params, prepare, run};
