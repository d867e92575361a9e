// Asking the server, and putting its HTML into the page.

// GET or POST a fragment. Rejects with an error that carries `status` (0: no connection).
export async function ask(url, { signal, form } = {}) {
  let response;
  try {
    response = await fetch(url, {
      signal,
      method: form ? "POST" : "GET",
      body: form,
      headers: { "HX-Request": "true", ...(form && { "X-CSRFToken": csrfToken() }) },
    });
  } catch (error) {
    throw Object.assign(error, { status: 0 });
  }
  if (response.ok) return response;
  const html = await response.text();
  throw Object.assign(new Error(`${url} answered ${response.status}`), {
    status: response.status,
    retryAfterSeconds: Number(response.headers.get("Retry-After")) || 0,
    sentence: sentenceOf(html),
    html,
  });
}

// The cookie and not the form: signing in again in another tab changes the token.
export function csrfToken() {
  return /(?:^|; )csrftoken=([^;]*)/.exec(document.cookie)?.[1] ?? "";
}

// What an error page, or the fragment of a form, says to the person.
export function sentenceOf(html) {
  return parse(html).querySelector("[data-sentence]")?.textContent.trim() ?? "";
}

// What a conversation on the page is called by its row and its draft.
export function keyOf(pane) {
  return pane.dataset.ticket ?? `c${pane.dataset.conversation}`;
}

export function parse(html) {
  return new DOMParser().parseFromString(html, "text/html").body;
}

// Make each [data-part] of the page like its namesake in `fresh`. What is alike stays the same
// element, so that no click, focus, scroll position or open menu is lost to a refresh.
export function replaceParts(fresh, root = document) {
  for (const part of fresh.querySelectorAll("[data-part]")) {
    const shown = root.querySelector(`[data-part="${part.dataset.part}"]`);
    if (!shown || shown.isEqualNode(part)) continue;
    morph(shown, part);
    htmx.process(shown);
  }
}

const alike = (one, other) =>
  one?.nodeName === other.nodeName && (one.id ?? "") === (other.id ?? "");

// Set by the browser's side: the server knows nothing of an open menu or a pane behind a drawer.
const OURS = new Set(["open", "inert"]);

function morph(shown, fresh) {
  // What the browser fills in, such as who is here now, the server cannot know.
  if (shown.isEqualNode(fresh) || shown.dataset?.ours !== undefined) return;
  if (shown.nodeType !== Node.ELEMENT_NODE) {
    shown.data = fresh.data;
    return;
  }
  for (const { name } of [...shown.attributes]) {
    if (!OURS.has(name) && !fresh.hasAttribute(name)) shown.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (!OURS.has(name) && shown.getAttribute(name) !== value) shown.setAttribute(name, value);
  }
  const named = new Map([...shown.children].filter((each) => each.id).map((each) => [each.id, each]));
  const focused = document.activeElement;
  let next = shown.firstChild;
  for (const want of [...fresh.childNodes]) {
    const match = want.id ? named.get(want.id) : alike(next, want) ? next : null;
    if (!match) {
      shown.insertBefore(document.adoptNode(want), next);
    } else {
      if (match === next) next = next.nextSibling;
      else shown.insertBefore(match, next);
      morph(match, want);
    }
  }
  while (next) {
    const gone = next;
    next = next.nextSibling;
    gone.remove();
  }
  if (focused !== document.activeElement && shown.contains(focused)) focused.focus();
}

// Run `work` now; while it runs, remember one more run, not many.
export function inTurn(work) {
  let running = false;
  let again = false;
  return async function run() {
    if (running) {
      again = true;
      return;
    }
    running = true;
    try {
      await work();
    } finally {
      running = false;
    }
    if (again) {
      again = false;
      await run();
    }
  };
}
