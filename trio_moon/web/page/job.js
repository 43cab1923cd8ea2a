// The job: how far it is, how long it takes, and the buttons that go with it.

import { byId, confirmed, facts, make, say, show } from "./dom.js";
import { capital, clock, duration, length } from "./words.js";

const RUNNING = ["printing", "paused"];

export class JobView {
  // What to subscribe to for drawing the job.
  objects = {
    print_stats: null,
    virtual_sdcard: ["progress", "is_active", "file_position"],
    display_status: ["progress", "message"],
    idle_timeout: ["state"],
    gcode_move: ["speed_factor", "extrude_factor"],
    fan: ["speed"],
  };

  #metadata = {};
  #file = null;
  #buttons = "";
  #waitingFor = null;

  constructor(call, act) {
    this.call = call;
    this.act = act;
  }

  async begin(status) {
    this.#file = null;
    await this.#learn(status.print_stats?.filename ?? "");
  }

  forget() {
    this.#file = null;
    this.#metadata = {};
  }

  async #learn(file) {
    if (file === this.#file) return;
    this.#file = file;
    this.#metadata = {};
    show(byId("thumbnail"), false);
    if (!file) return;
    const metadata = await this.call("server.files.metadata", { filename: file }).catch(() => ({}));
    if (file !== this.#file) return;
    this.#metadata = metadata;
    this.#showThumbnail(file, metadata.thumbnails ?? []);
  }

  #showThumbnail(file, thumbnails) {
    const best = thumbnails.filter(({ width }) => width >= 64).sort((a, b) => a.width - b.width)[0] ?? thumbnails[0];
    if (!best) return;
    const folder = file.includes("/") ? file.slice(0, file.lastIndexOf("/") + 1) : "";
    const path = `${folder}${best.relative_path}`.split("/").map(encodeURIComponent).join("/");
    const image = byId("thumbnail");
    image.onload = () => show(image, true);
    image.onerror = () => show(image, false);
    image.src = new URL(`../server/files/gcodes/${path}?date=${this.#metadata.modified ?? 0}`, import.meta.url);
  }

  #progress(status) {
    const said = status.display_status?.progress; // M73, from the slicer's plan
    const { progress: read = 0, file_position: position = 0 } = status.virtual_sdcard ?? {};
    const { gcode_start_byte: begin, gcode_end_byte: end } = this.#metadata;
    const inGcode = end > begin && position > 0 ? (position - begin) / (end - begin) : read; // pictures aren't work
    return Math.min(1, Math.max(0, said > 0 && said !== read ? said : inGcode));
  }

  percent(status) {
    return RUNNING.includes(status.print_stats?.state) ? Math.floor(100 * this.#progress(status)) : null;
  }

  // The slicer knows the plan, the file knows how it goes: the nearer the end, the more the latter counts.
  #secondsLeft(progress, elapsed) {
    const planned = this.#metadata.estimated_time;
    const going = progress > 0.02 ? elapsed / progress - elapsed : NaN;
    if (!Number.isFinite(planned)) return going;
    const plan = Math.max(0, planned * (1 - progress));
    return Number.isFinite(going) ? plan * (1 - progress) + going * progress : plan;
  }

  draw(status, online, ready) {
    const stats = status.print_stats ?? {};
    if (online && (stats.filename ?? "") !== this.#file && this.#file !== null) this.#learn(stats.filename ?? "");
    const running = RUNNING.includes(stats.state);
    const has = Boolean(stats.filename);
    const progress = stats.state === "complete" ? 1 : running ? this.#progress(status) : 0;
    drawMoon(progress);
    say(byId("job-file"), has ? stats.filename : "No job");
    say(byId("job-line"), this.#line(stats, progress, has));
    const bar = byId("progress");
    show(bar, running);
    bar.setAttribute("aria-valuenow", Math.round(100 * progress));
    bar.firstElementChild.style.width = `${(100 * progress).toFixed(1)}%`;
    facts(byId("job-facts"), has && stats.state !== "standby" ? this.#facts(stats, status, progress, running) : []);
    const message = stats.message || status.display_status?.message || "";
    show(byId("job-message"), Boolean(message) && has);
    say(byId("job-message"), message);
    this.#drawButtons(stats, online && ready);
  }

  #line(stats, progress, has) {
    if (!has) return "The printer waits for a file.";
    if (stats.state === "printing") return `${Math.floor(100 * progress)} % done`;
    if (stats.state === "paused") return `Paused at ${Math.floor(100 * progress)} %`;
    if (stats.state === "standby") return "Loaded, not started";
    return capital(stats.state ?? "");
  }

  #facts(stats, status, progress, running) {
    const left = running ? this.#secondsLeft(progress, stats.print_duration ?? 0) : NaN;
    const layer = stats.info?.current_layer;
    const layers = stats.info?.total_layer ?? this.#metadata.layer_count;
    const speed = status.gcode_move?.speed_factor;
    return [
      ["Time left", duration(left)],
      ["Done at", Number.isFinite(left) ? clock(new Date(Date.now() + 1000 * left)) : ""],
      ["Printing for", duration(stats.print_duration)],
      ["Layer", Number.isFinite(layer) ? `${layer}${layers ? ` of ${layers}` : ""}` : ""],
      ["Filament", length(stats.filament_used)],
      ["Speed", running && Number.isFinite(speed) && speed !== 1 ? `${Math.round(100 * speed)} %` : ""],
      ["Fan", running && Number.isFinite(status.fan?.speed) ? `${Math.round(100 * status.fan.speed)} %` : ""],
    ];
  }

  #drawButtons(stats, usable) {
    if (this.#waitingFor && this.#waitingFor !== stats.state) this.#waitingFor = null;
    const wanted = `${stats.state} ${stats.filename} ${usable} ${this.#waitingFor}`;
    if (wanted === this.#buttons) return;
    this.#buttons = wanted;
    const focused = document.activeElement?.dataset?.role;
    const disabled = !usable || this.#waitingFor !== null;
    const button = (words, role, click, kind = "") =>
      make("button", { type: "button", class: kind, "data-role": role, disabled, click }, words);
    const pause = () => this.#press(stats.state, "printer.print.pause");
    const resume = () => this.#press(stats.state, "printer.print.resume");
    const buttons = {
      printing: [button("Pause", "pause", pause), button("Cancel", "cancel", () => this.#cancel(stats), "danger")],
      paused: [
        button("Resume", "pause", resume, "primary"),
        button("Cancel", "cancel", () => this.#cancel(stats), "danger"),
      ],
    };
    const ended = [
      button("Print again", "again", () => this.#again(stats)),
      button("Put away", "clear", () => this.act("printer.gcode.script", { script: "SDCARD_RESET_FILE" })),
    ];
    const over = ["complete", "cancelled", "error"].includes(stats.state) ? ended : [];
    byId("job-buttons").replaceChildren(...(buttons[stats.state] ?? over));
    if (focused) byId("job-buttons").querySelector(`[data-role=${focused}]`)?.focus();
  }

  async #press(state, method, params) {
    this.#waitingFor = state ?? "";
    await this.act(method, params);
    this.#waitingFor = null;
  }

  async #cancel(stats) {
    const sure = await confirmed({
      title: "Cancel this job?",
      text: `${stats.filename} can't be continued afterwards.`,
      yes: "Cancel the job",
    });
    if (sure) await this.#press(stats.state, "printer.print.cancel");
  }

  async #again(stats) {
    const text = `${stats.filename} begins anew. Is the bed empty?`;
    const sure = await confirmed({ title: "Print it again?", text, yes: "Print" });
    if (sure) await this.#press(stats.state, "printer.print.start", { filename: stats.filename });
  }
}

// The moon waxes with the job: new at its beginning, full at its end.
let drawn = null;
function drawMoon(progress) {
  const step = Math.round(progress * 400) / 400;
  if (step === drawn) return;
  drawn = step;
  const radius = 46;
  const bulge = Math.abs(1 - 2 * step) * radius;
  const gibbous = step > 0.5 ? 1 : 0;
  byId("lit-path").setAttribute(
    "d",
    `M0 ${-radius}A${radius} ${radius} 0 0 1 0 ${radius}A${bulge} ${radius} 0 0 ${gibbous} 0 ${-radius}Z`,
  );
}
