// Single keys, and the sheet that lists them. None acts while somebody is typing; one switch,
// kept on this device, turns them all off.

const SWITCH = "single-keys";

export function shortcuts({ composer, side }) {
  const sheet = document.querySelector("[data-keys]");
  const toggle = sheet.querySelector("[data-keys-switch]");
  toggle.checked = localStorage.getItem(SWITCH) !== "off";
  toggle.addEventListener("change", () => {
    localStorage.setItem(SWITCH, toggle.checked ? "on" : "off");
  });
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-keys-open]")) sheet.showModal();
    if (event.target === sheet || event.target.closest("[data-keys-close]")) sheet.close();
  });

  const acts = {
    j: () => (side() ? side().move(1) : moveTo(1)),
    k: () => (side() ? side().move(-1) : moveTo(-1)),
    r: () => composer()?.write("reply"),
    n: () => composer()?.write("note"),
    a: () => {
      const menu = document.querySelector('[data-menu="assign"]');
      if (!menu) return;
      menu.open = true;
      menu.querySelector(".menu button").focus();
    },
    e: () => document.querySelector("[data-solve]")?.click(),
    z: () => [...document.querySelectorAll("[data-take-back] button")].at(-1)?.click(),
    c: () => document.querySelector("[data-new]").click(),
    "/": () => {
      const search = document.querySelector("[data-search]");
      if (search) search.select();
      else location.assign("/tickets/?q=");
    },
    "?": () => sheet.showModal(),
    Escape: () => {
      const current = document.querySelector('[data-rows] [aria-current="true"] .row-link');
      (current ?? document.querySelector("[data-rows] .row-link"))?.focus();
    },
  };

  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if (document.querySelector("dialog[open]")) return;
    if (event.target.closest("input:not([type=radio], [type=checkbox]), textarea, select")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    if (event.target.closest("[data-menu][open]")) return;
    const act = acts[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!act || (!toggle.checked && event.key !== "Escape")) return;
    event.preventDefault();
    act();
  });
}

function moveTo(step) {
  const links = [...document.querySelectorAll("[data-rows] .row-link")];
  if (!links.length) return;
  const current = document.querySelector('[data-rows] [aria-current="true"] .row-link');
  const at = links.indexOf(document.activeElement.matches(".row-link") ? document.activeElement : current);
  links[Math.min(Math.max(at + step, 0), links.length - 1)].focus();
}
