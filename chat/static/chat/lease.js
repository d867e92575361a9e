// One tab at a time, on pages without https, which have no locks: a lease, written and read again.

const HELD_MS = 30_000;

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

// Returns what does some work while no other tab does any.
export function keep({ store, uuid }) {
  return async (work) => {
    const me = uuid();
    const holder = () => {
      const [who, until] = (store.get("lock") ?? "").split(" ");
      return until > Date.now() ? who : me;
    };
    do {
      while (holder() !== me) await pause(300);
      store.set("lock", `${me} ${Date.now() + HELD_MS}`);
      await pause(40 + Math.random() * 40);
    } while (holder() !== me);
    const more = await work();
    store.drop("lock");
    return more;
  };
}
