// Uploading, at the desk and in the widget alike: what is dropped, pasted or picked becomes a row
// with its progress, and an id that a message can show once it is ready.

const AT_ONCE = 2;
const TRIES = 5;
const AGAIN_MS = 1_000;
const ASK_MS = 150;
const STILL_TIMES = 20;

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

export function sizeOf(bytes) {
  const step = bytes < 1024 ? 0 : bytes < 1048576 ? 1 : 2;
  const number = (bytes / 1024 ** step).toLocaleString([], { maximumFractionDigits: step && 1 });
  return `${number} ${["B", "KB", "MB"][step]}`;
}

// `address` takes uploads, `begin()` new ones, with what `headers()` returns; `list` is a <ul> for
// the rows; `most()` files fit into one message. `onChange` hears of everything that moved.
export function keepUploads({ address, begin = () => address, headers, list, words, most, onChange }) {
  let items = [];

  function request(method, path, body, { onProgress, url = address + path, plain } = {}) {
    const xhr = new XMLHttpRequest();
    const answered = new Promise((resolve, reject) => {
      xhr.open(method, url);
      if (!plain) for (const [name, value] of Object.entries(headers())) xhr.setRequestHeader(name, value);
      if (typeof body === "string") xhr.setRequestHeader("Content-Type", "application/json");
      xhr.upload.onprogress = onProgress;
      xhr.onload = xhr.onerror = xhr.onabort = () => {
        const { status } = xhr;
        let answer = {};
        try {
          answer = JSON.parse(xhr.responseText);
        } catch {}
        if (status === 409 || (status > 199 && status < 300)) resolve(answer);
        else reject({ status: plain ? 0 : status, sentence: answer.sentence });
      };
      xhr.send(body);
    });
    return { xhr, answered };
  }

  function ask(item, ...given) {
    const { xhr, answered } = request(...given);
    item.xhr = xhr;
    return answered;
  }

  async function next(item, at) {
    const { file } = item;
    if (!at) {
      if (item.id) return ask(item, "GET", item.id);
      const { name, size } = item;
      return ask(item, "POST", "", JSON.stringify({ name, size }), { url: begin() });
    }
    if (at.state === "checking") {
      await pause(item.askMs = Math.min(2_000, (item.askMs ?? ASK_MS) * 1.3));
      return ask(item, "GET", item.id);
    }
    if (!file) {
      // Another page may be sending it still; where nothing moves, nobody is.
      if (at.offset === item.was && ++item.still > STILL_TIMES) throw { status: 404 };
      if (at.offset !== item.was) Object.assign(item, { was: at.offset, still: 0 });
      await pause(500);
      return ask(item, "GET", item.id);
    }
    const onProgress = ({ loaded }) => move(item, at.offset + loaded);
    if (at.to.url) {
      const form = new FormData();
      for (const [name, value] of Object.entries(at.to.fields)) form.append(name, value);
      form.append("file", file);
      await ask(item, "POST", "", form, { onProgress, url: at.to.url, plain: true });
      return ask(item, "POST", item.id);
    }
    const piece = file.slice(at.offset, at.offset + at.to.pieces);
    return ask(item, "PUT", `${item.id}?offset=${at.offset}`, piece, { onProgress });
  }

  async function run(item) {
    let at;
    let tries = 0;
    item.state = "uploading";
    draw(item);
    while (items.includes(item)) {
      try {
        at = await next(item, at);
        // What is asked after each failure always answers: only what moves counts.
        if (at.offset !== item.had || at.state !== item.state) tries = 0;
        item.had = at.offset;
        const isNew = !item.id;
        item.id = at.id;
        item.state = at.state;
        item.sentence = at.sentence;
        move(item, at.offset);
        if (isNew) onChange();
        if (at.state === "ready" || at.state === "rejected") break;
      } catch ({ status, sentence }) {
        if (!items.includes(item)) break;
        const passes = [0, 429, 502, 503, 504].includes(status);
        if (passes && ++tries < TRIES) {
          at = undefined; // ask how far we came
          await pause(AGAIN_MS * tries);
          continue;
        }
        item.state = passes || status >= 500 ? "failed" : "rejected";
        item.sentence = sentence || { 401: words.out, 403: words.out, 404: words.lost }[status] || words.failed;
        break;
      }
    }
    draw(item);
    start();
    onChange();
  }

  function start() {
    const going = items.filter(({ state }) => state === "uploading" || state === "checking").length;
    for (const item of items.filter(({ state }) => state === "waiting").slice(0, Math.max(0, AT_ONCE - going))) run(item);
  }

  function element(tag, className, text) {
    const made = document.createElement(tag);
    made.className = className;
    if (text) made.textContent = text;
    return made;
  }

  function show(item) {
    const row = element("li", "up");
    const name = element("bdi", "up-name", item.name);
    const note = element("span", "up-note");
    const bar = element("progress", "up-bar");
    const again = element("button", "up-again", words.retry);
    const drop = element("button", "up-drop", "×");
    name.title = bar.ariaLabel = item.name;
    note.role = "status";
    bar.max = item.size || 1;
    again.type = drop.type = "button";
    again.onclick = () => {
      drop.focus(); // this button goes
      item.state = "waiting";
      draw(item);
      start();
      onChange();
    };
    drop.ariaLabel = `${words.remove} ${item.name}`;
    drop.onclick = () => remove(item);
    row.append(name, note, bar, again, drop);
    list.append(row);
    Object.assign(item, { row, note, bar, again });
    draw(item);
  }

  function move(item, offset) {
    item.bar.value = offset;
  }

  function draw({ row, note, bar, again, state, sentence, size }) {
    row.dataset.state = state;
    note.textContent = { checking: words.checking, ready: sizeOf(size), waiting: sizeOf(size), uploading: words.uploading }[state] ?? sentence;
    bar.hidden = !["waiting", "uploading", "checking"].includes(state);
    again.hidden = state !== "failed";
    list.hidden = !items.length;
  }

  function remove(item) {
    items = items.filter((one) => one !== item);
    item.xhr?.abort();
    if (item.id) request("DELETE", item.id).answered.catch(() => {});
    const focused = item.row.contains(item.row.getRootNode().activeElement);
    const neighbour = item.row.nextSibling ?? item.row.previousSibling;
    item.row.remove();
    list.hidden = !items.length;
    if (focused) neighbour?.querySelector(".up-drop").focus();
    start();
    onChange({ focusLost: focused && !neighbour });
  }

  const keep = (item) => {
    items.push(item);
    show(item);
  };

  list.hidden = true;
  return {
    // Returns a sentence where not all of them fit.
    add(files) {
      const fitting = [...files].slice(0, Math.max(0, most() - items.length));
      for (const file of fitting) keep({ file, name: file.name, size: file.size, state: "waiting" });
      start();
      onChange();
      return fitting.length < files.length ? words.most.replace("{most}", most()) : "";
    },
    ids: () => items.filter(({ state }) => state === "ready").map(({ id }) => id),
    busy: () => items.some(({ state }) => ["waiting", "uploading", "checking"].includes(state)),
    stuck: () => items.some(({ state }) => ["failed", "rejected"].includes(state)),
    // What a draft keeps of them, and what comes of it on the next page.
    saved: () =>
      items.filter(({ id, state }) => id && state !== "rejected").map(({ id, name, size }) => ({ id, name, size })),
    restore(saved) {
      for (const item of saved) keep({ ...item, state: "waiting" });
      start();
    },
    // These were sent: the others stay.
    forget(ids) {
      for (const item of items) if (ids.includes(item.id)) item.row.remove();
      items = items.filter(({ id }) => !ids.includes(id));
      list.hidden = !items.length;
      onChange();
    },
  };
}

// Files by button, drop and paste. While some are held over `zone`, it has the class "dropping".
export function takeFiles({ button, input, zone, box, add, signal }) {
  const hasFiles = ({ dataTransfer }) => dataTransfer?.types.includes("Files");
  const dropping = (yes) => zone.classList.toggle("dropping", yes);
  const on = (target, type, hear) => target.addEventListener(type, hear, { signal });
  on(button, "click", () => input.click());
  on(input, "change", () => {
    add(input.files);
    input.value = "";
  });
  on(zone, "dragover", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "copy";
    dropping(true);
  });
  on(zone, "dragleave", ({ relatedTarget }) => zone.contains(relatedTarget) || dropping(false));
  on(zone, "drop", (event) => {
    dropping(false);
    if (!hasFiles(event)) return;
    event.preventDefault();
    // A folder has no bytes of its own.
    const isFile = (item) => item.kind === "file" && !item.webkitGetAsEntry?.()?.isDirectory;
    const files = [...event.dataTransfer.items].filter(isFile).map((item) => item.getAsFile());
    if (files.length) add(files);
  });
  on(box, "paste", (event) => {
    const { files, types } = event.clipboardData;
    // Office programs put a picture of the words beside the words.
    if (!files.length || types.includes("text/plain")) return;
    event.preventDefault();
    add(files);
  });
}
