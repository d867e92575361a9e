// Who is writing at the other end, and the assistant's answer while it is being written.
// Nothing here is stored: the message itself comes by way of the timeline.

const FORGET_MS = 8_000;

export function showWriting(pane, live, { signal }) {
  const place = pane.querySelector("[data-live]");
  const conversation = Number(pane.dataset.conversation);
  const me = Number(document.body.dataset.person);
  const words = (name) => pane.querySelector(`[data-words="${name}"]`).content.textContent;
  const shown = new Map(); // by whom: { element, timer }

  const drop = (who) => {
    const row = shown.get(who);
    if (!row) return;
    clearTimeout(row.timer);
    row.element.remove();
    shown.delete(who);
  };

  const show = (who, name) => {
    let row = shown.get(who);
    if (!row) {
      row = { element: dots(words("writing").replace("{name}", name)), text: [] };
      shown.set(who, row);
      place.append(row.element);
    }
    clearTimeout(row.timer);
    row.timer = setTimeout(() => drop(who), FORGET_MS);
    return row;
  };

  const onMine = (type, hear) =>
    live.on(type, (event) => event.conversation === conversation && hear(event), signal);
  onMine("typing.changed", ({ person, name, typing }) => {
    if (person === me) return;
    if (typing) show(person, name || words("customer"));
    else drop(person);
  });
  // What a visitor types, before it is sent.
  onMine("typing.preview", ({ person, name, text }) => {
    const row = show(person, name || words("customer"));
    const bubble = row.element.querySelector(".bubble");
    bubble.replaceChildren(text);
    bubble.classList.remove("typing");
    bubble.classList.add("bubble-preview");
  });
  onMine("assistant.typing", () => {
    drop("assistant"); // a new attempt begins from nothing
    show("assistant", words("assistant"));
  });
  onMine("assistant.stopped", () => drop("assistant"));
  onMine("assistant.delta", ({ answer, index, text }) => {
    const row = show("assistant", words("assistant"));
    if (row.answer !== answer) Object.assign(row, { answer, text: [] });
    row.text[index] = text;
    // While a piece is missing: dots, until the whole answer comes.
    if (Object.keys(row.text).length < row.text.length) return;
    const bubble = row.element.querySelector(".bubble");
    bubble.replaceChildren(row.text.join(""));
    bubble.classList.remove("typing");
  });
  onMine("message.posted", ({ message: { author } }) => {
    if (author) drop(author.role === "assistant" ? "assistant" : author.id);
  });
}

function dots(sentence) {
  const element = document.createElement("div");
  element.className = "chat chat-writing";
  const by = document.createElement("p");
  by.className = "by";
  by.dir = "auto";
  by.textContent = sentence;
  const bubble = document.createElement("div");
  bubble.className = "bubble typing";
  bubble.dir = "auto";
  bubble.append(...[1, 2, 3].map(() => document.createElement("span")));
  element.append(by, bubble);
  return element;
}
