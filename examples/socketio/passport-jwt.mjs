// Serves the client of Socket.IO's example "passport-jwt-example": the page and
// its login by Express, on $PORT or 3000, beside a daemon that verifies the
// tokens. The page's file is the second argument; the secret is in the
// file that $FANOUTD_JWT_SECRET_FILE names, for the daemon too.

import { readFileSync } from "node:fs";
import { resolve } from "node:path";

import express from "express";
import jwt from "jsonwebtoken";

import { serve } from "./backend.mjs";

const secret = readFileSync(process.env.FANOUTD_JWT_SECRET_FILE, "utf8").trimEnd();
const claims = { issuer: "accounts.examplesoft.com", audience: "yoursite.net" };
const john = { id: 1, username: "john" };
const page = resolve(process.argv[3]);
const app = express();
app.use(express.json());

app.get("/", (req, res) => res.sendFile(page));

app.get("/self", ({ headers }, res) => {
  try {
    const token = headers.authorization.replace(/^bearer /i, "");
    res.send(jwt.verify(token, secret, { ...claims, algorithms: ["HS256"] }).data);
  } catch {
    res.status(401).end();
  }
});

app.post("/login", ({ body }, res) => {
  if (body?.username !== "john" || body.password !== "changeit") return res.status(401).end();
  res.json({ token: jwt.sign({ data: john }, secret, { ...claims, subject: String(john.id), expiresIn: "1h" }) });
});

serve("passport-jwt", {
  events: { whoami: ({ connection }) => JSON.parse(connection.dataJson).username },
});

const server = app.listen(process.env.PORT ?? 3000, () => console.log(`the page is at http://localhost:${server.address().port}`));
