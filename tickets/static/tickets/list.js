// Keeps navigation, counters and rows as they are on the server.
//
// <section data-list="/tickets/?view=open">

import { ask, inTurn, keyOf, parse, replaceParts } from "./parts.js";

// At most one refresh in this time, however busy the desk is.
const PAUSE_MS = 400;
const ROOM_ROWS = 25;

export function keepList(live) {
  const pane = document.querySelector("[data-list]");
  if (!pane) return;

  const rowsShown = () => pane.querySelectorAll("[data-rows] > .row").length;

  const refresh = inTurn(async () => {
    const shown = rowsShown();
    // Where the end was in view, it stays in view.
    const rows = pane.querySelector("#more") ? shown : shown + ROOM_ROWS;
    try {
      const response = await ask(`${pane.dataset.list}&rows=${rows}`);
      const fresh = parse(await response.text());
      if (rowsShown() !== shown || pane.querySelector(".htmx-request")) {
        refresh(); // somebody wants more rows meanwhile: these are too few
      } else {
        markCurrent(fresh);
        replaceParts(fresh);
      }
    } catch (error) {
      if (error.status === 401) live.signedOut();
      return; // the next bell or catch-up asks again
    }
    await new Promise((done) => setTimeout(done, PAUSE_MS));
  });

  for (const type of ["ticket.changed", "mention.posted", "team.changed"]) {
    live.on(type, () => {
      if (!document.hidden) refresh();
    });
  }
  live.catchUp(refresh);
}

// The row of the conversation that is open beside the list.
export function markCurrent(root = document) {
  const pane = document.getElementById("ticket");
  for (const row of root.querySelectorAll("[data-rows] > .row")) {
    if (pane?.dataset.conversation && row.id === `row-${keyOf(pane)}`) row.setAttribute("aria-current", "true");
    else row.removeAttribute("aria-current");
  }
}
