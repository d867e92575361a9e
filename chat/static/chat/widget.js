// <script src="https://desk.example/widget.js" data-inbox="KEY" async></script>
// All that a page view loads: the launcher. The chat itself, chat.js, comes as soon as somebody
// reaches for it, or at once for whoever has one going; it gets our element and finds the rest in it.
(() => {
  const script = document.currentScript;
  const { inbox, lang, theme = "", style = "", position } = script?.dataset ?? {};
  if (!inbox || document.querySelector("helpdesk-widget")) return;

  const root = document.createElement("helpdesk-widget");
  root.lang = (lang || document.documentElement.lang || navigator.language).slice(0, 2);
  // Which corner it is in, too.
  if (position ? position == "left" : /ar|he/.test(root.lang)) root.dir = "rtl";
  // For chat.js: what the page asks for, and what it calls.
  root.asked = script.dataset;
  const calls = (root.calls = window.helpdesk?.q ?? []);
  // CSS variables, as the inbox has them: --accent, and --on for what stands on it.
  root.style.cssText = style;
  root.style.colorScheme = theme;
  const shadow = root.attachShadow({ mode: "open" });
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(`
:host{all:initial;color-scheme:light dark;position:fixed;z-index:2147483000;inset-block-end:20px;inset-inline-end:20px}
.launch{display:grid;place-items:center;inline-size:56px;block-size:56px;border:0;border-radius:50%;color:var(--on,#fff);background:var(--accent,light-dark(#3a50d5,#4861dd));box-shadow:0 8px 32px #0006;cursor:pointer}
.launch:before{content:"";padding:8px;border:2px solid;border-radius:50% 50% 50% 1px}`);
  shadow.adoptedStyleSheets = [sheet];
  const launch = document.createElement("button");
  launch.className = "launch";
  // Until chat.js says it in the page's language.
  launch.ariaLabel = root.lang == "en" ? "Open chat" : "Chat";
  shadow.append(launch);

  let chat;
  // With each try another address: a browser may remember that one failed.
  let tries = 0;
  const load = () =>
    (chat ??= import(new URL(`widget/chat.js?lang=${root.lang}&${tries++}`, script.src)).then(
      ({ start }) => start(root),
      () => (chat = null),
    ));

  launch.onpointerenter = launch.onfocus = load;
  launch.onclick = async () => {
    const show = await load();
    launch.title = show ? "" : "Offline ↻";
    show?.();
  };

  window.helpdesk = (...call) => {
    calls.push(call);
    look();
  };

  function look() {
    try {
      const kept = Object.keys({ ...localStorage, ...sessionStorage });
      if (kept.some((name) => name.startsWith(`helpdesk:${inbox}:`))) load();
    } catch {}
    if (calls.some(([name]) => !/on|set/.test(name))) load();
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
