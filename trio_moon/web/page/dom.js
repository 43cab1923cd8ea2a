// Elements, never markup: names of files and spools are other people's text.

export const byId = (id) => document.getElementById(id);

export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  set(element, attributes);
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

export function makeSvg(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  set(element, attributes);
  element.append(...children);
  return element;
}

function set(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
}

// Texts change many times a second: touch the page only when they differ.
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function show(element, visible) {
  if (element.hidden === visible) element.hidden = !visible;
}

export function facts(list, entries) {
  const known = entries.filter(([, value]) => value !== null && value !== undefined && value !== "");
  show(list, known.length > 0);
  while (list.children.length > known.length) list.lastElementChild.remove();
  known.forEach(([name, value], index) => {
    if (!list.children[index]) list.append(make("div", {}, make("dt"), make("dd")));
    const [dt, dd] = list.children[index].children;
    say(dt, name);
    say(dd, value);
  });
}

export function toast(text, kind = "") {
  const box = byId("toasts");
  while (box.children.length > 3) box.firstElementChild.remove();
  const note = make("p", { class: `toast ${kind}` }, text);
  box.append(note);
  setTimeout(() => note.remove(), 7000);
}

// Resolves to true when the user agrees. Escape and "Back" mean no.
export function confirmed({ title, text, yes }) {
  const dialog = byId("confirm");
  say(byId("confirm-title"), title);
  say(byId("confirm-text"), text);
  say(byId("confirm-yes"), yes);
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) =>
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true }),
  );
}

// Runs `draw` at most once per frame, and not at all while nobody looks.
export function eachFrame(draw) {
  let waiting = false;
  return () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      draw();
    });
  };
}
