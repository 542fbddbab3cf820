// Asks the daemon which rooms this tab is in: a stock client is never told.

const everyMs = 1000;
const giveUpMs = 5000;

// Calls show(rooms) about once a second while the page is visible and id()
// returns one; show(null) when the answer is not to be had.
export function pollRooms(id, show) {
  let timer;
  const again = () => {
    clearTimeout(timer);
    timer = setTimeout(tick, everyMs);
  };
  const tick = async () => {
    const current = id();
    if (!document.hidden && current) {
      const rooms = await fetchRooms(current);
      if (current === id()) show(rooms);
    }
    again();
  };
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return;
    clearTimeout(timer);
    tick();
  });
  tick();
}

async function fetchRooms(id) {
  try {
    const answer = await fetch(`/demo/connection?id=${encodeURIComponent(id)}`, {
      cache: "no-store",
      signal: AbortSignal.timeout(giveUpMs),
    });
    if (!answer.ok) return null;
    return (await answer.json()).rooms;
  } catch {
    return null;
  }
}
