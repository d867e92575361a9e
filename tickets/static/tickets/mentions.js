// Naming a colleague: while one writes @na… in a composer, a list of those who may be named stands
// above it. Arrows move through it, Enter and Tab take one, Escape closes it; it is never in the
// way of anything else, and without it @Bob works as well.
//
// <form data-composer data-names="/conversations/7/colleagues/">

import { ask } from "./parts.js";

const SHOWN_MAX = 8;
const KNOWN_MS = 60_000;
// Up to two words, because many names are two; not in the middle of an address.
const NAMING = /(?:^|[^\p{L}\p{N}_@.])@([^\s@]{0,40}(?: [^\s@]{0,40})?)$/u;

let lists = 0;

export function keepMentions(pane, { signal, load = names }) {
  const form = pane.querySelector("[data-composer]");
  const box = form.querySelector("[data-body]");
  const list = document.createElement("div");
  list.id = `colleagues-${++lists}`;
  list.className = "menu";
  list.dataset.up = "";
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-label", form.dataset.namesLabel);
  list.hidden = true;
  form.parentElement.append(list);
  list.style.marginInlineStart = getComputedStyle(form.parentElement).paddingInlineStart;
  box.setAttribute("aria-autocomplete", "list");
  box.setAttribute("aria-haspopup", "listbox");

  let known = [];
  let knownAt = -Infinity;
  let at = 0;
  let closedFor = null; // what was typed when it was closed, or when somebody was taken

  const options = () => [...list.children];
  const isOpen = () => !list.hidden;
  const typed = () => {
    if (box.selectionStart !== box.selectionEnd) return null;
    return NAMING.exec(box.value.slice(0, box.selectionStart))?.[1] ?? null;
  };

  const close = () => {
    list.hidden = true;
    list.replaceChildren();
    box.removeAttribute("aria-controls");
    box.removeAttribute("aria-activedescendant");
  };

  const go = (place) => {
    const all = options();
    at = (place + all.length) % all.length;
    for (const [i, option] of all.entries()) option.setAttribute("aria-selected", i === at);
    all[at].scrollIntoView({ block: "nearest" });
    box.setAttribute("aria-activedescendant", all[at].id);
  };

  const take = (name) => {
    const end = box.selectionStart;
    box.setRangeText(`@${name} `, end - typed().length - 1, end, "end");
    close();
    closedFor = typed();
    box.dispatchEvent(new Event("input", { bubbles: true }));
    box.focus();
  };

  const show = (word) => {
    const found = known.filter(({ name }) => fits(name, word)).slice(0, SHOWN_MAX);
    if (!found.length) {
      close();
      return;
    }
    list.replaceChildren(...found.map((one, i) => row(one, `${list.id}-${i}`)));
    list.hidden = false;
    box.setAttribute("aria-controls", list.id);
    go(0);
  };

  const look = async () => {
    const word = typed();
    if (word === null || word === closedFor) {
      if (word === null) closedFor = null;
      close();
      return;
    }
    closedFor = null;
    if (Date.now() - knownAt > KNOWN_MS) {
      try {
        known = await load(form.dataset.names, signal);
        knownAt = Date.now();
      } catch {
        return; // the next letter asks again
      }
    }
    const now = typed(); // it took a moment
    if (now !== null && document.activeElement === box) show(now);
  };

  box.addEventListener("input", (event) => !event.isComposing && look(), { signal });
  box.addEventListener("click", close, { signal });
  box.addEventListener("blur", close, { signal });
  box.addEventListener(
    "keydown",
    (event) => {
      if (!isOpen() || event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
      const act = {
        ArrowDown: () => go(at + 1),
        ArrowUp: () => go(at - 1),
        Enter: () => take(options()[at].dataset.name),
        Tab: () => take(options()[at].dataset.name),
        Escape() {
          closedFor = typed();
          close();
        },
      }[event.key];
      if (!act || event.shiftKey) return;
      event.preventDefault();
      event.stopPropagation();
      act();
    },
    { signal },
  );
  list.addEventListener("mousedown", (event) => {
    event.preventDefault(); // the box keeps the keyboard
    const option = event.target.closest("[role=option]");
    if (option) take(option.dataset.name);
  });
  signal.addEventListener("abort", () => list.remove());
}

// By its beginning, or by that of one of its words.
function fits(name, word) {
  const wanted = fold(word);
  const text = fold(name);
  return text.startsWith(wanted) || text.split(/\s+/).some((part) => part.startsWith(wanted));
}

// As the server compares names: without marks and case.
function fold(text) {
  return text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
}

function row({ name, initials, hue }, id) {
  const option = document.createElement("button");
  option.type = "button";
  option.id = id;
  option.tabIndex = -1;
  option.dataset.name = name;
  option.setAttribute("role", "option");
  const face = document.createElement("span");
  face.className = `avatar avatar-xs avatar-staff h${hue}`;
  face.setAttribute("aria-hidden", "true");
  face.textContent = initials;
  const words = document.createElement("bdi");
  words.textContent = name;
  option.append(face, words);
  return option;
}

async function names(address, signal) {
  return (await (await ask(address, { signal })).json()).colleagues;
}
