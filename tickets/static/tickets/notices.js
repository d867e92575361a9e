// Tells a person that somebody asks for them: a number before the title, and where they have turned
// it on, a notification of the browser and a sound. Both are off until then, on this device, and
// nobody is asked for permission unprompted.
//
// The socket says that something changed; what asks for this person is fetched.

import { ask, inTurn } from "./parts.js";

const PAUSE_MS = 500;
const NOTIFY = "notices:browser";
const SOUND = "notices:sound";
const RANG = "notices:rang"; // by which tab whatsoever

export function keepNotices(live, { address, store = localStorage }) {
  const known = new Map(); // address → when its last message came
  let isFirst = true;
  let count = 0;

  const bare = (title) => title.replace(/^\(\d+\) /, "");
  const showCount = () => {
    const title = (count ? `(${count}) ` : "") + bare(document.title);
    if (document.title !== title) document.title = title;
  };
  new MutationObserver(showCount).observe(document.head, { childList: true, subtree: true });

  const tell = ({ address, name, text, at }) => {
    if (document.hasFocus()) return;
    const once = `${address} ${at}`;
    if (store.getItem(RANG) !== once && store.getItem(SOUND) === "on") beep();
    store.setItem(RANG, once);
    if (store.getItem(NOTIFY) !== "on" || Notification.permission !== "granted") return;
    // Of several tabs the browser shows one, by the tag.
    const notice = new Notification(name, { body: text, tag: address });
    notice.onclick = () => {
      focus();
      location.assign(address);
    };
  };

  const refresh = inTurn(async () => {
    try {
      const { calls } = await (await ask(address)).json();
      count = calls.length;
      showCount();
      for (const call of calls) {
        const before = known.get(call.address);
        known.set(call.address, call.at);
        if (!isFirst && (!before || before < call.at)) tell(call);
      }
      isFirst = false;
    } catch (error) {
      if (error.status === 401) live.signedOut();
      return; // the next bell or catch-up asks again
    }
    await new Promise((done) => setTimeout(done, PAUSE_MS));
  });
  live.on("ticket.changed", refresh);
  live.on("team.changed", refresh);
  live.on("ready", refresh);
  live.catchUp(refresh);

  // --- The switches ---

  const notify = document.querySelector("[data-notify]");
  const sound = document.querySelector("[data-sound]");
  const isOn = (key) => store.getItem(key) === "on";
  const show = () => {
    const may = "Notification" in window && Notification.permission === "granted";
    notify.setAttribute("aria-checked", isOn(NOTIFY) && may);
    sound.setAttribute("aria-checked", isOn(SOUND));
  };
  notify.addEventListener("click", async () => {
    const on = notify.getAttribute("aria-checked") !== "true";
    const given = on && "Notification" in window ? await Notification.requestPermission() : "";
    store.setItem(NOTIFY, given === "granted" ? "on" : "off");
    if (on && given !== "granted") {
      notify.querySelector("[data-notify-text]").textContent = notify.dataset.blocked;
    }
    show();
  });
  sound.addEventListener("click", () => {
    store.setItem(SOUND, isOn(SOUND) ? "off" : "on");
    if (isOn(SOUND)) beep();
    show();
  });
  show();
}

// Two short tones; no file to load.
function beep() {
  const context = new AudioContext();
  const volume = context.createGain();
  volume.gain.value = 0.08;
  volume.connect(context.destination);
  for (const [pitch, at] of [[660, 0], [880, 0.12]]) {
    const tone = context.createOscillator();
    tone.frequency.value = pitch;
    tone.connect(volume);
    tone.start(context.currentTime + at);
    tone.stop(context.currentTime + at + 0.1);
  }
  setTimeout(() => context.close(), 1_000);
}
