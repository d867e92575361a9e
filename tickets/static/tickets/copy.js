// <div data-copy> around a field and a button: the button copies what the field holds, and says so
// for a moment. Where a browser does not let us, the field is marked, to be copied by hand.

const SAID_MS = 2000;

document.addEventListener("focusin", ({ target }) => {
  if (target.matches("[data-copy] input")) target.select();
});
document.addEventListener("click", async ({ target }) => {
  const button = target.closest("[data-copy] button");
  if (!button) return;
  const field = button.closest("[data-copy]").querySelector("input");
  const words = button.textContent;
  try {
    await navigator.clipboard.writeText(field.value);
  } catch {
    field.focus();
    return;
  }
  button.textContent = button.dataset.copied;
  setTimeout(() => (button.textContent = words), SAID_MS);
});
