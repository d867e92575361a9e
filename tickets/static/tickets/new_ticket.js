// The form that begins a conversation: nothing that was typed or attached is lost, and nothing is
// sent twice. A token belongs to one mail, as in composer.js; here there is only ever one.

import { keepUploads, takeFiles } from "../js/uploads.js";
import { AGAIN_AFTER, AGAIN_MS, draftKey, newToken, uploadWords } from "./composer.js";
import { ask, csrfToken, parse } from "./parts.js";

const KEEP_AFTER_MS = 250;
const FIELDS = ["inbox", "address", "name", "subject", "body", "continues"];

export function keepNewTicket(form, live, { signal, store = localStorage }) {
  const fields = Object.fromEntries(FIELDS.map((name) => [name, form.elements.namedItem(name)]));
  // What continues a ticket is another draft: it begins with words of ours.
  const key = draftKey(`new${fields.continues.value && `-${fields.continues.value}`}`);
  const words = (name) => form.querySelector(`[data-words="${name}"]`).content.textContent;
  const { uploads: address } = form.dataset;

  let token = form.elements.namedItem("client_token").value;
  let tried = null; // what was sent with this token, when its answer did not come
  let promised = false; // it goes out by itself as soon as it can
  let sending = false;
  let sent = false;
  let whenReady = false; // sent while files were on their way
  let touched = false; // a form that was never used says nothing about a draft of another tab
  let againTimer = 0;
  let keepTimer = 0;

  const files = keepUploads({
    address,
    begin: () => `${address}?inbox=${fields.inbox.value}`,
    headers: () => ({ "X-CSRFToken": csrfToken() }),
    list: form.querySelector("[data-files]"),
    words: uploadWords(words),
    most: () => Number((fields.inbox.selectedOptions?.[0] ?? fields.inbox).dataset.most),
    onChange({ focusLost } = {}) {
      if (signal.aborted || sent) return;
      touched = true;
      keep();
      if (focusLost) fields.body.focus();
      if (whenReady && !files.busy()) press();
    },
  });

  const typed = () => Object.fromEntries(FIELDS.map((name) => [name, fields[name].value]));
  // As they were attached and not as they are known to be ready: a mail whose answer was lost may
  // have taken them, and is still the same mail.
  const draft = () => ({ ...typed(), files: files.saved().map(({ id }) => id) });
  const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);
  const isEmpty = ({ inbox: _, continues: __, ...others }) => !Object.values(others).join("").trim();

  const keep = () => {
    clearTimeout(keepTimer);
    if (sent) return;
    const now = { ...typed(), uploads: files.saved(), token, tried, promised };
    if (!isEmpty(typed()) || now.uploads.length) store.setItem(key, JSON.stringify(now));
    else if (touched) store.removeItem(key);
  };

  const restore = () => {
    const kept = JSON.parse(store.getItem(key) ?? "null");
    // A refused form brings its own text.
    if (!kept || !("fresh" in form.dataset || isEmpty(typed()))) return;
    touched = true;
    for (const name of FIELDS) fields[name].value = kept[name] ?? "";
    if (!fields.inbox.value) fields.inbox.selectedIndex = 0; // it is no longer theirs to write from
    ({ token, tried, promised } = kept);
    files.restore(kept.uploads);
  };

  const mark = (field, place) => {
    const wrong = place.firstElementChild;
    if (!field || field.type === "hidden") return;
    field.toggleAttribute("aria-invalid", Boolean(wrong));
    if (wrong) field.setAttribute("aria-invalid", "true");
    const help = document.getElementById(`${field.id}_helptext`)?.id;
    const described = [help, wrong?.id].filter(Boolean).join(" ");
    if (described) field.setAttribute("aria-describedby", described);
    else field.removeAttribute("aria-describedby");
  };
  // Nothing to show at a field: nothing is wrong with it.
  const sayAtFields = (answer) => {
    for (const place of form.querySelectorAll("[data-error]")) {
      const name = place.dataset.error;
      const told = answer?.querySelector(`[data-error="${name}"]`)?.childNodes ?? [];
      place.replaceChildren(...told);
      mark(fields[name], place);
    }
    form.querySelector('[aria-invalid="true"]')?.focus();
  };
  const say = (text, { isError = true } = {}) => {
    const place = form.querySelector('[data-error=""]');
    place.replaceChildren();
    if (!text) return;
    const line = document.createElement("p");
    line.className = isError ? "error" : "muted";
    line.textContent = text;
    place.append(line);
  };

  const press = () => {
    if (signal.aborted || sending || sent) return;
    whenReady = files.busy();
    if (whenReady || files.stuck()) {
      say(words(whenReady ? "when-ready" : "stuck"), { isError: !whenReady });
      return;
    }
    const now = draft();
    if (tried && !same(tried, now)) token = newToken();
    send(now);
  };

  const send = async (now) => {
    clearTimeout(againTimer);
    sending = true;
    tried = now;
    promised = true;
    keep();
    const data = new FormData();
    for (const name of FIELDS) data.set(name, now[name]);
    for (const id of now.files) data.append("file", id);
    data.set("client_token", token);
    const focused = document.activeElement;
    form.setAttribute("aria-busy", "true");
    form.inert = true; // the page is left with the answer: what was typed meanwhile would be lost
    try {
      const response = await ask(form.action, { form: data });
      sent = true;
      store.removeItem(key);
      location.replace(response.headers.get("HX-Redirect")); // back leads to no form that was sent
    } catch (error) {
      form.inert = false;
      form.removeAttribute("aria-busy");
      if (form.contains(focused)) focused.focus();
      sending = false;
      explain(error);
    }
  };

  const explain = (error) => {
    sayAtFields(null);
    if (AGAIN_AFTER.has(error.status)) {
      say(words(error.status ? "later" : "offline"));
      againTimer = setTimeout(again, error.retryAfterSeconds * 1000 || AGAIN_MS);
      return;
    }
    promised = false; // from here on it is the person's to send
    if (error.status < 500) {
      tried = null; // certainly not stored, so nothing is doubled by a new token
      token = newToken();
    }
    keep();
    if (error.status === 401) live.signedOut();
    const answer = parse(error.html);
    if (answer.querySelector("[data-new-ticket]")) sayAtFields(answer);
    else say(error.status === 401 ? words("out") : error.sentence || words("failed"));
  };

  // By itself only what is still exactly what the person sent.
  const again = () => {
    if (signal.aborted || sending || sent || !promised) return;
    if (same(tried, draft())) send(tried);
  };

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    press();
  });
  form.addEventListener("input", () => {
    touched = true;
    whenReady = false;
    say("");
    clearTimeout(keepTimer);
    keepTimer = setTimeout(keep, KEEP_AFTER_MS);
  });
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      press();
    }
  });
  takeFiles({
    button: form.querySelector("[data-attach]"),
    input: form.querySelector("[data-file-input]"),
    zone: document.body,
    box: form,
    add: (some) => sending || say(files.add(some)),
    signal,
  });
  addEventListener("pagehide", keep, { signal });
  // The bytes of a file that is under way are nowhere but here.
  addEventListener("beforeunload", (event) => files.busy() && event.preventDefault(), { signal });
  signal.addEventListener("abort", () => clearTimeout(againTimer));
  restore();
  again(); // it was sent, and left before the answer came

  return { resume: again };
}
