// Looks at the files of a chat, one at a time over everything. files.js loads this for the first one.
//
// What a file holds is only ever put in as a picture, a player, or as text: never as HTML.

import { TEXT } from "./words.js";

const TEXT_BYTES = 65_536;
const ANSWER_MS = 20_000;

const STYLE = `
dialog.light{inset:0;inline-size:100%;block-size:100dvh;border-radius:0;color-scheme:dark;color:var(--text);background:#0d0f12}
.light .pill{text-decoration:none}
.stage{flex:1;min-block-size:0;display:grid;grid:100%/100%;padding:16px}
.stage *{max-inline-size:100%;max-block-size:100%;margin:auto}
.stage p{font-size:14px;animation:late .4s}
@keyframes late{0%,90%{opacity:0}}
.leaf{inline-size:100%;block-size:100%;object-fit:contain}
.stage pre{inline-size:88ch;block-size:100%;padding:16px;border-radius:10px;overflow:auto;white-space:pre-wrap;overflow-wrap:anywhere;font:13px/1.6 ui-monospace,monospace;background:var(--bg)}
.stage pre:focus-visible{outline-offset:-2px}
@media(prefers-reduced-motion){.stage p{animation:none}}`;

// Returns what shows a file. It is given what files.js has already.
export function keep({ shadow, h, tool, ICONS, kindOf, sizeOf, files, fresh, address, save }) {
  Object.assign(ICONS, {
    save: "M12 15V3M7 10l5 5 5-5M3 15v6h18v-6",
    previous: "m15 18-6-6 6-6",
    next: "m9 18 6-6-6-6",
  });
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(STYLE);
  shadow.adoptedStyleSheets.push(sheet);

  let looked; // at

  const caption = h("h2", { id: "caption", dir: "auto" });
  const details = h("p");
  const stage = h("div.stage");
  const previous = tool("previous", TEXT.previous, () => step(-1));
  const next = tool("next", TEXT.next, () => step(1));
  const open = h("a.pill", { target: "_blank", rel: "noopener" }, TEXT.openTab);
  const lightbox = h(
    "dialog.light",
    {
      "aria-labelledby": "caption",
      keydown({ key, target }) {
        const by = { ArrowLeft: -1, ArrowRight: 1 }[key];
        if (by && !target.controls) step(by);
      },
      close: () => stage.replaceChildren(),
    },
    h(
      "div.head",
      null,
      h("div", { "aria-live": "polite" }, caption, details),
      previous,
      next,
      open,
      tool("save", TEXT.save, () => save(looked, tell)),
      tool("close", TEXT.close, () => lightbox.close()),
    ),
    stage,
  );
  shadow.append(lightbox);

  const put = (node) => stage.replaceChildren(node);
  const tell = (sentence) => lightbox.open && put(h("p", { role: "status" }, sentence));

  function step(by) {
    const all = files();
    // What is about to go keeps no focus, and keys would go astray.
    if (stage.contains(shadow.activeElement) || shadow.activeElement === open) next.focus();
    look(all.at((all.findIndex(({ id }) => id === looked.id) + by) % all.length));
  }

  async function look(file) {
    const all = files();
    const at = all.findIndex(({ id }) => id === file.id) + 1;
    const kind = kindOf(file);
    looked = file;
    caption.textContent = file.name;
    details.textContent = sizeOf(file.size) + (all[1] ? ` · ${at} of ${all.length}` : "");
    previous.hidden = next.hidden = !all[1];
    open.hidden = kind !== "pdf";
    open.removeAttribute("href");
    if (!lightbox.open) lightbox.showModal();
    tell(TEXT.loading);
    const link = await fresh(file).catch(() => ({}));
    const drawn = link.url && (await draw[kind](file, link).catch(() => {}));
    if (looked !== file || !lightbox.open) return;
    if (drawn) put(drawn);
    else tell(link.sentence || TEXT.unopened);
  }

  // For each kind, what to put on the stage.
  const shown = (tag, failed, props) =>
    h(tag, { ...props, error: ({ target }) => target.isConnected && tell(failed) });
  const played = (tag) => async (file, { url }) =>
    shown(tag, TEXT.unopened, { src: address(url), controls: "", "aria-label": file.name });
  const draw = {
    image: async ({ name }, { url }) => shown("img", TEXT.unopened, { src: address(url), alt: name }),
    video: played("video"),
    audio: played("audio"),
    async pdf(file, { url, preview }) {
      if (looked === file) open.href = address(url);
      if (!preview) return h("p", { role: "status" }, TEXT.noPage);
      return shown("img.leaf", TEXT.noPage, { src: address(preview), alt: file.name });
    },
    async "text/plain"({ name, size }, { url }) {
      const response = await fetch(address(url), {
        headers: { Range: `bytes=0-${TEXT_BYTES - 1}` },
        signal: AbortSignal.timeout(ANSWER_MS),
      });
      if (!response.ok) return;
      const bytes = (await response.arrayBuffer()).slice(0, TEXT_BYTES);
      const text = decoded(bytes) + (size > TEXT_BYTES ? "\n…" : "");
      return h("pre", { tabindex: 0, dir: "auto", role: "region", "aria-label": name }, text);
    },
  };

  return look;
}

// In a stream, a character that is cut off at the end is left out.
function decoded(bytes) {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes, { stream: true });
  } catch {
    return new TextDecoder("windows-1252").decode(bytes);
  }
}
