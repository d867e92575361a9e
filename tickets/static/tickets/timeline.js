// Keeps the timeline, head and side column of one ticket as they are on the server.
//
// The socket only says that something happened; entries come over HTTP as HTML, after the last
// one shown, so that none is missed and none comes twice.

import { ask, inTurn, parse, replaceParts } from "./parts.js";

const RECENT_PENDING = 10;
const MARKS_PAUSE_MS = 400;

export function keepTimeline(pane, live, { signal, onEntries, onTakenBack, onRefused }) {
  const list = pane.querySelector("[data-timeline]");
  const { address, query } = pane.dataset;
  const conversation = Number(pane.dataset.conversation);
  const lastSeq = () => Number([...list.querySelectorAll("[data-seq]")].at(-1)?.dataset.seq ?? 0);
  // Who was named somewhere tells the desk that they have read this, too.
  const named = () => Boolean(document.querySelector('[data-count="mentions"]'));
  let unseen = "unread" in pane.dataset || named();

  const fail = (error) => {
    if (error.status === 401) live.signedOut();
    // Anything else: the next bell or catch-up asks again.
  };

  const grow = inTurn(async () => {
    try {
      for (let more = true; more; ) {
        const response = await ask(`${address}timeline/?after=${lastSeq()}`, { signal });
        more = response.headers.has("X-More");
        const html = await response.text();
        if (signal.aborted) return;
        const before = lastSeq();
        list.insertAdjacentHTML("beforeend", html);
        putMarks();
        const fresh = [...list.querySelectorAll("[data-seq]")].filter(
          (entry) => Number(entry.dataset.seq) > before,
        );
        if (fresh.some(({ dataset }) => dataset.byCustomer || dataset.replyBy)) unseen = true;
        if (fresh.some((entry) => "joint" in entry.dataset)) await startAnew();
        if (fresh.length) onEntries(fresh);
        // What there is to quote.
        if (fresh.length && pane.querySelector("#quote")) refreshAbout();
      }
      await see();
    } catch (error) {
      fail(error);
    }
  });

  // Another ticket was merged into this one: its entries stand among those that are shown.
  const startAnew = async () => {
    const response = await ask(`${address}timeline/`, { signal });
    list.innerHTML = await response.text();
    htmx.process(list);
  };

  // Tell the desk that somebody has these entries before them.
  const see = async () => {
    if (document.hidden || !unseen || !isInView(pane)) return;
    const form = new FormData();
    form.set("seq", lastSeq());
    await ask(`${address}seen/`, { signal, form });
    unseen = false;
  };

  const reload = async (seq) => {
    try {
      const response = await ask(`${address}messages/${seq}/`, { signal });
      const old = list.querySelector(`[data-seq="${seq}"]`);
      const html = await response.text();
      if (!old || signal.aborted) return;
      loose.push(...old.querySelectorAll("[data-mark]"));
      old.outerHTML = html;
      putMarks();
    } catch (error) {
      fail(error);
    }
  };

  // Who has read how far; the server knows where each mark stands.
  const refreshMarks = inTurn(async () => {
    try {
      const response = await ask(`${address}marks/`, { signal });
      const fresh = [...parse(await response.text()).children];
      if (signal.aborted) return;
      const shown = [...list.querySelectorAll("[data-mark]"), ...loose];
      if (fresh.length === shown.length && fresh.every((mark, i) => mark.isEqualNode(shown[i]))) return;
      for (const mark of shown) mark.remove();
      loose = fresh;
      putMarks();
    } catch (error) {
      fail(error);
    } finally {
      await new Promise((done) => setTimeout(done, MARKS_PAUSE_MS));
    }
  });

  // A mark may come before its entry.
  let loose = [];
  const putMarks = () => {
    loose = loose.filter((mark) => {
      const entry = list.querySelector(`[data-seq="${mark.dataset.mark}"]`);
      const card = entry?.querySelector(".msg");
      if (card?.lastElementChild.matches(":not(footer)")) card.append(document.createElement("footer"));
      (card?.lastElementChild ?? entry?.querySelector(".chat"))?.append(mark);
      return !entry;
    });
  };
  list.addEventListener("htmx:afterSettle", putMarks, { signal });

  const refreshAbout = inTurn(async () => {
    try {
      const response = await ask(`${address}about/?${query}`, { signal });
      if (!signal.aborted) replaceParts(parse(await response.text()), pane);
    } catch (error) {
      fail(error);
    }
  });

  // Part by part: somebody may have a menu open there, or be filling in a form. What the reader does
  // there brings an answer of its own, which is newer than what was asked for before.
  const refreshing = (name) => {
    let changes = 0;
    pane.addEventListener("htmx:afterSwap", ({ target }) => (changes += target.dataset.panel === name), { signal });
    const refresh = inTurn(async () => {
      const panel = pane.querySelector(`[data-panel="${name}"]`);
      const known = changes;
      if (!panel) return;
      try {
        const response = await ask(panel.getAttribute("hx-get"), { signal });
        const fresh = parse(await response.text());
        if (signal.aborted) return;
        if (known === changes) replaceParts(fresh, panel);
        else refresh();
      } catch (error) {
        fail(error);
      }
    });
    return refresh;
  };
  const refreshPeople = refreshing("people");
  const refreshBeside = refreshing("beside");

  const takeBack = async (form) => {
    try {
      const response = await ask(form.action, { form: new FormData(form) });
      onTakenBack(await response.json());
    } catch (error) {
      if (error.sentence) onRefused(error.sentence);
      fail(error);
    }
    reload(form.closest("[data-seq]").dataset.seq);
  };

  // What is wrong is said beside the number, which stays to be corrected.
  const move = async (form, submitter) => {
    const seq = form.closest("[data-seq]").dataset.seq;
    const wrong = form.querySelector("[data-move-error]");
    wrong.textContent = "";
    try {
      await ask(form.action, { form: new FormData(form, submitter) });
    } catch (error) {
      wrong.textContent = error.sentence || wrong.dataset.moveError;
      form.querySelector("[name=to]").focus();
      fail(error);
      return;
    }
    await reload(seq);
    pane.querySelector("[data-scroller]").focus({ preventScroll: true });
  };

  // A column that was scrolled to is seen from then on.
  pane.addEventListener("focusin", () => see().catch(fail), { signal });
  list.addEventListener("submit", (event) => {
    if (event.target.matches("[data-take-back]")) {
      event.preventDefault();
      takeBack(event.target);
      return;
    }
    if (event.target.matches("[data-move]")) {
      event.preventDefault();
      move(event.target, event.submitter);
      return;
    }
    if (!event.target.matches("[data-deliver]")) return;
    event.preventDefault();
    ask(event.target.action, { form: new FormData(event.target) }).catch(fail);
  });

  const onMine = (type, hear) =>
    live.on(type, (event) => event.conversation === conversation && hear(event), signal);
  const heard = ({ seq }) => {
    if (seq > lastSeq()) grow();
  };
  onMine("mention.posted", () => {
    unseen = true;
    grow();
  });
  onMine("message.posted", heard);
  onMine("timeline.grew", heard);
  onMine("delivery.changed", ({ seq }) => reload(seq));
  onMine("files.changed", ({ seq }) => reload(seq));
  onMine("people.changed", () => {
    refreshPeople();
    refreshMarks();
    if (!pane.dataset.ticket) refreshAbout();
  });
  onMine("seen.changed", refreshMarks);
  onMine("got.changed", refreshMarks);
  onMine("sides.changed", () => refreshBeside());
  live.on(
    "ticket.changed",
    ({ number }) => {
      if (number === Number(pane.dataset.ticket)) refreshAbout();
    },
    signal,
  );
  live.catchUp(() => {
    grow();
    refreshAbout();
    refreshPeople();
    refreshMarks();
    refreshBeside();
    const pending = [...list.querySelectorAll("[data-pending]")].slice(-RECENT_PENDING);
    for (const entry of pending) reload(entry.dataset.seq);
  }, signal);

  return { grow, toEnd: () => (pane.querySelector("[data-scroller]").scrollTop = 0) };
}

// A column beside the screen is not.
function isInView(pane) {
  const { left, right } = pane.getBoundingClientRect();
  return right > 0 && left < innerWidth;
}
