// The live page: the same websocket API as everybody's, drawn.

import { byId, confirmed, eachFrame, make, say, show, toast } from "./dom.js";
import { JobView } from "./job.js";
import { Link } from "./link.js";
import { login, rememberedLogin } from "./login.js";
import { NotifierView } from "./notifiers.js";
import { SpoolView } from "./spool.js";
import { TemperatureView } from "./temperatures.js";
import { TreeView } from "./tree.js";
import { capital, kilobytes } from "./words.js";

const WHO = { client_name: "trio_moon page", version: "1", type: "web", url: location.origin };
const TREE_PERIOD = 2_000;
const KLIPPY_PERIOD = 2_000;

const address = new URL("../websocket", import.meta.url); // right behind any route prefix
address.protocol = address.protocol === "https:" ? "wss:" : "ws:";

const page = { online: false, retryAt: null, info: {}, status: {}, klippyMessage: "" };
const link = new Link(address, { greet, heard, changed });
const call = (method, params, timeout) => link.call(method, params, timeout);
const temperatures = new TemperatureView(byId("temperatures"));
const job = new JobView(call, act);
const spool = new SpoolView(call, act);
const notifiers = new NotifierView(call);
const tree = new TreeView(byId("tree"));
const redraw = eachFrame(draw);

async function greet() {
  try {
    await call("server.connection.identify", { ...WHO, ...rememberedLogin() });
  } catch (error) {
    if (error.code !== -32602) throw error;
    await login(call, WHO);
  }
  await look();
  await Promise.all([subscribe(), spool.load(page.info), lookAtTree(), notifiers.load(page.info)]);
}

async function look() {
  page.info = await call("server.info");
  page.klippyMessage = "";
  if (page.info.klippy_connected && page.info.klippy_state !== "ready") {
    const info = await call("printer.info").catch(() => ({}));
    page.klippyMessage = info.state_message ?? "";
  }
  if (page.info.klippy_connected && page.hostname === undefined) {
    page.hostname = (await call("printer.info").catch(() => ({}))).hostname;
  }
  redraw();
}

let subscribedTo = null;

async function subscribe() {
  const state = page.info.klippy_state;
  subscribedTo = state;
  if (state !== "ready" && state !== "shutdown") {
    page.status = {};
    job.forget();
    redraw();
    return;
  }
  const { status } = await call("printer.objects.query", { objects: { heaters: null } });
  const sensors = status.heaters?.available_sensors ?? [];
  const objects = { ...job.objects, webhooks: null };
  for (const name of sensors) objects[name] = ["temperature", "target", "power", "speed"];
  const answer = await call("printer.objects.subscribe", { objects });
  page.status = answer.status;
  temperatures.begin(sensors, await call("server.temperature_store").catch(() => ({})));
  await job.begin(page.status);
  redraw();
}

function heard(method, params) {
  switch (method) {
    case "notify_status_update":
      for (const [name, fields] of Object.entries(params[0])) {
        page.status[name] = { ...page.status[name], ...fields };
      }
      redraw();
      break;
    case "notify_klippy_ready":
    case "notify_klippy_shutdown":
    case "notify_klippy_disconnected":
      lookAgain();
      break;
    case "notify_proc_stat_update":
      temperatures.sample(page.status);
      showMachine(params[0]);
      redraw();
      break;
    case "notify_active_spool_set":
    case "notify_spoolman_status_changed":
      spool.heard(method, params[0]);
      break;
    case "notify_gcode_response":
      if (params[0]?.startsWith("!!")) toast(params[0].slice(2).trim(), "bad");
      break;
  }
}

async function lookAgain() {
  try {
    await look();
    if (page.info.klippy_state !== subscribedTo) await subscribe();
  } catch {
    // the connection is gone: greet() starts over
  }
}

setInterval(() => page.online && page.info.klippy_state !== "ready" && lookAgain(), KLIPPY_PERIOD);
setInterval(() => page.online && !document.hidden && lookAtTree().catch(() => {}), TREE_PERIOD);
setInterval(() => page.online || redraw(), 500); // the countdown

async function lookAtTree() {
  tree.draw(await call("server.supervisor"));
  page.info.warnings = (await call("server.info")).warnings;
  redraw();
}

function changed({ online, retryAt }) {
  page.online = online;
  page.retryAt = retryAt;
  if (!online) subscribedTo = null;
  redraw();
}

// What the buttons do: errors are told, never swallowed.
async function act(method, params = {}, done = "") {
  try {
    await call(method, params, 0);
    if (done) toast(done);
    return true;
  } catch (error) {
    toast(error.message, "bad");
    return false;
  }
}

function draw() {
  drawState();
  drawBanners();
  job.draw(page.status, page.online, page.info.klippy_state === "ready");
  temperatures.draw(page.status, page.online);
  spool.draw(page.online);
  document.body.classList.toggle("stale", !page.online);
}

function stateOfPrinter() {
  if (!page.online) return page.retryAt ? ["Offline", "bad"] : ["Connecting", "busy"];
  const klippy = page.info.klippy_state;
  if (klippy === "disconnected") return ["Klipper is away", "bad"];
  if (klippy === "startup") return ["Klipper is starting", "busy"];
  if (klippy !== "ready") return [capital(klippy ?? "unknown"), "bad"];
  const state = page.status.print_stats?.state;
  if (state === "printing") return ["Printing", "busy"];
  if (state === "paused") return ["Paused", "warn"];
  if (page.status.idle_timeout?.state === "Printing") return ["Busy", "busy"];
  return ["Ready", "good"];
}

function drawState() {
  const [words, kind] = stateOfPrinter();
  const pill = byId("state");
  say(pill, words);
  pill.className = `pill ${kind}`;
  const name = page.hostname ?? location.hostname;
  say(byId("hostname"), name);
  const percent = job.percent(page.status);
  document.title = `${percent === null ? words : `${percent} %`} · ${name}`;
  byId("emergency").disabled = !page.online || !page.info.klippy_connected;
  say(byId("version"), page.info.moonraker_version ? page.info.api_version_string : "");
}

function drawBanners() {
  const offline = !page.online && page.retryAt !== null;
  show(byId("offline"), offline);
  if (offline) {
    const seconds = Math.max(0, Math.ceil((page.retryAt - Date.now()) / 1000));
    const next = seconds ? `Trying again in ${seconds} s.` : "Trying again now.";
    say(byId("offline-text"), `No connection to the printer. ${next} What you see below is old.`);
  }
  const troubled = page.online && !["ready", undefined].includes(page.info.klippy_state);
  show(byId("klippy"), troubled);
  if (troubled) {
    const message = page.status.webhooks?.state_message || page.klippyMessage;
    const away = "There is no connection to Klipper. Is its service running?";
    say(byId("klippy-text"), (page.info.klippy_state === "disconnected" ? away : message).trim());
    const canRestart = page.info.klippy_connected;
    show(byId("restart"), canRestart);
    show(byId("firmware-restart"), canRestart);
  }
  const warnings = page.info.warnings ?? [];
  show(byId("warnings-card"), warnings.length > 0);
  const list = byId("warnings");
  if (list.textContent !== warnings.join("")) list.replaceChildren(...warnings.map((text) => make("li", {}, text)));
}

function showMachine({ system_cpu_usage: cpu, system_memory: memory, cpu_temp: heat, moonraker_stats: own }) {
  const words = [`CPU ${Math.round(cpu?.cpu ?? 0)} %`];
  if (Number.isFinite(heat)) words.push(`${heat.toFixed(0)} °C`);
  if (memory?.total) words.push(`memory ${Math.round((100 * memory.used) / memory.total)} %`);
  words.push(`trio_moon ${own.cpu_usage.toFixed(1)} %, ${kilobytes(own.memory)}`);
  say(byId("machine"), words.join(" · "));
}

byId("retry").addEventListener("click", () => link.retryNow());
byId("restart").addEventListener("click", () => act("printer.restart"));
byId("firmware-restart").addEventListener("click", () => act("printer.firmware_restart"));
byId("emergency").addEventListener("click", async () => {
  const sure = await confirmed({
    title: "Stop everything now?",
    text: "Motors and heaters go off at once. A running job is lost, and Klipper must be restarted.",
    yes: "Emergency stop",
  });
  if (sure) await act("printer.emergency_stop");
});

link.open();
redraw();
