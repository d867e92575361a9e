// Makes the frame of a mail as tall as the mail, and puts in what somebody asks for.
//
// Nothing runs inside of the frame (_mail_html.html): it is of our origin, and asked from here.
// Without this the frame scrolls, and what it adds opens in a tab.

const FRAMES = "[data-mail] iframe";
const HEIGHT_MAX_PX = 15_000;
const ZOOM_MIN = 0.55; // a newsletter of 600 px on a phone; what is wider scrolls in its frame

export function mailFrames(root = document) {
  root.addEventListener("load", ({ target }) => target.matches?.(FRAMES) && fit(target), true);
  for (const frame of root.querySelectorAll(FRAMES)) fit(frame);

  root.addEventListener("click", (event) => {
    const link = event.target.closest?.("[data-mail] [data-adds]");
    if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    const frame = link.closest("[data-mail]").querySelector("iframe");
    if (!frame.contentDocument) return;
    event.preventDefault();
    const address = new URL(frame.contentWindow.location.href);
    const { adds } = link.dataset;
    if (address.searchParams.has(adds)) address.searchParams.delete(adds);
    else address.searchParams.set(adds, "1");
    frame.contentWindow.location.replace(address); // no step for the button Back
    if (adds !== "pictures") return;
    link.previousElementSibling.remove();
    link.remove();
    frame.focus();
  });
}

function fit(frame) {
  const page = frame.contentDocument?.querySelector("main");
  if (!page) return; // not there yet, or the page of somebody who was signed out
  let width = 0;
  const measure = () => {
    if (width !== frame.clientWidth) {
      width = frame.clientWidth;
      page.style.zoom = 1;
      page.style.zoom = Math.max(Math.min(page.clientWidth / page.scrollWidth, 1) || 1, ZOOM_MIN);
    }
    frame.style.blockSize = `${Math.min(Math.ceil(page.getBoundingClientRect().height), HEIGHT_MAX_PX)}px`;
  };
  const watch = new ResizeObserver(measure);
  watch.observe(page);
  watch.observe(frame);
  // Pictures without a size make it wider when they come.
  page.addEventListener("load", () => ((width = 0), measure()), true);
}
