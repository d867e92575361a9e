// The staff socket of a page: a bell, never the only way to hear.
//
// Whatever shows something registers with `catchUp`: it is asked to look for itself at every
// (re)connection, when the tab wakes up or comes online, and every 30 s. A lost bell therefore
// costs a delay and never a message.

const RETRY_MIN_MS = 400;
const RETRY_MAX_MS = 8_000;
const CATCH_UP_EVERY_MS = 30_000;
const SIGNED_OUT = 4401;

export function openLive(path, { connect = openSocket } = {}) {
  const listeners = new Map();
  const catchers = new Set();
  const watchers = new Set();
  let socket = null;
  let state = "connecting"; // connecting, open, lost, out
  let retryMs = RETRY_MIN_MS;
  let retryTimer = 0;
  let watched = []; // conversations

  const become = (next) => {
    if (state === next || state === "out") return;
    state = next;
    for (const tell of watchers) tell(state);
  };
  const send = (frame) => {
    if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(frame));
  };
  // A page that nobody looks at is not "viewing" what it shows.
  const tellVisible = () => send({ type: "visible", visible: !document.hidden });
  const catchUp = () => {
    if (document.hidden || state === "out") return;
    for (const look of catchers) look();
  };

  const start = () => {
    clearTimeout(retryTimer);
    socket = connect(path);
    socket.onmessage = ({ data }) => {
      const event = JSON.parse(data);
      if (event.type === "ready") {
        retryMs = RETRY_MIN_MS;
        become("open");
        if (document.hidden) tellVisible();
        if (watched.length) send({ type: "watch", conversations: watched });
        else catchUp();
      }
      // What came between the page and the watch is in nobody's bell: look once more.
      if (event.type === "watching") catchUp();
      for (const hear of listeners.get(event.type) ?? []) hear(event);
    };
    socket.onclose = ({ code }) => {
      if (code === SIGNED_OUT) become("out");
      lose();
    };
  };

  const lose = () => {
    if (socket) socket.onmessage = socket.onclose = null;
    socket?.close();
    socket = null;
    if (state === "out") return;
    become("lost");
    clearTimeout(retryTimer);
    retryTimer = setTimeout(start, retryMs * (0.5 + Math.random()));
    retryMs = Math.min(retryMs * 2, RETRY_MAX_MS);
  };

  // Somebody looks at the page again; they may have signed in elsewhere meanwhile.
  const wake = () => {
    if (document.hidden) return;
    if (socket) {
      catchUp();
    } else {
      if (state === "out") state = "connecting";
      retryMs = RETRY_MIN_MS;
      start();
    }
  };
  document.addEventListener("visibilitychange", () => {
    tellVisible();
    wake();
  });
  addEventListener("online", wake);
  addEventListener("offline", lose);
  setInterval(catchUp, CATCH_UP_EVERY_MS);
  start();

  return {
    // `hear` gets every event of a type, until `signal` aborts.
    on(type, hear, signal) {
      if (!listeners.has(type)) listeners.set(type, new Set());
      const set = listeners.get(type);
      set.add(hear);
      signal?.addEventListener("abort", () => set.delete(hear));
    },
    // `look` runs whenever something may have been missed.
    catchUp(look, signal) {
      catchers.add(look);
      signal?.addEventListener("abort", () => catchers.delete(look));
    },
    onState(tell) {
      watchers.add(tell);
    },
    signedOut() {
      become("out");
      lose();
    },
    wake,
    // These conversations and no others; none: an empty list.
    watch(conversations) {
      watched = conversations;
      send(watched.length ? { type: "watch", conversations } : { type: "unwatch" });
    },
    typing(conversation, typing) {
      send({ type: "typing", conversation, typing });
    },
  };
}

function openSocket(path) {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  return new WebSocket(`${scheme}://${location.host}${path}`);
}
