// Panes that slide in on narrow screens.
//
// <a href="#nav" data-drawer-open="nav"> opens <nav id="nav">; [data-drawer-close] inside, Esc
// and a click beside it close it. The address alone works too (:target), without this module;
// with it, focus stays inside the drawer and then goes back to where it came from.

export function drawers(app = document.body) {
  let opener = null;
  const open = () => (app.dataset.drawer ? document.getElementById(app.dataset.drawer) : null);

  const show = (name, from) => {
    app.dataset.drawer = name;
    opener = from;
    const drawer = open();
    for (const pane of outside(app, drawer)) pane.inert = true;
    drawer.querySelector("[data-drawer-close], a, button")?.focus();
  };

  const hide = () => {
    const drawer = open();
    if (!drawer) return;
    delete app.dataset.drawer;
    for (const pane of app.querySelectorAll("[inert]")) pane.inert = false;
    opener?.focus();
  };

  app.addEventListener("click", (event) => {
    const from = event.target.closest("[data-drawer-open]");
    if (from) {
      event.preventDefault();
      show(from.dataset.drawerOpen, from);
    } else if (event.target.closest("[data-drawer-close]")) {
      event.preventDefault();
      hide();
    } else if (open() && !open().contains(event.target)) {
      hide();
    }
  });
  app.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !open()) return;
    event.stopPropagation();
    hide();
  });
  // Wide again: the drawer is a column like any other.
  for (const width of ["45rem", "77.5rem"]) {
    matchMedia(`(width >= ${width})`).addEventListener("change", hide);
  }
  return { hide };
}

// Everything on the page that is neither the drawer nor around it.
function outside(app, drawer) {
  const found = [];
  for (let inner = drawer; inner !== app; inner = inner.parentElement) {
    for (const sibling of inner.parentElement.children) {
      if (sibling !== inner && !["DIALOG", "H1"].includes(sibling.tagName)) found.push(sibling);
    }
  }
  return found;
}
