// Who is here: colleagues who look at this ticket or write in it, and whether the customer has the
// widget open. The socket tells; nothing of it is stored.

const FORGET_MS = 8_000;
const MINUTE_MS = 60_000;

export function keepPresence(pane, live, { signal }) {
  const conversation = Number(pane.dataset.conversation);
  const me = Number(document.body.dataset.person);
  const words = (name) => pane.querySelector(`[data-words="${name}"]`).content.textContent;
  const typing = new Map(); // person → the timer that forgets it
  let viewing = [];
  let customers = [];

  const sentence = () => {
    const writer = viewing.find(({ person }) => typing.has(person));
    if (writer) return words("typing").replace("{name}", writer.name);
    const [first, second] = viewing;
    const kind = ["one", "two"][viewing.length - 1] ?? "many";
    return words(`viewing-${kind}`)
      .replace("{name}", first.name)
      .replace("{other}", second?.name ?? "")
      .replace("{count}", viewing.length - 1);
  };

  const showColleagues = () => {
    const place = pane.querySelector("[data-viewing]");
    place.hidden = !viewing.length;
    if (!viewing.length) return;
    const text = sentence();
    place.title = viewing.map(({ name }) => name).join(", ");
    place.querySelector("[data-viewing-sentence]").textContent = text;
    const [{ name }] = viewing;
    const more = viewing.length > 1 ? ` +${viewing.length - 1}` : "";
    place.querySelector("[data-viewing-names]").textContent = name.split(" ")[0] + more;
  };

  const showCustomer = () => {
    const place = pane.querySelector("[data-here]");
    if (!place) return; // no customer in it
    const known = customers.find(({ person }) => person === Number(place.dataset.here));
    place.hidden = !known;
    if (!known) return;
    place.classList.toggle("is-gone", !known.here);
    place.textContent = known.here
      ? words("here")
      : words("left").replace("{ago}", ago(Date.now() - new Date(known.gone_at)));
  };

  const onMine = (type, hear) =>
    live.on(type, (event) => event.conversation === conversation && hear(event), signal);
  onMine("presence.changed", (event) => {
    viewing = event.viewing.filter(({ person }) => person !== me);
    customers = event.customers;
    showColleagues();
    showCustomer();
  });
  const drop = (person) => {
    clearTimeout(typing.get(person));
    typing.delete(person);
    showColleagues();
  };
  onMine("typing.changed", ({ person, role, typing: begins }) => {
    if (role !== "staff" || person === me) return;
    drop(person);
    if (!begins) return;
    typing.set(person, setTimeout(() => drop(person), FORGET_MS));
    showColleagues();
  });
  live.catchUp(showCustomer, signal); // the minutes go by
  signal.addEventListener("abort", () => typing.forEach(clearTimeout));
}

// How long ago, in its largest unit, in the language of the page.
export function ago(ms) {
  const format = new Intl.RelativeTimeFormat(document.documentElement.lang, {
    numeric: "auto",
    style: "short",
  });
  const minutes = Math.floor(ms / MINUTE_MS);
  if (minutes < 60) return format.format(-Math.max(minutes, 0), "minute");
  const hours = Math.floor(minutes / 60);
  return hours < 48
    ? format.format(-hours, "hour")
    : format.format(-Math.floor(hours / 24), "day");
}
