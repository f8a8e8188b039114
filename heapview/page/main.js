// The stream of figures, and what to do with them. The page keeps as many points as the program
// does: the program says how many, and which points are new in each level.

const spans = [600e3, 7200e3, 86400e3];
const speakEvery = 30e3;

const lineChart = new Chart(byID("lines"), "Memory over time, as lines", [
	{ name: "Live", column: "live", color: "var(--c0)" },
	{ name: "Footprint", column: "footprint", color: "var(--c1)" },
	{ name: "Resident", column: "resident", color: "var(--c2)" },
	{ name: "Go heap", column: "goHeap", color: "var(--c3)" },
	{ name: "Limit of the heap", column: "heapLimit", color: "var(--c4)", dash: "6 3", limit: true },
	{ name: "Limit of the process", column: "systemLimit", color: "var(--c5)", dash: "2 3", limit: true },
], false);
const partChart = new Chart(byID("parts"), "Parts of the footprint over time, stacked", [
	{ name: "Live blocks", column: "partLive", color: "var(--p0)" },
	{ name: "Cached blocks", column: "partCached", color: "var(--p1)" },
	{ name: "Free in spans", column: "partFree", color: "var(--p2)" },
	{ name: "Free pages", column: "partRetained", color: "var(--p3)" },
	{ name: "Being purged", column: "partPurged", color: "var(--p4)" },
	{ name: "Metadata", column: "partMetadata", color: "var(--p5)" },
], true);
const classes = classTable(), processes = processTable(), eventList = eventTable(), sites = new Sites();

let kept = null; // the message of that name
let latest = null; // the latest sample
let paused = false;
let range = 0;
let spoken = 0;

// visible returns the points of the chosen range: of its level, and after these of the finer ones.
function visible() {
	const all = [];
	for (let i = range; i >= 0; i--) {
		const level = kept.levels[i];
		const after = all.length ? all[all.length - 1][0] + kept.levels[i + 1].step : -Infinity;
		for (const p of level.points) if (p[0] >= after) all.push(p);
	}
	return all;
}

function drawCharts() {
	if (!kept) return;
	const points = visible();
	const end = latest ? latest.point[0] : points.length ? points[points.length - 1][0] : Date.now();
	// A history that is shorter than the range fills the chart, after its first minute.
	const start = Math.max(end - spans[range], Math.min(points.length ? points[0][0] : end, end - 60e3));
	const shown = points.filter((p) => p[0] >= start);
	for (const c of [lineChart, partChart]) c.show(shown, start, end, 3 * kept.levels[range].step);
}

function showNow(sample) {
	const s = sample.snapshot, h = s.heap;
	const figures = [["Live", bytes(s.live)], ["Live blocks", count(s.liveBlocks)]];
	if (s.footprint || h) figures.push(["Footprint", bytes(s.footprint)]);
	if (h) figures.push(["Free pages", bytes(h.retained)]);
	if (s.resident) figures.push(["Resident", bytes(s.resident)]);
	figures.push(["Go heap", bytes(sample.point[1 + kept.columns.indexOf("goHeap")])]);
	figures.push(["GOMEMLIMIT", sample.goLimit ? bytes(sample.goLimit) : "none"]);
	if (sample.systemLimit) figures.push(["Process limit", bytes(sample.systemLimit)]);
	const list = byID("now");
	figures.forEach(([name, value], i) => {
		const card = list.children[i] || list.appendChild(make("div", {}, make("dt"), make("dd")));
		card.firstChild.textContent = name;
		card.lastChild.textContent = value;
	});
	while (list.children.length > figures.length) list.lastChild.remove();
	byID("allocator").textContent = s.allocator;
	if (Date.now() - spoken >= speakEvery) {
		spoken = Date.now();
		byID("spoken").textContent = figures.map(([name, value]) => name + " " + value).join(", ") + ".";
	}
}

function showSample(sample) {
	showNow(sample);
	drawCharts();
	showClasses(classes, sample.snapshot.heap);
	showEvents(eventList, kept.events);
}

function setState(state, text) {
	if (byID("state").dataset.state === state && byID("state-text").textContent === text) return;
	byID("state").dataset.state = state;
	byID("state-text").textContent = text;
}

const liveState = () => paused ? setState("paused", "Paused") : setState("live", "Live");

// receive enters a sample in the history and shows it.
function receive(sample) {
	const push = (level, p) => {
		level.points.push(p);
		if (level.points.length > level.max) level.points.shift();
	};
	// The first sample may be in the history already.
	for (const c of [{ level: 0, point: sample.point }, ...(sample.closed || [])]) {
		const points = kept.levels[c.level].points;
		if (!points.length || points[points.length - 1][0] < c.point[0]) push(kept.levels[c.level], c.point);
	}
	for (const event of sample.events || []) {
		const i = kept.events.findIndex((old) => old.id === event.id);
		if (i >= 0) kept.events[i] = event; else kept.events.push(event);
	}
	if (kept.events.length > 200) kept.events.splice(0, kept.events.length - 200);
	if (paused) return;
	latest = sample;
	if (!document.hidden) showSample(sample);
}

function connect() {
	const source = new EventSource("?part=events");
	source.addEventListener("history", (e) => {
		kept = JSON.parse(e.data);
		for (const c of [lineChart, partChart]) {
			for (const s of c.series) if (typeof s.column === "string") s.column = 1 + kept.columns.indexOf(s.column);
		}
		drawCharts();
		showEvents(eventList, kept.events);
		liveState();
	});
	source.addEventListener("sample", (e) => receive(JSON.parse(e.data)));
	source.addEventListener("memory", (e) => { if (!paused) showProcess(processes, JSON.parse(e.data)); });
	source.onerror = () => {
		setState("lost", "Lost: the program does not answer");
		if (source.readyState === EventSource.CLOSED) setTimeout(connect, 5000);
	};
}

document.addEventListener("visibilitychange", () => { if (!document.hidden && latest && !paused) showSample(latest); });
for (const input of document.querySelectorAll("input[name=range]")) {
	if (input.checked) range = Number(input.value);
	input.addEventListener("change", () => {
		range = Number(input.value);
		drawCharts();
	});
}
byID("pause").addEventListener("click", () => {
	paused = !paused;
	byID("pause").setAttribute("aria-pressed", paused);
	liveState();
});

const token = document.body.dataset.token;
byID("actions").hidden = !token;
for (const button of document.querySelectorAll("[data-action]")) {
	button.addEventListener("click", async () => {
		const result = byID("action-result");
		result.textContent = "Working";
		try {
			const response = await fetch("?action=" + button.dataset.action, { method: "POST", headers: { "Galloc-Token": token } });
			const file = /filename="([^"]+)"/.exec(response.headers.get("Content-Disposition") || "");
			if (!response.ok) {
				result.textContent = (await response.text()).trim();
			} else if (file) {
				const link = make("a", { href: URL.createObjectURL(await response.blob()), download: file[1] });
				link.click();
				URL.revokeObjectURL(link.href);
				result.textContent = "Downloaded " + file[1] + ": go tool pprof shows it.";
			} else {
				result.textContent = (await response.json()).message;
			}
		} catch (e) {
			result.textContent = "The program does not answer.";
		}
	});
}

drawCharts();
for (const c of [lineChart, partChart]) c.show([], Date.now() - spans[0], Date.now(), 0);
connect();
sites.read();
