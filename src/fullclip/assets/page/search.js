// Words, words to avoid, a picture, pictures of the index -> a gallery; each of its pictures is a way to more like it.

import { Problem, ask } from "./api.js";
import { Desk, chip, comeIntoView, make, words } from "./elements.js";
import { Filter } from "./filter.js";
import { Zone } from "./pictures.js";

const NO_INDEX = "This server has no pictures to search in. Start it with an index: fullclip serve --index FOLDER";

export function search(root) {
  const desk = new Desk(root);
  const [text, minus, top] = ["text", "minus", "top"].map((name) => root.querySelector(`#search-${name}`));
  const back = root.querySelector("#search-back");
  const gallery = new Gallery(root, (hit) => follow({ like: [hit] }));
  const zone = new Zone(root.querySelector(".zone"), desk, () => {});
  const filter = new Filter(root.querySelector(".filter"));
  const past = [];
  let likes = [];
  let shown = null;

  const showLikes = () => {
    const chips = likes.map((hit) => {
      const picture = isPicture(hit.thumbnail) ? [make("img", { src: hit.thumbnail, alt: "" })] : [];
      const onRemove = () => {
        likes = likes.filter((other) => other !== hit);
        showLikes();
        text.focus();
      };
      return chip(`like ${nameOf(hit)}`, onRemove, ...picture);
    });
    root.querySelector("#search-like").replaceChildren(...chips);
  };
  const wish = () => ({ text: text.value.trim(), minus: words(minus.value), picture: zone.url, likes, where: filter.condition() });
  const fill = ({ text: said = "", minus: without = [], picture = null, likes: liked = [], where = "" }) => {
    text.value = said;
    minus.value = without.join(", ");
    likes = liked;
    filter.fill(where);
    if (picture) zone.show(picture);
    else zone.remove();
    showLikes();
  };
  const go = ({ returns = false } = {}) => {
    const asked = wish();
    if (!asked.text && !asked.picture && !asked.likes.length) {
      desk.say(asked.minus.length ? "Say also what to look for, not only what to avoid." : "Type a few words, or add a picture.");
      return text.focus();
    }
    return desk.run(async (signal) => {
      gallery.forgetNothing();
      const { hits } = await ask("v1/search", question(asked, Number(top.value)), { signal }).catch((error) => {
        filter.blame(error);
        return explained(error);
      });
      if (shown && !returns) past.push(shown);
      shown = asked;
      back.hidden = !past.length;
      gallery.show(hits);
      comeIntoView(gallery.heading);
      desk.status.textContent = hits.length === 1 ? "1 picture found" : `${hits.length} pictures found`;
    });
  };
  const follow = async ({ like }) => {
    fill({ likes: like, where: filter.condition() });
    await go();
    gallery.heading.focus({ preventScroll: true });
  };
  back.onclick = async () => {
    fill(past.pop());
    await go({ returns: true });
    text.focus();
  };
  root.querySelector("form").onsubmit = (event) => {
    event.preventDefault();
    go();
  };
  const lead = root.querySelector(".lead");
  return {
    take: (files) => zone.take(files),
    // size: how many pictures the server can search, null for one without an index.
    tellSize(size) {
      if (size === null) desk.say(NO_INDEX, { isKind: true });
      else if (size >= 0) lead.textContent = `Find pictures by words, by a picture, or by both, among ${size.toLocaleString("en")}.`;
    },
  };
}

function question({ text, minus, picture, likes, where }, top) {
  const asked = { top };
  if (text) asked.text = text;
  if (picture) asked.image = picture;
  if (likes.length) asked.like = likes.map((hit) => hit.key);
  if (minus.length) asked.minus = minus;
  if (where) asked.where = where;
  return asked;
}

// A server without an index has no such route, or says so with a 404; so does one that a picture has been removed from.
function explained(error) {
  if (!(error instanceof Problem) || error.status !== 404 || error.code === "no_such_key") throw error;
  throw new Problem(NO_INDEX, error);
}

// Only what is a picture in itself is shown as one: a server's word for where to load it from is not followed.
function isPicture(url) {
  return typeof url === "string" && url.startsWith("data:image/");
}

function nameOf({ key, meta = {} }) {
  const name = typeof meta.path === "string" ? meta.path.split("/").at(-1) : "";
  return name || String(key);
}

function captionOf(hit) {
  const { caption, captions } = hit.meta ?? {};
  const said = [caption, ...(Array.isArray(captions) ? captions : [captions])].find((text) => typeof text === "string" && text);
  return said ?? null;
}

class Gallery {
  constructor(root, onChoose) {
    this.heading = root.querySelector("h2");
    this.list = root.querySelector(".gallery");
    this.onChoose = onChoose;
    this.list.onkeydown = (event) => this.key(event);
  }

  show(hits) {
    this.heading.hidden = false;
    this.heading.textContent = hits.length ? "Results" : "Nothing was found";
    this.list.replaceChildren(...hits.map((hit) => make("li", {}, this.card(hit))));
  }

  // "Nothing was found" was said of another question.
  forgetNothing() {
    if (!this.list.children.length) this.heading.hidden = true;
  }

  card(hit) {
    const said = captionOf(hit);
    const caption = said ?? nameOf(hit);
    const picture = isPicture(hit.thumbnail) ? make("img", { src: hit.thumbnail, alt: "", loading: "lazy" }) : "no preview";
    const more = make("span", { className: "more" }, "More like this");
    more.setAttribute("aria-hidden", "true");
    const score = make("span", { className: "number" }, Number(hit.score).toFixed(3));
    const told = make("span", { className: "told" }, make("span", { className: said ? "words" : "words file" }, caption), score);
    const button = make("button", { type: "button", className: "hit", title: nameOf(hit), onclick: () => this.onChoose(hit) });
    button.append(make("span", { className: "frame" }, picture, more), told);
    const copies = Array.isArray(hit.meta?.duplicates) ? hit.meta.duplicates.length : 0;
    if (copies) button.append(make("span", { className: "copies" }, copies === 1 ? "1 copy of it" : `${copies} copies of it`));
    button.setAttribute("aria-label", `More like this: ${caption}, score ${Number(hit.score).toFixed(3)}`);
    return button;
  }

  // Arrow keys go from picture to picture.
  key(event) {
    const buttons = [...this.list.querySelectorAll("button")];
    const at = buttons.indexOf(document.activeElement);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: buttons.length - 1 }[event.key];
    if (at < 0 || to === undefined || !buttons[to]) return;
    event.preventDefault();
    buttons[to].focus();
  }
}
