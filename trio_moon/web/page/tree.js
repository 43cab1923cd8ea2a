// The nursery tree: what runs inside what. The outermost is opened first and closed last.

import { byId, make, say, show } from "./dom.js";
import { duration, length } from "./words.js";

const MEANING = { running: "good", starting: "busy", restarting: "warn", failed: "bad", stopped: "muted" };

export class TreeView {
  #drawn = "";

  constructor(box) {
    this.box = box;
  }

  draw({ services, tree }) {
    const byName = new Map(services.map((service) => [service.name, service]));
    const troubled = services.filter(({ state }) => state !== "running").length;
    const sum = byId("tree-sum");
    show(sum, true);
    say(sum, troubled ? `${troubled} of ${services.length} in trouble` : `${services.length} services, all running`);
    sum.className = `tag ${troubled ? "bad" : "good"}`;
    const now = JSON.stringify([services, Math.floor(Date.now() / 10_000)]);
    if (now === this.#drawn) return;
    this.#drawn = now;
    this.box.replaceChildren(...tree.contains.map((branch) => nursery(branch, byName)));
  }
}

function nursery(branch, byName) {
  return make(
    "div",
    { class: "nursery" },
    make("h3", {}, branch.name),
    make("ul", { class: "services" }, ...branch.services.map((name) => service(byName.get(name)))),
    ...branch.contains.map((inner) => nursery(inner, byName)),
  );
}

function service({ name, state, since, restarts, last_error: error, vitals }) {
  const facts = Object.entries(vitals)
    .filter(([, value]) => value !== "" && value !== null && typeof value !== "object")
    .map(([key, value]) => `${key.replaceAll("_", " ")} ${vital(key, value)}`);
  return make(
    "li",
    { class: "service" },
    make("span", { class: `dot ${MEANING[state] ?? "warn"}`, "aria-hidden": "true" }),
    make("span", { class: "service-name" }, name),
    make("span", { class: "muted" }, `${state} for ${duration(Date.now() / 1000 - since) || "0 s"}`),
    restarts > 0 && make("span", { class: "tag warn" }, restarts === 1 ? "restarted once" : `restarted ${restarts} times`),
    facts.length > 0 && make("span", { class: "vitals" }, facts.join(" · ")),
    error && make("span", { class: "problem" }, error),
  );
}

function vital(key, value) {
  if (value === true) return "yes";
  if (value === false) return "no";
  if (key.endsWith("_mm")) return length(value);
  return typeof value === "number" && !Number.isInteger(value) ? value.toFixed(2) : value;
}
