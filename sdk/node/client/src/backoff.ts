/** Pauses that grow, and are partly left to chance, so that many do not come back at once. */
export class Backoff {
  #failures = 0;

  /** Milliseconds to wait before the next attempt. */
  next(): number {
    const most = Math.min(100 * 2 ** this.#failures, 5_000);
    this.#failures = Math.min(this.#failures + 1, 16);
    return most * (0.5 + Math.random() / 2);
  }

  reset(): void {
    this.#failures = 0;
  }
}
