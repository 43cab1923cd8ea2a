// One JSON-RPC connection that never gives up.

const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 10_000;
const CONNECT_TIMEOUT = 8_000;
const CALL_TIMEOUT = 20_000;
const SILENCE = 8_000; // the server says something every second

export class RpcError extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

export class Link {
  #socket = null;
  #nextId = 1;
  #calls = new Map();
  #failures = 0;
  #timer = 0;
  #lastHeard = 0;

  // greet(): called on every new connection, may call methods; rejects to have the connection tried anew
  // heard(method, params): a notification; changed({online, retryAt}): the state of the connection
  constructor(url, { greet, heard, changed }) {
    this.url = url;
    this.greet = greet;
    this.heard = heard;
    this.changed = changed;
    addEventListener("online", () => this.retryNow());
    addEventListener("pageshow", () => this.retryNow());
    document.addEventListener("visibilitychange", () => document.hidden || this.retryNow());
    setInterval(() => this.#watch(), 2_000);
  }

  open() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    this.changed({ online: false, retryAt: null });
    let socket;
    try {
      socket = this.#socket = new WebSocket(this.url);
    } catch {
      this.#lost(null, 0);
      return;
    }
    const impatient = setTimeout(() => this.#drop(socket), CONNECT_TIMEOUT);
    this.#lastHeard = performance.now();
    socket.onopen = async () => {
      clearTimeout(impatient);
      try {
        await this.greet();
      } catch (error) {
        if (socket === this.#socket) console.warn("the greeting failed:", error.message);
        this.#drop(socket);
        return;
      }
      if (socket !== this.#socket) return;
      this.#failures = 0;
      this.changed({ online: true, retryAt: null });
    };
    socket.onmessage = (event) => this.#receive(event.data);
    socket.onclose = (event) => {
      clearTimeout(impatient);
      this.#lost(socket, event.code);
    };
  }

  retryNow() {
    if (this.#timer) this.open();
  }

  // Resolves to the result. Without a timeout for what moves the printer.
  call(method, params = {}, timeout = CALL_TIMEOUT) {
    const socket = this.#socket;
    if (!socket || socket.readyState !== WebSocket.OPEN) return Promise.reject(new RpcError(0, "not connected"));
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      const timer = timeout
        ? setTimeout(() => this.#calls.delete(id) && reject(new RpcError(0, `${method}: no answer`)), timeout)
        : 0;
      this.#calls.set(id, { resolve, reject, timer });
      socket.send(JSON.stringify({ jsonrpc: "2.0", method, params, id }));
    });
  }

  #receive(data) {
    this.#lastHeard = performance.now();
    let messages;
    try {
      messages = [JSON.parse(data)].flat();
    } catch {
      return;
    }
    for (const message of messages) {
      if (message.method) this.heard(message.method, message.params ?? []);
      else this.#settle(message);
    }
  }

  #settle({ id, result, error }) {
    const call = this.#calls.get(id);
    if (!call) return;
    this.#calls.delete(id);
    clearTimeout(call.timer);
    if (error) call.reject(new RpcError(error.code, error.message));
    else call.resolve(result);
  }

  #lost(socket, code) {
    if (socket !== this.#socket) return;
    this.#socket = null;
    for (const { reject, timer } of this.#calls.values()) {
      clearTimeout(timer);
      reject(new RpcError(0, "the connection was lost"));
    }
    this.#calls.clear();
    this.#failures += 1;
    let pause = Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (this.#failures - 1)) * (0.75 + Math.random() / 2);
    if (code === 1013) pause = Math.max(pause, 3_000); // "try again later"
    this.changed({ online: false, retryAt: Date.now() + pause });
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.open(), pause);
  }

  // A socket may take a minute to notice that its network is gone. We don't wait for it.
  #drop(socket) {
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
    this.#lost(socket, 0);
  }

  #watch() {
    const socket = this.#socket;
    if (socket?.readyState !== WebSocket.OPEN) return;
    const silent = performance.now() - this.#lastHeard;
    if (silent > 2 * SILENCE) this.#drop(socket);
    else if (silent > SILENCE) this.call("server.info", {}, SILENCE).catch(() => {});
  }
}
