// Files of an article: uploaded while one writes, claimed when the article is saved.

import { keepUploads, takeFiles } from "../js/uploads.js";
import { uploadWords } from "../tickets/composer.js";
import { csrfToken } from "../tickets/parts.js";

const place = document.querySelector("[data-article-files]");
const form = place.closest("form");
const said = place.querySelector("[data-said]");
const words = (name) => place.querySelector(`[data-words="${name}"]`).content.textContent;
let whenReady = null; // the button that was pressed while files were on their way

const files = keepUploads({
  address: place.dataset.uploads,
  begin: () => place.dataset.uploads,
  headers: () => ({ "X-CSRFToken": csrfToken() }),
  list: place.querySelector("[data-files]"),
  words: uploadWords(words),
  most: () => Number(place.dataset.most),
  onChange() {
    if (files.busy() || !whenReady) return;
    const button = whenReady;
    whenReady = null;
    said.textContent = "";
    form.requestSubmit(button);
  },
});

form.addEventListener("submit", (event) => {
  whenReady = null;
  if (files.busy() || files.stuck()) {
    event.preventDefault();
    if (files.busy()) whenReady = event.submitter;
    said.textContent = words(files.busy() ? "when-ready" : "stuck");
    return;
  }
  for (const old of form.querySelectorAll('input[name="file"]')) old.remove();
  for (const id of files.ids()) {
    const field = document.createElement("input");
    Object.assign(field, { type: "hidden", name: "file", value: id });
    form.append(field);
  }
});

takeFiles({
  button: place.querySelector("[data-attach]"),
  input: place.querySelector("[data-file-input]"),
  zone: document.body,
  box: form,
  add: (some) => (said.textContent = files.add(some)),
});

files.restore(JSON.parse(document.getElementById("uploaded-files").textContent));
