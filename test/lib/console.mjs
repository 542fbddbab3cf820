// The console of a daemon in a real browser.

// Opens it. What the browser or the page complains about, a breach of the content security
// policy too, fails the test by the list it returns.
export async function openConsole(context, daemon, at = "") {
  const page = await context.newPage();
  const complaints = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(`${message.text()} ${message.location().url}`);
  });
  page.on("pageerror", (err) => complaints.push(String(err)));
  await page.goto(`${daemon.ops}/console/${at}`);
  await page.locator("h1").waitFor();
  return { page, complaints };
}
