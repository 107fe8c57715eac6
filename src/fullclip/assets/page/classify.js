// A picture and labels -> bars of probabilities, and whether none of the labels fits.

import { ask } from "./api.js";
import { Desk, chip, make, percent, words } from "./elements.js";
import { Zone } from "./pictures.js";

export function classify(root) {
  const desk = new Desk(root);
  const results = root.querySelector(".results");
  const labels = new Labels(root, () => results.replaceChildren());
  const zone = new Zone(root.querySelector(".zone"), desk, (url) => {
    results.replaceChildren();
    if (url && labels.all().length) queueMicrotask(() => root.querySelector("form").requestSubmit());
  });
  root.querySelector("form").onsubmit = (event) => {
    event.preventDefault();
    labels.accept();
    if (!zone.url) return desk.say("Choose a picture first.");
    if (!labels.all().length) {
      desk.say("Type a label or two: what may be in the picture?");
      return labels.input.focus();
    }
    const reject = root.querySelector("#classify-reject").checked;
    desk.run(async (signal) => {
      const answer = await ask("v1/classify", { image: zone.url, labels: labels.all(), reject }, { signal });
      desk.status.textContent = show(results, answer.results[0]);
    });
  };
  return { take: (files) => zone.take(files) };
}

const FIRST = 20; // bars, of hundreds that there may be

// Draws the bars, highest first; returns what a screen reader is told.
function show(results, { probabilities, none_of_these: isNone }) {
  const order = Object.entries(probabilities).sort((a, b) => b[1] - a[1]);
  const bars = order.map(([label, share]) => {
    const fill = make("span");
    fill.style.width = percentWidth(share);
    const track = make("span", { className: "track" }, fill);
    track.setAttribute("aria-hidden", "true");
    return make("li", {}, make("span", { className: "name" }, label), make("span", { className: "number" }, percent(share)), track);
  });
  const list = make("ol", { className: isNone ? "bars doubted" : "bars" }, ...bars);
  list.setAttribute("aria-label", "Labels by probability");
  const mark = make("p", { className: "none" }, "None of these seems to fit.");
  results.replaceChildren(...(isNone ? [mark, list] : [list]));
  if (bars.length > FIRST) results.append(showsAll(bars));
  const best = `${order[0][0]}, ${percent(order[0][1])}`;
  return isNone ? `None of these seems to fit. Nearest: ${best}` : `Best: ${best}`;
}

// Hides all bars but the first ones, which the button brings back.
function showsAll(bars) {
  for (const bar of bars.slice(FIRST)) bar.hidden = true;
  const onclick = (event) => {
    for (const bar of bars) bar.hidden = false;
    event.target.remove();
  };
  return make("button", { type: "button", className: "quiet", onclick }, `Show all ${bars.length}`);
}

function percentWidth(share) {
  return `${Math.min(100, Math.max(0, 100 * share))}%`;
}

// The labels as chips: a comma, Enter or a paste of lines makes them; Backspace in the empty field takes the last away.
class Labels {
  constructor(root, onChange) {
    this.input = root.querySelector("#classify-label");
    this.list = root.querySelector(".chips");
    this.onChange = onChange;
    this.names = [];
    const field = root.querySelector(".field");
    field.onclick = (event) => event.target === field && this.input.focus();
    this.input.onkeydown = (event) => this.key(event);
    this.input.oninput = () => /[,;]/.test(this.input.value) && this.accept({ keepsLast: true });
    this.input.onpaste = (event) => {
      const text = event.clipboardData?.getData("text/plain") ?? "";
      if (!/[,;\n\r]/.test(text)) return;
      event.preventDefault();
      this.add(words(`${this.input.value}${text}`));
      this.input.value = "";
    };
  }

  all() {
    return this.names;
  }

  key(event) {
    if (event.isComposing) return;
    if (event.key === "Enter" && this.input.value.trim()) {
      event.preventDefault();
      this.accept();
    }
    if (event.key === "Backspace" && !this.input.value && this.names.length) this.remove(this.names.at(-1));
  }

  // What is typed becomes chips; keepsLast: the word behind the last comma is still being typed.
  accept({ keepsLast = false } = {}) {
    const pieces = this.input.value.split(/[,;]/);
    this.input.value = keepsLast ? pieces.pop().trimStart() : "";
    this.add(words(pieces.join(",")));
  }

  add(names) {
    this.set([...new Set([...this.names, ...names])]);
  }

  remove(name) {
    this.set(this.names.filter((other) => other !== name));
    this.input.focus();
  }

  set(names) {
    if (names.length === this.names.length) return;
    this.names = names;
    this.list.replaceChildren(...names.map((name) => chip(name, () => this.remove(name))));
    this.input.placeholder = names.length ? "" : "a dog, a cat, a house";
    this.onChange();
  }
}
