// Who is in the conversation, and what one may do about it: leave, be mailed or not, and for who
// leads it name it and remove people; and what is said of that. more.js loads this in groups.

import { TEXT } from "./words.js";

const STYLE = `
ul.card{padding:0;list-style:none}
.row small{color:var(--soft);white-space:nowrap}
.card .row[aria-checked=false]>svg{visibility:hidden}
.row .flip{display:grid}
.row .icon{margin-block:-8px;margin-inline-end:-8px}`;

const SIGNS = {
  pencil: "m4 20 1-5L16 4l4 4L9 19zM14 6l4 4",
  leave: "M9 4H4v16h5M15 8l4 4-4 4M19 12H9",
};

const LOOK_MS = 1_000;

// Returns what more.js calls by name. It is given what chat.js and more.js have already.
export function keep(kit) {
  const { shadow, page, h, icon, button, face, call, at, fill, form, done } = kit;
  Object.assign(kit.ICONS, SIGNS);
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(STYLE);
  shadow.adoptedStyleSheets.push(sheet);

  const standing = () => [kit.now().people, kit.now().title].join();

  async function show() {
    if (!kit.token()) return at("home"); // somebody has removed us
    const group = await call("GET", "people").catch(() => {});
    if (group) draw(group);
  }

  const act = (name, content = {}) => call("POST", `people/${name}`, content);

  function draw({ title, people, leads, leaves, muted }) {
    const isElsewhere = page.firstChild?.dataset.group && !page.contains(shadow.activeElement);
    const mails = h(
      "button.row",
      {
        type: "button",
        role: "switch",
        "aria-checked": !muted,
        click: () => act("mute", { muted: !muted }).then(draw, () => {}),
      },
      icon("check"),
      h("span", null, TEXT.mails),
    );
    const doing = (sign, label, click) =>
      button("row", click, h("span.flip", null, icon(sign)), h("span", null, label), h("span.flip", null, icon("go")));
    const list = h("ul.card", { "aria-label": TEXT.group }, ...people.map(member));
    const heading = h("h2", { "data-group": 1, dir: "auto" }, title || TEXT.group);
    page.replaceChildren(
      heading,
      h("br"),
      list,
      h(
        "div.card",
        null,
        mails,
        ...(leads ? [doing("pencil", TEXT.rename, () => rename(title))] : []),
        ...(leaves ? [doing("leave", TEXT.depart, depart)] : []),
      ),
    );
    at("page");
    if (!isElsewhere) mails.focus();
    // Others come and go, and what it is called changes.
    const known = standing();
    const timer = setInterval(() => {
      if (list.isConnected && known === standing()) return;
      clearInterval(timer);
      if (list.isConnected) show();
    }, LOOK_MS);
  }

  function member(one) {
    const { name, address, you, rank, removable } = one;
    const about = [you && TEXT.you, rank === "owner" && TEXT.owner].filter(Boolean).join(" · ");
    const label = h("span", null, h("bdi", null, name), ...(address ? [h("br"), h("small", null, address)] : []));
    const remove = () =>
      sure(fill(TEXT.sureRemove, { name }), TEXT.remove, async () => draw(await act(`${one.id}/remove`)));
    const cross = removable
      ? h("button.icon", { type: "button", "aria-label": `${TEXT.remove}: ${name}`, click: remove }, icon("close"))
      : "";
    return h("li.row", null, face(one), label, h("small", null, about), cross);
  }

  function rename(title) {
    form(TEXT.rename, [{ name: "title", label: TEXT.name }], TEXT.saveIt, async (said) => draw(await act("title", said)));
    const field = page.querySelector("input");
    field.value = title;
    field.maxLength = 120;
  }

  // Asks before it does what cannot be undone.
  function sure(sentence, label, does) {
    const trouble = h("p.bad", { role: "alert" });
    const go = button(
      "main",
      async () => {
        go.disabled = true;
        trouble.textContent = "";
        await does().catch(({ message }) => {
          trouble.textContent = message ?? TEXT.trouble;
          go.disabled = false;
        });
      },
      label,
    );
    const stay = button("pill", show, TEXT.cancel);
    page.replaceChildren(h("h2", { id: "sure" }, sentence), h("br"), go, trouble, h("div.ending", null, stay));
    go.setAttribute("aria-describedby", "sure");
    stay.focus();
  }

  function depart() {
    sure(TEXT.sureLeave, TEXT.depart, async () => {
      const token = kit.token();
      const answer = act("leave");
      // Before its socket is shown out, which would be the end of this widget.
      kit.forgetSession();
      try {
        await answer;
      } catch (error) {
        kit.setToken(token);
        throw error;
      }
      done(TEXT.departed);
    });
  }

  // What a change of the group says, on its line. `who` did it.
  function tell(line, { field, old, new: name }, who) {
    const said = { joined: TEXT.joined, left: TEXT.went, title: name && TEXT.named };
    said.member = name ? TEXT.added : TEXT.took;
    if (said[field]) line.textContent = fill(said[field], { who, name: field === "left" ? who : name || old });
  }

  return { show, tell };
}
