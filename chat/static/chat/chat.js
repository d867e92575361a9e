// The chat behind the launcher that widget.js drew.
//
// What a person sends is kept until it is acknowledged, and sent again by whichever way is open: in
// order, one at a time, by one tab. Any doubt is settled by asking for what is after the cursor.
// What is not always needed comes in modules of its own: files.js, look.js, more.js, api.js.

import { ICONS, button, h, icon, link, linked, prose } from "./dom.js";
import { STYLE } from "./style.js";
import { TEXT } from "./words.js";

export function start(root) {
  const shadow = root.shadowRoot;
  const launch = shadow.querySelector("button");
  const { asked } = root; // what the page's script tag says
  const { inbox } = asked;
  const lang = TEXT.lang;
  const key = `${encodeURIComponent(inbox)}/`;
  const api = new URL(key, import.meta.url).href;
  const socketUrl = new URL(`../ws/widget/${key}?lang=${lang}`, import.meta.url).href.replace("http", "ws");

  const ANSWER_MS = 10_000; // longest wait for an answer
  const ASK_MS = 30_000; // between questions without a socket, while nothing waits
  const POLL_MS = 3_000; // and where somebody waits for what comes
  const TYPING_MS = 3_000;
  const PAGE = 50; // messages at a time

  const rtl = /ar|he/.test(lang);
  // A name may run the other way than the words around it.
  const fill = (text, values) =>
    text.replace(/{(\w+)}/g, (_, name) => (rtl ? `\u2068${values[name]}\u2069` : values[name]));

  // --- Storage; where it is blocked or full, memory ---

  const prefix = `helpdesk:${asked.slot ?? inbox}:`;

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
  const trouble = (message, more) => ({ message, ...more });

  // --- What we know ---

  let token = store.get("token");
  let you = 0; // our person
  let chat = 0; // our conversation
  let now = {}; // how it stands: handler, read, ended, rating, earlier
  let config = JSON.parse(store.get("config") ?? "null");
  let cursor = 0;
  let older = false; // there are messages before the first we have
  const messages = []; // by seq
  let past = []; // said in chats that were merged into this one
  const typing = new Map(); // by person
  let stream = null; // the answer being written
  let opened = false;
  let awaySince = 0;
  let gone = false; // wrong key or page
  let wanted = false; // a person was asked for

  const tell = (name, detail) => root.dispatchEvent(new CustomEvent(name, { detail }));

  function hush() {
    typing.delete("assistant");
    stream = null;
  }

  // False where it is another chat now: another tab began it, or we were recognised.
  function stands({ messages: _, ...standing }) {
    const same = !chat || standing.chat === chat;
    if (!same) forgetChat();
    ({ you, chat } = now = standing);
    return same;
  }

  function take(list, isNews) {
    for (const message of list) {
      const { author, change, client_token, seq, chat: where } = message;
      for (const item of queue()) if (item.client_token === client_token) store.drop(item.name);
      if (chat && where && where !== chat) continue; // said before it was merged with another
      if (isNews && !messages[seq] && !change && author?.id !== you) hearNew(message);
      messages[seq] = message;
      typing.delete(author?.id);
      if (change || author?.role === "assistant") hush();
      if (change?.field === "handler") now.handler = change.new;
    }
    render();
  }

  function hearNew(message) {
    tell("message", message);
    if (store.get("sound") && (!opened || document.hidden)) more("beep");
  }

  function forgetChat() {
    lost(socket);
    store.drop("seen");
    messages.length = cursor = chat = awaySince = 0; // we left
    past = [];
    now = {};
    older = wanted = false;
  }

  function forgetSession() {
    token = undefined;
    store.drop("token");
    store.drop("config");
    forgetChat();
    you = 0;
    render();
  }

  function giveUp() {
    gone = true;
    lost(socket);
    render();
  }

  // --- HTTP ---

  async function call(method, name, content) {
    const mine = token;
    const headers = { "Accept-Language": lang };
    if (mine) headers.Authorization = `Bearer ${mine}`;
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
          const first = !cursor;
          const page = await call("GET", `messages?after=${cursor}${first ? `&last=${PAGE}` : ""}`);
          if (mine !== token) continue;
          if (!stands(page)) {
            askAgain = true;
            continue;
          }
          if (first) older = page.older;
          if (page.merged?.[0] && !past[0]) past = (await (await part("past"))?.(page.merged)) ?? [];
          cursor = Math.max(cursor, page.upto);
          askAgain ||= page.more;
          take(page.messages, !first);
          now.handler = page.handler; // what a change line says may be long ago
        }
      } catch {
        askAgain = true;
        pulseIn(POLL_MS);
      }
    })().finally(() => {
      asking = null;
      render();
    });
    return asking;
  }

  async function askOlder() {
    if (!older || asking) return;
    older = false;
    const first = messages.findIndex(Boolean);
    const page = await call("GET", `messages?before=${first}&last=${PAGE}`).catch(() => {});
    if (page) take(page.messages);
    older = page ? page.older : true;
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
    // Long: whoever comes back with everybody else would only lose their turn.
    setTimeout(() => ready || lost(ws), ASK_MS);
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
    // Who is back soon need not ask: after a restart of the server all lose theirs at once.
    if (ready) {
      pulseIn(2 * ANSWER_MS);
      awaySince ||= Date.now();
      setTimeout(render, POLL_MS);
    }
    ready = false;
    stream = null;
    typing.clear();
    inFlight?.fail(trouble());
    retryTimer = setTimeout(connect, 300 + Math.random() * Math.min(ANSWER_MS, 600 * 2 ** tries++));
  }

  function hear(event) {
    const { type } = event;
    if (type === "ready") {
      ready = true;
      tries = awaySince = 0;
      stands(event);
      if (event.upto !== cursor) ask();
      flush();
      pulseIn(9 * ASK_MS); // it tells of what was missed
    } else if (type === "message.posted") {
      if (event.after === cursor) cursor = event.seq;
      else if (event.seq > cursor) ask();
      take([event.message], true);
      if (cursor > store.get("seen")) frame({ type: "got", seq: cursor });
    } else if (type === "files.changed") {
      call("GET", `messages?after=${event.seq - 1}`).then((page) => take(page.messages), () => {});
    } else if (type === "seen.changed") {
      if (event.role === "staff") now.read = Math.max(now.read ?? 0, event.seq);
    } else if (/^(ended|people|upto)/.test(type)) {
      ask();
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
    pulseTimer = setTimeout(pulse, ms * (0.8 + Math.random() / 5));
  }

  const unsent = () => queue().some((item) => !item.error);
  const idle = () => gone || !(token || opened || unsent());

  async function pulse() {
    clearTimeout(pulseTimer);
    if (idle()) return;
    if (opened && !fresh) loadConfig();
    if (unsent()) flush();
    await ask();
    const waits = !document.hidden && (opened || unsent());
    pulseIn(ready && !askAgain ? 9 * ASK_MS : waits ? POLL_MS : ASK_MS);
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
    keepConfig();
    mayTell();
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

  // Pages without https have no locks, but a lease.
  const oneTabAtATime = async (work) =>
    navigator.locks ? navigator.locks.request(prefix, work) : (await part("lease"))(work);

  // --- The page ---

  const tool = (name, label, click) =>
    h("button.icon", { type: "button", "aria-label": label, click }, icon(name));
  const brand = () => config?.name ?? "";
  const initials = (name) => name.match(/(?<!\p{L})\p{L}/gu)?.slice(0, 2) ?? "";

  function face({ role, name, id }) {
    const isBot = role === "assistant";
    const node = h(`span.face${isBot ? ".bot" : ""}`, { "aria-hidden": true });
    node.append(...(isBot ? [icon("bot")] : initials(name || brand())));
    if (id) node.style.setProperty("--hue", (id * 137) % 360);
    return node;
  }

  const called = ({ role, name }) => (role === "assistant" ? TEXT.assistant : name || brand());

  const sheet = new CSSStyleSheet();
  sheet.replaceSync(STYLE);
  shadow.adoptedStyleSheets.push(sheet);

  const count = h("span.count", { "aria-hidden": true });
  const peek = button("peek", show);
  const title = h("h2", { id: "title" });
  const subtitle = h("p");
  const headFace = h("span.faces");
  const menu = tool("more", TEXT.more, () => more("menu", menu));
  const away = h("p.away", { role: "status" });
  const greeting = h("h2");
  const usual = h("p");
  const current = h("div.card"); // the chat there is
  const rest = h("div"); // for more.js
  const starters = h("div.quick");
  const home = h("div.home", null, current, rest, starters);
  const page = h("div.page"); // for more.js
  const list = h("div");
  const human = button("pill", askForHuman, icon("user"), TEXT.human);
  const chips = h("div.quick");
  const tail = h("div"); // for more.js, below the last message
  const body = h(
    "div.body",
    { role: "log", tabindex: 0, "aria-label": TEXT.messages, scroll: nearTop },
    h("div", null, list, h("div.quick", null, chips, human), tail),
  );
  const hint = h("p.hint", { role: "status" });
  const attachments = h("ul.ups", { hidden: "" });
  const picker = h("input", {
    type: "file",
    multiple: "",
    hidden: "",
    change: (event) => first(event, picker.files),
  });
  const clip = tool("attach", TEXT.attach, () => filer || picker.click());
  const box = h("textarea", {
    rows: 1,
    dir: "auto",
    placeholder: TEXT.write,
    "aria-label": TEXT.write,
    input: typed,
    paste(event) {
      const { files, types } = event.clipboardData;
      if (!types.includes("text/plain")) first(event, files);
    },
    keydown(event) {
      const touch = matchMedia("(pointer:coarse)").matches;
      if (event.key === "Enter" && !event.shiftKey && !event.isComposing && !touch) submit(event);
    },
  });
  const send = h("button.icon.send", { "aria-label": TEXT.send }, icon("send"));
  const panel = h(
    "dialog",
    {
      dir: rtl ? "rtl" : "ltr",
      "aria-labelledby": "title",
      cancel: hide,
      keydown: (event) => event.key === "Escape" && !event.defaultPrevented && hide(event),
      dragover(event) {
        if (!event.dataTransfer?.types.includes("Files")) return;
        event.preventDefault();
        withFiles();
      },
      drop: (event) => event.dataTransfer && first(event, event.dataTransfer.files),
    },
    h("div.head", null, h("span.flip.back", null, tool("back", TEXT.back, goBack)), headFace, h("div", null, title, subtitle), menu, tool("close", TEXT.close, hide)),
    away,
    h("div.hello", null, greeting, usual),
    home,
    page,
    body,
    h("form.write", { submit }, hint, attachments, picker, clip, box, send),
  );
  root.lang = lang;
  launch.append(count);
  peek.dir = panel.dir;
  shadow.prepend(peek);
  shadow.append(panel);

  let view = "";

  function at(name) {
    view = panel.dataset.view = name;
    render();
  }

  const begun = () => token || queue()[0];

  function goBack() {
    at(view === "page" && begun() ? "chat" : "home");
    tail.replaceChildren();
    box.focus();
  }

  function show() {
    if (!opened) {
      opened = true;
      tab.set("open", 1);
      if (matchMedia("(max-width:479px)").matches) panel.showModal();
      else panel.show();
      if (view !== "page") at(begun() ? "chat" : "home");
      tell("open");
    }
    render();
    box.focus();
    wake();
  }

  function hide(event) {
    event?.preventDefault();
    if (!opened) return;
    opened = false;
    tab.drop("open");
    panel.close();
    render();
    launch.focus();
    tell("close");
  }

  let fresh = false; // the config is from just now

  async function loadConfig() {
    const asked = await call("GET", "config").catch(() => null);
    if (!asked) return;
    config = asked;
    fresh = true;
    keepConfig();
    dress();
    measure();
    mayTell();
    render();
  }

  // For the launcher of the next page. Who has not said anything leaves no trace.
  const keepConfig = () => token && config && store.set("config", JSON.stringify(config));

  // As the inbox wants it, unless the page says otherwise.
  function dress() {
    const { theme, position, colors } = config.looks;
    const corner = asked.position || position;
    root.style.colorScheme = asked.theme || theme;
    for (const [name, color] of Object.entries(colors)) root.style.setProperty(name, color);
    if (corner) root.dir = corner === "left" ? "rtl" : "ltr";
    panel.classList.toggle("left", root.dir === "rtl");
  }

  // What the inbox asks for before a chat is asked once.
  const mustAsk = () => config?.form[0] && !cursor && !queue()[0] && !store.get("asked");

  async function askForHuman() {
    wanted = true;
    render();
    box.focus();
    await call("POST", "human", {}).then(ask, () => (wanted = false));
    render();
  }

  function nearTop() {
    if (body.scrollHeight + body.scrollTop - body.clientHeight < 200) askOlder();
  }

  // --- Modules that come when they are needed. With each try another address, as in widget.js ---

  let loads = 0;
  const parts = {};

  // What a module gives for our `kit`; undefined where it cannot be loaded just now.
  const part = (name, more) =>
    (parts[name] ??= import(`./${name}.js?lang=${lang}&${loads++}`).then(
      ({ keep }) => keep({ ...kit, ...more }),
      () => delete parts[name] && undefined,
    ));

  const kit = {
    root,
    shadow,
    panel,
    page,
    tail,
    box,
    attachments,
    picker,
    clip,
    lang,
    fill,
    h,
    icon,
    button,
    tool,
    face,
    row,
    draw,
    ICONS,
    api,
    call,
    at,
    begin,
    store,
    say,
    keepDraft,
    submit,
    show,
    hide,
    render,
    part,
    forgetSession,
    stands,
    oneTabAtATime,
    uuid,
    messages: () => messages.flat(),
    now: () => now,
    config: () => config,
    token: () => token,
    asksToSend: () => whenReady,
    stopAsking: () => (whenReady = false),
    setToken(given) {
      store.set("token", (token = given));
      startOver();
    },
    startOver,
  };

  // It is another chat now.
  function startOver() {
    forgetChat();
    wake();
  }

  const more = async (name, ...given) => (await part("more"))?.[name](...given);
  // Which page this is, where staff may know.
  const mayTell = () => token && config?.pages && actLater();
  const actLater = async () => (await part("api"))?.(root.calls);

  let filer; // what files.js brings
  let arriving = 0; // files for which that is loading

  async function withFiles() {
    const had = filer;
    filer = await part("files");
    if (had || !filer) return;
    filer.restore(JSON.parse(tab.get("files") ?? "[]"));
    render();
  }

  // Until files.js listens itself.
  async function first(event, files) {
    if (filer || !files.length) return;
    event.preventDefault();
    const chosen = [...files];
    arriving++;
    await withFiles();
    arriving--;
    if (filer) filer.attach(chosen);
    else say(TEXT.away);
  }

  // --- Writing ---

  let typedAt = 0;
  let stopTimer;
  let tooLong = false;
  let said = "";
  let whenReady; // sent while files were on their way: what is said of that

  function say(text) {
    said = text;
    measure();
  }

  function measure() {
    const chars = [...box.value.trim()].length;
    const most = config?.message_max_chars;
    tooLong = chars > most;
    const calm = !(tooLong || said) && config?.preview;
    hint.textContent = calm ? TEXT.preview : tooLong ? fill(TEXT.long, { count: chars, most }) : said;
    hint.hidden = !hint.textContent;
    hint.classList.toggle("bad", !(calm || whenReady));
    box.ariaInvalid = send.ariaDisabled = tooLong;
    box.style.blockSize = "36px";
    if (box.value) box.style.blockSize = `${box.scrollHeight}px`;
  }

  function keepDraft() {
    const files = filer ? filer.saved() : [];
    if (box.value) tab.set("draft", box.value);
    else tab.drop("draft");
    if (files[0]) tab.set("files", JSON.stringify(files));
    else if (filer) tab.drop("files");
  }

  function typed() {
    whenReady = false;
    say("");
    keepDraft();
    if (!ready || !box.value) return;
    const shown = config?.preview && { text: box.value.slice(0, 500) };
    if (Date.now() - typedAt > (shown ? 900 : TYPING_MS)) {
      typedAt = Date.now();
      frame({ type: "typing", typing: true, ...shown });
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
    whenReady = arriving ? TEXT.sending : filer?.busy();
    const why = whenReady || filer?.stuck();
    if (why) return say(why);
    const text = box.value.trim();
    const files = filer?.saved();
    if (!text && !files?.[0]) return;
    if (mustAsk()) return more("form");
    stopTyping();
    enqueue(text, files);
    box.value = "";
    filer?.forget(files.map(({ id }) => id));
    typed();
    at("chat");
    body.scrollTop = 0;
    flush();
    render();
  }

  function pick(text) {
    const draft = box.value;
    box.value = text;
    submit();
    box.value ||= draft;
    keepDraft();
    box.focus();
  }

  function retry() {
    for (const item of queue()) keep({ ...item, error: undefined });
    failing = false;
    wake();
  }

  function edit(item) {
    store.drop(item.name);
    box.value = [item.body, box.value].filter(Boolean).join("\n");
    if (filesOf(item)[0]) withFiles().then(() => filer?.restore(filesOf(item)));
    typed();
    render();
    box.focus();
  }

  // --- Drawing: an entry keeps its element, so that screen readers hear it once ---

  const nodes = new Map();
  const dayOf = (at) => new Date(at ?? Date.now()).toLocaleDateString("sv");

  function dayLine(day) {
    const moment = new Date(`${day}T12:00`);
    const ago = Math.round((new Date(`${dayOf()}T12:00`) - moment) / 86_400_000);
    return ago < 2
      ? new Intl.RelativeTimeFormat(lang, { numeric: "auto" }).format(-ago, "day")
      : moment.toLocaleDateString(lang, { weekday: "long", day: "numeric", month: "long" });
  }

  function draw(entry) {
    const { mine, author, body: text, change, sources = [], dots, live, day } = entry;
    if (day) return h("p.line", null, dayLine(day));
    if (change) {
      const line = h("p.line");
      more("tell", line, entry, called(author));
      return line;
    }
    const parts = dots ? [h("i"), h("i"), h("i")] : mine ? linked(text) : prose(text);
    const bubble = text || dots || live ? h("div.bubble", { dir: "auto" }, ...parts) : "";
    const files = h("div.files");
    if (mine) return h("div.chat.me", null, bubble, files, h("p.note"));
    const links = sources.map(({ url, title }) => link(url, api, icon("book"), title));
    const name = called(author);
    return h(
      "div.chat",
      null,
      face(author),
      h("p.by", null, h("bdi", null, dots ? fill(TEXT.writes, { name }) : name)),
      bubble,
      files,
      links[0] ? h("div.sources", null, ...links) : "",
    );
  }

  function entries() {
    const all = [];
    let last;
    const add = (key, entry) => {
      const day = dayOf(entry.created_at);
      if (last !== (last = day)) all.push({ key: day, day, author: {} });
      // What was drawn before we knew who we are is drawn anew.
      all.push({ author: {}, ...entry, key: entry.mine ? `me${key}` : key });
    };
    if (config?.greeting && !older) {
      const author = { role: config.assistant && "assistant" };
      all.push({ key: "greeting", author, body: config.greeting });
    }
    const byTime = (a, b) => past[0] && (a.created_at > b.created_at || -1);
    for (const m of past.concat(messages.flat()).sort(byTime)) {
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
    entry && (entry.change || entry.dots || entry.day ? entry.key : entry.mine || called(entry.author));

  function note({ item, seq }, isLast) {
    if (!item) {
      const isRead = seq <= now.read || messages.some((m) => m.seq > seq && m.kind === "reply");
      return isLast ? (isRead ? [icon("read"), TEXT.read] : [icon("check"), TEXT.sent]) : [];
    }
    if (Date.now() < waitUntil) return [TEXT.later];
    if (!item.error && !failing) return [TEXT.sending];
    const buttons = [button("small", retry, TEXT.retry)];
    if (item.error) buttons.push(button("small", () => edit(item), TEXT.edit));
    return [icon("alert"), item.error ?? TEXT.unsent, ...buttons];
  }

  // "5 minutes", in the reader's language, rounded up to what people say.
  function span(seconds) {
    const minutes = [1, 2, 5, 10, 15, 30].find((one) => seconds <= one * 60);
    const [unit, number] = minutes ? ["minute", minutes] : ["hour", Math.ceil(seconds / 3_600)];
    return new Intl.NumberFormat(lang, { style: "unit", unit, unitDisplay: "long" }).format(number);
  }

  function opens() {
    const at = new Date(config.opens_at);
    const time = at.toLocaleString(lang, { weekday: "long", hour: "numeric", minute: "numeric" });
    return fill(TEXT.opens, { time });
  }

  function welcome() {
    if (!config) return "";
    if (config.opens_at) return opens();
    const { answers_within_seconds: seconds } = config;
    return seconds ? fill(TEXT.usually, { time: span(seconds) }) : "";
  }

  function row(click, sign, label, ...more) {
    return button("row", click, sign, h("span", { dir: "auto" }, label), ...more, h("span.flip", null, icon("go")));
  }

  function drawHome(unseen) {
    greeting.textContent = config?.greeting ?? "";
    usual.textContent = welcome();
    const last = messages.findLast(({ kind }) => kind === "reply");
    const badge = unseen ? [h("span.count", null, unseen)] : [];
    const back = () => (at("chat"), box.focus());
    current.replaceChildren(
      ...(last || queue()[0] ? [row(back, face(last?.author ?? {}), last?.body || TEXT.chat, ...badge)] : []),
    );
    starters.replaceChildren(...choices(config?.starters));
    if (now.ended || now.earlier || config?.opens_at || rest.firstChild) more("atHome", rest);
  }

  const choices = (texts) => (texts ?? []).map((text) => button("pill", () => pick(text), h("bdi", null, text)));

  let badge = "";

  function render() {
    const others = messages.filter((m) => m.kind === "reply" && m.author?.id !== you);
    const unseen = others.filter((m) => m.seq > (store.get("seen") ?? 0));
    launch.hidden = opened;
    peek.hidden = count.hidden = opened || !unseen.length;
    count.textContent = unseen.length;
    launch.ariaLabel = TEXT.open + (unseen.length ? `, ${unseen.length} ${TEXT.unread}` : "");
    if (badge !== (badge = unseen.length ? `(${unseen.length}) ` : "")) {
      document.title = badge + document.title.replace(/^\(\d+\) /, "");
      tell("unread", unseen.length);
    }
    if (!opened) {
      const last = unseen.at(-1);
      const line = last?.body || filesOf(last ?? {}).map(({ name }) => name).join(", ");
      if (last) peek.replaceChildren(h("b", null, called(last.author ?? {})), h("br"), line);
      return;
    }
    if (!document.hidden && view === "chat" && cursor > (store.get("seen") ?? 0)) {
      store.set("seen", cursor);
      if (ready) frame({ type: "seen", seq: cursor });
      else call("POST", "seen", { seq: cursor }).catch(() => {});
    }

    const staff = others.findLast((m) => m.author?.role === "staff")?.author;
    const bot = now.handler ? now.handler === "assistant" : config?.assistant;
    const atHome = view === "home";
    const name = staff?.name.split(" ")[0];
    title.textContent = now.title || (staff && !atHome ? fill(TEXT.from, { name, brand: brand() }) : brand());
    subtitle.textContent = now.people || (bot ? TEXT.assistantFirst : config && TEXT.people);
    if (!bot && !atHome && welcome()) subtitle.textContent += ` · ${welcome()}`;
    const faces = atHome && config?.faces[0] ? config.faces : [staff ?? {}];
    headFace.replaceChildren(...faces.map(face));
    menu.hidden = !token;
    away.textContent = gone ? TEXT.gone : TEXT.away;
    away.hidden = !gone && !(awaySince && Date.now() - awaySince > 1_500);
    if (atHome) drawHome(unseen.length);
    if (view !== "chat") return;
    human.hidden = !bot || wanted || !cursor;

    const all = entries();
    const lastSent = all.findLast((entry) => entry.mine && !entry.item);
    const latest = all.findLast((entry) => !entry.day);
    chips.replaceChildren(...(latest?.mine ? [] : choices(latest?.key === "greeting" ? config.starters : latest?.choices)));
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
      if (files[0]) filer ? filer.draw(node, files) : withFiles();
      if (entry.mine) {
        const parts = note(entry, entry === lastSent);
        const said = parts.map((part) => part.textContent ?? part).join();
        if (node.said !== said) node.lastChild.replaceChildren(...parts);
        node.said = said;
        node.lastChild.hidden = !said;
        node.classList.toggle("unsent", parts.length > 2);
      }
    });
    if (now.ended || tail.firstChild) more("ended");
  }

  // --- Beginning ---

  box.value = tab.get("draft") ?? "";
  if (tab.get("files")) withFiles();
  if (config) dress();
  panel.classList.toggle("left", root.dir === "rtl");
  mayTell();
  if (root.calls[0]) actLater();
  root.calls.push = (one) => {
    root.calls[root.calls.length] = one;
    actLater();
  };
  document.addEventListener("visibilitychange", wake);
  addEventListener("pageshow", ({ persisted }) => persisted && wake());
  addEventListener("online", wake);
  addEventListener("offline", () => lost(socket));
  addEventListener("storage", ({ key }) => {
    if (key && !key.startsWith(prefix)) return;
    const mine = store.get("token");
    if (mine !== token) {
      if (token) forgetSession();
      token = mine;
      if (mine) store.set("token", mine);
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
