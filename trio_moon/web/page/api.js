// The API's document for people: every method, what it takes, and a command to try it.

import { byId, make, say, show } from "./dom.js";
import { rememberedLogin } from "./login.js";

const DOCUMENT = new URL("../server/openapi.json", import.meta.url); // right behind any route prefix
const ROOT = new URL("..", import.meta.url);
const VERBS = ["get", "post", "delete"];

let schemas = {};

async function load() {
  const { api_key: key, access_token: token } = rememberedLogin();
  const headers = key ? { "X-Api-Key": key } : token ? { Authorization: `Bearer ${token}` } : {};
  const answer = await fetch(DOCUMENT, { headers });
  if (answer.ok) return answer.json();
  const problem = (await answer.json().catch(() => null))?.error?.message;
  throw Object.assign(new Error(problem ?? `The service answers ${answer.status}.`), { stranger: answer.status === 401 });
}

// `code` between backticks, paragraphs at empty lines, lists at dashes
function prose(text) {
  return text.split(/\n\n+/).map((block) => {
    const items = block.split("\n").filter((line) => line.startsWith("- "));
    if (items.length) return make("ul", { class: "prose" }, ...items.map((line) => make("li", {}, ...words(line.slice(2)))));
    return make("p", { class: "prose" }, ...words(block.replaceAll("\n", " ")));
  });
}

const words = (text) => text.split("`").map((part, index) => (index % 2 ? make("code", {}, part) : part));

function resolved(schema) {
  return schema?.$ref ? schemas[schema.$ref.split("/").pop()] : schema;
}

function kind(schema) {
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(", ");
  if (schema.anyOf) {
    const told = schema.anyOf.filter(({ type }) => type !== "null" || schema.default !== null);
    return [...new Set(told.map(kind))].join(" or ");
  }
  switch (schema.type) {
    case "array":
      return `list of ${kind(schema.items ?? {})}`;
    case "string":
      return schema.format === "binary" ? "file" : "text";
    case "integer":
      return ["whole number", limits(schema)].filter(Boolean).join(" ");
    case "boolean":
      return "true or false";
    default:
      return schema.type ?? "anything";
  }
}

function limits({ minimum, maximum }) {
  if (maximum > 1e15) maximum = undefined;
  if (minimum !== undefined && maximum !== undefined) return `${minimum}–${maximum}`;
  return minimum === undefined ? "" : `≥ ${minimum}`;
}

// Each argument once, however many ways it may be sent.
function argumentsOf(operation) {
  const found = new Map();
  const content = operation.requestBody?.content ?? {};
  for (const [type, { schema }] of Object.entries(content)) {
    const shape = resolved(schema);
    for (const [name, field] of Object.entries(shape.properties ?? {})) {
      if (found.has(name)) continue;
      const place = type.startsWith("multipart") ? "form" : "body";
      found.set(name, { name, places: [place], schema: field, required: shape.required?.includes(name) ?? false });
    }
  }
  for (const { name: written, in: place, schema, content: json, required = false } of operation.parameters ?? []) {
    const name = written.replace(/:json$/, "");
    const known = found.get(name);
    if (known) known.places.push(place);
    else found.set(name, { name, places: [place], schema: schema ?? json["application/json"].schema, required });
  }
  return [...found.values()].sort((a, b) => b.required - a.required);
}

function argumentTable(list) {
  if (!list.length) return make("p", { class: "muted" }, "Takes no arguments.");
  return make(
    "dl",
    { class: "arguments" },
    ...list.map(({ name, places, schema, required }) =>
      make(
        "div",
        {},
        make("dt", {}, make("code", {}, name), required && make("span", { class: "tag warn" }, "needed")),
        make("dd", {}, kind(schema), make("span", { class: "muted" }, `${fallback(schema)} · ${places.join(" or ")}`)),
      ),
    ),
  );
}

function fallback({ default: value }) {
  return value === undefined || value === null || value === "" ? "" : ` · ${JSON.stringify(value)} unless told`;
}

const EXAMPLES = { integer: 1, number: 1.5, boolean: true, array: [], object: {} };

function example(name, schema) {
  if (schema.enum) return schema.enum.includes("GET") ? "GET" : schema.enum[0];
  const types = (schema.anyOf ?? [schema]).map(({ type }) => type);
  return types.includes("string") ? name.toUpperCase() : (EXAMPLES[types[0]] ?? null);
}

function command(verb, path, list) {
  const address = ROOT.href.replace(/\/$/, "") + path.replace(/\{(\w+)\}/g, (_, name) => name.toUpperCase());
  const form = list.some(({ name, places }) => name === "file" && places.includes("form"));
  const needed = list.filter(({ required, places }) => required && !places.includes("path"));
  const start = `curl${verb === "get" ? "" : ` -X ${verb.toUpperCase()}`}`;
  if (form) return `${start} -F file=@part.gcode "${address}"`;
  if (verb === "post" && needed.length) {
    const body = Object.fromEntries(needed.map(({ name, schema }) => [name, example(name, schema)]));
    return `${start} -H "Content-Type: application/json" -d '${JSON.stringify(body)}' "${address}"`;
  }
  const query = needed.map(({ name, schema }) => {
    const value = example(name, schema);
    return typeof value === "object" ? `${name}:json=${encodeURIComponent(JSON.stringify(value))}` : `${name}=${value}`;
  });
  return `${start} "${address}${query.length ? `?${query.join("&")}` : ""}"`;
}

function method({ id, verb, path, name, summary = "", description, list, open }) {
  const details = make(
    "details",
    { id, class: "method" },
    make(
      "summary",
      {},
      make("span", { class: `verb ${verb}` }, verb),
      make("code", { class: "path" }, ...breakable(path || name)),
      make("span", { class: "says" }, summary),
    ),
    make(
      "div",
      { class: "inside" },
      ...(description ? prose(description) : []),
      argumentTable(list),
      make(
        "p",
        { class: "row" },
        name && make("span", {}, make("span", { class: "muted" }, "JSON-RPC "), make("code", {}, ...breakable(name))),
        !name && make("span", { class: "muted" }, "HTTP only"),
        !path && make("span", { class: "muted" }, "websocket and unix socket only"),
        make("span", { class: `tag ${open ? "good" : ""}` }, open ? "open to everybody" : "needs access"),
      ),
      path && make("pre", { class: "try" }, command(verb, path, list)),
    ),
  );
  details.dataset.words = `${verb} ${path} ${name} ${summary}`.toLowerCase();
  return details;
}

// Long paths may be broken at their slashes and dots.
function breakable(text) {
  return text.split(/(?<=[/._])/).flatMap((part) => [part, make("wbr")]);
}

function chapters(document) {
  const found = new Map();
  const add = (tag, element) => found.set(tag, [...(found.get(tag) ?? []), element]);
  for (const [path, operations] of Object.entries(document.paths)) {
    for (const verb of VERBS.filter((one) => operations[one])) {
      const operation = operations[verb];
      const { operationId: id, summary, description, tags, security } = operation;
      const name = operation["x-jsonrpc-method"] ?? "";
      add(tags[0], method({ id, verb, path, name, summary, description, list: argumentsOf(operation), open: security?.length === 0 }));
    }
  }
  for (const { method: name, summary, params, open } of document["x-jsonrpc-only"]) {
    const { description, properties = {}, required = [] } = resolved(params);
    const list = Object.entries(properties).map(([key, schema]) => ({
      name: key, places: ["params"], schema, required: required.includes(key),
    }));
    const about = list.length ? description : "";
    add(name.split(".")[0], method({ id: name, verb: "call", path: "", name, summary, description: about, list, open }));
  }
  return [...found].map(([tag, methods]) =>
    make("section", { class: "card chapter", "aria-label": tag }, make("h2", {}, tag, make("span", { class: "tag" }, `${methods.length}`)), ...methods),
  );
}

function filter() {
  const wanted = byId("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const chapter of byId("chapters").children) {
    let some = false;
    for (const element of chapter.querySelectorAll(".method")) {
      const fits = wanted.every((word) => element.dataset.words.includes(word));
      show(element, fits);
      some ||= fits;
      shown += fits;
    }
    show(chapter, some);
  }
  show(byId("about"), wanted.length === 0);
  show(byId("nothing"), shown === 0);
}

function openLinked() {
  const linked = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (linked?.tagName !== "DETAILS") return;
  linked.open = true;
  linked.scrollIntoView({ block: "center" });
}

function draw(api) {
  schemas = api.components.schemas;
  const { title, version, description } = api.info;
  const errors = make("details", {}, make("summary", {}, "Errors"), ...prose(api.components.responses.Error.description));
  byId("about").append(make("h2", {}, `${title} ${version}`), ...prose(description), errors);
  byId("chapters").replaceChildren(...chapters(api));
  say(byId("count"), `${document.querySelectorAll(".method").length} methods`);
  byId("filter").addEventListener("input", filter);
  addEventListener("hashchange", openLinked);
  filter();
  openLinked();
}

try {
  draw(await load());
} catch (error) {
  say(byId("problem-text"), error.message);
  show(byId("to-login"), Boolean(error.stranger));
  show(byId("problem"), true);
}
