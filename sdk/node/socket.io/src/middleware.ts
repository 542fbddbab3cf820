import { ServerResponse } from "node:http";
import { Writable } from "node:stream";

import type { HandshakeRequest } from "./request.js";

/** A middleware of Express's kind. */
export type Middleware = (request: HandshakeRequest, response: ServerResponse<HandshakeRequest>, next: (err?: Error) => void) => void;

/**
 * Runs the middlewares one after the other, and calls done once: with an error if one fails, or ends the response, which
 * is to turn the client away. Where all pass, the response is ended before, so that those who wait for its end do what they do
 * then: express-session keeps the session. What the response says goes nowhere.
 */
export function runMiddlewares(middlewares: Middleware[], request: HandshakeRequest, done: (err?: Error) => void): void {
  if (middlewares.length === 0) return done();
  const response = new ServerResponse(request);
  response.assignSocket(new Writable({ write: (_chunk, _encoding, written) => written() }) as never);
  let passed = false;
  let settled = false;
  const settle = (err?: Error): void => {
    if (settled) return;
    settled = true;
    done(err);
  };
  // Middlewares put their own in its place, and call this when they are ready.
  const end = response.end.bind(response) as (...args: unknown[]) => void;
  response.end = ((...args: unknown[]) => {
    end(...args);
    settle(passed ? undefined : new Error("refused by a middleware of io.engine.use()"));
    return response;
  }) as typeof response.end;
  const run = (i: number, err?: Error): void => {
    if (err) return settle(err);
    const middleware = middlewares[i];
    if (middleware) return middleware(request, response, (err?: Error) => run(i + 1, err));
    passed = true;
    response.end();
  };
  run(0);
}
