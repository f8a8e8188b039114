"use strict";
// The charts over time: lines and stacked areas, as SVG. A chart has one focusable element; the
// arrow keys move its cursor, and a line of text below has the figures there.

const svgNS = "http://www.w3.org/2000/svg";

// make returns a new element with attributes and children. Names with a prefix are of SVG.
function make(name, attributes, ...children) {
	const e = name.startsWith("svg:") ? document.createElementNS(svgNS, name.slice(4)) : document.createElement(name);
	for (const [k, v] of Object.entries(attributes || {})) e.setAttribute(k, v);
	e.append(...children);
	return e;
}

const byID = (id) => document.getElementById(id);

// bytes returns a size with three digits and its unit.
function bytes(n) {
	const sign = n < 0 ? "−" : "";
	n = Math.abs(n);
	let unit = 0;
	while (n >= 999.5 && unit < 5) {
		n /= 1000;
		unit++;
	}
	const digits = unit === 0 || n >= 99.95 ? 0 : n >= 9.995 ? 1 : 2;
	return sign + n.toFixed(digits) + " " + ["B", "kB", "MB", "GB", "TB", "PB"][unit];
}

// short returns a place or a stack's call without the folders of the package and the file.
const short = (place) => place.split(" ").map((part) => part.slice(part.lastIndexOf("/") + 1)).join(" ");

const count = (n) => n.toLocaleString("en");
const percent = (part) => (100 * part).toFixed(1) + " %";

function clock(ms, seconds) {
	return new Date(ms).toLocaleTimeString("en-GB", seconds ? {} : { hour: "2-digit", minute: "2-digit" });
}

// roundTop returns the end of an axis for values up to n, and the number of its steps.
function roundTop(n) {
	n = Math.max(n, 1000);
	const unit = 10 ** Math.floor(Math.log10(n));
	for (const [top, steps] of [[1, 4], [1.5, 3], [2, 4], [3, 3], [4, 4], [5, 5], [6, 3], [8, 4], [10, 5]]) {
		if (n <= top * unit) return [top * unit, steps];
	}
	return [10 * unit, 5];
}

class Chart {
	// series are {name, column, color, dash, limit}. A limit is drawn where the chart comes near
	// it.
	constructor(parent, label, series, stacked) {
		this.series = series;
		this.stacked = stacked;
		this.points = [];
		this.at = null; // time of the cursor
		this.legend = make("ul", { class: "legend" });
		for (const s of series) {
			s.value = make("b");
			s.item = make("li", {}, make("svg:svg", { width: 22, height: 12, "aria-hidden": "true" }, stacked
				? make("svg:rect", { width: 22, height: 12, rx: 2, fill: s.color })
				: make("svg:line", { x1: 0, x2: 22, y1: 6, y2: 6, stroke: s.color, "stroke-width": 2.5, "stroke-dasharray": s.dash || "" })),
			s.name, s.value);
			this.legend.append(s.item);
		}
		this.svg = make("svg:svg", { class: "chart", height: 260, tabindex: 0, role: "img", "aria-label": label });
		this.readout = make("p", { class: "readout" }, "Point at the chart, or focus it and use the arrow keys, for the figures of a moment.");
		parent.append(this.legend, this.svg, this.readout);
		this.svg.addEventListener("pointermove", (e) => {
			const box = this.svg.getBoundingClientRect();
			this.move(this.time(e.clientX - box.left), false);
		});
		this.svg.addEventListener("pointerleave", () => this.move(null, false));
		this.svg.addEventListener("keydown", (e) => this.key(e));
		new ResizeObserver(() => this.draw()).observe(this.svg);
	}

	// show draws the points from start to end, in milliseconds. No line crosses a pause longer than
	// gap.
	show(points, start, end, gap) {
		Object.assign(this, { points, start, end, gap });
		this.draw();
	}

	x(at) { return this.left + (at - this.start) / (this.end - this.start) * (this.width - this.left - this.right); }
	y(v) { return this.bottom - v / this.top * (this.bottom - 10); }
	time(x) { return this.start + (x - this.left) / (this.width - this.left - this.right) * (this.end - this.start); }

	nearest(at) {
		let best = null;
		for (const p of this.points) if (best === null || Math.abs(p[0] - at) < Math.abs(best[0] - at)) best = p;
		return best;
	}

	move(at, spoken) {
		this.readout.setAttribute("aria-live", spoken ? "polite" : "off");
		this.at = at;
		this.drawCursor();
	}

	key(e) {
		if (!this.points.length) return;
		const last = this.points.length - 1;
		const here = this.at === null ? last : this.points.indexOf(this.nearest(this.at));
		const step = e.shiftKey ? 30 : 1;
		const to = { ArrowLeft: here - step, ArrowRight: here + step, Home: 0, End: last }[e.key];
		if (to !== undefined) {
			e.preventDefault();
			this.move(this.points[Math.min(Math.max(to, 0), last)][0], true);
		} else if (e.key === "Escape") {
			this.move(null, true);
		}
	}

	draw() {
		this.width = this.svg.clientWidth;
		if (!this.width) return;
		this.left = 62;
		this.right = 10;
		this.bottom = 234;
		const lines = this.series.filter((s) => !s.limit);
		let max = 0;
		for (const p of this.points) {
			if (this.stacked) max = Math.max(max, lines.reduce((sum, s) => sum + p[s.column], 0));
			else for (const s of lines) max = Math.max(max, p[s.column]);
		}
		// A limit far above the figures would press them flat.
		const last = this.points[this.points.length - 1];
		for (const s of this.series) {
			if (!s.limit) continue;
			const value = last ? last[s.column] : 0;
			s.shown = value !== 0 && value <= 3 * max;
			if (s.shown) max = Math.max(max, value);
			s.item.hidden = value === 0;
		}
		const [top, steps] = roundTop(max * 1.02);
		this.top = top;
		this.svg.setAttribute("viewBox", `0 0 ${this.width} 260`);
		this.svg.replaceChildren();
		for (let i = 0; i <= steps; i++) {
			const y = Math.round(this.y(top * i / steps)) + 0.5;
			this.svg.append(make("svg:line", { class: "grid", x1: this.left, x2: this.width - this.right, y1: y, y2: y }),
				make("svg:text", { x: this.left - 8, y: y + 4, "text-anchor": "end" }, bytes(top * i / steps).replace(/\.0+ /, " ")));
		}
		this.drawTimes();
		if (this.points.length) {
			if (this.stacked) this.drawAreas(); else this.drawLines();
		} else {
			this.svg.append(make("svg:text", { x: this.left + 12, y: 120 }, "Waiting for the first figures"));
		}
		for (const s of this.series) {
			s.value.textContent = last ? bytes(last[s.column]) + (s.limit && !s.shown ? " (above the chart)" : "") : "";
		}
		this.cursor = make("svg:line", { class: "cursor", y1: 10, y2: this.bottom, visibility: "hidden" });
		this.svg.append(this.cursor);
		this.drawCursor();
	}

	drawTimes() {
		const span = this.end - this.start;
		if (!span) return;
		const want = span / Math.max(2, Math.floor((this.width - 70) / 110));
		const step = [10e3, 15e3, 30e3, 60e3, 120e3, 300e3, 600e3, 1200e3, 1800e3, 3600e3, 7200e3, 14400e3, 21600e3, 43200e3].find((s) => s >= want) || 86400e3;
		const zone = new Date(this.end).getTimezoneOffset() * 60e3;
		for (let t = Math.ceil((this.start - zone) / step) * step + zone; t <= this.end; t += step) {
			const x = Math.round(this.x(t)) + 0.5;
			this.svg.append(make("svg:line", { class: "grid", x1: x, x2: x, y1: this.bottom, y2: this.bottom + 5 }));
			if (x > this.left + 18 && x < this.width - 24) {
				this.svg.append(make("svg:text", { x, y: this.bottom + 19, "text-anchor": "middle" }, clock(t, step < 60e3)));
			}
		}
	}

	// runs calls f with each row of points without a gap.
	runs(f) {
		let from = 0;
		for (let i = 1; i <= this.points.length; i++) {
			if (i === this.points.length || this.points[i][0] - this.points[i - 1][0] > this.gap) {
				f(this.points.slice(from, i));
				from = i;
			}
		}
	}

	path(points, f) { return points.map((p) => this.x(p[0]).toFixed(1) + " " + this.y(f(p)).toFixed(1)).join("L"); }

	drawLines() {
		for (const s of this.series) {
			if (s.limit && !s.shown) continue;
			this.runs((points) => this.svg.append(make("svg:path", {
				d: "M" + this.path(points, (p) => p[s.column]), fill: "none", stroke: s.color, "stroke-width": 2,
				"stroke-dasharray": s.dash || "", "stroke-linejoin": "round", "stroke-linecap": s.dash ? "butt" : "round", "data-series": s.name,
			})));
		}
	}

	drawAreas() {
		this.runs((points) => {
			const below = points.map(() => 0);
			for (const s of this.series) {
				const under = points.map((p, i) => this.x(p[0]).toFixed(1) + " " + this.y(below[i]).toFixed(1)).reverse();
				points.forEach((p, i) => { below[i] += p[s.column]; });
				const over = points.map((p, i) => this.x(p[0]).toFixed(1) + " " + this.y(below[i]).toFixed(1));
				this.svg.append(make("svg:path", { d: "M" + over.concat(under).join("L") + "Z", fill: s.color, "data-series": s.name }));
			}
		});
	}

	drawCursor() {
		const p = this.at === null ? null : this.nearest(this.at);
		if (!this.cursor || !p) {
			if (this.cursor) this.cursor.setAttribute("visibility", "hidden");
			return;
		}
		const x = this.x(p[0]);
		this.cursor.setAttribute("x1", x);
		this.cursor.setAttribute("x2", x);
		this.cursor.setAttribute("visibility", "visible");
		this.readout.textContent = clock(p[0], true) + ": " +
			this.series.filter((s) => !s.limit || p[s.column]).map((s) => s.name + " " + bytes(p[s.column])).join(", ");
	}
}
