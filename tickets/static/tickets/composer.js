// Writing: nothing that was typed is lost, and nothing is sent twice.
//
// The text and its token are kept on this device from the first letter until the server has
// stored it. A token belongs to one text: sending the same text again uses the same token, so a
// double click or a lost answer is one message; a changed text gets a new one. Whatever is sent
// while another message is under way waits for it, so that messages arrive in order.

import { keepUploads, takeFiles } from "../js/uploads.js";
import { keepGuard } from "./guard.js";
import { ask, csrfToken, keyOf } from "./parts.js";

const KEEP_AFTER_MS = 250;
const TYPING_EVERY_MS = 2_500;
const TYPING_STOPS_MS = 4_000;
// What is said besides a reply: to whom else, and answers to choose from.
const EXTRAS = ["cc", "bcc", "choices"];
export const AGAIN_MS = 3_000;
export const AGAIN_AFTER = new Set([0, 429, 502, 503, 504]);

export function keepComposer(pane, live, { signal, onSent, onMovedOn, store = localStorage }) {
  const form = pane.querySelector("[data-composer]");
  const box = form.querySelector("[data-body]");
  const errorBox = form.querySelector("[data-composer-error]");
  const conversation = Number(pane.dataset.conversation);
  const key = draftKey(keyOf(pane));
  const words = (name) => pane.querySelector(`[data-words="${name}"]`).content.textContent;
  const kind = () => form.elements.kind.value;
  const most = () => Number(form.dataset.most);
  const { uploads: address, inbox } = form.dataset;
  const copies = form.querySelector("[data-copies]");
  const copied = (name) => form.elements[name]?.value.trim() ?? "";
  const extras = () => Object.fromEntries(EXTRAS.map((name) => [name, copied(name)]));

  let token = form.elements.client_token.value;
  let tried = null; // what was sent with this token, when its answer did not come
  let waiting = []; // what was sent after it, each with a token of its own
  let promised = false; // the person was told, or has not heard otherwise, that it goes out by itself
  let sending = false;
  let againTimer = 0;
  let keepTimer = 0;
  let touched = false; // a box that was never used says nothing about a draft of another tab
  let whenReady = false; // sent while files were on their way

  const say = (text, { isError = true } = {}) => {
    errorBox.replaceChildren();
    box.toggleAttribute("aria-invalid", false);
    if (!text) return;
    if (isError) box.setAttribute("aria-invalid", "true");
    const line = document.createElement("p");
    line.className = isError ? "error" : "muted";
    line.textContent = text;
    errorBox.append(line);
  };
  const same = (one, other) =>
    one &&
    one.body === other.body &&
    one.kind === other.kind &&
    EXTRAS.every((name) => (one[name] ?? "") === (other[name] ?? "")) &&
    String(one.files ?? []) === String(other.files);
  // Files as they were attached and not as they are known to be ready: a message whose answer was
  // lost may have taken them, and is still the same message.
  const draft = () => ({
    kind: kind(),
    body: box.value,
    files: files.saved().map(({ id }) => id),
    ...extras(),
  });
  const setExtras = (given) => {
    if (!copies) return;
    const fields = EXTRAS.map((name) => form.elements[name]).filter(Boolean);
    for (const field of fields) field.value = given[field.name] ?? "";
    copies.open = fields.some((field) => field.value);
  };
  const isEmpty = ({ body, files }) => !body.trim() && !files.length;
  const guard = keepGuard(pane, {
    from: Number(form.elements.seen_seq?.value),
    words,
    onSeen() {
      onMovedOn();
      pane.querySelector("[data-scroller]").scrollTop = 0;
      box.focus();
    },
    onSend: () => press({ anyway: true }),
  });

  const files = keepUploads({
    address,
    begin: () => (inbox ? `${address}?inbox=${inbox}` : address),
    headers: () => ({ "X-CSRFToken": csrfToken() }),
    list: form.querySelector("[data-files]"),
    words: uploadWords(words),
    most,
    onChange({ focusLost } = {}) {
      if (signal.aborted) return;
      touched = true;
      keep();
      if (focusLost) box.focus();
      if (files.busy()) return;
      if (whenReady) press();
      else again();
    },
  });
  const attach = (some) => {
    say(files.add(some));
    box.focus();
  };

  const keep = () => {
    clearTimeout(keepTimer);
    const uploads = files.saved();
    const { kind, body } = draft();
    if (body.trim() || uploads.length || Object.values(extras()).some(Boolean)) {
      const kept = { kind, body, ...extras(), uploads, token, tried, waiting, promised };
      store.setItem(key, JSON.stringify(kept));
    }
    else if (touched) store.removeItem(key);
  };

  const restore = () => {
    const kept = JSON.parse(store.getItem(key) ?? "null");
    if (!kept || box.value) return; // a refused form brings its own text
    touched = true;
    box.value = kept.body;
    form.elements.kind.value = kept.kind;
    setExtras(kept);
    ({ token, tried, waiting, promised } = kept);
    files.restore(kept.uploads ?? []);
  };

  // A sent text stays in the box until it is stored: what comes after it is another message.
  const after = (text, { body }) =>
    text.startsWith(body) ? text.slice(body.length).trimStart() : text;

  // `anyway`: whoever speaks meanwhile, once more, does not hold it back again.
  const press = ({ anyway = false } = {}) => {
    if (signal.aborted || !checkLength()) return;
    whenReady = files.busy();
    if (whenReady || files.stuck()) {
      say(words(whenReady ? "when-ready" : "stuck"), { isError: !whenReady });
      return;
    }
    if (sending || waiting.length) {
      const body = [tried, ...waiting].reduce(after, box.value);
      const taken = [tried, ...waiting].flatMap((one) => one.files ?? []);
      const left = draft();
      // Who was put in copy with the first hears the next ones anyway.
      const next = { kind: left.kind, body, files: left.files.filter((id) => !taken.includes(id)) };
      if (left.choices !== tried?.choices) next.choices = left.choices;
      if (!isEmpty(next)) waiting.push({ ...next, token: newToken(), seen: guard.seen() });
      keep();
      if (!sending) send(tried);
      return;
    }
    const now = draft();
    if (isEmpty(now)) {
      say(words("empty"));
      box.focus();
      return;
    }
    if (tried && !same(tried, now)) token = newToken();
    send({ ...now, token, seen: anyway ? null : guard.seen() });
  };

  // What waits goes out even when this person has gone on to another ticket.
  const send = async (now) => {
    clearTimeout(againTimer);
    sending = true;
    form.setAttribute("aria-busy", "true");
    while (now && (await deliver(now))) now = waiting.shift();
    sending = false;
    form.removeAttribute("aria-busy");
  };

  const deliver = async (now) => {
    ({ token } = now);
    tried = now;
    promised = true;
    keep();
    const data = new FormData();
    data.set("body", now.body);
    data.set("client_token", token);
    for (const id of now.files ?? []) data.append("file", id);
    if (now.kind === "reply") {
      for (const name of EXTRAS) data.set(name, now[name] ?? "");
      data.set("seen_seq", now.seen ?? "");
    }
    try {
      await ask(form.querySelector(`[data-send="${now.kind}"]`).formAction, { form: data });
    } catch (error) {
      explain(error, now);
      return false;
    }
    token = newToken();
    tried = null;
    promised = false;
    // What was typed meanwhile stays, as a message of its own.
    box.value = after(box.value, now);
    files.forget(now.files ?? []);
    if (now.kind === "reply" && EXTRAS.every((name) => copied(name) === (now[name] ?? ""))) {
      setExtras({});
    }
    keep();
    say("");
    if (now.kind === "reply") guard.pass();
    stopTyping();
    live.wake();
    onSent();
    return true;
  };

  const explain = (error, now) => {
    if (AGAIN_AFTER.has(error.status)) {
      say(words(error.status ? "later" : "offline"));
      againTimer = setTimeout(again, error.retryAfterSeconds * 1000 || AGAIN_MS);
      return;
    }
    promised = false; // from here on it is the person's to send
    waiting = []; // they stand in the box
    if (error.status < 500) {
      tried = null; // certainly not stored, so nothing is doubled by a new token
      token = newToken();
    }
    keep();
    if (error.status === 409) {
      say("");
      guard.refuse(error.html);
      onMovedOn();
      return;
    }
    if (error.status === 401) live.signedOut();
    const name = { 401: "out", 404: "gone" }[error.status];
    say(name ? words(name) : error.sentence || words("failed"));
  };

  // By itself only what is still exactly what the person sent.
  const again = () => {
    if (signal.aborted || sending || !promised) return;
    if (waiting.length || same(tried, draft())) send(tried);
  };

  const checkLength = () => {
    const limit = Number(form.dataset.maxChars);
    const length = [...box.value.trim()].length;
    if (length <= limit) return true;
    const number = (value) => value.toLocaleString();
    say(
      words("long")
        .replace("{length}", number(length))
        .replace("{over}", number(length - limit))
        .replace("{limit}", number(limit)),
    );
    return false;
  };

  let typing = false;
  let typedAt = 0;
  let typingTimer = 0;
  const stopTyping = () => {
    clearTimeout(typingTimer);
    if (typing) live.typing(conversation, false);
    typing = false;
    typedAt = 0;
  };
  // Only a reply: nobody may learn from this that a note is being written.
  const showTyping = () => {
    if (kind() !== "reply" || !box.value.trim()) {
      stopTyping();
      return;
    }
    if (Date.now() - typedAt > TYPING_EVERY_MS) {
      typing = true;
      typedAt = Date.now();
      live.typing(conversation, true);
    }
    clearTimeout(typingTimer);
    typingTimer = setTimeout(stopTyping, TYPING_STOPS_MS);
  };

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    press();
  });
  form.addEventListener("input", () => {
    touched = true;
    whenReady = false;
    if (!sending) waiting = []; // changed after a failure: from here on it is one text again
    if (checkLength()) say("");
    if (isEmpty(draft())) guard.pass();
    showTyping();
    clearTimeout(keepTimer);
    keepTimer = setTimeout(keep, KEEP_AFTER_MS);
  });
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      press();
    }
  });
  box.addEventListener("blur", stopTyping);
  form.addEventListener("focusin", () => (form.dataset.used = ""));
  takeFiles({
    button: form.querySelector("[data-attach]"),
    input: form.querySelector("[data-file-input]"),
    zone: pane.matches("[data-column]") ? pane : document.body,
    box,
    add: attach,
    signal,
  });
  addEventListener("pagehide", keep, { signal });
  // The bytes of a file that is under way are nowhere but here.
  addEventListener("beforeunload", (event) => files.busy() && event.preventDefault(), { signal });
  signal.addEventListener("abort", () => {
    clearTimeout(againTimer);
    keep();
    stopTyping();
  });
  restore();
  checkLength();
  again(); // it was sent, and left before the answer came

  return {
    // The timeline grew to `seq`; `names` are those of the others who spoke.
    heard(seq, names) {
      guard.heard(seq, isEmpty(draft()) ? [] : names);
      if (isEmpty(draft())) guard.pass();
    },
    write(wanted) {
      // Colleagues among themselves write no notes.
      const as = form.querySelector(`[data-send="${wanted}"]`) ? wanted : "reply";
      // What waits for its files was sent as what it was then.
      if (whenReady && kind() !== as) say("");
      whenReady &&= kind() === as;
      form.elements.kind.value = as;
      box.focus();
    },
    // A reply that was taken back is in the box again, above what was begun since.
    takeBack({ body, files: taken, cc, bcc }) {
      touched = true;
      tried = null;
      token = newToken();
      form.elements.kind.value = "reply";
      box.value = [body, box.value].filter((text) => text.trim()).join("\n\n");
      setExtras({
        cc: [...cc, copied("cc")].filter(Boolean).join(", "),
        bcc: [...bcc, copied("bcc")].filter(Boolean).join(", "),
      });
      files.restore(taken);
      keep();
      say("");
      box.focus();
    },
    say,
    // The connection is back.
    resume() {
      again();
    },
  };
}

// What _upload_words.html says, as uploads.js calls it.
export function uploadWords(words) {
  const named = { failed: "upload-failed", out: "upload-out" };
  const names = ["uploading", "checking", "failed", "lost", "out", "retry", "remove", "most"];
  return Object.fromEntries(names.map((name) => [name, words(named[name] ?? name)]));
}

// Drafts belong to the person who wrote them; they go when that person signs out.
const DRAFT = "draft:";

export function draftKey(name) {
  return `${DRAFT}${document.body.dataset.person}:${name}`;
}

export function forgetDrafts(store = localStorage) {
  for (const key of Object.keys(store)) if (key.startsWith(DRAFT)) store.removeItem(key);
}

// randomUUID() exists on secure pages only; a desk inside a company may not be one.
export function newToken() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
