// The notifiers: what they listen to, what became of their messages, and a button to try each.

import { byId, make, show, toast } from "./dom.js";
import { clock } from "./words.js";

const PERIOD = 5_000;

export class NotifierView {
  #listed = [];
  #drawn = "";

  constructor(call) {
    this.call = call;
    setInterval(() => this.#listed.length && !document.hidden && this.#look().catch(() => {}), PERIOD);
  }

  async load({ components = [] }) {
    this.#listed = [];
    if (components.includes("notifier")) this.#listed = (await this.call("server.notifiers.list")).notifiers;
    show(byId("notifiers-card"), this.#listed.length > 0);
    this.#drawn = "";
    if (this.#listed.length) await this.#look();
  }

  async #look() {
    const { notifiers } = await this.call("server.notifiers.status");
    const now = JSON.stringify(notifiers);
    if (now === this.#drawn) return;
    this.#drawn = now;
    const statuses = new Map(notifiers.map((status) => [status.name, status]));
    const rows = this.#listed.map((notifier) => this.#row(notifier, statuses.get(notifier.name) ?? {}));
    byId("notifiers").replaceChildren(...rows);
  }

  #row({ name, events }, { queued = 0, sent = 0, failed = 0, last_error: error, last_error_time: wrong, last_success: right }) {
    const troubled = Boolean(error) && !(right > wrong);
    const words = [events.join(", ")];
    if (sent) words.push(`${sent} sent${right ? `, last ${clock(new Date(1000 * right))}` : ""}`);
    if (queued) words.push(`${queued} waiting`);
    if (failed) words.push(`${failed} given up`);
    return make(
      "li",
      { class: "notifier" },
      make("span", { class: `dot ${troubled ? "bad" : "good"}`, "aria-hidden": "true" }),
      make("strong", {}, name),
      make("button", { type: "button", class: "small", click: (event) => this.#try(event.currentTarget, name) }, "Try"),
      make("span", { class: "muted" }, words.join(" · ")),
      troubled && make("span", { class: "problem" }, error),
    );
  }

  async #try(button, name) {
    button.disabled = true;
    try {
      const { status, answer, problems } = await this.call("server.notifiers.test", { name }, 0);
      const well = status === "success" && !problems.length;
      toast(`${name}: ${[answer, ...problems].join("; ")}`, well ? "" : "bad");
    } catch (error) {
      toast(`${name}: ${error.message}`, "bad");
    }
    button.disabled = false;
  }
}
