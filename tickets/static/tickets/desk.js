// Starts what a page of the desk has: the socket, the list, the ticket that is open.

import { drawers } from "../js/drawers.js";
import { menus } from "../js/menus.js";
import { keepColumns } from "./columns.js";
import { forgetDrafts, keepComposer } from "./composer.js";
import { keepList, markCurrent } from "./list.js";
import { lightbox } from "./lightbox.js";
import { openLive } from "./live.js";
import { mailFrames } from "./mail_frame.js";
import { keepMentions } from "./mentions.js";
import { keepNewTicket } from "./new_ticket.js";
import { keepNotices } from "./notices.js";
import { parse, replaceParts, sentenceOf } from "./parts.js";
import { keepPresence } from "./presence.js";
import { shortcuts } from "./shortcuts.js";
import { keepTimeline } from "./timeline.js";
import { showWriting } from "./writing.js";

// A blink of the connection is nothing to tell anyone about.
const LOST_SHOWN_AFTER_MS = 1_500;
const IS_APPLE = /Mac|iP/.test(navigator.platform);

const app = document.body;
const live = openLive(app.dataset.socket);
let leave = new AbortController();
let composer = null;
let newTicket = null;
let side = null; // chats side by side

// A conversation with its composer, wherever it stands on the page.
function keepPane(pane, signal) {
  let composer = null;
  const timeline = keepTimeline(pane, live, {
    signal,
    onEntries(entries) {
      const names = entries.map((entry) => entry.dataset.replyBy).filter(Boolean);
      composer?.heard(Number(entries.at(-1).dataset.seq), names);
    },
    onTakenBack: (draft) => composer?.takeBack(draft),
    onRefused: (sentence) => composer?.say(sentence),
  });
  // Who may only read has none.
  if (pane.querySelector("[data-composer]")) {
    composer = keepComposer(pane, live, {
      signal,
      onSent() {
        timeline.toEnd();
        timeline.grow();
      },
      onMovedOn: timeline.grow,
    });
    keepMentions(pane, { signal });
  }
  live.on(
    "gone",
    ({ conversation }) => {
      if (conversation !== Number(pane.dataset.conversation)) return;
      composer?.say(pane.querySelector('[data-words="away"]').content.textContent);
    },
    signal,
  );
  showWriting(pane, live, { signal });
  keepPresence(pane, live, { signal });
  timeline.grow();
  return composer;
}

function openTicket(pane) {
  for (const key of IS_APPLE ? document.querySelectorAll("[data-mod]") : []) key.textContent = "⌘";
  leave.abort();
  leave = new AbortController();
  composer = null;
  if (!pane?.dataset.conversation) {
    live.watch([]);
    return;
  }
  composer = keepPane(pane, leave.signal);
  live.watch([Number(pane.dataset.conversation)]);
}

// Several, each in a column.
function openColumns(panes) {
  const composers = new Map([...panes].map((pane) => [pane, keepPane(pane, leave.signal)]));
  live.watch([...panes].map((pane) => Number(pane.dataset.conversation)));
  const columns = keepColumns(panes);
  return { move: columns.move, composer: () => composers.get(columns.current()), composers };
}

// --- The connection ---

function showConnection() {
  const banner = document.querySelector("[data-connection]");
  let timer = 0;
  live.onState((state) => {
    clearTimeout(timer);
    for (const line of banner.querySelectorAll("[data-state]")) {
      line.hidden = line.dataset.state !== state;
    }
    if (state === "lost") timer = setTimeout(() => (banner.hidden = false), LOST_SHOWN_AFTER_MS);
    else banner.hidden = state !== "out";
    if (state !== "open") return;
    for (const each of side ? side.composers.values() : [composer ?? newTicket]) each?.resume();
  });
}

// --- What htmx does: open a ticket, act on its head ---

app.addEventListener("htmx:afterSwap", ({ detail }) => {
  if (detail.target.id !== "ticket") return;
  app.dataset.pane = "ticket";
  const pane = document.getElementById("ticket");
  openTicket(pane);
  markCurrent();
  pane.focus({ preventScroll: true });
});
// The answer to Solve or Assign is head and side column; they are put in part by part.
app.addEventListener("htmx:beforeSwap", ({ detail }) => {
  if (detail.requestConfig.verb === "post" && detail.xhr.status === 200) {
    replaceParts(parse(detail.xhr.responseText));
  }
});

const trouble = document.querySelector("[data-trouble]");
function showTrouble({ detail }) {
  const { status } = detail.xhr;
  if (status === 401) {
    live.signedOut();
    return;
  }
  const text = status ? sentenceOf(detail.xhr.responseText) : "";
  trouble.querySelector("[data-trouble-text]").textContent = text || trouble.dataset.trouble;
  trouble.hidden = false;
}
app.addEventListener("htmx:responseError", showTrouble);
app.addEventListener("htmx:sendError", showTrouble);
app.addEventListener("htmx:beforeRequest", () => (trouble.hidden = true));
trouble.querySelector("[data-trouble-close]").addEventListener("click", () => (trouble.hidden = true));

// --- The rest ---

app.addEventListener("submit", ({ target }) => {
  if (!target.matches("[data-logout]")) return;
  leave.abort(); // first, because whoever leaves a ticket keeps its draft
  forgetDrafts();
});
drawers(app);
menus();
lightbox();
mailFrames();
const columns = document.querySelectorAll("[data-column]");
shortcuts({ composer: () => (side ? side.composer() : composer), side: () => side });
keepList(live);
showConnection();
keepNotices(live, { address: app.dataset.calls });
openTicket(document.getElementById("ticket"));
if (columns.length) side = openColumns(columns);
const form = document.querySelector("[data-new-ticket]");
if (form) newTicket = keepNewTicket(form, live, { signal: leave.signal });
