// A caption and pictures -> the pictures in order, with scores.

import { ask } from "./api.js";
import { Desk, comeIntoView, make, removeButton } from "./elements.js";
import { MANY, dataUrl, opensWithEnter } from "./pictures.js";

const DIVERSITY = 0.5;

export function rerank(root) {
  const desk = new Desk(root);
  const caption = root.querySelector("#rerank-caption");
  const input = root.querySelector("input[type=file]");
  const strip = root.querySelector(".strip");
  const clear = root.querySelector("#rerank-clear");
  const heading = root.querySelector("h2");
  const gallery = root.querySelector(".gallery");
  let pictures = [];

  const changed = () => {
    clear.hidden = !pictures.length;
    strip.replaceChildren(
      ...pictures.map((picture) => {
        const button = removeButton(`Remove ${picture.name}`, () => {
          pictures = pictures.filter((other) => other !== picture);
          changed();
          input.focus();
        });
        button.className = "remove";
        return make("li", {}, make("img", { src: picture.url, alt: picture.name }), button);
      }),
    );
  };
  const take = (files) =>
    desk.run(async (signal) => {
      const unread = [];
      for (const file of files) {
        try {
          pictures.push({ name: file.name, url: await dataUrl(file, MANY) });
        } catch (error) {
          unread.push(error);
        }
        if (signal.aborted) break;
      }
      input.value = "";
      changed();
      desk.status.textContent = `${pictures.length} pictures`;
      if (unread.length) throw unread[0];
    });
  opensWithEnter(input);
  input.onchange = () => take([...input.files]);
  clear.onclick = () => {
    pictures = [];
    changed();
    input.focus();
  };
  root.querySelector("form").onsubmit = (event) => {
    event.preventDefault();
    if (!caption.value.trim()) {
      desk.say("Type the caption that the pictures are for.");
      return caption.focus();
    }
    if (!pictures.length) return desk.say("Choose some pictures first.");
    const asked = [...pictures];
    const body = { caption: caption.value.trim(), images: asked.map(({ url }) => url), top: asked.length };
    if (root.querySelector("#rerank-diverse").checked) body.diversity = DIVERSITY;
    desk.run(async (signal) => {
      const { hits } = await ask("v1/rerank", body, { signal });
      heading.hidden = false;
      gallery.replaceChildren(...hits.map((hit, place) => card(asked[hit.index], hit.score, place + 1)));
      comeIntoView(heading);
      desk.status.textContent = `Best: ${asked[hits[0].index].name}`;
    });
  };
  return { take };
}

function card({ name, url }, score, place) {
  const rank = make("span", { className: "rank" }, String(place));
  rank.setAttribute("aria-hidden", "true");
  const frame = make("span", { className: "frame" }, make("img", { src: url, alt: "" }), rank);
  const number = make("span", { className: "number" }, Number(score).toFixed(3));
  const told = make("span", { className: "told" }, make("span", { className: "words file", title: name }, name), number);
  return make("li", {}, make("span", { className: "hit" }, frame, told));
}
