// Files in a chat: attached, shown and saved. chat.js loads this for the first one.

import { keepUploads, sizeOf, takeFiles } from "./uploads.js";
import { TEXT } from "./words.js";

const SHAPES = {
  file: "M14 2H5v20h14V7ZM14 2v5h5",
  audio: "M9 18V5l12-2v13M6 15a3 3 0 1 0 .1 0M18 13a3 3 0 1 0 .1 0",
  video: "M3 3h18v18H3ZM8 3v18M16 3v18M3 12h18M3 7h5M3 17h5M16 7h5M16 17h5",
};

const STYLE = `
.ups{inline-size:100%;max-block-size:30cqb;padding:0;overflow-y:auto;overscroll-behavior:contain;list-style:none}
.up,.file{display:flex;flex-wrap:wrap;align-items:center;gap:2px 8px;max-inline-size:100%;padding:5px 10px;border-radius:10px;font-size:12px;box-shadow:inset 0 0 0 1px var(--line)}
.up{margin-block-end:4px;padding-inline-end:4px}
.up-name,.file bdi{flex:1;min-inline-size:64px;overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
.up-note{color:var(--soft)}
[data-state=rejected] .up-note,[data-state=failed] .up-note{color:var(--bad)}
[data-state=rejected] .up-note,[data-state=failed] .up-note,.file .bad{order:1;inline-size:100%}
.up-bar{inline-size:64px;block-size:4px;accent-color:var(--fill)}
.up-again,.up-drop{min-inline-size:24px;min-block-size:24px;text-align:center}
.up-again{text-decoration:underline}
@container (max-height:480px){.hello:has(~form .up){display:none}}
.files{display:flex;flex-direction:column;align-items:start;gap:4px;max-inline-size:100%}
.bubble+.files{padding-block-start:4px}
.me .files{align-items:end}
.picture{max-inline-size:100%;border-radius:10px;overflow:hidden;box-shadow:0 0 0 1px var(--line)}
.picture img{display:block;max-inline-size:100%;block-size:auto;max-block-size:220px;object-fit:cover}
button.file:hover{background:var(--press)}
.dropping:after{content:attr(data-drop);position:absolute;inset:8px;display:grid;place-items:center;border:2px dashed var(--link);border-radius:10px;font-weight:620;color:var(--link);background:var(--bg);opacity:.94}`;

// What chat.js needs of them; it is given what that has already.
export function keep(kit) {
  const { shadow, panel, box, attachments, picker, clip, h, icon, button, ICONS } = kit;
  const { api, call, begin, say, keepDraft, submit, oneTabAtATime } = kit;
  Object.assign(ICONS, SHAPES);
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(STYLE);
  shadow.adoptedStyleSheets.push(sheet);
  panel.dataset.drop = TEXT.drop;

  let arriving = 0; // while a session begins for them

  const uploads = keepUploads({
    begin: () => `${api}files`,
    address: `${api}files/`,
    headers: () => ({ Authorization: `Bearer ${kit.token()}`, "Accept-Language": kit.lang }),
    list: attachments,
    words: {
      ...{ uploading: TEXT.uploading, checking: TEXT.checking, failed: TEXT.unattached },
      ...{ lost: TEXT.lost, out: TEXT.lost, most: TEXT.most, retry: TEXT.retry, remove: TEXT.remove },
    },
    most: () => kit.config()?.files_max ?? Infinity,
    onChange({ focusLost } = {}) {
      keepDraft();
      if (focusLost) box.focus();
      if (kit.asksToSend() && !busy()) submit();
    },
  });

  // Sentences for why nothing can be sent.
  const busy = () => (arriving || uploads.busy()) && TEXT.whenReady;
  const stuck = () => uploads.stuck() && TEXT.stuck;

  async function attach(files) {
    const chosen = [...files]; // before the picker forgets them
    if (kit.asksToSend()) say(TEXT.whenReady);
    box.focus();
    arriving++;
    if (!kit.token()) await oneTabAtATime(() => begin().catch(() => {}));
    arriving--;
    const refusal = kit.token() ? uploads.add(chosen) : TEXT.unattached;
    if (refusal) kit.stopAsking();
    if (!kit.asksToSend()) say(refusal);
  }

  const address = (path) => new URL(path, api).href;
  const fresh = ({ id }) => call("GET", `files/${id}/link`);

  // What is there is for saving only: the page stays.
  async function save(file, tell = say) {
    try {
      const { save, sentence } = await fresh(file);
      if (save) h("a", { href: address(save), download: "" }).click();
      else tell(sentence);
    } catch ({ message }) {
      tell(message ?? TEXT.unsaved);
    }
  }

  function drawFile(file) {
    const { name, size, url, preview, width, height, sentence } = file;
    const kind = kindOf(file);
    const chip = [
      icon(sentence ? "alert" : ICONS[kind] ? kind : "file"),
      h("bdi", { title: name }, name),
      h(sentence ? "p.bad" : "p", null, sentence || sizeOf(size)),
    ];
    if (!url) return h("div.file", null, ...chip);
    const open = () => (kind ? look : save)(file);
    if (!preview) return button("file", open, ...chip);
    let tried;
    const picture = h("img", {
      src: address(preview),
      alt: name,
      width,
      height,
      // Its address is good for minutes. Ask for another one, once.
      async error() {
        const again = !tried && (await fresh(file).catch(() => {}));
        tried = true;
        if (again) picture.src = address(again.preview);
        else picture.replaceWith(h("div.file", null, ...chip));
      },
    });
    return button("picture", open, picture, kind === "image" ? "" : h("div.file", null, ...chip));
  }

  // Those of an entry; what is drawn already stays as it is.
  function draw(node, files) {
    const shown = files.map(({ id, url, sentence }) => id + !url + sentence).join();
    if (node.shown === shown) return;
    node.shown = shown;
    node.querySelector(".files").replaceChildren(...files.map(drawFile));
  }

  // --- One of them over everything: by look.js, once somebody wants to ---

  const kindOf = ({ type }) => /^(image|video|audio|text\/plain)|pdf$/.exec(type)?.[0];
  const files = () => kit.messages().flatMap((m) => m.files ?? []).filter((file) => file.url && kindOf(file));

  async function look(file) {
    const look = await kit.part("look", { kindOf, sizeOf, files, fresh, address, save });
    (look ?? save)(file);
  }

  const { saved, forget, restore } = uploads;
  takeFiles({ button: clip, input: picker, zone: panel, box, add: attach });
  return { attach, draw, busy, saved, stuck, forget, restore };
}
