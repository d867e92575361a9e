// Looks at the files of a conversation without leaving the page.
//
// Every file is a link that works by itself (_file.html); this takes the click where there is
// something to look at. What a file holds is only ever put in as a picture, a player, or as text:
// never as HTML.

import { sentenceOf } from "./parts.js";

const TEXT_BYTES = 64 * 1024;
const LOADING_SHOWN_AFTER_MS = 200;
const SWIPE_PX = 60;
const LOOKED_AT = new Set(["image", "video", "audio", "text"]);

export function lightbox(dialog = document.querySelector("[data-lightbox]")) {
  const part = (name) => dialog.querySelector(`[data-${name}]`);
  const stage = part("stage");
  const place = part("place");
  let opener = ""; // where the focus goes back to
  let shown = ""; // by its id: the entry around a link may be drawn anew meanwhile
  let leave = new AbortController();

  const linkOf = (id) => document.querySelector(`[data-timeline] [data-file="${id}"]`);
  // Pictures that are folded away are no stop on the way.
  const stops = () =>
    [...document.querySelectorAll("[data-timeline] a[data-file]")].filter(
      (link) => link.dataset.file === shown || !link.closest("details:not([open])"),
    );

  const say = (state, sentence = "") => {
    for (const line of dialog.querySelectorAll("[data-state]")) {
      line.hidden = line.dataset.state !== state;
      if (!line.hidden && sentence) line.textContent = sentence;
    }
  };

  function show(link) {
    leave.abort();
    leave = new AbortController();
    const { signal } = leave;
    const { file, kind, name, size } = link.dataset;
    const save = `${link.getAttribute("href")}?download`;
    shown = file;
    part("name").textContent = name;
    part("size").textContent = size;
    part("unscanned").hidden = !("unscanned" in link.dataset);
    part("save").href = save;
    part("tab").href = link.href;
    part("tab").hidden = kind !== "image" && kind !== "pdf";
    const all = stops();
    const at = all.indexOf(link);
    place.textContent = place.dataset.place.replace("{n}", at + 1).replace("{m}", all.length);
    for (const button of dialog.querySelectorAll("[data-step]")) {
      button.disabled = !all[at + Number(button.dataset.step)];
    }
    // A button that just went out of use keeps no focus, and keys would go astray.
    if (document.activeElement.disabled) stage.focus();

    say("");
    stage.replaceChildren();
    const timer = setTimeout(() => say("loading"), LOADING_SHOWN_AFTER_MS);
    signal.addEventListener("abort", () => clearTimeout(timer));
    draw[kind](link, signal, stage).then(
      (drawn) => {
        if (signal.aborted) return;
        clearTimeout(timer);
        say(drawn ? "" : "other");
        if (drawn) stage.replaceChildren(drawn);
      },
      (fault) => {
        if (signal.aborted) return;
        clearTimeout(timer);
        stage.replaceChildren();
        say(fault.state ?? "lost", fault.sentence);
      },
    );
  }

  const step = (by) => {
    const all = stops();
    const next = all[all.indexOf(linkOf(shown)) + by];
    if (next && linkOf(shown)) show(next);
  };

  document.addEventListener("click", (event) => {
    const link = event.target.closest("[data-timeline] a[data-file]");
    if (!link || !LOOKED_AT.has(link.dataset.kind)) return;
    if (event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    opener = link.dataset.file;
    dialog.showModal();
    show(link);
  });
  dialog.addEventListener("click", ({ target }) => {
    const button = target.closest("[data-step]");
    if (button) step(Number(button.dataset.step));
    if (target.closest("[data-again]")) show(linkOf(shown));
    if (target.closest("[data-close]") || target === stage) dialog.close();
  });
  dialog.addEventListener("close", () => {
    leave.abort();
    stage.replaceChildren(); // whatever plays falls silent
    linkOf(opener)?.focus();
  });
  dialog.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    // In a player the arrows seek; in a picture at full size they scroll.
    if (!by || event.target.matches("video, audio") || stage.querySelector(".is-full")) return;
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    step(document.dir === "rtl" ? -by : by);
  });

  let finger = null;
  stage.addEventListener("touchstart", ({ touches }) => {
    finger = touches.length === 1 && !stage.querySelector(".is-full, :scope > video") ? touches[0] : null;
  }, { passive: true });
  stage.addEventListener("touchend", ({ changedTouches: [end] }) => {
    if (!finger) return;
    const [x, y] = [end.clientX - finger.clientX, end.clientY - finger.clientY];
    if (Math.abs(x) > Math.max(SWIPE_PX, 2 * Math.abs(y))) step(x < 0 ? 1 : -1);
  });
}

// For each kind: what to put on the stage, once it is there; null where there is nothing to see.
const draw = {
  async image(link, signal, stage) {
    const picture = new Image();
    picture.alt = link.dataset.name;
    picture.src = link.href;
    await arrival(picture, "load", link, signal);
    if (picture.naturalWidth < stage.clientWidth && picture.naturalHeight < stage.clientHeight) return picture;
    const zoom = document.createElement("button");
    zoom.type = "button";
    zoom.className = "lightbox-zoom";
    zoom.setAttribute("aria-pressed", "false");
    zoom.append(picture);
    zoom.addEventListener("click", ({ offsetX, offsetY, detail }) => {
      const { offsetWidth: width, offsetHeight: height } = picture;
      const full = zoom.classList.toggle("is-full");
      zoom.setAttribute("aria-pressed", full);
      // What was clicked stays in sight; a key has no place, and the middle does.
      const [x, y] = detail ? [offsetX / width, offsetY / height] : [0.5, 0.5];
      stage.scrollTo(
        x * picture.offsetWidth - stage.clientWidth / 2,
        y * picture.offsetHeight - stage.clientHeight / 2,
      );
    });
    return zoom;
  },
  video: (link, signal) => player("video", link, signal),
  audio: (link, signal) => player("audio", link, signal),
  async text(link, signal) {
    const response = await ask(link, TEXT_BYTES - 1, signal);
    const text = document.createElement("pre");
    text.tabIndex = 0; // so that a keyboard scrolls it
    text.dir = "auto";
    text.setAttribute("aria-label", link.dataset.name);
    // In a stream, a character that is cut off at the end is left out.
    const bytes = (await response.arrayBuffer()).slice(0, TEXT_BYTES);
    text.textContent = new TextDecoder().decode(bytes, { stream: true });
    const whole = Number(response.headers.get("Content-Range")?.split("/")[1]);
    if (whole > TEXT_BYTES) text.append("\n…");
    return text;
  },
  async pdf(link) {
    const page = link.querySelector("img");
    if (!page) return null;
    const open = document.createElement("a");
    open.href = link.href;
    open.target = "_blank";
    open.append(page.cloneNode());
    open.firstChild.alt = link.dataset.name;
    return open;
  },
  async other() {
    return null;
  },
};

async function player(element, link, signal) {
  const made = document.createElement(element);
  made.controls = true;
  made.playsInline = true;
  made.preload = "metadata";
  made.setAttribute("aria-label", link.dataset.name);
  made.src = link.href;
  await arrival(made, "loadedmetadata", link, signal);
  // The address behind the link opens for minutes only: a long pause ends with a fresh one.
  made.addEventListener("error", () => {
    if (made.error?.code !== MediaError.MEDIA_ERR_NETWORK) return;
    const { currentTime, paused } = made;
    made.src = link.href;
    made.currentTime = currentTime;
    if (!paused) made.play();
  });
  return made;
}

async function arrival(element, event, link, signal) {
  const came = await new Promise((resolve) => {
    element.addEventListener(event, () => resolve(true), { once: true });
    element.addEventListener("error", () => resolve(false), { once: true });
    signal.addEventListener("abort", () => element.removeAttribute("src"));
  });
  if (came || signal.aborted) return;
  await ask(link, 0, signal); // an element does not say why it failed
  throw closed("broken");
}

// The first bytes of a file. Rejects with `state`: why there are none.
async function ask(link, last, signal) {
  const headers = { Range: `bytes=0-${last}`, "HX-Request": "true" };
  const response = await fetch(link.href, { headers, signal });
  if (response.ok) return response;
  if (response.status === 422) throw closed("refused", sentenceOf(await response.text()));
  throw closed({ 401: "out", 404: "gone" }[response.status] ?? "lost");
}

function closed(state, sentence) {
  return Object.assign(new Error(state), { state, sentence });
}
