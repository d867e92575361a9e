// The page behind a join link. The key of whoever has joined stays in this browser, under the link's
// id: coming back needs no name, and goes on when the link has ended.

// There is no shop behind it: it takes the height of the page.
const STYLE = `
dialog{inset:0!important;inline-size:min(720px,100%)!important;block-size:var(--tall,100dvh)!important;margin-inline:auto;border-radius:0!important}`;

const { inbox, slot, script, token } = document.body.dataset;
const kept = `helpdesk:${slot}:token`;

if (token) {
  localStorage.setItem(kept, token);
  history.replaceState(null, "", location.href); // so that a reload does not send the form again
}
if (localStorage.getItem(kept)) {
  const main = document.querySelector("main");
  const heading = main.querySelector("h1");
  heading.textContent = document.title;
  main.replaceChildren(heading);
  main.className = "vh";
  const loader = document.createElement("script");
  loader.src = script;
  Object.assign(loader.dataset, { inbox, slot });
  window.helpdesk = Object.assign(() => {}, { q: [["open"]] });
  loader.onload = () => {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(STYLE);
    document.querySelector("helpdesk-widget").shadowRoot.adoptedStyleSheets.push(sheet);
  };
  document.head.append(loader);
}
