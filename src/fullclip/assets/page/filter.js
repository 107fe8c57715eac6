// A condition on what the index knows of its pictures, behind a heading that says which one there is.

import { Problem } from "./api.js";

export class Filter {
  constructor(root) {
    this.root = root;
    this.heading = root.querySelector("summary");
    this.input = root.querySelector("input");
    this.input.oninput = () => this.tell();
    this.root.ontoggle = () => this.name();
  }

  condition() {
    return this.input.value.trim();
  }

  fill(condition) {
    this.input.value = condition;
    this.tell();
  }

  tell() {
    this.input.removeAttribute("aria-invalid");
    this.name();
  }

  name() {
    this.heading.textContent = this.condition() && !this.root.open ? `Filter: ${this.condition()}` : "Filter";
  }

  // Opens, with the field marked, where it is the condition that the server refuses.
  blame(error) {
    if (!(error instanceof Problem) || error.status !== 400 || !/^where\b/.test(error.message)) return;
    this.root.open = true;
    this.input.setAttribute("aria-invalid", "true");
    this.input.focus();
  }
}
