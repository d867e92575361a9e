// <details data-menu>: opens and closes by itself; this closes it on Esc, on a click beside it
// and once something was chosen, and moves through it with the arrow keys. Where there is no
// room below, it opens to the side with more of it.

const GAP_PX = 8;

export function menus(page = document) {
  const close = (menu, { focus } = {}) => {
    menu.open = false;
    if (focus) menu.querySelector("summary").focus();
  };

  page.addEventListener(
    "toggle",
    ({ target }) => {
      if (!target.matches("[data-menu][open]")) return;
      const menu = target.querySelector(".menu");
      delete menu.dataset.up;
      menu.style.maxBlockSize = "";
      const around = target.closest("[data-scroller]")?.getBoundingClientRect();
      const room = around ?? { top: 0, bottom: innerHeight };
      const shown = menu.getBoundingClientRect();
      if (shown.bottom <= room.bottom) return;
      const above = target.getBoundingClientRect().top - room.top;
      const below = room.bottom - shown.top;
      if (above > below) menu.dataset.up = "";
      menu.style.maxBlockSize = `${Math.max(above, below) - GAP_PX}px`;
    },
    true, // it does not bubble
  );
  page.addEventListener("click", (event) => {
    for (const menu of page.querySelectorAll("[data-menu][open]")) {
      const chosen = event.target.closest("[data-menu] .menu button:not([data-stays])");
      if (chosen || !menu.contains(event.target)) close(menu);
    }
  });
  page.addEventListener("keydown", (event) => {
    const menu = event.target.closest?.("[data-menu]");
    if (!menu?.open) return;
    if (event.key === "Escape") {
      event.preventDefault();
      close(menu, { focus: true });
    }
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const choices = [...menu.querySelectorAll(".menu button, .menu > a")];
    const at = choices.indexOf(page.activeElement);
    choices.at((at + step + (at < 0 && step < 0 ? 1 : 0)) % choices.length).focus();
  });
}
