// Pictures that are chosen, dropped or pasted -> data URLs small enough to send: no model looks at more than a few hundred pixels.

import { Problem } from "./api.js";
import { make, removeButton } from "./elements.js";

const ONE = { side: 512, bytes: 300_000 };
export const MANY = { side: 384, bytes: 60_000 };
const LONGEST_SIDE = 2048;
const LARGEST_FILE = 200_000_000;
const KNOWN = ["image/jpeg", "image/png", "image/webp"];

// A data URL of the file: as it is where it has few bytes and its short side no more pixels than `side`; otherwise drawn smaller,
// on white, as a JPEG.
export async function dataUrl(file, { side, bytes } = ONE) {
  if (file.size > LARGEST_FILE) throw new Problem(`${file.name} is too large for this page (more than 200 MB).`);
  let bitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    throw new Problem(`${file.name} cannot be opened as a picture. JPEG, PNG and WebP can.`);
  }
  const { width, height } = bitmap;
  const scale = Math.min(1, side / Math.min(width, height), LONGEST_SIDE / Math.max(width, height));
  if (scale === 1 && file.size <= bytes && KNOWN.includes(file.type)) {
    bitmap.close();
    return read(file);
  }
  const canvas = make("canvas", { width: Math.max(1, Math.round(width * scale)), height: Math.max(1, Math.round(height * scale)) });
  const pen = canvas.getContext("2d");
  pen.fillStyle = "#fff";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.imageSmoothingQuality = "high";
  pen.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  const drawn = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.92));
  if (!drawn) throw new Problem(`${file.name} is too large for this browser to open.`);
  return read(drawn);
}

function read(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(new Problem("The file could not be read."));
    reader.readAsDataURL(blob);
  });
}

// The field for files opens with Enter, as with the space bar; on its own, some browsers send the form instead.
export function opensWithEnter(input) {
  input.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    input.click();
  });
}

// The pictures of a drop or a paste.
export function filesOf(transfer) {
  return [...(transfer?.files ?? [])];
}

// A place for one picture. onChange is told of every new one, null where it was taken away; desk says what cannot be opened.
export class Zone {
  constructor(root, desk, onChange) {
    Object.assign(this, { root, desk, onChange, url: null });
    this.input = root.querySelector("input");
    this.label = root.querySelector("label");
    opensWithEnter(this.input);
    this.input.onchange = () => this.take([...this.input.files]);
  }

  async take(files) {
    if (!files.length) return;
    const file = files[0];
    await this.desk.run(async (signal) => {
      const url = await dataUrl(file);
      if (!signal.aborted) this.show(url, file.name);
    });
  }

  show(url, name = "") {
    this.remove();
    this.url = url;
    const picture = make("img", { src: url, alt: name ? `${this.root.dataset.alt}: ${name}` : this.root.dataset.alt });
    const button = removeButton("Remove the picture", () => {
      this.remove();
      this.onChange(null);
      this.input.focus();
    });
    button.className = "remove";
    this.label.append(picture);
    this.root.append(button);
    this.root.classList.add("filled");
    this.onChange(url);
  }

  remove() {
    this.url = null;
    this.input.value = "";
    this.root.classList.remove("filled");
    this.label.querySelector("img")?.remove();
    this.root.querySelector(".remove")?.remove();
  }
}
