// The active spool, what of it is still to be reported, and the choice of another.

import { byId, facts, make, makeSvg, say, show, toast } from "./dom.js";
import { clock, length, weight } from "./words.js";

const STATUS_PERIOD = 3_000;
const HUB = 16;
const RIM = 46;

export class SpoolView {
  #configured = false;
  #status = {};
  #spool = null;
  #spoolProblem = "";
  #drawn = "";

  constructor(call, act) {
    this.call = call;
    this.act = act;
    byId("choose-spool").addEventListener("click", () => this.#choose());
    byId("eject-spool").addEventListener("click", () => this.act("server.spoolman.post_spool_id", { spool_id: null }));
    byId("spools-filter").addEventListener("input", () => this.#filter());
    byId("spools-filter").addEventListener("keydown", (event) => {
      const choices = byId("spools-list").querySelectorAll("button").length;
      if (event.key === "Enter" && choices !== 1) event.preventDefault(); // else it would pick the first of many
    });
    setInterval(() => this.#configured && !document.hidden && this.#refresh().catch(() => {}), STATUS_PERIOD);
  }

  async load({ components = [] }) {
    this.#configured = components.includes("spoolman");
    if (this.#configured) await this.#refresh(true);
  }

  heard(method, news) {
    if (method === "notify_spoolman_status_changed") this.#status.spoolman_connected = news.spoolman_connected;
    this.#refresh(true).catch(() => {});
  }

  async #refresh(spoolToo = false) {
    const before = this.#pending();
    this.#status = await this.call("server.spoolman.status");
    const id = this.#status.spool_id;
    const reported = this.#pending() < before; // then Spoolman's numbers have changed
    if (spoolToo || reported || id !== (this.#spool?.id ?? null)) await this.#fetchSpool(id);
    this.#drawn = "";
  }

  async #fetchSpool(id) {
    this.#spoolProblem = "";
    if (id === null || id === undefined) {
      this.#spool = null;
      return;
    }
    const { response, error } = await this.#ask(`/v1/spool/${id}`);
    if (response) this.#spool = response;
    else if (this.#spool?.id !== id) this.#spool = { id };
    if (error) this.#spoolProblem = error.message ?? "Spoolman refused the question.";
  }

  #ask(path) {
    return this.call("server.spoolman.proxy", { request_method: "GET", path, use_v2_response: true });
  }

  #pending() {
    return (this.#status.pending_reports ?? []).reduce((sum, report) => sum + report.filament_used, 0);
  }

  draw(online) {
    const key = `${online} ${this.#configured}`;
    if (this.#drawn === key) return;
    this.#drawn = key;
    const tag = byId("spoolman");
    show(tag, this.#configured);
    show(byId("choose-spool"), this.#configured && online);
    show(byId("eject-spool"), this.#configured && online && this.#spool !== null);
    if (!this.#configured) return;
    const connected = this.#status.spoolman_connected;
    say(tag, connected ? "Spoolman is there" : "Spoolman is away");
    tag.className = `tag ${connected ? "good" : "bad"}`;
    this.#drawSpool();
    facts(byId("spool-facts"), this.#facts());
    const away = "What is used meanwhile is kept, and reported when Spoolman is back.";
    const note = connected ? this.#status.waiting_because || this.#spoolProblem : away;
    show(byId("spool-note"), Boolean(note));
    say(byId("spool-note"), note);
  }

  #facts() {
    const spool = this.#spool ?? {};
    const pending = this.#status.pending_reports ?? [];
    const others = pending.filter(({ spool_id }) => spool_id !== spool.id);
    return [
      ["Remaining", [weight(spool.remaining_weight), length(spool.remaining_length)].filter(Boolean).join(" · ")],
      ["To be reported", this.#spool || pending.length ? length(this.#pending() - sum(others)) : ""],
      ...others.map(({ spool_id, filament_used }) => [`Spool ${spool_id}, to be reported`, length(filament_used)]),
      ["Last report", lastReport(this.#status.last_report)],
      ["Location", spool.location],
    ];
  }

  #drawSpool() {
    const spool = this.#spool;
    if (!spool) {
      const words = "No spool is chosen: filament isn't counted.";
      byId("spool").replaceChildren(reel([], 0), make("p", { class: "muted" }, words));
      return;
    }
    const filament = spool.filament ?? {};
    const full = spool.initial_weight ?? filament.weight;
    const share = full > 0 && Number.isFinite(spool.remaining_weight) ? spool.remaining_weight / full : 1;
    const kind = [filament.vendor?.name, filament.material].filter(Boolean).join(" · ");
    byId("spool").replaceChildren(
      reel(colours(filament), Math.min(1, Math.max(0, share))),
      make(
        "div",
        {},
        make("p", { class: "spool-name" }, filament.name ?? `Spool ${spool.id}`),
        make("p", { class: "muted" }, `${kind}${kind ? " · " : ""}number ${spool.id}`),
      ),
    );
  }

  // choosing

  #spools = [];

  async #choose() {
    try {
      const { response, error } = await this.#ask("/v1/spool");
      if (error) throw new Error(error.message);
      this.#spools = response.filter(({ archived }) => !archived);
    } catch (error) {
      toast(error.message, "bad");
      return;
    }
    byId("spools-filter").value = "";
    this.#filter();
    byId("spools").showModal();
  }

  #filter() {
    const words = byId("spools-filter").value.toLowerCase().split(/\s+/).filter(Boolean);
    const fitting = this.#spools.filter((spool) => words.every((word) => described(spool).toLowerCase().includes(word)));
    const list = byId("spools-list");
    list.replaceChildren(...fitting.slice(0, 200).map((spool) => this.#choice(spool)));
    if (!fitting.length) list.append(make("li", { class: "muted" }, "None."));
  }

  #choice(spool) {
    const filament = spool.filament ?? {};
    const pick = () => this.act("server.spoolman.post_spool_id", { spool_id: spool.id });
    const swatch = make("span", { class: "swatch" });
    swatch.style.background = background(colours(filament));
    const current = spool.id === this.#status.spool_id;
    return make(
      "li",
      {},
      make(
        "button",
        { value: "picked", class: "choice", click: pick, "aria-current": current ? "true" : null },
        swatch,
        make("span", { class: "grow" }, filament.name ?? `Spool ${spool.id}`),
        make("span", { class: "muted" }, [filament.material, weight(spool.remaining_weight)].filter(Boolean).join(" · ")),
      ),
    );
  }
}

const sum = (reports) => reports.reduce((total, { filament_used }) => total + filament_used, 0);

function lastReport(report) {
  if (!report) return "";
  const outcome = report.outcome === "applied" ? "" : ` (${report.outcome ?? "unknown"})`;
  return `${length(report.filament_used)}, ${clock(new Date(1000 * report.time))}${outcome}`;
}

const described = ({ id, location, filament = {} }) =>
  [id, location, filament.name, filament.material, filament.vendor?.name].filter(Boolean).join(" ");

function colours({ color_hex: one, multi_color_hexes: several }) {
  const codes = String(several || one || "").split(",");
  return codes.map((code) => code.trim().replace(/^#/, "")).filter((code) => /^[0-9a-f]{6}([0-9a-f]{2})?$/i.test(code));
}

function background(codes) {
  if (codes.length < 2) return codes.length ? `#${codes[0]}` : "var(--line)";
  return `linear-gradient(135deg, ${codes.map((code) => `#${code}`).join(", ")})`;
}

// A spool from the side; the ring of filament is as thick as there is left. Area, not radius, is weight.
function reel(codes, share) {
  const outer = Math.sqrt(HUB * HUB + share * (RIM * RIM - HUB * HUB));
  const rings = codes.length ? codes : ["8a91a8"];
  const filament = rings.map((code, index) =>
    makeSvg("circle", { r: (outer - ((outer - HUB) * index) / rings.length).toFixed(1), fill: `#${code}` }),
  );
  const windings = [0.25, 0.5, 0.75].map((part) =>
    makeSvg("circle", { r: (HUB + (outer - HUB) * part).toFixed(1), class: "winding" }),
  );
  return makeSvg(
    "svg",
    { viewBox: "-50 -50 100 100", class: "reel", "aria-hidden": "true" },
    makeSvg("circle", { r: 49, class: "flange" }),
    ...(share > 0 ? [...filament, ...windings] : []),
    makeSvg("circle", { r: HUB, class: "hub" }),
    makeSvg("circle", { r: 6, class: "bore" }),
  );
}
