// Several chats side by side: which column has the keyboard, and moving between them.
//
// J and K go to the next and the one before; Mod and a number to that one, also while one types.

export function keepColumns(panes) {
  const all = [...panes];
  let at = -1; // the column that had the keyboard last
  for (const [place, pane] of all.entries()) pane.addEventListener("focusin", () => (at = place));

  const go = (place) => {
    const pane = all[Math.min(Math.max(place, 0), all.length - 1)];
    pane.scrollIntoView({ block: "nearest", inline: "nearest" });
    pane.querySelector("[data-body]").focus({ preventScroll: true });
  };

  document.addEventListener("keydown", (event) => {
    if (!(event.ctrlKey || event.metaKey) || event.altKey || event.shiftKey) return;
    const place = Number(event.key) - 1;
    if (!(place >= 0 && place < all.length)) return;
    event.preventDefault();
    go(place);
  });

  return {
    current: () => all[at] ?? all[0],
    move: (step) => go(at + step),
  };
}
