// Waiting for what happens elsewhere. The bound is generous, because it only
// ends tests that fail; no test measures time with it.

const boundMs = 15_000;
const everyMs = 15;

// Resolves with the first truthy value of check(), which may be async. What
// check throws ends the wait.
export async function until(check, what, bound = boundMs) {
  const end = Date.now() + bound;
  for (;;) {
    const value = await check();
    if (value) return value;
    if (Date.now() > end) throw new Error(`waited in vain until ${what}`);
    await sleep(everyMs);
  }
}

// Fails unless the promise settles within the bound.
export async function within(promise, what, bound = boundMs) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited in vain for ${what}`)), bound);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

// For what must not happen: there is nothing to wait for but a while.
export function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
