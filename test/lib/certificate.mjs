// A certificate for localhost that is its own authority, made for one test.

import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

// Writes CERT.pem, KEY.pem and CERT_AND_KEY.pem into dir and returns the certificate.
export async function certificate(dir) {
  const [cert, key] = [path.join(dir, "CERT.pem"), path.join(dir, "KEY.pem")];
  await run("openssl", [
    ..."req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost".split(" "),
    ..."-addext subjectAltName=DNS:localhost,IP:127.0.0.1".split(" "),
    ...["-keyout", key, "-out", cert],
  ]);
  const text = await readFile(cert, "utf8");
  await writeFile(path.join(dir, "CERT_AND_KEY.pem"), text + (await readFile(key, "utf8")));
  return text;
}
