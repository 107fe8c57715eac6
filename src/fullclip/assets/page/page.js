// The page: three parts behind tabs. Everything is asked of this server's own routes, relative to where the page lies.

import { Problem, ask } from "./api.js";
import { classify } from "./classify.js";
import { filesOf } from "./pictures.js";
import { rerank } from "./rerank.js";
import { search } from "./search.js";

const NAMES = ["classify", "search", "rerank"];
const panel = (name) => document.getElementById(name);
const tab = (name) => document.getElementById(`${name}-tab`);
const parts = { classify: classify(panel("classify")), search: search(panel("search")), rerank: rerank(panel("rerank")) };
let current = "classify";

function open(name) {
  current = name;
  for (const other of NAMES) {
    const isOpen = other === name;
    panel(other).hidden = !isOpen;
    tab(other).setAttribute("aria-selected", String(isOpen));
    tab(other).tabIndex = isOpen ? 0 : -1;
  }
}

function startTabs() {
  for (const name of NAMES) {
    tab(name).onclick = () => {
      open(name);
      history.replaceState(null, "", `#${name}`);
    };
  }
  document.querySelector("[role=tablist]").onkeydown = (event) => {
    const at = NAMES.indexOf(current);
    const to = { ArrowRight: (at + 1) % 3, ArrowLeft: (at + 2) % 3, Home: 0, End: 2 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    tab(NAMES[to]).click();
    tab(NAMES[to]).focus();
  };
  const fromAddress = () => NAMES.includes(location.hash.slice(1)) && open(location.hash.slice(1));
  window.addEventListener("hashchange", fromAddress);
  fromAddress();
}

// A picture may be dropped or pasted anywhere: it is for the part that is open. A file dropped beside must not replace the page.
function startDropping() {
  const over = (isOver) => document.body.classList.toggle("dragging", isOver);
  window.addEventListener("dragover", (event) => {
    event.preventDefault();
    over(true);
  });
  window.addEventListener("dragleave", (event) => event.relatedTarget === null && over(false));
  window.addEventListener("drop", (event) => {
    event.preventDefault();
    over(false);
    take(filesOf(event.dataTransfer));
  });
  window.addEventListener("paste", (event) => take(filesOf(event.clipboardData)));
}

function take(files) {
  if (files.length && !document.getElementById("key").open) parts[current].take(files);
}

async function nameModel() {
  const place = document.getElementById("model");
  try {
    const { data } = await ask("v1/models");
    place.textContent = data.map(({ id }) => id).join(", ");
    parts.search.tellSize(data[0]?.index);
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    place.textContent = error.status ? "" : "no connection";
  }
}

startTabs();
startDropping();
nameModel();
