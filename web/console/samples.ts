// The same call as the console makes, for a shell or a program.

import { pretty } from "./format.ts";

export interface Where {
  address: string; // of the control API
  tls: boolean;
  key: boolean; // one is asked for
}

/** The languages that actions are offered in. */
export const languages = ["curl", "grpcurl", "Go", "Node.js", "Python"] as const;
export type Language = (typeof languages)[number];

// A word for a POSIX shell.
const quoted = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;

// A string for Go, Python and JavaScript alike: what JSON escapes, they do likewise, but for
// surrogates, which are written as they are, and U+2028, which old JavaScript ends a line at.
const literal = (text: string) => JSON.stringify(text).replaceAll("\u2028", "\\u2028").replaceAll("\u2029", "\\u2029").replaceAll("\u007f", "\\u007f");

// A raw string of Go holds no backquote.
const goText = (text: string) => (text.includes("`") ? literal(text) : `\`${text}\``);

/** A method, such as "RegistryService/Join", with its request. */
export function sample(language: Language, method: string, request: object, stream: boolean, to: Where): string {
  const [service, name] = method.split("/") as [string, string];
  const json = JSON.stringify(request);
  const unix = to.address.startsWith("unix:");
  const url = `${to.tls ? "https" : "http"}://${unix ? "localhost" : to.address}/fanout.v1.${method}`;
  switch (language) {
    case "curl": {
      const socket = unix ? `--unix-socket ${quoted(to.address.slice(5))} ` : "";
      return `curl ${stream ? "-N " : ""}${socket}${to.key ? `-H "authorization: Bearer $FANOUTD_CONTROL_KEY" ` : ""}--json ${quoted(json)} ${url}`;
    }
    case "grpcurl":
      return `grpcurl ${to.tls ? "" : "-plaintext "}${to.key ? `-H "authorization: Bearer $FANOUTD_CONTROL_KEY" ` : ""}-d ${quoted(json)} ${quoted(to.address).replaceAll(/^'([\w.:/[\]-]+)'$/g, "$1")} fanout.v1.${method}`;
    case "Go":
      return goSample(service, name, json, stream, to);
    case "Node.js":
      return nodeSample(url, request, stream, to);
    default:
      return pythonSample(url, json, stream, to);
  }
}

function goSample(service: string, name: string, json: string, stream: boolean, to: Where): string {
  const credentials = to.tls ? "credentials.NewTLS(nil)" : "insecure.NewCredentials()";
  const key = to.key ? `\tctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+os.Getenv("FANOUTD_CONTROL_KEY"))\n` : "";
  const imports = [
    "context", "fmt", "log", ...(to.key ? ["os"] : []), "",
    "google.golang.org/grpc", to.tls ? "google.golang.org/grpc/credentials" : "google.golang.org/grpc/credentials/insecure",
    ...(to.key ? ["google.golang.org/grpc/metadata"] : []), "google.golang.org/protobuf/encoding/protojson",
  ].map((i) => (i ? `\t"${i}"` : "")).join("\n");
  const use = stream
    ? `\tfor {\n\t\tanswer, err := answers.Recv()\n\t\tif err != nil {\n\t\t\tlog.Fatal(err) // io.EOF: that was all\n\t\t}\n\t\tfmt.Println(protojson.Format(answer))\n\t}\n`
    : `\tfmt.Println(protojson.Format(answer))\n`;
  return `package main

import (
${imports}

\tfanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

func main() {
\tctx := context.Background()
${key}\tconn, err := grpc.NewClient(${literal(to.address)}, grpc.WithTransportCredentials(${credentials}))
\tif err != nil {
\t\tlog.Fatal(err)
\t}
\tdefer conn.Close()
\trequest := &fanoutv1.${name}Request{}
\tif err := protojson.Unmarshal([]byte(${goText(json)}), request); err != nil {
\t\tlog.Fatal(err)
\t}
\t${stream ? "answers" : "answer"}, err := fanoutv1.New${service}Client(conn).${name}(ctx, request)
\tif err != nil {
\t\tlog.Fatal(err)
\t}
${use}}
`;
}

function nodeSample(url: string, request: object, stream: boolean, to: Where): string {
  const key = to.key ? "\n    authorization: `Bearer ${process.env.FANOUTD_CONTROL_KEY}`," : "";
  const use = stream
    ? `if (!response.ok) throw new Error(await response.text());
let rest = "";
for await (const piece of response.body.pipeThrough(new TextDecoderStream())) {
  const lines = (rest + piece).split("\\n");
  rest = lines.pop();
  for (const line of lines.filter(Boolean)) console.log(JSON.parse(line));
}`
    : `if (!response.ok) throw new Error(await response.text());
console.log(await response.json());`;
  return `const response = await fetch(${literal(url)}, {
  method: "POST",
  headers: {
    "content-type": "application/json",${key}
  },
  body: JSON.stringify(${pretty(request).replaceAll("\n", "\n  ")}),
});
${use}
`;
}

function pythonSample(url: string, json: string, stream: boolean, to: Where): string {
  const use = stream ? `    for line in response:\n        print(json.loads(line))` : `    print(json.load(response))`;
  return `import json
${to.key ? "import os\n" : ""}import urllib.request

request = urllib.request.Request(
    ${literal(url)},
    data=${literal(json)}.encode(),
    headers={
        "Content-Type": "application/json",
${to.key ? `        "Authorization": f"Bearer {os.environ['FANOUTD_CONTROL_KEY']}",\n` : ""}    },
)
with urllib.request.urlopen(request) as response:
${use}
`;
}
