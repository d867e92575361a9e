// <script src="https://desk.example/widget.js" data-inbox="KEY" async></script>
// All that a page view loads: the launcher. The chat itself, chat.js, comes as soon as somebody
// reaches for it, or at once for whoever has one going; it gets our element and finds the key in it.
(() => {
  const script = document.currentScript;
  const { inbox, theme = "" } = script?.dataset ?? {};
  if (!inbox || document.querySelector("helpdesk-widget")) return;

  const root = document.createElement("helpdesk-widget");
  root.lang = "en";
  root.dataset.inbox = inbox;
  root.style.colorScheme = theme;
  const shadow = root.attachShadow({ mode: "open" });
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(`
:host{all:initial;color-scheme:light dark;position:fixed;z-index:2147483000;inset-block-end:20px;inset-inline-end:20px}
.launch{display:grid;place-items:center;inline-size:56px;block-size:56px;border:0;border-radius:50%;color:#fff;background:light-dark(#3a50d5,#4861dd);box-shadow:0 8px 32px #0006;cursor:pointer}
.launch:before{content:"";padding:8px;border:2px solid;border-radius:50% 50% 50% 1px}
[aria-busy=true]{opacity:.7}
:focus-visible{outline:2px solid light-dark(#364ac7,#9cb4fe);outline-offset:2px}`);
  shadow.adoptedStyleSheets = [sheet];
  const launch = document.createElement("button");
  launch.className = "launch";
  launch.ariaLabel = "Open chat";
  shadow.append(launch);

  let chat;
  // With each try another address: a browser may remember that one failed.
  let tries = 0;
  const load = () =>
    (chat ??= import(new URL(`widget/chat.js?${tries++}`, script.src)).then(
      ({ start }) => start(root),
      () => (chat = null),
    ));

  launch.onpointerenter = launch.onfocus = load;
  launch.onclick = async () => {
    launch.ariaBusy = true;
    const show = await load();
    launch.ariaBusy = false;
    launch.title = show ? "" : "No connection. Try again.";
    show?.();
  };

  function look() {
    try {
      const kept = Object.keys({ ...localStorage, ...sessionStorage });
      if (kept.some((name) => name.startsWith(`helpdesk:${inbox}:`))) load();
    } catch {}
  }

  function start() {
    document.body.append(root);
    addEventListener("storage", look);
    addEventListener("online", look);
    look();
  }

  if (document.body) start();
  else addEventListener("DOMContentLoaded", start);
})();
