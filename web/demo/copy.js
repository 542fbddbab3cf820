// Copying, also where the clipboard API is absent: a page on plain http from
// another machine is no secure context.

// Puts text on the clipboard and says whether it got there.
export async function copyText(text) {
  if (navigator.clipboard) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      // Not permitted; the old way may be.
    }
  }
  const area = document.createElement("textarea");
  area.value = text;
  area.readOnly = true;
  area.className = "sr-only";
  document.body.append(area);
  const focused = document.activeElement;
  area.select();
  try {
    return document.execCommand("copy");
  } catch {
    return false;
  } finally {
    area.remove();
    focused?.focus?.({ preventScroll: true });
  }
}

// Makes a button copy what text() returns and say what came of it.
export function copyButton(button, text) {
  const shown = button.textContent;
  const spoken = button.getAttribute("aria-label") ?? shown;
  let timer;
  button.addEventListener("click", async () => {
    const done = await copyText(text());
    say(done ? "Copied" : "Select it by hand", done);
    clearTimeout(timer);
    timer = setTimeout(() => {
      button.textContent = shown;
      button.setAttribute("aria-label", spoken);
      button.classList.remove("done");
    }, 1600);
  });
  function say(outcome, done) {
    button.textContent = outcome;
    button.setAttribute("aria-label", outcome);
    button.classList.toggle("done", done);
  }
}
