// What a chat needs now and then: the form before it, its end, its rating, the menu. chat.js loads
// this when the first of it is wanted.

import { TEXT } from "./words.js";

const STYLE = `
.field{display:grid;gap:4px;margin-block-end:14px}
.field label,legend{padding:0;font-weight:530}
.field label small{font-weight:420;color:var(--soft)}
.field :is(input,select,textarea){inline-size:100%;min-block-size:36px;padding:6px 10px;border:1px solid var(--field);border-radius:6px;background:var(--bg)}
.field textarea{block-size:72px}
.field [aria-invalid=true]{border-color:var(--bad)}
.main{inline-size:100%;min-block-size:36px;border-radius:6px;text-align:center;font-weight:530}
.rate{margin-block:8px;padding:14px;border:1px solid var(--line);border-radius:10px}
fieldset{min-inline-size:0;margin:0 0 12px;padding:0;border:0}
.marks{display:flex;justify-content:space-between;padding-block-start:8px}
.marks label{display:grid;justify-items:center;gap:2px;flex:1;padding:6px 2px;border-radius:6px;font-size:12px;color:var(--soft);cursor:pointer}
.marks input{position:absolute;opacity:0;inline-size:1px;min-block-size:0;block-size:1px}
.marks svg{inline-size:28px;block-size:28px;stroke-width:1.5}
.marks label:has(:checked){color:var(--link);background:var(--press);font-weight:530}
.marks label:has(:focus-visible){outline:2px solid var(--link)}
.menu{position:absolute;inset-block-start:52px;inset-inline-end:12px;z-index:1;min-inline-size:220px;padding:4px;border-radius:10px;background:var(--bg);box-shadow:0 0 0 1px var(--line),0 8px 24px light-dark(#1a1d2a33,#0009)}
.menu .row{min-block-size:36px;border:0;border-radius:6px}
.nobody{padding:10px 12px;background:light-dark(#fff5dd,#2f2412)}
.nobody p{color:inherit}
.ending{display:grid;justify-items:center;gap:8px;padding-block:4px 8px}`;

const FACES = {
  rate1: "M12 2a10 10 0 1 0 .1 0M8 17s1-2 4-2 4 2 4 2M7 8l3 2M17 8l-3 2M9 10.4v.1M15 10.4v.1",
  rate2: "M12 2a10 10 0 1 0 .1 0M8 16s1.500-2 4-2 4 2 4 2M9 9v.1M15 9v.1",
  rate3: "M12 2a10 10 0 1 0 .1 0M8 15h8M9 9v.1M15 9v.1",
  rate4: "M12 2a10 10 0 1 0 .1 0M8 14s1.500 2 4 2 4-2 4-2M9 9v.1M15 9v.1",
  rate5: "M12 2a10 10 0 1 0 .1 0M7 13a5 5 0 0 0 10 0zM9 8.900v.1M15 8.900v.1",
  mail: "M3 5h18v14H3zM3 7l9 6 9-6",
  sound: "M6 8a6 6 0 0 1 12 0c0 7 3 9 3 9H3s3-2 3-9M10 21h4",
};

const MARKS = [TEXT.rate1, TEXT.rate2, TEXT.rate3, TEXT.rate4, TEXT.rate5];

// Returns what chat.js calls by name. It is given what that has already.
export function keep(kit) {
  const { shadow, panel, page, tail, box, h, icon, button, face, row, ICONS } = kit;
  const { call, at, begin, store, submit, render, stands, fill, lang } = kit;
  Object.assign(ICONS, FACES);
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(STYLE);
  shadow.adoptedStyleSheets.push(sheet);

  // --- Forms ---

  let fields = 0;

  // A field with its label; `tell` says what is wrong with it.
  function field({ name, label, type = "text", required, help, choices, tag = "input" }) {
    const id = `f${++fields}`;
    const options = (choices ?? []).map((one) => h("option", null, one));
    const kind = options[0] ? "select" : tag;
    const props = { id, name, dir: "auto", autocomplete: { name: "name", email: "email" }[name] ?? "off" };
    if (kind === "input") props.type = type;
    if (required) props["aria-required"] = true;
    const input = h(kind, props, ...(options[0] ? [h("option", { value: "" }, TEXT.choose), ...options] : []));
    const wrong = h("p.bad", { id: `${id}w`, role: "alert", hidden: "" });
    const hint = help ? [h("p", { id: `${id}h` }, help)] : [];
    input.setAttribute("aria-describedby", help ? `${id}w ${id}h` : `${id}w`);
    const optional = required || tag === "textarea" ? "" : h("small", null, ` (${TEXT.optional})`);
    const node = h("div.field", null, h("label", { for: id }, label, optional), input, wrong, ...hint);
    const tell = (sentence) => {
      wrong.textContent = sentence;
      wrong.hidden = !sentence;
      input.ariaInvalid = !!sentence;
    };
    const right = () => {
      const value = input.value.trim();
      const bad = type === "email" && value && !/^[^\s@]+@[^\s@]+\.[^\s@]+$/.test(value);
      tell(!value && required ? TEXT.fill : bad ? TEXT.wrongEmail : "");
      return !wrong.textContent;
    };
    return { name, node, input, right, tell, value: () => input.value.trim() };
  }

  // Shows a form on a page of its own; `act` gets what was entered and may refuse it by throwing.
  function form(title, given, label, act) {
    const made = given.map(field);
    const trouble = h("p.bad", { role: "alert" });
    const send = h("button.main", null, label);
    const node = h(
      "form",
      {
        novalidate: "",
        async submit(event) {
          event.preventDefault();
          const wrong = made.filter((one) => !one.right());
          if (wrong[0]) return wrong[0].input.focus();
          send.disabled = true;
          trouble.textContent = "";
          try {
            await act(Object.fromEntries(made.map((one) => [one.name, one.value()])));
          } catch ({ message }) {
            trouble.textContent = message ?? TEXT.trouble;
          }
          send.disabled = false;
        },
      },
      h("h2", null, title),
      h("br"),
      ...made.map((one) => one.node),
      send,
      trouble,
    );
    page.replaceChildren(node);
    at("page");
    made[0].input.focus();
  }

  // A sentence in place of the form that led to it.
  function done(sentence) {
    page.replaceChildren(h("p", { role: "status" }, sentence));
    panel.querySelector(".back button").focus();
  }

  const email = (required, help) => ({ name: "email", label: TEXT.email, type: "email", required, help });

  async function about(said) {
    await begin();
    await call("POST", "about", said);
    store.set("asked", 1);
  }

  function showForm() {
    const given = kit.config().form.map((one) => ({
      ...{ label: one.name === "name" ? TEXT.name : TEXT.email, type: one.name === "email" ? "email" : "text" },
      ...{ help: one.name === "email" && TEXT.emailHelp },
      ...one,
    }));
    form(TEXT.start, given, TEXT.start, async (said) => {
      await about(said);
      at("chat");
      submit();
      box.focus();
    });
  }

  const leave = () =>
    form(TEXT.leave, [email(true, TEXT.emailHelp)], TEXT.saveIt, async (said) => {
      await about(said);
      done(TEXT.kept);
    });

  const transcript = () =>
    form(TEXT.transcript, [email(true)], TEXT.send, async (said) => {
      await call("POST", "transcript", said);
      done(TEXT.onItsWay);
    });

  // --- The end of a chat ---

  let endingOf = 0; // the chat below which its end stands
  let thanked = 0;

  function rating() {
    const marks = [1, 2, 3, 4, 5].map((score) => {
      const input = h("input", { type: "radio", name: "score", value: score });
      input.checked = kit.now().rating === score;
      return h("label", null, input, icon(`rate${score}`), MARKS[score - 1]);
    });
    const comment = field({ name: "comment", label: TEXT.comment, tag: "textarea" });
    const trouble = h("p.bad", { role: "alert" });
    const node = h(
      "form.rate",
      {
        async submit(event) {
          event.preventDefault();
          const score = Number(node.querySelector(":checked")?.value);
          if (!score) {
            trouble.textContent = TEXT.fill;
            return node.querySelector("input").focus();
          }
          try {
            stands(await call("POST", "rating", { score, comment: comment.value() }));
            thanked = endingOf;
            node.replaceWith(h("p.line", { role: "status" }, TEXT.thanks));
            box.focus();
          } catch ({ message }) {
            trouble.textContent = message ?? TEXT.trouble;
          }
        },
      },
      h("fieldset", null, h("legend", null, TEXT.rate), h("div.marks", null, ...marks)),
      comment.node,
      h("button.main", null, TEXT.sendRating),
      trouble,
    );
    return node;
  }

  // Below the last message, for as long as the chat is at an end.
  function ended() {
    const { ended, chat, rating: rated } = kit.now();
    if (!ended) {
      endingOf = 0;
      return tail.replaceChildren();
    }
    if (endingOf === chat) return;
    endingOf = chat;
    tail.replaceChildren(
      h("p.line", { role: "status" }, TEXT.ended),
      rated || thanked === chat ? h("p.line", null, TEXT.thanks) : rating(),
      h("div.ending", null, button("pill", another, TEXT.another)),
    );
  }

  async function end() {
    await call("POST", "end", {}).then(stands, () => {});
    render();
    box.focus();
  }

  async function another() {
    const standing = await call("POST", "another", {}).catch(() => {});
    if (!standing) return;
    store.set("chat", standing.chat); // tells other tabs
    kit.startOver();
    at("home");
    box.focus();
  }

  // Below the chat there is, on the first page: other chats, and that nobody is here.
  function atHome(rest) {
    const { ended, earlier: count } = kit.now();
    const { opens_at, assistant } = kit.config() ?? {};
    const state = [ended, count, opens_at].join();
    if (rest.state === state) return;
    rest.state = state;
    const rows = [
      ...(ended ? [row(another, icon("send"), TEXT.another)] : []),
      ...(count ? [row(earlier, icon("book"), TEXT.earlier)] : []),
      ...(opens_at ? [row(leave, icon("mail"), TEXT.leave)] : []),
    ];
    const away = opens_at
      ? [h("div.card.nobody", null, h("b", null, TEXT.nobody), h("p", null, TEXT.anyway), assistant ? h("p", null, TEXT.assistantFirst) : "")]
      : [];
    rest.replaceChildren(...away, h("div.card", null, ...rows));
  }

  // --- Earlier chats ---

  async function earlier() {
    const { chats } = await call("GET", "chats").catch(() => ({ chats: [] }));
    const when = (moment) => new Date(moment).toLocaleDateString(kit.lang, { day: "numeric", month: "short" });
    const rows = chats.map(({ chat, preview, at: moment }) =>
      row(() => open(chat), face({}), preview, h("small", null, when(moment))),
    );
    page.replaceChildren(h("h2", null, TEXT.earlier), h("br"), h("div.card", null, ...rows));
    at("page");
    page.querySelector("button")?.focus();
  }

  async function open(chat, before = 2 ** 31 - 1, below = []) {
    const given = await call("GET", `messages?before=${before}&last=50&chat=${chat}`).catch(() => {});
    if (!given) return;
    const all = [...given.messages, ...below];
    const nodes = all.map((message) => {
      const mine = !message.change && message.author?.id === kit.now().you;
      const node = kit.draw({ ...message, author: message.author ?? {}, mine });
      if (message.files.length) kit.part("files").then((filer) => filer?.draw(node, message.files));
      return node;
    });
    const older = () => open(chat, given.messages[0].seq, all);
    page.replaceChildren(
      given.older ? h("div.ending", null, button("pill", older, TEXT.earlierMessages)) : "",
      h("div", { role: "region", tabindex: 0, "aria-label": TEXT.messages }, ...nodes),
    );
    at("page");
    if (!below[0]) page.scrollTop = page.scrollHeight;
    page.querySelector("[tabindex]").focus({ preventScroll: true });
  }

  // --- The menu ---

  function menu(opener) {
    if (shadow.querySelector(".menu")) return;
    const isOn = !!store.get("sound");
    const close = () => {
      node.remove();
      opener.ariaExpanded = false;
      opener.focus();
    };
    const item = (label, sign, act, props) => {
      const go = () => (close(), act());
      return h("button.row", { type: "button", role: "menuitem", click: go, ...props }, icon(sign), h("span", null, label));
    };
    const flip = () => (isOn ? store.drop("sound") : (store.set("sound", 1), beep()));
    const { ended } = kit.now();
    const said = !!kit.messages()[0];
    const items = [
      item(TEXT.sound, isOn ? "check" : "sound", flip, { role: "menuitemcheckbox", "aria-checked": isOn }),
      ...(said ? [item(TEXT.transcript, "mail", transcript)] : []),
      ...(said && !ended ? [item(TEXT.end, "close", end)] : []),
      ...(ended ? [item(TEXT.another, "send", another)] : []),
    ];
    const node = h(
      "div.menu",
      {
        role: "menu",
        "aria-label": TEXT.more,
        keydown(event) {
          const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
          const now = items.indexOf(shadow.activeElement);
          if (step) items[(now + step + items.length) % items.length].focus();
          if (event.key === "Escape" || event.key === "Tab") close();
          if (step || event.key === "Escape") event.preventDefault();
        },
        focusout: ({ relatedTarget }) => relatedTarget && !node.contains(relatedTarget) && node.remove(),
      },
      ...items,
    );
    opener.ariaExpanded = true;
    panel.querySelector(".head").after(node);
    items[0].focus();
  }

  // What a change says, on its line. `who` did it.
  function tell(line, { change, author, created_at }, who) {
    const { field, old, new: name, reason } = change;
    const group = { joined: TEXT.joined, left: TEXT.went, title: name && TEXT.named };
    group.member = name ? TEXT.added : TEXT.took;
    if (group[field]) line.textContent = fill(group[field], { who, name: field === "left" ? who : name || old });
    if (field !== "handler") return;
    const why = { nothing_found: TEXT.nothing_found, failed: TEXT.failed }[reason];
    const joined = reason === "staff_wrote" && author?.name;
    const person = why ? `${why} ${TEXT.person}` : TEXT.person;
    const at = new Date(created_at).toLocaleTimeString(lang, { timeStyle: "short" });
    const said = joined ? fill(TEXT.joined, { name: joined }) : name === "staff" ? person : TEXT.assistantFirst;
    line.textContent = `${said} · ${at}`;
  }

  // Two notes, of our own making.
  function beep() {
    const audio = new AudioContext();
    [660, 880].forEach((hertz, i) => {
      const note = audio.createOscillator();
      const volume = audio.createGain();
      const from = audio.currentTime + i * 0.12;
      note.frequency.value = hertz;
      volume.gain.setValueAtTime(0.08, from);
      volume.gain.exponentialRampToValueAtTime(0.001, from + 0.25);
      note.connect(volume).connect(audio.destination);
      note.start(from);
      note.stop(from + 0.3);
    });
    setTimeout(() => audio.close(), 1_000);
  }

  return { form: showForm, ended, atHome, menu, tell, beep };
}
