// A question to the server and its answer, or a Problem: one line for a person. Knows the key, nothing of what is asked.

const KEPT = "fullclip-key";
const PATIENCE = 120_000;
const dialog = document.getElementById("key");
const forget = document.getElementById("forget");
let asking = null;

export class Problem extends Error {
  // status: of the answer, 0 where there was none; code: what the server calls it; mayPass: whether asking again may help.
  constructor(message, { status = 0, code = null, mayPass = false } = {}) {
    super(message);
    Object.assign(this, { status, code, mayPass });
  }
}

// The JSON that `route` answers to `body` (GET where there is none). A stopped question throws what its signal says.
export async function ask(route, body, { signal } = {}) {
  const key = sessionStorage.getItem(KEPT);
  const answer = await sent(route, body, key, signal);
  if (answer.status === 401) {
    await askForKey(key);
    return ask(route, body, { signal });
  }
  const told = await answer.json().catch(() => null);
  signal?.throwIfAborted();
  if (!answer.ok) throw problem(answer, told?.error);
  if (told === null) throw new Problem("The server's answer could not be read.", { status: answer.status, mayPass: true });
  return told;
}

async function sent(route, body, key, signal) {
  const clock = new AbortController();
  const timer = setTimeout(() => clock.abort(), PATIENCE);
  const stop = () => clock.abort();
  signal?.addEventListener("abort", stop);
  const headers = { Accept: "application/json" };
  if (body) headers["Content-Type"] = "application/json";
  if (key) headers.Authorization = `Bearer ${key}`;
  try {
    const method = body ? "POST" : "GET";
    return await fetch(route, { method, headers, body: body && JSON.stringify(body), signal: clock.signal, cache: "no-store" });
  } catch (error) {
    if (signal?.aborted) throw error;
    const why = clock.signal.aborted
      ? "The server took too long to answer."
      : "The server cannot be reached. Is it running, and is this device connected to it?";
    throw new Problem(why, { mayPass: true });
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", stop);
  }
}

function problem(answer, error) {
  const { status } = answer;
  const said = typeof error?.message === "string" ? error.message : "";
  const details = { status, code: error?.code ?? null, mayPass: status === 429 || status === 408 || status >= 500 };
  const seconds = Number(answer.headers.get("Retry-After"));
  const wait = seconds >= 1 ? ` It asks to wait ${seconds === 1 ? "a second" : `${Math.ceil(seconds)} seconds`}.` : "";
  if (status === 429 || status === 503) return new Problem(`The server is busy just now.${wait}`, details);
  if (status === 408 || status === 504) return new Problem("This took the server too long, and it gave up.", details);
  if (status === 413) return new Problem(`That is more than this server takes at once. ${said}`, details);
  if (status >= 500) return new Problem("Something went wrong in the server. Its log says what.", details);
  return new Problem(said || `The server refused this (${status}).`, details);
}

// Whoever waits for a key waits for the same one. Throws a Problem where none is given.
function askForKey(refused) {
  if (refused !== sessionStorage.getItem(KEPT)) return Promise.resolve(); // another question has brought a new one
  asking ??= new Promise((resolve, reject) => {
    const input = document.getElementById("key-value");
    const line = dialog.querySelector(".problem");
    const say = (text) => {
      line.textContent = text;
      line.hidden = !text;
    };
    const close = () => {
      asking = null;
      input.value = "";
      dialog.onclose = null;
      dialog.close();
    };
    dialog.querySelector("form").onsubmit = (event) => {
      event.preventDefault();
      const key = input.value.trim();
      if (!/^[\x21-\x7e]+$/.test(key)) return say("A key is letters, digits and signs, without spaces.");
      sessionStorage.setItem(KEPT, key);
      forget.hidden = false;
      close();
      resolve();
    };
    dialog.onclose = () => {
      close();
      reject(new Problem("Without a key this server does not answer.", { status: 401, mayPass: true }));
    };
    document.getElementById("key-cancel").onclick = () => dialog.close();
    say(refused ? "The server did not accept this key." : "");
    dialog.showModal();
  });
  return asking;
}

forget.hidden = !sessionStorage.getItem(KEPT);
forget.onclick = () => {
  sessionStorage.removeItem(KEPT);
  forget.hidden = true;
};
