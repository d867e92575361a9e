// helpdesk("open") and the like, for the page around the widget; and which page that is, where the
// inbox shows it to staff. chat.js loads this when the page calls, or staff may know.
//
//   helpdesk("open" | "close" | "show" | "hide")
//   helpdesk("identify", { jwt } | { id, hmac } | { name, email } | null)
//   helpdesk("setAttributes", { plan: "pro", orders: 3 })
//   helpdesk("on", "open" | "close" | "message" | "unread" | "identified", (detail) => …)

// Returns what does the calls that wait.
export function keep(kit) {
  const { root, call, store, setToken, forgetSession } = kit;

  // What waits for a session: a visitor who says nothing leaves no trace.
  let about = null;
  let attributes = null;

  async function sendKept() {
    if (!kit.token()) return;
    const said = [about && ["about", about], attributes && ["attributes", { attributes }]];
    about = attributes = null;
    for (const one of said) if (one) await call("POST", ...one).catch(() => {});
  }

  async function identify(who) {
    if (!who) return kit.token() && (forgetSession(), store.drop("asked"));
    const { jwt, id, hmac, name = "", email = "" } = who;
    if (jwt || hmac) {
      const { token } = await call("POST", "identify", jwt ? { jwt } : { id: String(id), hmac });
      if (token !== kit.token()) {
        setToken(token);
        // Opened before we knew whose chat it is.
        if (kit.panel.dataset.view === "home") kit.at("chat");
      }
      root.dispatchEvent(new CustomEvent("identified"));
    }
    // Of no proof, and for staff to know; with a JWT it says so itself.
    if (!jwt && (name || email)) {
      about = { name, email };
      store.set("asked", 1);
    }
    await sendKept();
  }

  const acts = {
    open: kit.show,
    close: kit.hide,
    show: () => (root.style.display = ""),
    hide: () => (kit.hide(), (root.style.display = "none")),
    identify,
    setAttributes(given) {
      attributes = { ...attributes, ...given };
      return sendKept();
    },
    on: (name, hear) => root.addEventListener(name, ({ detail }) => hear(detail)),
  };

  async function act(calls) {
    for (let one; (one = calls.shift()); ) {
      const [name, ...given] = one;
      try {
        await acts[name]?.(...given);
      } catch ({ message }) {
        console.warn(`helpdesk("${name}"): ${message}`);
      }
    }
    seen();
  }

  let shown; // the page staff know of

  function seen() {
    sendKept();
    const url = location.origin + location.pathname;
    if (!kit.config()?.pages || !kit.token() || shown === url) return;
    shown = url;
    const title = document.title.replace(/^\(\d+\) /, "");
    call("POST", "pages", { title, url }).catch(() => {});
  }

  // Pages that change without loading.
  window.navigation?.addEventListener("navigatesuccess", () => setTimeout(seen, 300));
  return act;
}
