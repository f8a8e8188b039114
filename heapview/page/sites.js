// The stacks: a flame graph of the bytes in use, with the change since an earlier moment, and the
// same as a table.

const maxMoments = 8; // that are kept for comparison
const rowHeight = 20;

// tree returns the calls of a profile, with the bytes in the earlier profile base, or null.
function tree(profile, base) {
	const root = { name: "all stacks", now: 0, before: 0, children: new Map() };
	const enter = (p, field) => {
		for (const s of p.sites) {
			let node = root;
			node[field] += s.bytes;
			for (const f of s.stack) {
				const name = p.frames[f];
				let child = node.children.get(name);
				if (!child) {
					child = { name, now: 0, before: 0, parent: node, children: new Map() };
					node.children.set(name, child);
				}
				node = child;
				node[field] += s.bytes;
			}
		}
	};
	enter(profile, "now");
	if (base) enter(base, "before");
	weigh(root);
	return root;
}

// weigh sets the width of each call: the larger of its two sizes, and at least its calls' together.
function weigh(node) {
	let sum = 0;
	for (const c of node.children.values()) sum += weigh(c);
	node.weight = Math.max(node.now, node.before, sum);
	return node.weight;
}

class Sites {
	constructor() {
		this.profile = null;
		this.moments = [];
		this.base = null;
		this.zoom = null; // the names of the calls down to the one that fills the width
		byID("sites-read").addEventListener("click", () => this.read());
		byID("sites-mark").addEventListener("click", () => this.keep());
		byID("sites-base").addEventListener("change", (e) => {
			this.base = this.moments.find((m) => String(m.time) === e.target.value) || null;
			this.draw();
		});
		byID("sites-reset").addEventListener("click", () => this.zoomTo(null));
		this.table = new Table(byID("sites-table"), "Stacks with blocks in use", [
			{ name: "Place in the program", text: true, long: true, value: (s) => s.place, show: (s) => s.place },
			{ ...numbers("In use", (s) => s.bytes, bytes), bar: (s) => s.share },
			numbers("Blocks", (s) => s.objects),
			numbers("Change", (s) => s.change, (n) => (n > 0 ? "+" : "") + bytes(n)),
		], { column: 1, down: true });
		new ResizeObserver(() => this.draw()).observe(byID("flame"));
	}

	async read() {
		const note = byID("sites-note");
		try {
			const response = await fetch("?part=sites");
			if (!response.ok) {
				note.textContent = (await response.text()).trim();
				return;
			}
			this.profile = await response.json();
		} catch (e) {
			note.textContent = "The program does not answer.";
			return;
		}
		byID("sites-mark").disabled = false;
		this.draw();
	}

	keep() {
		if (this.moments.includes(this.profile)) return;
		this.moments.push(this.profile);
		if (this.moments.length > maxMoments) {
			const gone = this.moments.shift();
			if (gone === this.base) this.base = null;
		}
		byID("sites-base").replaceChildren(make("option", { value: "" }, "nothing"),
			...this.moments.map((m) => make("option", { value: m.time }, clock(m.time, true))));
		byID("sites-base").value = this.base ? this.base.time : "";
		byID("sites-note").textContent = `Kept the stacks of ${clock(this.profile.time, true)}: choose them at Compare with, after reading again.`;
	}

	zoomTo(node) {
		this.zoom = null;
		if (node && node.parent) {
			this.zoom = [];
			for (let n = node; n.parent; n = n.parent) this.zoom.unshift(n.name);
		}
		this.draw(true);
	}

	draw(focus) {
		const p = this.profile;
		const width = byID("flame").clientWidth;
		if (!p || !width) return;
		const root = tree(p, this.base);
		let top = root;
		for (const name of this.zoom || []) top = top.children.get(name) || top;
		byID("sites-reset").disabled = top === root;
		byID("sites-note").textContent = root.weight === 0 ? "No sampled block is in use." :
			`${bytes(root.now)} in use at ${clock(p.time, true)}, estimated from one sample in each ${bytes(p.rate)}` +
			(p.omitted ? `; ${bytes(p.omitted)} of further stacks are left out` : "") +
			(this.base ? `. Compared with ${clock(this.base.time, true)}: ${this.change(root)}.` : ".");
		const boxes = [];
		const line = [];
		for (let n = top; n; n = n.parent) line.unshift(n);
		line.forEach((n, depth) => boxes.push({ n, x: 0, w: width, depth }));
		const place = (n, x, w, depth) => {
			const children = [...n.children.values()].sort((a, b) => b.weight - a.weight);
			for (const c of children) {
				const cw = w * c.weight / n.weight;
				if (cw < 1.5) continue;
				boxes.push({ n: c, x, w: cw, depth });
				place(c, x, cw, depth + 1);
				x += cw;
			}
		};
		if (top.weight) place(top, 0, width, line.length);
		this.drawBoxes(boxes, width, line.length - 1, focus);
		this.fillTable(p, root);
	}

	drawBoxes(boxes, width, current, focus) {
		const height = rowHeight * (1 + Math.max(...boxes.map((b) => b.depth)));
		const svg = make("svg:svg", { class: "flame", width, height, viewBox: `0 0 ${width} ${height}`, role: "group",
			"aria-label": "Flame graph of the stacks: arrow keys move, Enter zooms, Escape shows all" });
		for (const b of boxes) {
			const color = !this.base || b.n.now === b.n.before ? "flame" : b.n.now > b.n.before ? "grown" : "shrunk";
			b.g = make("svg:g", { tabindex: -1, role: "button", "aria-label": this.describe(b.n) },
				make("svg:rect", { x: b.x.toFixed(1), y: b.depth * rowHeight, width: b.w.toFixed(1), height: rowHeight - 1, fill: `var(--${color})` }));
			const room = Math.floor((b.w - 8) / 7.5);
			const label = b.n.name + " " + (this.base ? this.change(b.n) : bytes(b.n.now));
			if (room >= 4) {
				b.g.append(make("svg:text", { x: (b.x + 4).toFixed(1), y: b.depth * rowHeight + 14 },
					label.length <= room ? label : label.slice(0, room - 1) + "…"));
			}
			b.g.addEventListener("click", () => this.zoomTo(b.n));
			b.g.addEventListener("pointerenter", () => this.say(b.n, false));
			b.g.addEventListener("focus", () => this.say(b.n, true));
			b.g.addEventListener("keydown", (e) => this.key(e, b, boxes));
			svg.append(b.g);
		}
		boxes[current].g.setAttribute("tabindex", 0);
		byID("flame").replaceChildren(svg);
		if (focus === true) boxes[current].g.focus({ preventScroll: true });
	}

	key(e, b, boxes) {
		if (e.key === "Enter" || e.key === " ") {
			e.preventDefault();
			this.zoomTo(b.n);
			return;
		}
		if (e.key === "Escape") {
			this.zoomTo(null);
			return;
		}
		const row = boxes.filter((o) => o.depth === b.depth).sort((x, y) => x.x - y.x);
		const middle = b.x + b.w / 2;
		const to = {
			ArrowUp: () => boxes.find((o) => o.n === b.n.parent),
			ArrowDown: () => boxes.filter((o) => o.n.parent === b.n).sort((x, y) => Math.abs(x.x + x.w / 2 - middle) - Math.abs(y.x + y.w / 2 - middle))[0],
			ArrowLeft: () => row[row.indexOf(b) - 1],
			ArrowRight: () => row[row.indexOf(b) + 1],
		}[e.key];
		if (!to) return;
		e.preventDefault();
		const next = to();
		if (next) {
			b.g.setAttribute("tabindex", -1);
			next.g.setAttribute("tabindex", 0);
			next.g.focus();
		}
	}

	change(n) { return (n.now > n.before ? "+" : "") + bytes(n.now - n.before); }
	describe(n) { return `${n.name}: ${bytes(n.now)} in use` + (this.base ? `, ${this.change(n)}` : ""); }

	say(n, spoken) {
		const text = byID("flame-text");
		text.setAttribute("aria-live", spoken ? "off" : "polite"); // a focused call has this as its label
		text.textContent = this.describe(n);
	}

	fillTable(p, root) {
		const rows = new Map();
		const enter = (q, sign) => {
			for (const s of q.sites) {
				const place = q.frames[s.place];
				const row = rows.get(place) || { place, bytes: 0, objects: 0, change: 0 };
				rows.set(place, row);
				if (sign > 0) {
					row.bytes += s.bytes;
					row.objects += s.objects;
				}
				row.change += sign * s.bytes;
			}
		};
		enter(p, 1);
		if (this.base) enter(this.base, -1);
		else for (const row of rows.values()) row.change = 0;
		for (const row of rows.values()) row.share = root.now ? row.bytes / root.now : 0;
		byID("sites-details").hidden = false;
		this.table.set([...rows.values()]);
	}
}
