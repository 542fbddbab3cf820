/**
 * Calls a program's own code. What it throws is an uncaught exception of the process, as it is from a listener anywhere in Node.js, but it
 * breaks off nothing that the caller has to do: a program that goes on after such an exception goes on hearing.
 */
export function apart(call: () => void): void {
  try {
    call();
  } catch (err) {
    process.nextTick(() => {
      throw err;
    });
  }
}
