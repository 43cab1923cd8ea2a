// For printers that don't trust the address we come from.

import { byId, say } from "./dom.js";

const KEY = "trio_moon.login"; // for this tab only

export function rememberedLogin() {
  try {
    return JSON.parse(sessionStorage.getItem(KEY)) ?? {};
  } catch {
    return {};
  }
}

function remember(login) {
  try {
    sessionStorage.setItem(KEY, JSON.stringify(login));
  } catch {
    // private windows may refuse: then we ask again
  }
}

// Asks until the server is content; resolves when the connection is identified.
export function login(call, who) {
  const dialog = byId("login");
  const form = byId("login-form");
  remember({});
  if (!dialog.open) dialog.showModal();
  return new Promise((resolve, reject) => {
    form.onsubmit = async (event) => {
      event.preventDefault();
      say(byId("login-problem"), "");
      try {
        const credentials = await present(call);
        await call("server.connection.identify", { ...who, ...credentials });
        remember(credentials);
        dialog.close();
        resolve();
      } catch (error) {
        say(byId("login-problem"), error.message);
        if (error.code === 0) reject(error); // the connection is gone
      }
    };
    dialog.oncancel = (event) => event.preventDefault();
  });
}

async function present(call) {
  const key = byId("login-key").value.trim();
  if (key) return { api_key: key };
  const answer = await call("access.login", {
    username: byId("login-user").value,
    password: byId("login-password").value,
  });
  return { access_token: answer.token };
}
