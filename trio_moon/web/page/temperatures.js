// Every sensor with its recent past.

import { make, makeSvg, say } from "./dom.js";
import { capital, degrees, sensorName } from "./words.js";

const KEPT = 1200; // seconds
const SHORTEST = 120; // a graph that has just begun isn't all empty
const WIDTH = 240;
const HEIGHT = 44;

export class TemperatureView {
  #rows = new Map();
  #dirty = false;

  constructor(box) {
    this.box = box;
  }

  begin(sensors, store) {
    const old = this.#rows;
    this.#rows = new Map();
    for (const name of sensors) {
      const row = old.get(name) ?? new Row(name);
      row.take(store[name]);
      this.#rows.set(name, row);
    }
    if (this.#rows.size) this.box.replaceChildren(...[...this.#rows.values()].map((row) => row.element));
    else this.box.replaceChildren(make("p", { class: "muted" }, "Klipper has no temperature sensors."));
    this.#dirty = true;
  }

  sample(status) {
    for (const [name, row] of this.#rows) if (status[name]) row.add(status[name]);
    this.#dirty = true;
  }

  draw(status, online) {
    for (const [name, row] of this.#rows) {
      if (status[name]) row.say(status[name]);
      if (this.#dirty) row.drawLine();
    }
    this.#dirty = false;
  }
}

class Row {
  #temperatures = [];
  #targets = [];

  constructor(name) {
    this.value = make("span", { class: "value" });
    this.target = make("span", { class: "muted target" });
    this.power = make("span");
    this.line = makeSvg("path", { class: "line" });
    this.area = makeSvg("path", { class: "area" });
    this.goal = makeSvg("path", { class: "goal" });
    const graph = makeSvg(
      "svg",
      { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" },
      this.area,
      this.goal,
      this.line,
    );
    this.element = make(
      "div",
      { class: `sensor ${kind(name)}` },
      make("span", { class: "name" }, capital(sensorName(name))),
      make("span", { class: "reading" }, this.value, this.target),
      graph,
      make("span", { class: "power", "aria-hidden": "true" }, this.power),
    );
  }

  take(history) {
    this.#temperatures = [...(history?.temperatures ?? [])].slice(-KEPT);
    this.#targets = [...(history?.targets ?? [])].slice(-KEPT);
  }

  add({ temperature, target }) {
    push(this.#temperatures, temperature);
    if (Number.isFinite(target)) push(this.#targets, target);
  }

  say({ temperature, target, power, speed }) {
    say(this.value, degrees(temperature));
    const heating = Number.isFinite(target) && target > 0;
    say(this.target, heating ? `→ ${target.toFixed(0)}°` : "");
    this.element.classList.toggle("heating", heating);
    const share = Math.round(100 * Math.min(1, power ?? speed ?? 0));
    this.power.style.width = `${share}%`;
  }

  drawLine() {
    const values = this.#temperatures.map((value) => (Number.isFinite(value) ? value : 0));
    if (values.length < 2) return;
    const goals = this.#targets.filter((value) => value > 0);
    const top = Math.max(...values, ...goals, 30) * 1.06;
    const bottom = Math.min(...values, 20) * 0.94;
    const y = (value) => (HEIGHT - 2 - ((HEIGHT - 4) * (value - bottom)) / (top - bottom)).toFixed(1);
    const path = trace(values, y);
    this.line.setAttribute("d", path);
    this.area.setAttribute("d", `${path}V${HEIGHT}H${start(values).toFixed(1)}Z`);
    this.goal.setAttribute("d", traceGoals(this.#targets, y));
  }
}

const shown = (values) => Math.max(SHORTEST, values.length);
const start = (values) => WIDTH - (WIDTH * values.length) / shown(values);

// Few points are enough for few pixels; the last one is always there.
function trace(values, y) {
  const step = Math.max(1, Math.floor(values.length / WIDTH));
  const from = start(values);
  const points = [];
  for (let index = values.length - 1; index >= 0; index -= step) {
    points.push(`${(from + (WIDTH * (index + 1)) / shown(values)).toFixed(1)} ${y(values[index])}`);
  }
  return `M${points.reverse().join("L")}`;
}

function traceGoals(targets, y) {
  const from = start(targets);
  const pieces = [];
  for (let index = 0, begin = 0; index <= targets.length; index += 1) {
    if (index < targets.length && targets[index] === targets[begin]) continue;
    const x = (at) => (from + (WIDTH * at) / shown(targets)).toFixed(1);
    if (targets[begin] > 0) pieces.push(`M${x(begin)} ${y(targets[begin])}H${x(index)}`);
    begin = index;
  }
  return pieces.join("");
}

function push(list, value) {
  list.push(value);
  if (list.length > KEPT) list.shift();
}

function kind(name) {
  if (name.startsWith("extruder")) return "hotend";
  if (name === "heater_bed") return "bed";
  return "other";
}
