// The tables. They are made once and then changed in place, so that the focus stays where it is.

// A Table has columns {name, text, value, show, bar}: value returns what to sort by, show the text,
// and bar a part from 0 to 1. A table whose columns have value can be sorted by each.
class Table {
	constructor(parent, caption, columns, sort) {
		this.columns = columns;
		this.sort = sort; // {column, down}, or undefined
		this.data = [];
		this.body = make("tbody");
		this.heads = columns.map((c, i) => {
			const th = make("th", { scope: "col", class: c.text ? "text" : "" });
			if (sort) {
				c.button = make("button", { type: "button" }, c.name);
				c.button.addEventListener("click", () => {
					this.sort = { column: i, down: this.sort.column === i ? !this.sort.down : !c.text };
					this.fill();
				});
				th.append(c.button);
			} else {
				th.textContent = c.name;
			}
			return th;
		});
		parent.replaceChildren(make("table", {}, make("caption", { class: "hidden" }, caption),
			make("thead", {}, make("tr", {}, ...this.heads)), this.body));
	}

	set(data) {
		this.data = data;
		this.fill();
	}

	fill() {
		const rows = [...this.data];
		if (this.sort) {
			const { column, down } = this.sort;
			const value = this.columns[column].value;
			rows.sort((a, b) => (value(a) < value(b) ? -1 : value(a) > value(b) ? 1 : 0) * (down ? -1 : 1));
			this.heads.forEach((th, i) => {
				if (i === column) th.setAttribute("aria-sort", down ? "descending" : "ascending");
				else th.removeAttribute("aria-sort");
				this.columns[i].button.textContent = this.columns[i].name + (i !== column ? "" : down ? " ▼" : " ▲");
			});
		}
		while (this.body.rows.length > rows.length) this.body.deleteRow(-1);
		rows.forEach((row, r) => {
			const tr = this.body.rows[r] || this.body.appendChild(make("tr"));
			tr.className = row.kind || "";
			this.columns.forEach((c, i) => this.fillCell(tr.cells[i] || tr.appendChild(make("td")), c, row));
		});
	}

	fillCell(td, c, row) {
		td.className = (c.text ? "text " : "") + (c.long ? "long" : "");
		const text = c.show(row);
		if (!c.bar) {
			if (td.textContent !== text) td.textContent = text;
			return;
		}
		if (!td.firstChild) {
			const bar = make("svg:svg", { class: "bar", width: 64, height: 10, "aria-hidden": "true" },
				make("svg:rect", { width: 64, height: 10, rx: 2, fill: "var(--grid)" }), make("svg:rect", { height: 10, rx: 2, fill: "var(--accent)" }));
			td.append("", bar);
		}
		td.firstChild.data = text;
		td.lastChild.lastChild.setAttribute("width", Math.round(64 * Math.min(Math.max(c.bar(row), 0), 1)));
	}
}

const numbers = (name, value, show) => ({ name, value, show: (row) => (show || count)(value(row)) });
const fragmentation = (c) => c.blocks ? 1 - c.live / c.blocks : 0;

function classTable() {
	return new Table(byID("classes"), "Small blocks by size class", [
		numbers("Size", (c) => c.size, (n) => count(n) + " B"),
		numbers("Live blocks", (c) => c.live),
		numbers("Live", (c) => c.live * c.size, bytes),
		numbers("Cached", (c) => c.cached * c.size, bytes),
		numbers("Free in spans", (c) => c.free * c.size, bytes),
		numbers("Spans", (c) => c.spans),
		{ ...numbers("Fragmentation", fragmentation, percent), bar: fragmentation },
		numbers("Unused", (c) => (c.blocks - c.live) * c.size, bytes),
		numbers("Lock waits", (c) => c.waits),
	], { column: 2, down: true });
}

function showClasses(table, heap) {
	const used = heap ? heap.classes.filter((c) => c.blocks) : [];
	let blocks = 0, live = 0;
	for (const c of used) {
		blocks += c.blocks * c.size;
		live += c.live * c.size;
	}
	byID("classes-note").textContent = !heap ? "The global allocator does not report size classes."
		: !used.length ? "No small block so far."
			: `Spans of ${used.length} classes have room for ${bytes(blocks)}, of which ${percent(1 - live / blocks)} is not allocated. ` +
				`Large blocks: ${count(heap.largeBlocks)}, ${bytes(heap.large)}.`;
	table.set(used);
}

function processTable() {
	return new Table(byID("process"), "Parts of the resident memory", [
		{ name: "Part", text: true, long: true, show: (p) => p.name },
		{ name: "Bytes", show: (p) => bytes(p.bytes) },
		{ name: "Share", show: (p) => percent(p.share), bar: (p) => p.share },
	]);
}

function showProcess(table, m) {
	if (m.error) {
		byID("process-note").textContent = m.error;
		table.set([]);
		return;
	}
	byID("process-note").textContent = `The parts sum to what the kernel reports. Read at ${clock(m.time, true)}.`;
	const rows = [];
	const add = (name, n, kind) => rows.push({ name, bytes: n, share: m.resident ? n / m.resident : 0, kind });
	for (const p of m.parts) {
		if (!p.bytes) continue;
		add(p.name, p.bytes);
		if (p.name === "galloc live") for (const s of (m.sites || []).slice(0, 5)) add(short(s.place), s.bytes, "below");
	}
	add("resident", m.resident, "sum");
	table.set(rows);
}

function eventTable() {
	return new Table(byID("events"), "Events, the latest first", [
		{ name: "Time", text: true, show: (e) => clock(e.first, true) + (e.last - e.first > 1500 ? " to " + clock(e.last, true) : "") },
		{ name: "Event", text: true, show: (e) => e.kind },
		{ name: "Count", show: (e) => count(e.count) },
		{ name: "Released", show: (e) => e.bytes ? bytes(e.bytes) : "–" },
	]);
}

function showEvents(table, events) {
	byID("events-note").textContent = events.length
		? "Events of one kind within a minute are one line. The latest come first."
		: "No refusal, misuse or purge so far.";
	table.set([...events].reverse());
}
