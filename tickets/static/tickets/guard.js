// "The customer wrote since you began": says so above the composer while one writes, and holds a
// reply back that the server did not send for it. What was seen is the end of the timeline as it
// was when the writer began, or when they last said that they have looked.

import { parse } from "./parts.js";

export function keepGuard(pane, { from, words, onSeen, onSend }) {
  const line = pane.querySelector("[data-guard]");
  // Colleagues among themselves talk at once, and nothing is held back.
  if (!line) return { seen: () => "", pass() {}, heard() {}, refuse() {} };
  const part = (name) => line.querySelector(`[data-guard-${name}]`);
  let seen = from;
  let latest = from;
  let names = []; // of those who spoke, once for each of their messages

  const pass = () => {
    seen = latest;
    names = [];
    line.hidden = true;
  };
  const show = (sentence, { held }) => {
    part("sentence").textContent = sentence;
    part("send").hidden = !held;
    line.hidden = false;
  };

  part("show").addEventListener("click", (event) => {
    event.preventDefault();
    pass();
    onSeen();
  });
  part("close").addEventListener("click", () => {
    pass();
    onSeen();
  });
  part("send").addEventListener("click", (event) => {
    event.preventDefault();
    pass();
    onSend();
  });
  if (line.dataset.upto) part("show").focus(); // the page came back with it

  return {
    seen: () => seen,
    pass,
    heard(seq, others) {
      latest = Math.max(latest, seq);
      if (!others.length) return;
      names.push(...others);
      const sentence = words(names.length > 1 ? "wrote-many" : "wrote-one");
      show(sentence.replace("{name}", names.at(-1)).replace("{count}", names.length), {
        held: !part("send").hidden && !line.hidden,
      });
    },
    // The server held a reply back; `html` is this line as it says it.
    refuse(html) {
      const told = parse(html).querySelector("[data-guard]");
      latest = Math.max(latest, Number(told.dataset.upto));
      show(told.querySelector("[data-guard-sentence]").textContent, { held: true });
      part("show").focus();
    },
  };
}
