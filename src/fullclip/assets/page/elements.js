// Elements of the page, made of text alone: nothing that a server or a person says is ever read as HTML.

import { Problem } from "./api.js";

// <name class>…children</name>; `properties` are set on the element, children are elements or strings.
export function make(name, properties = {}, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
}

export function removeButton(label, onClick) {
  const button = make("button", { type: "button", onclick: onClick }, "✕");
  button.setAttribute("aria-label", label);
  return button;
}

// A chip with a button that takes it away.
export function chip(text, onRemove, ...before) {
  return make("li", {}, ...before, make("span", {}, text), removeButton(`Remove ${text}`, onRemove));
}

// Words that were typed or pasted: separated by commas or lines, each once.
export function words(text) {
  return [...new Set(text.split(/[,;\n\r]+/).map((word) => word.trim()).filter(Boolean))];
}

export function percent(share) {
  if (share > 0 && share < 0.001) return "< 0.1%";
  return `${(100 * share).toFixed(1)}%`;
}

// On a phone, answers may lie below what is seen.
export function comeIntoView(heading) {
  const { top } = heading.getBoundingClientRect();
  if (top < 0 || top > 0.6 * innerHeight) heading.scrollIntoView({ block: "start" });
}

// One part's questions, of which only the last counts: its button, its line of problems, what a screen reader is told.
export class Desk {
  constructor(root) {
    this.button = root.querySelector(".primary");
    this.line = root.querySelector(".problem");
    this.status = root.querySelector("[role=status]");
    this.current = null;
  }

  // Runs `work(signal)`; its Problem becomes the line, with a button to try again where that may help.
  async run(work) {
    this.current?.abort();
    const own = (this.current = new AbortController());
    this.clear();
    this.status.textContent = "";
    this.button.setAttribute("aria-busy", "true");
    try {
      await work(own.signal);
    } catch (error) {
      if (own.signal.aborted) return;
      if (!(error instanceof Problem)) throw error;
      this.say(error.message, { again: error.mayPass ? () => this.run(work) : null, isKind: error.status === 404 && error.code !== "no_such_key" });
    } finally {
      if (this.current === own) this.button.removeAttribute("aria-busy");
    }
  }

  say(text, { again = null, isKind = false } = {}) {
    this.line.replaceChildren(text);
    if (again) this.line.append(make("button", { type: "button", className: "quiet", onclick: again }, "Try again"));
    this.line.classList.toggle("kind", isKind);
    this.line.hidden = false;
  }

  clear() {
    this.line.hidden = true;
    this.line.replaceChildren();
  }
}
