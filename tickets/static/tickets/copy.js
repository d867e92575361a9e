// <div data-copy> around a field and a button: the button copies what the field holds, and says so
// for a moment. Where a browser does not let us, it is not shown; the field is there to be marked.

const SAID_MS = 2000;

for (const box of document.querySelectorAll("[data-copy]")) {
  const field = box.querySelector("input");
  const button = box.querySelector("button");
  const words = button.textContent;
  button.hidden = !navigator.clipboard;
  field.addEventListener("focus", () => field.select());
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(field.value);
    } catch {
      field.focus(); // marked, to be copied by hand
      return;
    }
    button.textContent = button.dataset.copied;
    setTimeout(() => (button.textContent = words), SAID_MS);
  });
}
