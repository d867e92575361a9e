// The chat behind the launcher that widget.js drew.
//
// What a person sends is kept until it is acknowledged, and sent again by whichever way is open: in
// order, one at a time, by one tab. Any doubt is settled by asking for what is after the cursor.

import { keepUploads, sizeOf, takeFiles } from "./uploads.js";

export function start(root) {
  const shadow = root.shadowRoot;
  const launch = shadow.querySelector("button");
  const { inbox } = root.dataset;
  const key = `${encodeURIComponent(inbox)}/`;
  const api = new URL(key, import.meta.url).href;
  const socketUrl = new URL(`../ws/widget/${key}`, import.meta.url).href.replace("http", "ws");

  const ANSWER_MS = 10_000; // longest wait for an answer
  const ASK_MS = 30_000; // between questions, beside an open socket
  const POLL_MS = 3_000; // and without one
  const TYPING_MS = 3_000;

  const TEXT = {
    open: "Open chat",
    unread: "unread",
    close: "Close",
    messages: "Messages",
    write: "Write a message…",
    send: "Send",
    sent: "Sent",
    sending: "Sending…",
    later: "Waiting to send",
    unsent: "Not sent",
    retry: "Retry",
    edit: "Edit",
    human: "Talk to a human",
    assistant: "Assistant · not a person",
    assistantFirst: "The assistant answers first",
    people: "People answer here",
    from: "from",
    joined: "joined",
    writes: "is writing",
    away: "No connection. What you write is kept here and sent later.",
    gone: "This chat is not available here.",
    long: (count, most) => `${count} of ${most} characters. Shorten it or send it in parts.`,
    person: "A person will answer you here.",
    nothing_found: "The assistant found no answer. ",
    failed: "The assistant cannot answer just now. ",
    attach: "Attach files",
    uploading: "Uploading…",
    checking: "Checking…",
    unattached: "Not attached. Try again.",
    lost: "No longer here. Attach it again.",
    out: "No longer here. Attach it again.",
    remove: "Remove",
    most: "At most {most} files can be sent at once.",
    drop: "Drop files here",
    whenReady: "This is sent as soon as its files are ready.",
    stuck: "A file could not be attached. Try it again or remove it.",
    unsaved: "This file cannot be saved just now. Try again.",
  };

  // --- Storage; where it is blocked or full, memory ---

  const prefix = `helpdesk:${inbox}:`;

  function kept(area) {
    let disk;
    try {
      disk = window[area];
    } catch {
      disk = {};
    }
    return {
      get: (name) => disk[prefix + name],
      set(name, value) {
        try {
          disk[prefix + name] = value;
        } catch {
          disk = { ...disk, [prefix + name]: value };
        }
      },
      drop: (name) => delete disk[prefix + name],
      names: () => Object.keys(disk).sort(),
    };
  }

  const store = kept("localStorage");
  const tab = kept("sessionStorage");

  // randomUUID() needs https; the address of a blob ends in one.
  const uuid = () => URL.createObjectURL(new Blob()).slice(-36);
  const pause = (ms) => new Promise((done) => setTimeout(done, ms));
  const trouble = (message, more) => ({ message, ...more });

  // --- What we know ---

  let token = store.get("token");
  let you = 0; // our person
  let handler = null; // who answers next
  let config = null;
  let cursor = 0;
  const messages = []; // by seq
  const typing = new Map(); // by person
  let stream = null; // the answer being written
  let opened = false;
  let awaySince = 0;
  let gone = false; // wrong key or page
  let asked = false; // for a person

  function hush() {
    typing.delete("assistant");
    stream = null;
  }

  function take(list) {
    for (const message of list) {
      messages[message.seq] = message;
      const { author, change, client_token } = message;
      for (const item of queue()) if (item.client_token === client_token) store.drop(item.name);
      typing.delete(author?.id);
      if (change || author?.role === "assistant") hush();
      if (change) handler = change.new;
    }
    render();
  }

  function forgetSession() {
    token = undefined;
    store.drop("token");
    store.drop("seen");
    messages.length = cursor = you = 0;
    handler = null;
    asked = false;
    lost(socket);
  }

  function giveUp() {
    gone = true;
    lost(socket);
    render();
  }

  // --- HTTP ---

  async function call(method, name, content) {
    const mine = token;
    const headers = mine ? { Authorization: `Bearer ${mine}` } : {};
    if (content) headers["Content-Type"] = "application/json";
    let response;
    let answer;
    try {
      response = await fetch(api + name, {
        method,
        headers,
        body: content && JSON.stringify(content),
        keepalive: !!content, // outlives the page
        signal: AbortSignal.timeout(ANSWER_MS),
      });
      answer = await response.json();
    } catch {}
    const status = response?.status ?? 500;
    if (status > 499 || (response.ok && !answer)) {
      awaySince ||= Date.now();
      throw trouble();
    }
    awaySince = 0;
    if (response.ok) return answer;
    if (status === 401 && mine === token) forgetSession();
    if (/40[34]/.test(status)) giveUp();
    throw trouble(answer?.sentence ?? TEXT.unsent, {
      waitSeconds: Number(response.headers.get("Retry-After")),
      final: [400, 413, 422].includes(status),
    });
  }

  let asking = null;
  let askAgain = false;

  // Who comes while we ask makes us ask once more.
  function ask() {
    askAgain = true;
    asking ??= (async () => {
      try {
        while (token && askAgain) {
          askAgain = false;
          const mine = token;
          const page = await call("GET", `messages?after=${cursor}`);
          if (mine !== token) continue;
          you = page.you;
          cursor = Math.max(cursor, page.upto);
          askAgain ||= page.more;
          take(page.messages);
          handler = page.handler;
        }
      } catch {}
    })().finally(() => {
      asking = null;
      render();
    });
    return asking;
  }

  // --- Socket: a bell that carries ---

  let socket = null;
  let ready = false;
  let tries = 0;
  let retryTimer;
  let inFlight;

  const frame = (content) => socket.send(JSON.stringify(content));

  function connect() {
    clearTimeout(retryTimer);
    if (!token || socket || gone) return;
    let ws;
    try {
      ws = socket = new WebSocket(socketUrl);
    } catch {
      return;
    }
    setTimeout(() => ready || lost(ws), ANSWER_MS);
    ws.onopen = () => frame({ type: "hello", token });
    ws.onmessage = ({ data }) => hear(JSON.parse(data));
    ws.onclose = ({ code }) => {
      if (code === 4401) forgetSession();
      else if (/40[34]/.test(code)) giveUp();
      else lost(ws);
    };
  }

  // At once: a dead socket may take minutes to close.
  function lost(ws) {
    if (!ws || socket !== ws) return;
    ws.onopen = ws.onmessage = ws.onclose = socket = null;
    ws.close();
    ready = false;
    stream = null;
    typing.clear();
    inFlight?.fail(trouble());
    retryTimer = setTimeout(connect, 300 + Math.random() * Math.min(9_700, 600 * 2 ** tries++));
    pulseIn(200);
  }

  function hear(event) {
    const { type } = event;
    if (type === "ready") {
      ready = true;
      tries = awaySince = 0;
      ({ you, handler } = event);
      if (event.upto !== cursor) ask();
      flush();
      pulseIn(ASK_MS);
    } else if (type === "message.posted") {
      if (event.after === cursor) cursor = event.seq;
      else if (event.seq > cursor) ask();
      take([event.message]);
    } else if (type === "files.changed") {
      call("GET", `messages?after=${event.seq - 1}`).then((page) => take(page.messages), () => {});
    } else if (type === "typing.changed" && event.person !== you) {
      typing.delete(event.person);
      if (event.typing) showTyping(event.person, event);
    } else if (type === "assistant.typing") {
      showTyping("assistant", { role: "assistant" });
    } else if (type === "assistant.delta") {
      typing.delete("assistant");
      if (stream?.answer !== event.answer) stream = { answer: event.answer, index: 0, text: "" };
      if (stream.index === event.index) {
        stream.index++;
        stream.text += event.text;
      }
    } else if (type === "assistant.stopped") {
      hush();
    } else if (inFlight?.client_token === event.client_token) {
      if (type === "ack") inFlight.done(event.message);
      if (type === "refused") {
        const waitSeconds = event.retry_after_seconds;
        inFlight.fail(trouble(event.sentence, { waitSeconds, final: !waitSeconds }));
      }
    }
    render();
  }

  function showTyping(person, { name, role }) {
    const shownMs = role === "assistant" ? ASK_MS : 2 * TYPING_MS;
    typing.set(person, { name, role, until: Date.now() + shownMs });
    setTimeout(render, shownMs + 50);
  }

  // --- The pulse asks and sends anyway ---

  let pulseTimer;

  function pulseIn(ms) {
    clearTimeout(pulseTimer);
    pulseTimer = setTimeout(pulse, ms);
  }

  const unsent = () => queue().some((item) => !item.error);
  const idle = () => gone || !(token || opened || unsent());

  async function pulse() {
    clearTimeout(pulseTimer);
    if (idle()) return;
    if (opened && !config) loadConfig();
    if (unsent()) flush();
    await ask();
    const calm = ready || document.hidden || !(opened || unsent());
    pulseIn((calm ? ASK_MS : POLL_MS) * (0.8 + Math.random() / 5));
  }

  function wake() {
    if (document.hidden || idle()) return;
    tries = 0;
    connect();
    pulse();
  }

  // --- The queue: a key for each message, so that no tab overwrites another's ---

  let lastAt = 0;
  let flushing = false;
  let flushTimer;
  let failing = false;
  let waitUntil = 0; // asked to slow down

  function queue() {
    const names = store.names().filter((name) => name.startsWith(`${prefix}queue:`));
    return names.map((name) => JSON.parse(store.get(name.slice(prefix.length))));
  }

  const keep = (item) => store.set(item.name, JSON.stringify(item));

  function enqueue(body, files) {
    lastAt = Math.max(Date.now(), lastAt + 1);
    const client_token = uuid();
    keep({ name: `queue:${lastAt}:${client_token}`, client_token, body, files });
  }

  async function flush() {
    if (flushing || gone) return;
    flushing = true;
    try {
      while (await oneTabAtATime(sendNext));
    } catch {}
    flushing = false;
    render();
  }

  async function sendNext() {
    const item = queue().find(({ error }) => !error);
    if (!item || Date.now() < waitUntil) return;
    render();
    try {
      await begin();
      const { client_token, body } = item;
      const files = filesOf(item).map(({ id }) => id);
      const message = await (ready ? bySocket : byPost)({ client_token, body, files });
      failing = false;
      take([message]);
      return true;
    } catch ({ message, final, waitSeconds }) {
      if (final) {
        keep({ ...item, error: message });
        return true;
      }
      failing = !waitSeconds;
      const waitMs = (waitSeconds || 1) * 1_000;
      if (waitSeconds) waitUntil = Date.now() + waitMs;
      clearTimeout(flushTimer);
      flushTimer = setTimeout(flush, waitMs + 50);
    }
  }

  const filesOf = ({ files }) => files ?? [];

  async function begin() {
    token ??= store.get("token");
    if (token) return;
    ({ token, you } = await call("POST", "sessions", {}));
    store.set("token", token);
    connect();
  }

  function bySocket(message) {
    return new Promise((resolve, reject) => {
      const patience = setTimeout(lost, ANSWER_MS, socket);
      const settle = (end) => (value) => {
        clearTimeout(patience);
        inFlight = undefined;
        end(value);
      };
      inFlight = { ...message, done: settle(resolve), fail: settle(reject) };
      frame({ type: "send", ...message });
    });
  }

  const byPost = async (message) => (await call("POST", "messages", message)).message;

  // Pages without https have no locks: a lease, written and then read again.
  async function oneTabAtATime(work) {
    if (navigator.locks) return navigator.locks.request(prefix, work);
    const me = uuid();
    const holder = () => {
      const [who, until] = (store.get("lock") ?? "").split(" ");
      return until > Date.now() ? who : me;
    };
    do {
      while (holder() !== me) await pause(300);
      store.set("lock", `${me} ${Date.now() + 3 * ANSWER_MS}`);
      await pause(40 + Math.random() * 40);
    } while (holder() !== me);
    const more = await work();
    store.drop("lock");
    return more;
  }

  // --- The page ---

  const ICONS = {
    close: "M18 6 6 18M6 6l12 12",
    send: "m5 12 7-7 7 7M12 19V5",
    alert: "M12 2a10 10 0 1 0 .1 0M12 8v4M12 16h.01",
    bot: "m12 3 2.3 6.7L21 12l-6.7 2.3L12 21l-2.3-6.7L3 12l6.7-2.3ZM19 3v4M21 5h-4",
    book: "M12 7v13M3 4h5a4 4 0 0 1 4 3 4 4 0 0 1 4-3h5v13h-9H3z",
    user: "M4 21c0-8 16-8 16 0M12 3a4 4 0 1 0 0 8 4 4 0 0 0 0-8",
    check: "M20 6 9 17l-5-5",
    attach: "m21.4 11-9.2 9.2a6 6 0 0 1-8.4-8.4l8.5-8.6A4 4 0 1 1 18 8.8l-8.6 8.6a2 2 0 0 1-2.8-2.8l8.5-8.5",
    file: "M14 2H5v20h14V7ZM14 2v5h5",
    audio: "M9 18V5l12-2v13M6 15a3 3 0 1 0 .1 0M18 13a3 3 0 1 0 .1 0",
    video: "M3 3h18v18H3ZM8 3v18M16 3v18M3 12h18M3 7h5M3 17h5M16 7h5M16 17h5",
  };

  const STYLE = `
:host{--bg:light-dark(#fff,#131519);--press:light-dark(#e9eaee,#25282d);--line:light-dark(#e0e2e6,#292c31);--text:light-dark(#181c25,#ebedf0);--soft:light-dark(#61656e,#a0a3ab);--accent:light-dark(#3a50d5,#4861dd);--link:light-dark(#364ac7,#9cb4fe);--bad:light-dark(#b51e26,#fc9491);font:420 14px/1.5 "Inter Variable",Inter,system-ui,sans-serif;color:var(--text)}
*{box-sizing:border-box;margin:0}
[hidden]{display:none!important}
button,textarea{font:inherit;color:inherit;background:none;border:0;padding:0}
button{cursor:pointer;text-align:start}
svg{inline-size:16px;block-size:16px;fill:none;stroke:currentColor;stroke-width:2;stroke-linecap:round;stroke-linejoin:round}
.icon,.face{display:grid;place-items:center;flex:none}
.peek,dialog{border-radius:14px;background:var(--bg);box-shadow:0 0 0 1px var(--line),0 16px 48px light-dark(#1a1d2a33,#0009)}
.launch{position:relative;margin-inline-start:auto}
.send,.me .bubble{color:#fff;background:var(--accent)}
.count{position:absolute;inset-block-start:-2px;inset-inline-end:-2px;padding-inline:6px;border-radius:99px;font:620 11px/18px system-ui;background:#c32327;box-shadow:0 0 0 2px var(--bg)}
.peek{max-inline-size:240px;max-block-size:98px;margin-block-end:12px;padding:12px 16px;overflow:hidden;overflow-wrap:anywhere}
dialog{position:fixed;inset:auto;inset-block-end:20px;inset-inline-end:20px;inline-size:368px;max-inline-size:none;block-size:min(640px,100dvh - 40px);max-block-size:none;padding:0;border:0;color:inherit;overflow:hidden;container-type:size}
dialog[open]{display:flex;flex-direction:column}
.head{display:flex;align-items:center;gap:10px;padding:12px;border-block-end:1px solid var(--line);line-height:1.3}
.head div{flex:1;min-inline-size:0}
.head div *{overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
h2,b{font-size:14px;font-weight:620}
p{font-size:12px;color:var(--soft)}
.face{inline-size:28px;block-size:28px;border-radius:30%;font:620 11px system-ui;background:light-dark(#cfecd3,#24462c);color:light-dark(#154f27,#ceefd3)}
.bot{background:light-dark(#e6edff,#202949);color:var(--link)}
.icon{inline-size:36px;block-size:36px;border-radius:6px}
.icon:hover:not(.send),.pill:hover{background:var(--press)}
.away{padding:6px 16px;color:inherit;background:light-dark(#fff5dd,#2f2412)}
.body{flex:1;min-block-size:0;display:flex;flex-direction:column-reverse;overflow-y:auto;overscroll-behavior:contain;padding:16px}
.body:focus-visible,textarea:focus-visible{outline-offset:-2px}
.body>div{margin-block-end:auto}
.chat{display:grid;grid-template-columns:28px minmax(0,1fr);column-gap:8px;max-inline-size:94%;margin-block-end:12px}
.chat>*{grid-column:2;justify-self:start}
.chat .face{grid-area:2/1;align-self:end}
.by{margin:0 0 3px 2px}
.joined .by{display:none}
.joined .face{grid-row:1}
.followed{margin-block-end:3px}
.followed .face{visibility:hidden}
.bubble{padding:7px 12px;border-radius:14px;background:var(--press);white-space:pre-wrap;overflow-wrap:anywhere}
.bubble a{color:inherit}
.me{margin-inline-start:auto}
.me>*{justify-self:end}
.unsent .bubble{color:var(--text);background:var(--bg);box-shadow:inset 0 0 0 1px var(--bad)}
.unsent .note,.bad,[data-state=rejected] .up-note,[data-state=failed] .up-note{color:var(--bad)}
.note,.sources,form{display:flex;flex-wrap:wrap;align-items:center;gap:5px;padding-block-start:4px}
.note{justify-content:end}
.small,.pill{min-block-size:24px;padding-inline:8px;border:1px solid;border-radius:6px;font-weight:530}
.sources a{display:flex;align-items:center;gap:4px;padding:2px 7px;border-radius:4px;font-size:12px;line-height:20px;color:inherit;background:var(--press)}
.caret,i{display:inline-block;inline-size:6px;block-size:6px;margin-inline:2px;border-radius:50%;background:var(--soft);animation:blink 1s infinite}
.caret{block-size:14px;border-radius:1px;background:var(--accent)}
@keyframes blink{50%{opacity:.25}}
.line{margin-block:8px 12px;text-align:center}
.pill{display:flex;align-items:center;gap:6px;min-block-size:32px;border-radius:99px;color:var(--link)}
form{padding:8px;border-block-start:1px solid var(--line)}
textarea{flex:1;min-inline-size:0;block-size:36px;max-block-size:min(160px,30cqb);padding:7px 8px;border-radius:6px;resize:none}
::placeholder{color:var(--soft);opacity:1}
[aria-disabled=true]{opacity:.5}
.hint,.ups{inline-size:100%;padding-inline:8px}
.ups{max-block-size:30cqb;padding:0;overflow-y:auto;overscroll-behavior:contain;list-style:none}
.up,.file{display:flex;flex-wrap:wrap;align-items:center;gap:2px 8px;max-inline-size:100%;padding:5px 10px;border-radius:10px;font-size:12px;box-shadow:inset 0 0 0 1px var(--line)}
.up{margin-block-end:4px;padding-inline-end:4px}
.up-name,.file bdi{flex:1;min-inline-size:64px;overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
.up-note{color:var(--soft)}
[data-state=rejected] .up-note,[data-state=failed] .up-note,.file .bad{order:1;inline-size:100%}
.up-bar{inline-size:64px;block-size:4px;accent-color:var(--accent)}
.up-again,.up-drop{min-inline-size:24px;min-block-size:24px;text-align:center}
.up-again{text-decoration:underline}
.files{display:flex;flex-direction:column;align-items:start;gap:4px;max-inline-size:100%}
.bubble+.files{padding-block-start:4px}
.me .files{align-items:end}
.picture{max-inline-size:100%;border-radius:10px;overflow:hidden;box-shadow:0 0 0 1px var(--line)}
.picture img{display:block;max-inline-size:100%;block-size:auto;max-block-size:220px;object-fit:cover}
button.file:hover{background:var(--press)}
.dropping:after{content:attr(data-drop);position:absolute;inset:8px;display:grid;place-items:center;border:2px dashed var(--link);border-radius:10px;font-weight:620;color:var(--link);background:var(--bg);opacity:.94}
@media(max-width:479px){dialog{inset:0;inline-size:100%;block-size:var(--tall,100dvh);border-radius:0}textarea{font-size:16px}}
@media(prefers-reduced-motion){*{animation:none!important}}`;

  // Never from markup: words stay words.
  function h(tag, props, ...children) {
    const [name, ...classes] = tag.split(".");
    const node = document.createElement(name);
    node.className = classes.join(" ");
    for (const [key, value] of Object.entries(props ?? {})) {
      if (typeof value === "function") node.addEventListener(key, value);
      else node.setAttribute(key, value);
    }
    node.append(...children);
    return node;
  }

  function icon(name) {
    const space = "http://www.w3.org/2000/svg";
    const svg = document.createElementNS(space, "svg");
    const shape = document.createElementNS(space, "path");
    svg.setAttribute("viewBox", "0 0 24 24");
    svg.setAttribute("aria-hidden", true);
    shape.setAttribute("d", ICONS[name]);
    svg.append(shape);
    return svg;
  }

  const button = (tag, click, ...children) => h(`button.${tag}`, { type: "button", click }, ...children);
  const tool = (name, click = () => {}) =>
    h("button.icon", { type: "button", "aria-label": TEXT[name], click }, icon(name));
  const brand = () => config?.name ?? "";
  const initials = (name) => name.match(/(?<!\p{L})\p{L}/gu)?.slice(0, 2) ?? "";

  const face = ({ role, name }) =>
    role === "assistant"
      ? h("span.face.bot", { "aria-hidden": true }, icon("bot"))
      : h("span.face", { "aria-hidden": true }, ...initials(name || brand()));

  const called = ({ role, name }) => (role === "assistant" ? TEXT.assistant : name || brand());

  function link(address, ...label) {
    const href = URL.canParse(address, api) ? new URL(address, api).href : "";
    const safe = /^https?:/.test(href);
    return safe ? h("a", { href, target: "_blank", rel: "noopener" }, ...label) : h("span", null, ...label);
  }

  const linked = (text) =>
    text.split(/(https?:\/\/[^\s<>"]*[^\s<>".,;:!?)])/).map((part, i) => (i % 2 ? link(part, part) : part));

  const sheet = new CSSStyleSheet();
  sheet.replaceSync(STYLE);
  shadow.adoptedStyleSheets.push(sheet);

  const count = h("span.count", { "aria-hidden": true });
  const peek = button("peek", show);
  const title = h("h2", { id: "title" });
  const subtitle = h("p");
  const headFace = h("span");
  const away = h("p.away", { role: "status" });
  const list = h("div");
  const quick = button("pill", askForHuman, icon("user"), TEXT.human);
  const body = h(
    "div.body",
    { role: "log", tabindex: 0, "aria-label": TEXT.messages },
    h("div", null, list, quick),
  );
  const hint = h("p.hint", { role: "status" });
  const attachments = h("ul.ups");
  const picker = h("input", { type: "file", multiple: "", hidden: "" });
  const clip = tool("attach");
  const box = h("textarea", {
    rows: 1,
    dir: "auto",
    placeholder: TEXT.write,
    "aria-label": TEXT.write,
    input: typed,
    keydown(event) {
      const touch = matchMedia("(pointer:coarse)").matches;
      if (event.key === "Enter" && !event.shiftKey && !event.isComposing && !touch) submit(event);
    },
  });
  const send = h("button.icon.send", { "aria-label": TEXT.send }, icon("send"));
  const panel = h(
    "dialog",
    {
      "aria-labelledby": "title",
      "data-drop": TEXT.drop,
      cancel: hide,
      keydown: (event) => event.key === "Escape" && hide(event),
    },
    h("div.head", null, headFace, h("div", null, title, subtitle), tool("close", hide)),
    away,
    body,
    h("form", { submit }, hint, attachments, picker, clip, box, send),
  );
  launch.append(count);
  shadow.prepend(peek);
  shadow.append(panel);

  function show() {
    if (!opened) {
      opened = true;
      tab.set("open", 1);
      if (matchMedia("(max-width:479px)").matches) panel.showModal();
      else panel.show();
    }
    render();
    box.focus();
    wake();
  }

  function hide(event) {
    event.preventDefault();
    opened = false;
    tab.drop("open");
    panel.close();
    render();
    launch.focus();
  }

  async function loadConfig() {
    config = await call("GET", "config").catch(() => null);
    measure();
    render();
  }

  async function askForHuman() {
    asked = true;
    render();
    box.focus();
    await call("POST", "human", {}).then(ask, () => (asked = false));
    render();
  }

  // --- Writing ---

  let typedAt = 0;
  let stopTimer;
  let tooLong = false;
  let said = "";
  let whenReady = false; // sent while files were on their way

  function say(text) {
    said = text;
    measure();
  }

  function measure() {
    const chars = [...box.value.trim()].length;
    const most = config?.message_max_chars;
    tooLong = chars > most;
    hint.textContent = tooLong ? TEXT.long(chars, most) : said;
    hint.hidden = !hint.textContent;
    hint.classList.toggle("bad", !whenReady);
    box.ariaInvalid = send.ariaDisabled = tooLong;
    box.style.blockSize = "36px";
    if (box.value) box.style.blockSize = `${box.scrollHeight}px`;
  }

  function keepDraft() {
    const files = uploads.saved();
    if (box.value) tab.set("draft", box.value);
    else tab.drop("draft");
    if (files[0]) tab.set("files", JSON.stringify(files));
    else tab.drop("files");
  }

  function typed() {
    whenReady = false;
    say("");
    keepDraft();
    if (!ready || !box.value) return;
    if (Date.now() - typedAt > TYPING_MS) {
      typedAt = Date.now();
      frame({ type: "typing", typing: true });
    }
    clearTimeout(stopTimer);
    stopTimer = setTimeout(stopTyping, TYPING_MS + 1_000);
  }

  function stopTyping() {
    clearTimeout(stopTimer);
    if (typedAt && ready) frame({ type: "typing", typing: false });
    typedAt = 0;
  }

  function submit(event) {
    event?.preventDefault();
    if (event) box.focus();
    if (tooLong || gone) return;
    whenReady = !!arriving || uploads.busy();
    if (whenReady || uploads.stuck()) {
      say(whenReady ? TEXT.whenReady : TEXT.stuck);
      return;
    }
    const text = box.value.trim();
    const files = uploads.saved();
    if (!text && !files[0]) return;
    stopTyping();
    enqueue(text, files);
    box.value = "";
    uploads.forget(files.map(({ id }) => id));
    typed();
    body.scrollTop = 0;
    flush();
    render();
  }

  function retry() {
    for (const item of queue()) keep({ ...item, error: undefined });
    failing = false;
    wake();
  }

  function edit(item) {
    store.drop(item.name);
    box.value = [item.body, box.value].filter(Boolean).join("\n");
    uploads.restore(filesOf(item));
    typed();
    render();
    box.focus();
  }

  // --- Files ---

  let arriving = 0; // while a session begins for them

  const uploads = keepUploads({
    begin: () => `${api}files`,
    address: `${api}files/`,
    headers: () => ({ Authorization: `Bearer ${token}` }),
    list: attachments,
    words: { ...TEXT, failed: TEXT.unattached },
    most: () => config?.files_max ?? Infinity,
    onChange({ focusLost } = {}) {
      keepDraft();
      if (focusLost) box.focus();
      if (whenReady && !arriving && !uploads.busy()) submit();
    },
  });

  async function attach(files) {
    const chosen = [...files]; // before the picker forgets them
    box.focus();
    arriving++;
    if (!token) await oneTabAtATime(() => begin().catch(() => {}));
    arriving--;
    const refusal = token ? uploads.add(chosen) : TEXT.unattached;
    if (refusal) whenReady = false;
    if (!whenReady) say(refusal);
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

  // --- One of them over everything: by look.js, once somebody wants to ---

  const kindOf = ({ type }) => /^(image|video|audio|text\/plain)|pdf$/.exec(type)?.[0];
  const files = () => messages.flat().flatMap(filesOf).filter((file) => file.url && kindOf(file));
  let looker;
  let loads = 0; // each at another address, as in widget.js

  async function look(file) {
    looker ??= import(`./look.js?${loads++}`).then(
      ({ keepLook }) => keepLook({ shadow, h, tool, TEXT, ICONS, kindOf, sizeOf, files, fresh, address, save }),
      () => (looker = null),
    );
    ((await looker) ?? save)(file);
  }

  // --- Drawing: an entry keeps its element, so that screen readers hear it once ---

  const nodes = new Map();

  function draw({ mine, author, body: text, change, sources = [], dots, live, created_at }) {
    if (change) {
      const joined = change.reason === "staff_wrote" && author?.name;
      const why = change.new === "staff" ? (TEXT[change.reason] ?? "") + TEXT.person : TEXT.assistantFirst;
      const at = new Date(created_at).toLocaleTimeString([], { timeStyle: "short" });
      return h("p.line", null, `${joined ? `${joined} ${TEXT.joined}` : why} · ${at}`);
    }
    const parts = dots ? [h("i"), h("i"), h("i")] : linked(text);
    const bubble = text || dots || live ? h("div.bubble", { dir: "auto" }, ...parts) : "";
    const files = h("div.files");
    if (mine) return h("div.chat.me", null, bubble, files, h("p.note"));
    const links = sources.map((source) => link(source.url, icon("book"), source.title));
    return h(
      "div.chat",
      null,
      face(author),
      h("p.by", null, h("bdi", null, called(author)), dots ? ` ${TEXT.writes}` : ""),
      bubble,
      files,
      links[0] ? h("div.sources", null, ...links) : "",
    );
  }

  function entries() {
    const all = [];
    const add = (key, entry) => all.push({ author: {}, ...entry, key });
    if (config?.greeting) {
      add("greeting", { author: { role: config.assistant && "assistant" }, body: config.greeting });
    }
    for (const m of messages.flat()) {
      add(m.client_token ?? m.seq, { ...m, author: m.author ?? {}, mine: !m.change && m.author?.id === you });
    }
    for (const item of queue()) add(item.client_token, { ...item, mine: true, item });
    for (const [person, author] of typing) {
      if (author.until > Date.now()) add(`typing ${person}`, { author, dots: true });
    }
    if (stream?.text) add(stream.answer, { author: { role: "assistant" }, body: "", live: stream.text });
    return all;
  }

  const side = (entry) =>
    entry && (entry.change || entry.dots ? entry.key : entry.mine || called(entry.author));

  function note({ item }, isLast) {
    if (!item) return isLast ? [icon("check"), TEXT.sent] : [];
    if (Date.now() < waitUntil) return [TEXT.later];
    if (!item.error && !failing) return [TEXT.sending];
    const buttons = [button("small", retry, TEXT.retry)];
    if (item.error) buttons.push(button("small", () => edit(item), TEXT.edit));
    return [icon("alert"), item.error ?? TEXT.unsent, ...buttons];
  }

  function render() {
    const others = messages.filter((m) => m.kind === "reply" && m.author?.id !== you);
    const fresh = others.filter((m) => m.seq > (store.get("seen") ?? 0));
    launch.hidden = opened;
    peek.hidden = count.hidden = opened || !fresh.length;
    count.textContent = fresh.length;
    launch.ariaLabel = TEXT.open + (fresh.length ? `, ${fresh.length} ${TEXT.unread}` : "");
    if (!opened) {
      const last = fresh.at(-1);
      const line = last?.body || filesOf(last ?? {}).map(({ name }) => name).join(", ");
      if (last) peek.replaceChildren(h("b", null, called(last.author ?? {})), h("br"), line);
      return;
    }
    if (!document.hidden && cursor > (store.get("seen") ?? 0)) {
      store.set("seen", cursor);
      if (ready) frame({ type: "seen", seq: cursor });
      else call("POST", "seen", { seq: cursor }).catch(() => {});
    }

    const staff = others.findLast((m) => m.author?.role === "staff")?.author;
    const bot = handler ? handler === "assistant" : config?.assistant;
    title.textContent = staff ? `${staff.name.split(" ")[0]} ${TEXT.from} ${brand()}` : brand();
    subtitle.textContent = config ? (bot ? TEXT.assistantFirst : TEXT.people) : "";
    headFace.replaceChildren(face(staff ?? {}));
    away.textContent = gone ? TEXT.gone : TEXT.away;
    away.hidden = !gone && !(awaySince && Date.now() - awaySince > 1_500);
    quick.hidden = !bot || asked || !cursor;

    const all = entries();
    const lastSent = all.findLast((entry) => entry.mine && !entry.item);
    for (const [key, node] of nodes) {
      if (all.some((entry) => entry.key === key)) continue;
      node.remove();
      nodes.delete(key);
    }
    all.forEach((entry, i) => {
      const node = nodes.get(entry.key) ?? draw(entry);
      nodes.set(entry.key, node);
      if (list.children[i] !== node) list.insertBefore(node, list.children[i] ?? null);
      node.classList.toggle("joined", side(all[i - 1]) === side(entry));
      node.classList.toggle("followed", side(all[i + 1]) === side(entry));
      if (entry.live) {
        node.ariaHidden = true;
        node.querySelector(".bubble").replaceChildren(entry.live, h("span.caret"));
      }
      const files = filesOf(entry);
      const shown = files.map(({ id, url, sentence }) => id + !url + sentence).join();
      if (files[0] && node.shown !== shown) {
        node.shown = shown;
        node.querySelector(".files").replaceChildren(...files.map(drawFile));
      }
      if (entry.mine) {
        const parts = note(entry, entry === lastSent);
        const said = parts.map((part) => part.textContent ?? part).join();
        if (node.said !== said) node.lastChild.replaceChildren(...parts);
        node.said = said;
        node.lastChild.hidden = !said;
        node.classList.toggle("unsent", parts.length > 2);
      }
    });
  }

  // --- Beginning ---

  box.value = tab.get("draft") ?? "";
  uploads.restore(JSON.parse(tab.get("files") ?? "[]"));
  takeFiles({ button: clip, input: picker, zone: panel, box, add: attach });
  document.addEventListener("visibilitychange", wake);
  addEventListener("pageshow", ({ persisted }) => persisted && wake());
  addEventListener("online", wake);
  addEventListener("offline", () => {
    awaySince ||= Date.now();
    lost(socket);
  });
  addEventListener("storage", ({ key }) => {
    if (key && !key.startsWith(prefix)) return;
    const now = store.get("token");
    if (now !== token) {
      if (token) forgetSession();
      token = now;
      if (now) store.set("token", now);
      wake();
    }
    if (unsent()) flush();
    render();
  });
  visualViewport.addEventListener("resize", () =>
    panel.style.setProperty("--tall", `${visualViewport.height}px`),
  );
  render();
  if (tab.get("open")) show();
  else wake();
  return show;
}
