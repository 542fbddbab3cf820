// Generates src/gen, the messages and stubs of the contract, from proto/ of this repository.

import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const here = path.dirname(fileURLToPath(import.meta.url));
const root = path.resolve(here, "../../..");
const bin = (name) => path.join(here, "../node_modules/.bin", name);

const template = {
  version: "v2",
  clean: true,
  plugins: [
    {
      local: bin("protoc-gen-ts_proto"),
      out: path.join(here, "src/gen"),
      include_imports: true,
      opt: [
        "outputServices=grpc-js",
        "esModuleInterop=true",
        "importSuffix=.js",
        "env=node", // bytes are Buffers
        "oneof=unions-value", // {$case, value}, which TypeScript narrows
        "stringEnums=true",
        "unrecognizedEnum=false",
        "removeEnumPrefix=false",
        "outputJsonMethods=false",
        "outputPartialMethods=false",
        "useOptionals=all", // what is not said has its default
        "outputTypeAnnotations=false",
        "exportCommonSymbols=false",
        "initializeFieldsAsUndefined=false",
        "useSnakeTypeName=true",
      ],
    },
  ],
};

execFileSync(bin("buf"), ["generate", "--template", JSON.stringify(template), "--path", path.join(root, "proto/fanout/v1"), root], { cwd: root, stdio: "inherit" });

// Values of JSON are what they are, not any. What is received is read by our reader.
for (const entry of readdirSync(path.join(here, "src/gen"), { recursive: true, withFileTypes: true })) {
  if (!entry.isFile()) continue;
  const file = path.join(entry.parentPath, entry.name);
  const source = (name) => path.relative(entry.parentPath, path.join(here, "src", name));
  const json = `import("${source("json.js")}").JsonValue`;
  let text = readFileSync(file, "utf8")
    .replace(/^( +\| )any(\[\])?$/gm, `$1${json}$2`)
    .replaceAll("{ [key: string]: any }", `{ [key: string]: ${json} }`)
    .replaceAll("string | number | boolean | Object | null | Array<any> | undefined", json)
    .replace("message.kind?.value;", "(message.kind?.value ?? null);")
    .replace("function longToNumber(int64: { toString(): string }): number {\n", (line) => `${line}  if (typeof int64 === "number") return int64;\n`);
  if (text.includes(".decode(value)")) {
    text = text.replaceAll(".decode(value)", ".decode(new Reader(value))").replace("import { BinaryReader,", `import { Reader } from "${source("reader.js")}";\n$&`);
  }
  writeFileSync(file, text);
}
