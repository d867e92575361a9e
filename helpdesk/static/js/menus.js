// <details data-menu>: opens and closes by itself; this closes it on Esc, on a click beside it
// and once something was chosen, and moves through it with the arrow keys.

export function menus(page = document) {
  const close = (menu, { focus } = {}) => {
    menu.open = false;
    if (focus) menu.querySelector("summary").focus();
  };

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
    const choices = [...menu.querySelectorAll(".menu button")];
    const at = choices.indexOf(page.activeElement);
    choices.at((at + step + (at < 0 && step < 0 ? 1 : 0)) % choices.length).focus();
  });
}
